/** Supply against demand: what waits, and what was turned away. */
import { Link } from "wouter";
import { api, type Schemas } from "../../api/client";
import { useProjectName } from "../../api/lists";
import { Card, Loading, Page, StateOf, Time } from "../../ui/basics";
import { count, duration, usdPerHour, words } from "../../ui/format";
import { ProblemNote } from "../../ui/problem";
import { type Column, Table } from "../../ui/table";

export default function Demand() {
  const admission = api.useQuery("get", "/gw/v1/admission", {}, { refetchInterval: 15_000 });
  return (
    <Page title="Demand" lead="What is granted, held and free; who waits; who was turned away.">
      {admission.error ? (
        <ProblemNote error={admission.error} retry={() => void admission.refetch()} />
      ) : admission.isPending ? (
        <Loading what="demand" />
      ) : (
        <>
          <Card title="By type of GPU">
            <Types rows={admission.data.gpu_types} />
          </Card>
          <Waiting />
          <TurnedAway />
          <Card title="Who is served first">
            <ol className="plain-list">
              {admission.data.order?.map((line) => (
                <li key={line}>{line.replace(/^\d+\. /, "")}</li>
              ))}
            </ol>
          </Card>
        </>
      )}
    </Page>
  );
}

function Types({ rows }: { rows: readonly Schemas["TypeAdmission"][] }) {
  const columns: Column<Schemas["TypeAdmission"]>[] = [
    { head: "Type", cell: (one) => one.gpu_type },
    { head: "GPUs", isNumber: true, cell: (one) => count(one.gpu_count) },
    { head: "Held", isNumber: true, cell: (one) => count(one.held_gpu_count) },
    { head: "Free", isNumber: true, cell: (one) => count(one.free_gpu_count) },
    { head: "Out of service", isNumber: true, cell: (one) => count(one.blocked_gpu_count) },
    { head: "Granted", isNumber: true, cell: (one) => count(one.granted_gpu_count) },
    { head: "Waiting", isNumber: true, cell: (one) => count(one.waiting_gpu_count) },
    {
      head: "Turned away, 7 days",
      isNumber: true,
      cell: (one) => count(one.turned_away_gpu_count),
    },
  ];
  return <Table label="Supply" columns={columns} rows={rows} rowKey={(one) => one.gpu_type} />;
}

function Waiting() {
  const projectName = useProjectName();
  const waiting = api.useQuery("get", "/gw/v1/waiting", { params: { query: { limit: 200 } } });
  const columns: Column<Schemas["WaitingRequest"]>[] = [
    { head: "Name", cell: (one) => one.name },
    { head: "Project", cell: (one) => projectName(one.project_id) },
    { head: "GPUs", isNumber: true, cell: (one) => count(one.gpu_count) },
    { head: "Type", cell: (one) => one.gpu_type ?? "any" },
    { head: "State", cell: (one) => <StateOf state={one.state} /> },
    { head: "Why", cell: (one) => one.why ?? one.state_reason },
    { head: "Since", cell: (one) => <Time iso={one.created_at} /> },
  ];
  return (
    <Card title="The queue">
      {waiting.error ? (
        <ProblemNote error={waiting.error} />
      ) : (
        <Table
          label="The queue"
          columns={columns}
          rows={waiting.data?.items ?? []}
          rowKey={(one) => one.id}
          empty={<p className="faint">Nobody waits.</p>}
        />
      )}
    </Card>
  );
}

function TurnedAway() {
  const projectName = useProjectName();
  const away = api.useQuery("get", "/gw/v1/turned-away", { params: { query: { limit: 200 } } });
  const columns: Column<Schemas["TurnedAway"]>[] = [
    { head: "When", cell: (one) => <Time iso={one.at} />, sortBy: (one) => one.at },
    { head: "Project", cell: (one) => projectName(one.project_id) },
    {
      head: "GPUs",
      isNumber: true,
      cell: (one) => `${count(one.gpu_count)} ${one.gpu_type}`,
      sortBy: (one) => one.gpu_count,
    },
    { head: "Cause", cell: (one) => words(one.cause), sortBy: (one) => one.cause },
    { head: "Asked by", cell: (one) => words(one.origin) },
    {
      head: "Worth at list price",
      isNumber: true,
      cell: (one) =>
        one.list_price_micro_usd_per_hour == null
          ? "not known"
          : usdPerHour(one.list_price_micro_usd_per_hour),
    },
    {
      head: "For",
      cell: (one) => (one.duration_s == null ? "not said" : duration(one.duration_s)),
    },
  ];
  return (
    <Card title="Turned away" actions={<Link href="/utilisation">What it costs: utilisation</Link>}>
      {away.error ? (
        <ProblemNote error={away.error} />
      ) : (
        <Table
          label="Turned away"
          columns={columns}
          rows={away.data?.items ?? []}
          rowKey={(one) => one.sequence}
          shown={50}
          empty={<p className="faint">Every request that could be served was.</p>}
        />
      )}
    </Card>
  );
}
