/** Supply against demand: what waits, and what was turned away. */
import { useMemo } from "react";
import { Link } from "wouter";
import { api, type Schemas } from "../../api/client";
import { useProjectName } from "../../api/lists";
import { Card, Loading, Note, Page, Time } from "../../ui/basics";
import { Chart } from "../../ui/chart";
import { count, counted, duration, usdPerHour, words } from "../../ui/format";
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
          {admission.data.unrecorded_count > 0 && (
            <Note kind="warn" title="Some refusals could not be kept">
              <p>
                {counted(admission.data.unrecorded_count, "refusal")} of this server are missing
                below, because the store did not take them.
              </p>
            </Note>
          )}
          <Waiting />
          <Days />
          <TurnedAway />
          <Card title="Who is served first">
            <ol className="plain-list">
              {admission.data.order?.map((line) => (
                <li key={line}>{words(line.replace(/^\d+\. /, ""))}</li>
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
    {
      head: "Granted",
      isNumber: true,
      cell: (one) =>
        one.oversubscription_ratio == null
          ? count(one.granted_gpu_count)
          : `${count(one.granted_gpu_count)} (${one.oversubscription_ratio.toFixed(2)} times)`,
    },
    {
      head: "Waiting",
      isNumber: true,
      cell: (one) => gpusIn(one.waiting_gpu_count, one.waiting_count),
    },
    {
      head: "Turned away, 7 days",
      isNumber: true,
      cell: (one) => gpusIn(one.turned_away_gpu_count, one.turned_away_count),
    },
  ];
  return <Table label="Supply" columns={columns} rows={rows} rowKey={(one) => one.gpu_type} />;
}

const gpusIn = (gpus: number, requests: number): string =>
  requests === 0 ? "0" : `${count(gpus)} in ${counted(requests, "request")}`;

function Waiting() {
  const projectName = useProjectName();
  const waiting = api.useQuery("get", "/gw/v1/waiting", { params: { query: { limit: 200 } } });
  const columns: Column<Schemas["WaitingRequest"]>[] = [
    {
      head: "Place",
      isNumber: true,
      cell: (one) => placeOf(one),
      sortBy: (one) => one.place?.position ?? Number.MAX_SAFE_INTEGER,
    },
    { head: "Name", cell: (one) => one.name, sortBy: (one) => one.name },
    { head: "Project", isTight: true, cell: (one) => projectName(one.project_id) },
    {
      head: "GPUs",
      isNumber: true,
      cell: (one) => `${count(one.gpu_count)} ${one.gpu_type ?? "of any type"}`,
      sortBy: (one) => one.gpu_count,
    },
    { head: "Offers", cell: offerOf },
    {
      head: "Why it waits",
      cell: (one) => (
        <div className="long">
          {one.why ?? one.state_reason}
          {one.place && <div className="faint small">Expected: {one.place.basis}</div>}
        </div>
      ),
    },
    {
      head: "Since",
      cell: (one) => <Time iso={one.created_at} />,
      sortBy: (one) => one.created_at,
    },
    {
      head: "Expected",
      cell: (one) => (one.place?.expected_at ? <Time iso={one.place.expected_at} /> : "not known"),
    },
    { head: "Gives up", cell: (one) => <Time iso={one.expires_at} /> },
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

/** What it would pay, and for how long. */
function offerOf(one: Schemas["WaitingRequest"]): string {
  const most = one.price_micro_usd_per_gpu_hour_max;
  const price = most == null ? "any price" : `up to ${usdPerHour(most)} a GPU`;
  return one.duration_s == null ? price : `${price}, ${duration(one.duration_s)}`;
}

/** 1 is next; who is held back by its own limits has no place. */
function placeOf(one: Schemas["WaitingRequest"]): string {
  if (one.place == null) return "not known";
  return one.place.position == null ? "held back" : count(one.place.position);
}

const DAYS_SHOWN = 30;
const day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", timeZone: "UTC" });

/** What was not served, day by day, by cause. */
function Days() {
  const days = api.useQuery("get", "/gw/v1/turned-away/days");
  const rows = days.data?.items ?? [];
  const option = useMemo(() => optionOf(days.data?.items ?? []), [days.data]);
  const columns: Column<Schemas["TurnedAwayDay"]>[] = [
    { head: "Day, UTC", cell: (one) => one.day, sortBy: (one) => one.day },
    { head: "Type", cell: (one) => one.gpu_type, sortBy: (one) => one.gpu_type },
    {
      head: "Size",
      cell: (one) => sizeOf(one.gpu_count_from),
      sortBy: (one) => one.gpu_count_from,
    },
    { head: "Cause", isTight: true, cell: (one) => words(one.cause), sortBy: (one) => one.cause },
    { head: "Asked by", cell: (one) => words(one.origin), sortBy: (one) => one.origin },
    {
      head: "GPUs",
      isNumber: true,
      cell: (one) => count(one.gpu_count),
      sortBy: (one) => one.gpu_count,
    },
    {
      head: "Wishes",
      isNumber: true,
      cell: (one) => `${count(one.distinct_count)}, asked ${count(one.request_count)} times`,
      sortBy: (one) => one.distinct_count,
    },
    {
      head: "Worth at list price",
      isNumber: true,
      cell: (one) => usdPerHour(one.list_price_micro_usd_per_hour),
      sortBy: (one) => one.list_price_micro_usd_per_hour,
    },
  ];
  return (
    <Card title={`Turned away by day, ${DAYS_SHOWN} days`}>
      {days.error ? (
        <ProblemNote error={days.error} />
      ) : days.isPending ? (
        <Loading what="days" />
      ) : rows.length === 0 ? (
        <p className="faint">Nothing was turned away.</p>
      ) : (
        <Chart
          label="GPUs that were asked for and not given, by day and cause"
          option={option}
          height="low"
          table={
            <Table
              label="Turned away by day"
              columns={columns}
              rows={rows}
              rowKey={(one) =>
                [one.day, one.gpu_type, one.gpu_count_from, one.cause, one.origin].join()
              }
              shown={50}
            />
          }
        />
      )}
    </Card>
  );
}

/** A class of sizes goes up to, and not with, its double. */
function sizeOf(from: number): string {
  return from === 1 ? "1 GPU" : `${count(from)} to ${count(2 * from - 1)} GPUs`;
}

/** Days without a refusal stand as nothing; what was only planned is no demand. */
function optionOf(rows: readonly Schemas["TurnedAwayDay"][]) {
  const real = rows.filter((one) => one.origin !== "plan");
  const today = Math.floor(Date.now() / 86_400_000);
  const days = Array.from({ length: DAYS_SHOWN }, (_, back) =>
    new Date((today - DAYS_SHOWN + 1 + back) * 86_400_000).toISOString().slice(0, 10),
  );
  const causes = [...new Set(real.map((one) => one.cause))].sort();
  return {
    xAxis: { type: "category", data: days.map((one) => day.format(new Date(one))) },
    yAxis: { type: "value", name: "GPUs", minInterval: 1 },
    series: causes.map((cause) => ({
      name: words(cause),
      type: "bar",
      stack: "all",
      data: days.map((one) =>
        real
          .filter((row) => row.cause === cause && row.day === one)
          .reduce((all, row) => all + row.gpu_count, 0),
      ),
    })),
  };
}

function TurnedAway() {
  const projectName = useProjectName();
  const away = api.useQuery("get", "/gw/v1/turned-away", { params: { query: { limit: 200 } } });
  const columns: Column<Schemas["TurnedAway"]>[] = [
    { head: "When", isTight: true, cell: (one) => <Time iso={one.at} />, sortBy: (one) => one.at },
    { head: "Project", isTight: true, cell: (one) => projectName(one.project_id) },
    {
      head: "GPUs",
      isNumber: true,
      cell: (one) => `${count(one.gpu_count)} ${one.gpu_type}`,
      sortBy: (one) => one.gpu_count,
    },
    { head: "Cause", isTight: true, cell: (one) => words(one.cause), sortBy: (one) => one.cause },
    {
      head: "Why",
      cell: (one) => one.reasons[0] ?? (one.outcome === "withdrawn" ? "it was withdrawn" : ""),
    },
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
      isTight: true,
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
