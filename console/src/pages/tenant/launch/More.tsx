/** Keys, image, file systems, site, nearness and spare nodes of a new cluster. */
import { api, type Schemas } from "../../../api/client";
import { Loading } from "../../../ui/basics";
import { Check, CountField, SelectField } from "../../../ui/fields";
import { counted } from "../../../ui/format";
import { ProblemNote } from "../../../ui/problem";
import type { PartProps, Wish } from "./wish";

type Project = Schemas["Project"];

export function Keys({ project, wish, change }: PartProps & { project: Project }) {
  const keys = api.useQuery("get", "/gw/v1/projects/{project_id}/ssh-keys", {
    params: { path: { project_id: project.id }, query: { limit: 100 } },
  });
  const items = keys.data?.items ?? [];
  const chosen = new Set(wish.ssh_key_ids ?? []);
  return (
    <fieldset>
      <legend>SSH keys</legend>
      {keys.isPending && <Loading what="SSH keys" />}
      {keys.error && <ProblemNote error={keys.error} />}
      {items.map((key) => (
        <Check
          key={key.id}
          label={key.name}
          checked={chosen.has(key.id)}
          onChange={(isOn) => change({ ssh_key_ids: toggled(chosen, key.id, isOn) })}
        />
      ))}
      {keys.isSuccess && (
        <p className="hint">
          {items.length === 0
            ? "None yet: without one nobody can log in to the hosts. "
            : "Their owners can log in to every host. "}
          <a href="/ssh-keys">Add a key</a>
        </p>
      )}
    </fieldset>
  );
}

function toggled(chosen: ReadonlySet<string>, id: string, isOn: boolean): string[] {
  const next = new Set(chosen);
  if (isOn) next.add(id);
  else next.delete(id);
  return [...next];
}

const TOGETHER = [
  { value: "fabric", label: "Anywhere in one fabric, as near as it goes" },
  { value: "pod", label: "In one pod" },
  { value: "leaf_group", label: "In one leaf group" },
  { value: "nvlink_domain", label: "In one NVLink domain" },
  { value: "node", label: "In one node" },
];

interface MoreProps extends PartProps {
  project: Project;
  sites: readonly Schemas["SiteSummary"][];
}

export function More({ project, wish, sites, change }: MoreProps) {
  const images = api.useQuery("get", "/gw/v1/images", {}, { staleTime: 600_000 });
  const found = images.data?.items ?? [];
  return (
    <>
      <SelectField
        label="Image"
        value={wish.image ?? ""}
        onChange={(image) => change({ image })}
        options={
          found.length > 0
            ? found.map((one) => ({ value: one.id, label: `${one.family} ${one.version}` }))
            : [{ value: wish.image ?? "", label: wish.image ?? "" }]
        }
        hint={found.find((one) => one.id === wish.image)?.description}
      />
      <Mounts project={project} wish={wish} change={change} />
      <SelectField
        label="Site"
        value={wish.site_ids?.[0] ?? ""}
        onChange={(site) => change({ site_ids: site ? [site] : [] })}
        options={[
          { value: "", label: "Any" },
          ...sites.map((one) => ({
            value: one.site_id,
            label: `${one.site_id}${one.country ? `, ${one.country}` : ""}`,
          })),
        ]}
      />
      <SelectField
        label="Nearness"
        value={wish.keep_together ?? "fabric"}
        onChange={(value) => change({ keep_together: value as Wish["keep_together"] })}
        options={TOGETHER}
      />
      <CountField
        label="Spare nodes"
        value={wish.spare_count ?? 0}
        min={0}
        max={64}
        onChange={(spare_count) => change({ spare_count })}
        hint="Held for you inside your fences, to take over when a node fails."
      />
    </>
  );
}

function Mounts({ project, wish, change }: PartProps & { project: Project }) {
  const found = api.useQuery("get", "/gw/v1/file-systems", { params: { query: { limit: 100 } } });
  const mine = (found.data?.items ?? []).filter(
    (one) => one.project_id === project.id && one.state === "active",
  );
  const chosen = new Set((wish.file_system_mounts ?? []).map((mount) => mount.file_system_id));
  return (
    <fieldset>
      <legend>File systems to mount</legend>
      {mine.map((one) => (
        <Check
          key={one.id}
          label={`${one.name} at ${one.mount_point}`}
          checked={chosen.has(one.id)}
          onChange={(isOn) =>
            change({
              file_system_mounts: toggled(chosen, one.id, isOn).map((file_system_id) => ({
                file_system_id,
              })),
            })
          }
        />
      ))}
      <p className="hint">
        {mine.length === 0 ? "None in this project." : `${counted(mine.length, "file system")}.`}{" "}
        They outlive the cluster.
      </p>
    </fieldset>
  );
}
