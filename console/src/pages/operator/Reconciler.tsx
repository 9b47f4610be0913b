/** The reconciler: what differed, what was mended, what is owed; and a pass now. */
import { useQueryClient } from "@tanstack/react-query";
import { Link } from "wouter";
import { api, type Schemas } from "../../api/client";
import { refresh } from "../../api/live";
import { useMe } from "../../api/session";
import { Button, Card, Figure, Loading, Note, Page, Status, Time, useTick } from "../../ui/basics";
import { count, counted, duration, words } from "../../ui/format";
import { ProblemNote } from "../../ui/problem";
import { type Column, Table } from "../../ui/table";

type Standing = Schemas["Reconciler"];
type Past = Schemas["ReconciliationRecord"];

/** The server answers when the pass is done, or after so long. */
const WAIT_S = 10;
const ASK_MS = 10_000;
const PATHS = ["/gw/v1/reconcil", "/gw/v1/nodes", "/gw/v1/events"];

export default function ReconcilerPage() {
  const status = api.useQuery("get", "/gw/v1/reconciler", {}, { refetchInterval: ASK_MS });
  return (
    <Page
      title="Reconciler"
      lead="Reads every device back, finds what differs from the records, and mends it."
    >
      {status.error ? (
        <ProblemNote error={status.error} retry={() => void status.refetch()} />
      ) : status.data ? (
        <>
          <Now status={status.data} />
          <PassNow asked={status.data.asked_pass_id} />
          <Owed status={status.data} />
          <History />
        </>
      ) : (
        <Loading what="the reconciler" />
      )}
    </Page>
  );
}

function Now({ status }: { status: Standing }) {
  useTick(1_000);
  const owed = status.stuck_operations.length + status.absence_count;
  const isBusy = status.running_on !== null || status.asked_pass_id !== null;
  return (
    <div className="figures">
      <Figure
        name="Now"
        value={isBusy ? <Status kind="busy">a pass runs</Status> : "at rest"}
        more={status.running_on ? `on ${status.running_on}` : undefined}
      />
      <Figure
        name="By itself"
        value={status.period_s > 0 ? `every ${duration(status.period_s)}` : "never"}
        more={nextOf(status)}
      />
      <Figure
        name="Owed to devices"
        value={count(owed)}
        more={owed === 0 ? "nothing waits" : "see below"}
      />
    </div>
  );
}

function nextOf(status: Standing): string {
  if (status.period_s === 0) return "the server was started so";
  if (!status.next_at) return "no server waits for the next one";
  const left_s = (new Date(status.next_at).getTime() - Date.now()) / 1000;
  return left_s > 0 ? `the next in ${duration(left_s)}` : "the next is due";
}

/** A pass that somebody asks for; the page shows it also if it was asked for elsewhere. */
function PassNow({ asked }: { asked: string | null }) {
  const queries = useQueryClient();
  const begin = api.useMutation("post", "/gw/v1/reconciliations", {
    onSuccess: () => refresh(queries, PATHS),
  });
  const id = begin.data?.id ?? asked ?? "";
  const pass = api.useQuery(
    "get",
    "/gw/v1/reconciliations/{reconciliation_id}",
    { params: { path: { reconciliation_id: id }, query: { wait_s: WAIT_S } } },
    {
      enabled: id !== "",
      refetchInterval: (q) => (q.state.data?.state === "running" ? 500 : false),
    },
  );
  const isBusy = begin.isPending || (id !== "" && (pass.data?.state ?? "running") === "running");
  const error = begin.error ?? pass.error;
  return (
    <Card
      title="A pass now"
      actions={
        <Button kind="primary" busy={isBusy && "Reconciling …"} onClick={() => begin.mutate({})}>
          Reconcile now
        </Button>
      }
    >
      {isBusy && <Loading what="what every device holds" />}
      {error && <ProblemNote error={error} />}
      {pass.data?.state === "failed" && <Note kind="bad">{pass.data.state_reason}</Note>}
      {pass.data?.result && <Outcome result={pass.data.result} />}
      {!isBusy && !error && !pass.data && (
        <p className="faint">
          Devices are read, none is stopped. What a record asks for and a device lacks is set again;
          what no record names is removed, and its free nodes are quarantined first.
        </p>
      )}
    </Card>
  );
}

function Outcome({ result }: { result: Schemas["ReconciliationResult"] }) {
  return (
    <Note
      kind={result.is_converged ? "good" : "warn"}
      title={result.is_converged ? "Everything is as it shall be" : "Something is left"}
    >
      <p>
        {counted(result.drift_count, "difference")} found, {count(result.repaired_count)} mended,{" "}
        {count(result.remaining_count)} left, {counted(result.silent_device_count, "device")}{" "}
        silent.
      </p>
      <Lines
        lines={[...result.remaining, ...result.silent_devices.map((one) => `${one} is silent`)]}
      />
    </Note>
  );
}

function Lines({ lines }: { lines: readonly string[] }) {
  if (lines.length === 0) return null;
  return (
    <ul className="lines">
      {lines.map((line) => (
        <li key={line}>{line}</li>
      ))}
    </ul>
  );
}

function Owed({ status }: { status: Standing }) {
  const { stuck_operations: stuck, absences, absence_count: absenceCount } = status;
  return (
    <Card title="Owed to devices">
      {stuck.length === 0 && absenceCount === 0 ? (
        <p className="faint">
          Nothing: no undo has failed, and all that was given back was seen gone.
        </p>
      ) : (
        <p>
          What these hold stays held, so that nobody else gets it. Mend the device that is named,
          then reconcile.
        </p>
      )}
      {stuck.length > 0 && (
        <Table
          label="Stuck operations"
          columns={STUCK}
          rows={stuck}
          rowKey={(one) => one.operation_id}
        />
      )}
      {absenceCount > 0 && (
        <>
          <p>{counted(absenceCount, "entry", "entries")} not yet seen gone:</p>
          <Table
            label="Entries not yet seen gone"
            columns={ABSENCES}
            rows={absences}
            rowKey={(one) => `${one.device} ${one.key}`}
            shown={50}
          />
        </>
      )}
    </Card>
  );
}

const STUCK: Column<Schemas["StuckOperation"]>[] = [
  {
    head: "Operation",
    cell: (one) => <Link href={`/operations/${one.operation_id}`}>{words(one.kind)}</Link>,
  },
  {
    head: "Of",
    cell: (one) => (
      <Link href={`/clusters/${one.cluster_id}`}>{one.cluster_name || one.cluster_id}</Link>
    ),
  },
  { head: "Why", cell: (one) => one.error },
  { head: "Since", cell: (one) => <Time iso={one.started_at} /> },
];

const ABSENCES: Column<Schemas["OwedAbsence"]>[] = [
  { head: "Device", cell: (one) => <code>{one.device}</code> },
  { head: "Entry", cell: (one) => <code>{one.key}</code> },
  {
    head: "Was of",
    cell: (one) => <Link href={`/clusters/${one.cluster_id}`}>{one.cluster_id}</Link>,
  },
];

function History() {
  const me = useMe();
  const past = api.useQuery("get", "/gw/v1/reconciliations", { params: { query: { limit: 50 } } });
  return (
    <Card title="Passes">
      {past.error ? (
        <ProblemNote error={past.error} />
      ) : past.isPending ? (
        <Loading what="passes" />
      ) : (
        <>
          <p className="faint">
            Those that found something, broke off, or were asked for. A pass that comes by itself
            and finds nothing leaves no line.
          </p>
          <Table
            label="Passes"
            columns={passesOf(me.account_id)}
            rows={past.data.items}
            rowKey={(one) => one.sequence}
            shown={20}
            empty={<p className="faint">None yet.</p>}
          />
        </>
      )}
    </Card>
  );
}

const passesOf = (mine: string): Column<Past>[] => [
  {
    head: "Ended",
    isTight: true,
    cell: (one) => <Time iso={one.at} />,
    sortBy: (one) => one.at,
  },
  { head: "By", cell: (one) => (one.by === mine ? "you" : one.by || "not kept") },
  {
    head: "Outcome",
    cell: (one) => <Status kind={kindOf(one)}>{wordOf(one)}</Status>,
    sortBy: wordOf,
  },
  { head: "Found", isNumber: true, cell: (one) => count(one.drift_count) },
  { head: "Mended", isNumber: true, cell: (one) => count(one.repaired_count) },
  { head: "Left", isNumber: true, cell: (one) => count(one.remaining_count) },
  { head: "Silent", isNumber: true, cell: (one) => count(one.silent_device_count) },
  { head: "What", cell: (one) => <What one={one} /> },
];

function kindOf(one: Past): "good" | "warn" | "bad" {
  if (one.state === "failed") return "bad";
  return one.remaining_count + one.silent_device_count > 0 ? "warn" : "good";
}

function wordOf(one: Past): string {
  if (one.state === "failed") return "broke off";
  if (one.remaining_count + one.silent_device_count > 0) return "something left";
  return one.drift_count + one.resumed_count > 0 ? "all mended" : "nothing differed";
}

/** What differed and what became of it, behind one press. */
function What({ one }: { one: Past }) {
  const mended = new Set(one.repaired);
  const lines = [
    ...one.drift.map((line) => `${line}: ${mended.has(line) ? "mended" : "not mended"}`),
    ...one.resumed_operation_ids.map((id) => `${id} was finished`),
    ...one.remaining.map((line) => `left: ${line}`),
    ...one.silent_devices.map((line) => `silent: ${line}`),
  ];
  if (one.reason) return <>{one.reason}</>;
  if (lines.length === 0) return <span className="faint">nothing</span>;
  return (
    <details>
      <summary>{counted(lines.length, "line")}</summary>
      <Lines lines={[...new Set(lines)]} />
    </details>
  );
}
