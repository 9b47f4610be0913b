/** One operation while it runs: the planes close one after another. */
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { useParams } from "wouter";
import { api, type Schemas } from "../../api/client";
import { refresh } from "../../api/live";
import { useMayBuild } from "../../api/session";
import { useStream } from "../../api/stream";
import {
  Button,
  Card,
  Facts,
  LinkButton,
  Loading,
  Note,
  Page,
  StateOf,
  Time,
  useTick,
} from "../../ui/basics";
import { Confirm } from "../../ui/dialog";
import { count, counted, duration, words } from "../../ui/format";
import { Planes } from "../../ui/plane";
import { ProblemNote, sentence } from "../../ui/problem";

type Operation = Schemas["Operation"];

const OPEN = new Set(["applying", "unwinding"]);

export default function OperationPage() {
  const { id = "" } = useParams();
  const queries = useQueryClient();
  const key = { params: { path: { operation_id: id } } };
  const operation = api.useQuery("get", "/gw/v1/operations/{operation_id}", key);
  const isOpen = operation.data ? OPEN.has(operation.data.state) : false;
  const stream = useStream(isOpen ? `/gw/v1/operations/${id}:stream` : null, (data) => {
    const now = data as Operation;
    queries.setQueryData(["get", "/gw/v1/operations/{operation_id}", key], now);
    if (OPEN.has(now.state)) return false;
    refresh(queries);
    return true;
  });
  if (operation.isPending) return <Loading what="the operation" />;
  if (operation.error) {
    return (
      <Page title="Operation">
        <ProblemNote error={operation.error} retry={() => void operation.refetch()} />
      </Page>
    );
  }
  return <Shown operation={operation.data} isConnected={stream === "live"} />;
}

/** Verbs of the kinds: while it runs, and after. */
const TITLES: Record<string, [string, string]> = {
  launch: ["Launching", "Launch of"],
  grow: ["Growing", "Growth of"],
  shrink: ["Shrinking", "Shrinking of"],
  replace: ["Replacing nodes of", "Replacement in"],
  release: ["Releasing", "Release of"],
  configure: ["Configuring", "Configuration of"],
};

function Shown({ operation, isConnected }: { operation: Operation; isConnected: boolean }) {
  const isOpen = OPEN.has(operation.state);
  const [running, over] = TITLES[operation.kind] ?? [words(operation.kind), words(operation.kind)];
  const name = operation.cluster_name || operation.cluster_id;
  return (
    <Page
      title={`${isOpen ? running : over} ${name}`}
      lead={<Summary operation={operation} />}
      actions={<Actions operation={operation} isOpen={isOpen} />}
    >
      <Outcome operation={operation} />
      <Card title={operation.kind === "release" ? "Planes given back" : "The five planes"}>
        <Planes
          stages={operation.stages ?? []}
          isOpening={operation.kind === "release"}
          isOver={!isOpen}
        />
        {isOpen && !isConnected && (
          <p className="faint">Connecting to the server to follow this; it goes on without you.</p>
        )}
      </Card>
      <Stages operation={operation} />
    </Page>
  );
}

function Summary({ operation }: { operation: Operation }) {
  useTick(1_000);
  const end = operation.finished_at ? new Date(operation.finished_at).getTime() : Date.now();
  const took = (end - new Date(operation.started_at).getTime()) / 1000;
  return (
    <>
      <StateOf state={operation.state} />{" "}
      {operation.finished_at ? `took ${duration(took)}` : `for ${duration(took)}`}
      {!operation.finished_at &&
        operation.expected_s != null &&
        `, usually ${duration(operation.expected_s)}`}
      , began <Time iso={operation.started_at} plain />
    </>
  );
}

function Actions({ operation, isOpen }: { operation: Operation; isOpen: boolean }) {
  const [asks, setAsks] = useState(false);
  const queries = useQueryClient();
  const mayBuild = useMayBuild();
  const cancel = api.useMutation("post", "/gw/v1/operations/{operation_id}:cancel", {
    onSuccess: () => {
      setAsks(false);
      refresh(queries);
    },
  });
  return (
    <>
      {isOpen && operation.is_cancellable && mayBuild && (
        <Button kind="danger" onClick={() => setAsks(true)}>
          Cancel and undo
        </Button>
      )}
      {operation.kind !== "release" && (
        <LinkButton
          href={`/clusters/${operation.cluster_id}`}
          kind={operation.state === "done" ? "primary" : "plain"}
        >
          Open the cluster
        </LinkButton>
      )}
      <Confirm
        open={asks}
        onClose={() => setAsks(false)}
        title="Cancel and undo?"
        doIt="Cancel and undo"
        doing="Cancelling …"
        isBusy={cancel.isPending}
        error={cancel.error}
        onConfirm={() => cancel.mutate({ params: { path: { operation_id: operation.id } } })}
      >
        <p>What was done so far is undone step by step, and the nodes go back to the pool.</p>
      </Confirm>
    </>
  );
}

function Outcome({ operation }: { operation: Operation }) {
  if (operation.state === "done") {
    return (
      <Note kind="good" title={operation.kind === "release" ? "Released" : "Ready"}>
        <p>
          {operation.kind === "release"
            ? "Every device was read back without the cluster; nothing of it is billed any more."
            : "Every device was read back and compared, and probes found no way in or out. It is yours."}
        </p>
        {operation.kind === "release" && <LinkButton href="/clusters">To the clusters</LinkButton>}
      </Note>
    );
  }
  if (operation.state === "unwinding") {
    return (
      <Note kind="warn" title="Turning back">
        <p>{sentence(operation.state_reason || "What was done is being undone.")}</p>
      </Note>
    );
  }
  if (!operation.failure) return null;
  const { failure } = operation;
  return (
    <Note kind="bad" title={sentence(operation.state_reason || "It failed and was undone")}>
      <ul>
        {failure.steps.map((step) => (
          <li key={`${step.step}${step.node_id}`}>
            {step.step}: {step.cause}
          </li>
        ))}
      </ul>
      <p>
        {counted(failure.step_count, "step")} failed, {count(failure.undone_step_count)} undone.{" "}
        {failure.left_entry_count === 0
          ? "Nothing is left behind and nothing is billed."
          : `${counted(failure.left_entry_count, "entry", "entries")} are still being removed.`}
      </p>
      {operation.state === "unwound" && <LinkButton href="/launch">Plan it again</LinkButton>}
    </Note>
  );
}

function Stages({ operation }: { operation: Operation }) {
  const stages = operation.stages ?? [];
  return (
    <Card title="Stages">
      <Facts
        facts={stages.map((stage) => [
          sentence(stage.name).slice(0, -1),
          `${count(stage.done_count)} of ${count(stage.step_count)} steps`,
        ])}
      />
    </Card>
  );
}
