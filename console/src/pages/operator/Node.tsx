/** One node: who holds it, what happened to it, and what can be done with it. */
import { useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { Link, useParams } from "wouter";
import { api, type Schemas } from "../../api/client";
import { refresh } from "../../api/live";
import { Button, Card, Facts, Loading, Note, Page, StateOf, Status, Time } from "../../ui/basics";
import { FormDialog } from "../../ui/dialog";
import { TextField } from "../../ui/fields";
import { counted } from "../../ui/format";
import { ProblemNote } from "../../ui/problem";
import { type Column, Table } from "../../ui/table";

type Node = Schemas["Node"];
type Verb = "drain" | "quarantine" | "return";

const ASKS: Record<Verb, { title: string; says: string; doIt: string; doing: string }> = {
  drain: {
    title: "Drain",
    says: "Nobody new gets it. What holds it stays until it is released or replaced.",
    doIt: "Drain it",
    doing: "Draining …",
  },
  quarantine: {
    title: "Quarantine",
    says: "It is marked as broken. What holds it stays, and its cluster shows that it is degraded.",
    doIt: "Quarantine it",
    doing: "Quarantining …",
  },
  return: {
    title: "Return",
    says: "It is cleaned and checked, and whoever asks next may get it.",
    doIt: "Return it to service",
    doing: "Returning …",
  },
};

export default function NodePage() {
  const { id = "" } = useParams();
  const [verb, setVerb] = useState<Verb | null>(null);
  const path = { params: { path: { node_id: id } } };
  const node = api.useQuery("get", "/gw/v1/nodes/{node_id}", path);
  const isOut = node.data !== undefined && node.data.state !== "available";
  return (
    <Page
      title={id}
      lead={node.data && <StateOf state={node.data.state} />}
      actions={
        node.data && (
          <>
            {node.data.state === "available" && (
              <Button onClick={() => setVerb("drain")}>Drain</Button>
            )}
            {node.data.state !== "quarantined" && (
              <Button kind="danger" onClick={() => setVerb("quarantine")}>
                Quarantine
              </Button>
            )}
            {isOut && (
              <Button kind="primary" onClick={() => setVerb("return")}>
                Return
              </Button>
            )}
          </>
        )
      }
    >
      {node.error ? (
        <ProblemNote error={node.error} retry={() => void node.refetch()} />
      ) : node.data ? (
        <>
          {isOut && (
            <Note kind="warn" title={`It is ${node.data.state}`}>
              <p>{node.data.state_reason}</p>
            </Note>
          )}
          <Holders node={node.data} />
          <Card title="What it is">
            <What node={node.data} />
          </Card>
          <History id={id} />
          <Receipts id={id} />
        </>
      ) : (
        <Loading what="the node" />
      )}
      <Ask id={id} verb={verb} onClose={() => setVerb(null)} />
    </Page>
  );
}

/** One below the other in the order of the rails; a name is not broken. */
function Switches({ ids }: { ids: readonly string[] }) {
  return ids.map((id) => (
    <div key={id} className="whole">
      {id}
    </div>
  ));
}

function What({ node: { config } }: { node: Node }) {
  return (
    <Facts
      facts={[
        ["GPUs", `${config.gpu_count} × ${config.gpu_type}`],
        ["Site", config.site_id],
        ["Hall", config.hall_id ?? ""],
        [
          "Rack",
          <Link key="rack" href={`/nodes?rack=${config.rack_id}`}>
            {config.rack_id}
          </Link>,
        ],
        ["Leaf group", config.leaf_group_id],
        ["Pod", config.pod_id],
        ["NVLink domain", config.nvlink_domain_id ?? ""],
        ["BMC", config.bmc_address ?? ""],
        ["Leaf switches", <Switches key="leaves" ids={config.leaf_switch_ids ?? []} />],
      ]}
    />
  );
}

function Holders({ node }: { node: Node }) {
  const queries = useQueryClient();
  const replace = api.useMutation("post", "/gw/v1/clusters/{cluster_id}:replace", {
    onSuccess: () => refresh(queries),
  });
  const operation = replace.data?.operation_id;
  return (
    <Card title="Held by">
      {node.status.holders.length === 0 && <p className="faint">Nobody.</p>}
      {node.status.holders.map((holder) => (
        <div key={holder.cluster_id} className="actions">
          <Link href={`/clusters/${holder.cluster_id}`}>
            {holder.cluster_name || holder.cluster_id}
          </Link>
          {node.state !== "available" && (
            <Button
              busy={replace.isPending && "Replacing …"}
              onClick={() =>
                replace.mutate({
                  params: { path: { cluster_id: holder.cluster_id } },
                  body: { node_ids: [node.id] },
                })
              }
            >
              Give {holder.cluster_name || "it"} another node
            </Button>
          )}
        </div>
      ))}
      {replace.error && <ProblemNote error={replace.error} />}
      {operation && (
        <Note kind="good">
          <p>
            Another node takes its place; this one is quarantined.{" "}
            <Link href={`/operations/${operation}`}>Watch it</Link>
          </p>
        </Note>
      )}
    </Card>
  );
}

function History({ id }: { id: string }) {
  const events = api.useQuery("get", "/gw/v1/events", {
    params: { query: { node_id: id, newest_first: true, limit: 50 } },
  });
  const columns: Column<Schemas["Event"]>[] = [
    { head: "When", cell: (one) => <Time iso={one.at} /> },
    { head: "What", cell: (one) => one.message },
  ];
  return (
    <Card title="History">
      {events.error ? (
        <ProblemNote error={events.error} />
      ) : events.isPending ? (
        <Loading what="its history" />
      ) : (
        <Table
          label="History"
          columns={columns}
          rows={events.data.items}
          rowKey={(one) => one.sequence}
          empty={<p className="faint">Nothing has happened to it yet.</p>}
        />
      )}
    </Card>
  );
}

function Receipts({ id }: { id: string }) {
  const receipts = api.useQuery("get", "/gw/v1/nodes/{node_id}/receipts", {
    params: { path: { node_id: id }, query: { limit: 50 } },
  });
  const columns: Column<Schemas["CleaningReceipt"]>[] = [
    { head: "Receipt", cell: (one) => <code>{one.id}</code> },
    {
      head: "Result",
      cell: (one) =>
        one.is_passed ? <Status kind="good">clean</Status> : <Status kind="bad">not clean</Status>,
    },
    { head: "After", cell: (one) => one.cluster_id },
    {
      head: "Steps",
      cell: (one) => {
        const failed = one.steps.find((step) => !step.is_passed);
        return failed ? `${failed.name}: ${failed.detail}` : counted(one.steps.length, "step");
      },
    },
    {
      head: "When",
      cell: (one) => {
        const last = one.steps.at(-1);
        return last ? <Time iso={last.ended_at} /> : "";
      },
    },
  ];
  return (
    <Card title="Receipts of cleaning">
      {receipts.error ? (
        <ProblemNote error={receipts.error} />
      ) : receipts.isPending ? (
        <Loading what="receipts" />
      ) : (
        <Table
          label="Receipts of cleaning"
          columns={columns}
          rows={receipts.data.items}
          rowKey={(one) => one.id}
          empty={
            <p className="faint">
              None yet: the first is written when a cluster that ran here is released.
            </p>
          }
        />
      )}
    </Card>
  );
}

function Ask({ id, verb, onClose }: { id: string; verb: Verb | null; onClose: () => void }) {
  const queries = useQueryClient();
  const [reason, setReason] = useState("");
  const [error, setError] = useState<unknown>(null);
  const done = {
    onSuccess: () => {
      setReason("");
      setError(null);
      onClose();
      refresh(queries);
    },
    onError: setError,
  };
  const calls = {
    drain: api.useMutation("post", "/gw/v1/nodes/{node_id}:drain", done),
    quarantine: api.useMutation("post", "/gw/v1/nodes/{node_id}:quarantine", done),
    return: api.useMutation("post", "/gw/v1/nodes/{node_id}:return", done),
  };
  const asks = ASKS[verb ?? "drain"];
  const submit = (event: FormEvent): void => {
    event.preventDefault();
    if (verb) calls[verb].mutate({ params: { path: { node_id: id } }, body: { reason } });
  };
  return (
    <FormDialog open={verb !== null} onClose={onClose} title={`${asks.title} ${id}?`}>
      <p>{asks.says}</p>
      <form onSubmit={submit}>
        <TextField
          label="Reason"
          value={reason}
          onChange={setReason}
          autoComplete="off"
          hint="Kept in the node's history, with your name."
        />
        {error !== null && <ProblemNote error={error} />}
        <Button
          type="submit"
          kind={verb === "return" ? "primary" : "danger"}
          disabled={reason.trim() === ""}
          busy={verb !== null && calls[verb].isPending && asks.doing}
        >
          {asks.doIt}
        </Button>
      </form>
    </FormDialog>
  );
}
