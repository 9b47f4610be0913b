/** Clusters that the reader sees, and requests that wait for room. */
import { useState } from "react";
import { Link } from "wouter";
import { api, type Schemas } from "../../api/client";
import { useClusterName, useProjectName } from "../../api/lists";
import { useMayBuild } from "../../api/session";
import {
  Button,
  Card,
  Empty,
  Figure,
  LinkButton,
  Loading,
  Page,
  StateOf,
  Time,
} from "../../ui/basics";
import { Check } from "../../ui/fields";
import { count, counted, duration, usdPerHour } from "../../ui/format";
import { ProblemNote, sentence } from "../../ui/problem";
import { type Column, Table } from "../../ui/table";

type Cluster = Schemas["Cluster"];
type Waiting = Schemas["WaitingRequest"];

export default function Clusters() {
  const [withEnded, setWithEnded] = useState(false);
  const mayBuild = useMayBuild();
  const clusters = api.useQuery("get", "/gw/v1/clusters", {
    params: { query: { with_ended: withEnded, limit: 500 } },
  });
  const items = clusters.data?.items ?? [];
  return (
    <Page
      title="Clusters"
      lead="GPUs that are yours alone, fenced on five planes."
      actions={
        mayBuild && (
          <LinkButton href="/launch" kind="primary">
            Launch a cluster
          </LinkButton>
        )
      }
    >
      <AskedBack />
      <Totals clusters={items} />
      <Card>
        {clusters.isPending ? (
          <Loading what="clusters" />
        ) : clusters.error ? (
          <ProblemNote error={clusters.error} retry={() => void clusters.refetch()} />
        ) : (
          <ClusterTable clusters={items} mayBuild={mayBuild} />
        )}
        <Check label="Show released and failed ones" checked={withEnded} onChange={setWithEnded} />
      </Card>
      <WaitingRequests mayBuild={mayBuild} />
    </Page>
  );
}

const NOTICES: Column<Schemas["Notice"]>[] = [
  {
    head: "Cluster",
    cell: (one) => (
      <Link href={`/clusters/${one.cluster_id}`}>
        <ClusterName id={one.cluster_id} />
      </Link>
    ),
  },
  { head: "Nodes", cell: (one) => one.nodes.join(", ") },
  { head: "Taken", cell: (one) => <Time iso={one.deadline_at} /> },
  { head: "Why", cell: (one) => sentence(one.reason) },
];

function ClusterName({ id }: { id: string }) {
  return useClusterName()(id);
}

/** Nodes that have to be given back now; nothing where there are none. */
function AskedBack() {
  const notices = api.useQuery("get", "/gw/v1/notices", { params: { query: { limit: 100 } } });
  const items = notices.data?.items ?? [];
  if (items.length === 0) return null;
  return (
    <Card title="Asked back: save what has to be saved">
      <Table label="Notices" columns={NOTICES} rows={items} rowKey={(one) => one.id} />
    </Card>
  );
}

function Totals({ clusters }: { clusters: readonly Cluster[] }) {
  const live = clusters.filter((cluster) => cluster.status);
  if (live.length === 0) return null;
  const gpus = live.reduce((sum, cluster) => sum + (cluster.config?.gpu_count ?? 0), 0);
  const price = live.reduce((sum, one) => sum + (one.status?.price_micro_usd_per_hour ?? 0), 0);
  return (
    <div className="figures">
      <Figure name="Clusters" value={count(live.length)} />
      <Figure name="GPUs" value={count(gpus)} />
      <Figure name="Price" value={usdPerHour(price)} more="while all nodes are ready" />
    </div>
  );
}

function ClusterTable({ clusters, mayBuild }: { clusters: readonly Cluster[]; mayBuild: boolean }) {
  const projectName = useProjectName();
  const columns: Column<Cluster>[] = [
    {
      head: "Name",
      cell: (one) => <Link href={`/clusters/${one.id}`}>{one.name}</Link>,
      sortBy: (one) => one.name,
    },
    { head: "State", cell: (one) => <StateOf state={one.state} />, sortBy: (one) => one.state },
    {
      head: "GPUs",
      isNumber: true,
      cell: (one) => (one.config ? count(one.config.gpu_count) : "0"),
      sortBy: (one) => one.config?.gpu_count ?? 0,
    },
    {
      head: "Type",
      cell: (one) => one.status?.gpu_type ?? "none",
      sortBy: (one) => one.status?.gpu_type ?? "",
    },
    { head: "Site", cell: (one) => one.status?.site_id ?? "none" },
    {
      head: "Price",
      isNumber: true,
      cell: (one) => usdPerHour(one.status?.price_micro_usd_per_hour ?? 0),
      sortBy: (one) => one.status?.price_micro_usd_per_hour ?? 0,
    },
    { head: "Project", cell: (one) => projectName(one.project_id) },
    {
      head: "Launched",
      cell: (one) => <Time iso={one.created_at} />,
      sortBy: (one) => one.created_at,
    },
  ];
  return (
    <Table
      label="Clusters"
      columns={columns}
      rows={clusters}
      rowKey={(one) => one.id}
      empty={
        <Empty
          title="No cluster yet"
          action={
            mayBuild && (
              <LinkButton href="/launch" kind="primary">
                Launch your first cluster
              </LinkButton>
            )
          }
        >
          A cluster is a number of GPUs that are near to each other and closed to everybody else.
          You choose how many, see where they would be and what they cost, and confirm. Nothing is
          billed before you do.
        </Empty>
      }
    />
  );
}

function WaitingRequests({ mayBuild }: { mayBuild: boolean }) {
  const waiting = api.useQuery("get", "/gw/v1/waiting", { params: { query: { limit: 100 } } });
  const withdraw = api.useMutation("post", "/gw/v1/waiting/{waiting_id}:withdraw", {
    onSuccess: () => void waiting.refetch(),
  });
  const items = waiting.data?.items ?? [];
  if (items.length === 0) return null;
  const columns: Column<Waiting>[] = [
    { head: "Name", cell: (one) => one.name },
    { head: "GPUs", isNumber: true, cell: (one) => count(one.gpu_count) },
    {
      head: "Place",
      cell: (one) =>
        one.place?.position ? `number ${count(one.place.position)}` : "held back by limits",
    },
    {
      head: "Expected",
      cell: (one) =>
        one.place?.expected_wait_s != null
          ? `in about ${duration(one.place.expected_wait_s)}`
          : (one.place?.basis ?? "not known"),
    },
    { head: "Why it waits", cell: (one) => one.why ?? one.state_reason },
    { head: "Gives up", cell: (one) => <Time iso={one.expires_at} /> },
    {
      head: "Action",
      cell: (one) =>
        mayBuild && (
          <Button
            busy={withdraw.isPending && "Withdrawing …"}
            onClick={() => withdraw.mutate({ params: { path: { waiting_id: one.id } } })}
          >
            Withdraw
          </Button>
        ),
    },
  ];
  return (
    <Card title={`Waiting for room: ${counted(items.length, "request")}`}>
      <Table label="Waiting requests" columns={columns} rows={items} rowKey={(one) => one.id} />
      {withdraw.error && <ProblemNote error={withdraw.error} />}
    </Card>
  );
}
