/** What a project may hold, and what it holds. */
import { api, type Schemas } from "../../api/client";
import { Bar, Card, Facts, Loading, Note, Page } from "../../ui/basics";
import { bytes, count, counted } from "../../ui/format";
import { ProblemNote } from "../../ui/problem";
import { InProject } from "../../ui/project";

export default function Quotas() {
  return (
    <Page title="Quotas" lead="What the operator has granted to a project, and how much is in use.">
      <InProject>
        {(project) => (
          <div className="columns">
            <Gpus projectId={project.id} />
            <Storage projectId={project.id} />
          </div>
        )}
      </InProject>
    </Page>
  );
}

function Gpus({ projectId }: { projectId: string }) {
  const quota = api.useQuery("get", "/gw/v1/projects/{project_id}/quota", {
    params: { path: { project_id: projectId } },
  });
  return (
    <Card title="GPUs">
      {quota.isPending ? (
        <Loading what="the quota" />
      ) : quota.error ? (
        <ProblemNote error={quota.error} />
      ) : (
        <GpuQuota quota={quota.data} />
      )}
    </Card>
  );
}

function GpuQuota({ quota }: { quota: Schemas["Quota"] }) {
  const { granted_gpu_count: granted, held_gpu_count: held } = quota;
  const byType = Object.entries(quota.granted_gpu_count_by_type ?? {});
  const limit = (value: number | null | undefined): string =>
    value == null ? "no limit of its own" : count(value);
  return (
    <>
      <Bar
        name="GPUs held, spares included"
        done={held}
        total={granted}
        words={`${count(held)} of ${count(granted)}`}
      />
      <Facts
        facts={[
          ["Still to use", counted(Math.max(0, granted - held), "GPU")],
          ["Free in the whole fleet", counted(quota.free_gpu_count_of_fleet, "GPU")],
          ["Clusters", limit(quota.granted_cluster_count)],
          ["Requests that may wait", limit(quota.granted_waiting_count)],
          ...byType.map(([type, most]): [string, string] => [`Of ${type}`, counted(most, "GPU")]),
        ]}
      />
      {granted === 0 && (
        <Note kind="warn" title="Nothing is granted yet">
          <p>A new project starts with 0. Ask the operator of the site for GPUs.</p>
        </Note>
      )}
    </>
  );
}

function Storage({ projectId }: { projectId: string }) {
  const quota = api.useQuery("get", "/gw/v1/projects/{project_id}/storage-quota", {
    params: { path: { project_id: projectId } },
  });
  if (quota.isPending) return <Loading what="the storage quota" />;
  if (quota.error) return <ProblemNote error={quota.error} />;
  const { granted_bytes: granted, held_bytes: held } = quota.data;
  return (
    <Card title="Storage">
      <Bar
        name="Promised to clusters and file systems"
        done={held}
        total={granted}
        words={`${bytes(held)} of ${bytes(granted)}`}
      />
      <Facts facts={[["Still to use", bytes(Math.max(0, granted - held))]]} />
      {quota.data.is_oversubscribed && (
        <Note kind="warn" title="More is granted than there is">
          <p>
            All projects together may ask for more than the site holds, so a file system can be
            refused for want of room before the quota is used up.
          </p>
        </Note>
      )}
    </Card>
  );
}
