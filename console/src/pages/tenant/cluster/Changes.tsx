/** Growing, shrinking and releasing: planned, shown, then applied. */
import { useMutation } from "@tanstack/react-query";
import { useState } from "react";
import { useLocation } from "wouter";
import { api, call, type Problem, type Schemas } from "../../../api/client";
import { Button, Card, Facts } from "../../../ui/basics";
import { Confirm } from "../../../ui/dialog";
import { CountField } from "../../../ui/fields";
import { count, counted, usdPerHour } from "../../../ui/format";
import { ProblemNote, sentence } from "../../../ui/problem";
import type { Cluster } from "../Cluster";

type Plan = Schemas["Plan"];
type ChangeKind = "grow" | "shrink";

export function Changes({ cluster }: { cluster: Cluster }) {
  if (cluster.state !== "active") {
    return (
      <Card title="Wait until it is active">
        <p>A cluster can be changed while nothing else happens to it; now it is {cluster.state}.</p>
      </Card>
    );
  }
  return (
    <>
      <div className="columns">
        <Resize cluster={cluster} kind="grow" />
        <Resize cluster={cluster} kind="shrink" />
      </div>
      <Release cluster={cluster} />
    </>
  );
}

function Resize({ cluster, kind }: { cluster: Cluster; kind: ChangeKind }) {
  const [size, setSize] = useState(8);
  const held = cluster.config?.gpu_count ?? 0;
  const plan = useMutation<Plan, Problem, number>({
    mutationFn: async (gpu_count) => {
      const { data, error } = await call.POST("/gw/v1/clusters/{cluster_id}/plans", {
        params: { path: { cluster_id: cluster.id } },
        body: { kind, gpu_count, node_ids: [] },
      });
      if (error !== undefined) throw error;
      return data;
    },
  });
  const isGrow = kind === "grow";
  return (
    <Card title={isGrow ? "Grow" : "Shrink"}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          plan.mutate(size);
        }}
      >
        <CountField
          label={isGrow ? "GPUs more" : "GPUs fewer"}
          value={size}
          min={1}
          max={isGrow ? 4_000 : Math.max(1, held - 1)}
          onChange={(value) => {
            setSize(value);
            plan.reset();
          }}
          hint={
            isGrow
              ? `It has ${count(held)}; new ones are as near as there is room.`
              : `It has ${count(held)}; what runs on the nodes that go is stopped and wiped.`
          }
        />
        <Button type="submit" busy={plan.isPending && "Planning …"}>
          Plan it
        </Button>
      </form>
      {plan.error && <ProblemNote error={plan.error} />}
      {plan.data && <ResizePlan cluster={cluster} plan={plan.data} kind={kind} size={size} />}
    </Card>
  );
}

interface ResizePlanProps {
  cluster: Cluster;
  plan: Plan;
  kind: ChangeKind;
  size: number;
}

function ResizePlan({ cluster, plan, kind, size }: ResizePlanProps) {
  const [, go] = useLocation();
  const [asks, setAsks] = useState(false);
  const apply = api.useMutation("post", "/gw/v1/plans/{plan_id}:apply", {
    onSuccess: (changed) => go(`/operations/${changed.operation_id}`),
  });
  const run = (): void =>
    apply.mutate({
      params: { path: { plan_id: plan.id } },
      headers: { "Idempotency-Key": `apply-${plan.id}`, "If-Match": `"${cluster.version}"` },
    });
  const isGrow = kind === "grow";
  return (
    <>
      <Facts
        facts={[
          ["Then", counted(plan.gpu_count, "GPU")],
          ["Cost then", usdPerHour(plan.price_micro_usd_per_hour)],
          isGrow
            ? ["Nodes that come", count(plan.joining_node_count ?? 0)]
            : ["Nodes that go", count(plan.leaving_node_count ?? 0)],
          ["Farthest way", counted(plan.spread.hop_count_max, "hop")],
        ]}
      />
      {plan.reasons.map((reason) => (
        <p key={reason} className="faint">
          {sentence(reason)}
        </p>
      ))}
      {apply.error && !asks && <ProblemNote error={apply.error} />}
      <Button
        kind={isGrow ? "primary" : "danger"}
        busy={apply.isPending && (isGrow ? "Growing …" : "Shrinking …")}
        onClick={isGrow ? run : () => setAsks(true)}
      >
        {isGrow ? "Grow" : "Shrink"} by {counted(size, "GPU")}
      </Button>
      <Confirm
        open={asks}
        onClose={() => setAsks(false)}
        title={`Shrink ${cluster.name} by ${counted(size, "GPU")}?`}
        typeName={cluster.name}
        doIt="Shrink"
        doing="Shrinking …"
        isBusy={apply.isPending}
        error={apply.error}
        onConfirm={run}
      >
        <p>
          {counted(plan.leaving_node_count ?? 0, "node")} are stopped and wiped. What is on their
          own disks is lost; storage and file systems stay.
        </p>
      </Confirm>
    </>
  );
}

function Release({ cluster }: { cluster: Cluster }) {
  const [, go] = useLocation();
  const [asks, setAsks] = useState(false);
  const release = api.useMutation("post", "/gw/v1/clusters/{cluster_id}:release", {
    onSuccess: (released) => go(`/operations/${released.operation_id}`),
  });
  const price = cluster.cost_micro_usd_per_hour ?? cluster.status?.price_micro_usd_per_hour ?? 0;
  return (
    <Card title="Release">
      <p>
        Gives every GPU back and deletes what is on the nodes and in the cluster's own storage. It
        stops costing {usdPerHour(price)}.
      </p>
      <div>
        <Button kind="danger" onClick={() => setAsks(true)}>
          Release this cluster
        </Button>
      </div>
      <Confirm
        open={asks}
        onClose={() => setAsks(false)}
        title={`Release ${cluster.name}?`}
        typeName={cluster.name}
        doIt="Release it"
        doing="Releasing …"
        isBusy={release.isPending}
        error={release.error}
        onConfirm={() =>
          release.mutate({
            params: { path: { cluster_id: cluster.id } },
            headers: { "If-Match": `"${cluster.version}"` },
          })
        }
      >
        <p>
          {counted(cluster.config?.gpu_count ?? 0, "GPU")} go back to the pool, jobs are stopped and
          data is deleted. This cannot be undone. File systems of the project stay.
        </p>
      </Confirm>
    </Card>
  );
}
