/** The launch page: choose, see the plan appear, apply exactly that plan. */
import { useState } from "react";
import type { Schemas } from "../../api/client";
import { api } from "../../api/client";
import { useFleet } from "../../api/lists";
import { useMayBuild } from "../../api/session";
import { Card, Loading, Note, Page } from "../../ui/basics";
import { BytesField, Check, CountField, SelectField, TextField } from "../../ui/fields";
import { count, counted, usd } from "../../ui/format";
import { ProblemNote } from "../../ui/problem";
import { InProject } from "../../ui/project";
import { PlanPreview } from "./PlanPreview";

type Project = Schemas["Project"];
export type Wish = Schemas["ClusterRequest"];

const GPU_COUNT_MAX = 4_000;
const NAME = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

export default function Launch() {
  const mayBuild = useMayBuild();
  return (
    <Page
      title="Launch a cluster"
      lead="The plan appears as you choose. Nothing is reserved or billed until you confirm it."
    >
      {mayBuild ? (
        <InProject>{(project) => <Chooser key={project.id} project={project} />}</InProject>
      ) : (
        <Note kind="warn" title="Your role cannot launch clusters">
          <p>Ask the owner of your organisation for the role member.</p>
        </Note>
      )}
    </Page>
  );
}

function Chooser({ project }: { project: Project }) {
  const fleet = useFleet();
  const clusters = api.useQuery("get", "/gw/v1/clusters", { params: { query: { limit: 500 } } });
  if (fleet.isPending) return <Loading what="what the site offers" />;
  if (fleet.error) return <ProblemNote error={fleet.error} retry={() => void fleet.refetch()} />;
  if (clusters.isPending) return <Loading what="your clusters" />;
  const taken = new Set((clusters.data?.items ?? []).map((one) => one.name));
  return (
    <Form
      project={project}
      types={fleet.data.gpu_types}
      sites={fleet.data.sites}
      name={freeName(taken)}
    />
  );
}

/** A name that no live cluster has. */
function freeName(taken: ReadonlySet<string>): string {
  if (!taken.has("train")) return "train";
  let number = 2;
  while (taken.has(`train-${number}`)) number += 1;
  return `train-${number}`;
}

interface FormProps {
  project: Project;
  types: readonly Schemas["GpuTypeSummary"][];
  sites: readonly Schemas["SiteSummary"][];
  name: string;
}

function Form({ project, types, sites, name }: FormProps) {
  const [wish, setWish] = useState<Wish>({
    project_id: project.id,
    name,
    gpu_count: 64,
    gpu_type: types[0]?.gpu_type ?? null,
    storage_bytes: 0,
    image: "debian-12-gpu",
    ssh_key_ids: [],
    file_system_mounts: [],
    spare_count: 0,
    site_ids: [],
  });
  const change = (part: Partial<Wish>): void => setWish((before) => ({ ...before, ...part }));
  const nameError = NAME.test(wish.name)
    ? null
    : "Small letters, digits and hyphens, up to 63, beginning and ending with a letter or digit.";
  return (
    <div className="launch">
      <Card title="What you want">
        <form onSubmit={(event) => event.preventDefault()}>
          <TextField
            label="Name"
            value={wish.name}
            onChange={(name) => change({ name })}
            error={nameError}
            hint="Hosts are called NAME-0000, NAME-0001 and so on."
            autoComplete="off"
          />
          <TypeAndCount wish={wish} types={types} change={change} />
          <TermChoice wish={wish} change={change} />
          <BytesField
            label="Storage"
            value={wish.storage_bytes ?? 0}
            onChange={(storage_bytes) => change({ storage_bytes })}
            hint="A file system that lives and ends with the cluster; 0 for none."
          />
          <Keys project={project} wish={wish} change={change} />
          <details>
            <summary>More: image, file systems, site, nearness, spare nodes</summary>
            <div className="stack more">
              <More project={project} wish={wish} sites={sites} change={change} />
            </div>
          </details>
        </form>
      </Card>
      <PlanPreview wish={wish} isReady={nameError === null} />
    </div>
  );
}

const TERMS = [
  { value: "on_demand", label: "On demand: runs until you release it" },
  { value: "spot", label: "Spot: cheaper, may be taken back after a notice" },
];

/** How it is paid; a spot request says what it pays at most. */
function TermChoice({ wish, change }: PartProps) {
  const most = wish.price_micro_usd_per_gpu_hour_max;
  return (
    <>
      <SelectField
        label="Term"
        value={wish.term ?? "on_demand"}
        options={TERMS}
        onChange={(term) =>
          change({
            term: term as Wish["term"],
            price_micro_usd_per_gpu_hour_max: term === "spot" ? (most ?? 2_000_000) : null,
          })
        }
      />
      {wish.term === "spot" && (
        <TextField
          label="Most that you pay per GPU and hour, in USD"
          type="number"
          min={0}
          step="0.01"
          value={String((most ?? 0) / 1e6)}
          onChange={(text) =>
            change({ price_micro_usd_per_gpu_hour_max: Math.round(Number(text) * 1e6) })
          }
          hint="When the price goes above it, the GPUs are taken back after a notice."
        />
      )}
    </>
  );
}

export interface PartProps {
  wish: Wish;
  change: (part: Partial<Wish>) => void;
}

const USUAL = [8, 64, 256, 1_024, 4_000];

function TypeAndCount({ wish, types, change }: PartProps & Pick<FormProps, "types">) {
  return (
    <>
      <SelectField
        label="GPU type"
        value={wish.gpu_type ?? ""}
        onChange={(gpu_type) => change({ gpu_type })}
        options={types.map((type) => ({
          value: type.gpu_type,
          label:
            `${type.gpu_type}: ${usd(type.price_micro_usd_per_gpu_hour)} per GPU and hour, ` +
            `${count(type.free_gpu_count)} free`,
        }))}
      />
      <CountField
        label="GPUs"
        value={wish.gpu_count}
        min={1}
        max={GPU_COUNT_MAX}
        onChange={(gpu_count) => change({ gpu_count })}
        hint={`1 to ${count(GPU_COUNT_MAX)}; whole nodes have 8.`}
      />
      <fieldset className="chips">
        <legend className="hidden">Usual sizes</legend>
        {USUAL.map((size) => (
          <button
            key={size}
            type="button"
            className="chip"
            aria-pressed={wish.gpu_count === size}
            onClick={() => change({ gpu_count: size })}
          >
            {count(size)}
          </button>
        ))}
      </fieldset>
    </>
  );
}

function Keys({ project, wish, change }: PartProps & { project: Project }) {
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

function More({ project, wish, sites, change }: PartProps & Pick<FormProps, "project" | "sites">) {
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
