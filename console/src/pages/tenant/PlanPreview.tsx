/** The plan of a wish, made again while the reader chooses; and the button that applies it. */
import { useMutation } from "@tanstack/react-query";
import { useLocation } from "wouter";
import { api, call, type Problem, type Schemas } from "../../api/client";
import { Button, type Fact, Facts, Figure, LinkButton, Note, useTick } from "../../ui/basics";
import {
  at,
  bytes,
  count,
  counted,
  duration,
  usd,
  usdExact,
  usdPerHour,
  words,
} from "../../ui/format";
import { PLANES } from "../../ui/plane";
import { PlanCard, type Planned } from "../../ui/planning";
import { ProblemNote, sentence } from "../../ui/problem";
import type { Wish } from "./launch/wish";

type Plan = Schemas["Plan"];

/** Asks for a plan; the error is the service's problem. */
async function planFor(wish: Wish, signal: AbortSignal): Promise<Plan> {
  const { data, error } = await call.POST("/gw/v1/plans", { body: wish, signal });
  if (error !== undefined) throw error;
  return data;
}

interface PreviewProps {
  wish: Wish;
  isReady: boolean;
}

export function PlanPreview({ wish, isReady }: PreviewProps) {
  return (
    <PlanCard
      name="cluster"
      wish={wish}
      isReady={isReady}
      planFor={planFor}
      shown={(planned) => <PlanDetails {...planned} />}
      refused={(problem, asked) => <NoPlan problem={problem} wish={asked} />}
    />
  );
}

function PlanDetails({ plan, isMoving, again }: Planned<Plan>) {
  return (
    <>
      <div className={`stack ${isMoving ? "stale" : ""}`}>
        <PlanFacts plan={plan} />
        {plan.reasons.length > 0 && (
          <ul className="plain-list faint">
            {plan.reasons.map((reason) => (
              <li key={reason}>{sentence(reason)}</li>
            ))}
          </ul>
        )}
        <PlanPlanes plan={plan} />
        <div>
          <h3>What is agreed</h3>
          <ul className="plain-list">
            {[plan.cancellation ?? "", ...(plan.billed ?? [])].filter(Boolean).map((line) => (
              <li key={line}>{sentence(line)}</li>
            ))}
          </ul>
        </div>
        {plan.alternatives.length > 0 && (
          <div>
            <h3>Other ways</h3>
            <ul className="plain-list">
              {plan.alternatives.map((other) => (
                <li key={other.sentence}>{sentence(other.sentence)}</li>
              ))}
            </ul>
          </div>
        )}
      </div>
      <Apply plan={plan} isMoving={isMoving} again={again} />
    </>
  );
}

/** Price and place of a plan. */
export function PlanFacts({ plan }: { plan: Plan }) {
  const { spread } = plan;
  const isCovered = plan.term === "reserved" && plan.price_micro_usd_per_hour === 0;
  const billed = (plan.nodes.length + plan.spares.length) / plan.nodes.length;
  const perGpu =
    plan.price_micro_usd_per_gpu_hour ?? plan.price_micro_usd_per_hour / plan.gpu_count / billed;
  return (
    <>
      <div className="figures">
        {isCovered ? (
          <Figure name="Price" value="nothing more" more="its reservation pays for it" />
        ) : (
          <>
            <Figure
              name="Price"
              value={usdPerHour(plan.price_micro_usd_per_hour)}
              more={`${usdExact(perGpu)} per GPU and hour, ${words(plan.term ?? "on_demand")}`}
            />
            <Figure
              name="A day costs"
              value={usd(plan.price_micro_usd_per_hour * 24)}
              more="while it runs"
            />
          </>
        )}
      </div>
      <Facts
        facts={[
          ["Where", `site ${plan.site_id}, fabric ${plan.fabric_id}`],
          ["GPUs", `${count(plan.gpu_count)} ${plan.gpu_type}`],
          [
            "Nodes",
            counted(spread.node_count, "node") +
              (plan.spares.length > 0 ? `, ${counted(plan.spares.length, "spare")}` : ""),
          ],
          ["Leaf groups", counted(spread.leaf_group_count, "leaf group")],
          ["Farthest way", counted(spread.hop_count_max, "switch hop")],
          [
            "Ready in",
            plan.expected_s == null ? "not known yet" : `about ${duration(plan.expected_s)}`,
          ],
          ["Storage", plan.storage_bytes ? bytes(plan.storage_bytes) : "none"],
          ...(plan.until_at ? ([["Until", at(plan.until_at)]] satisfies Fact[]) : []),
        ]}
      />
    </>
  );
}

/** What a plan does on each plane. */
export function PlanPlanes({ plan }: { plan: Plan }) {
  return (
    <details>
      <summary>What is done on the five planes</summary>
      <Facts
        facts={PLANES.map((plane) => {
          const change = plan.planes[plane.key];
          if (!change || change.actions?.length === 0) return [plane.name, "nothing"];
          const parts = (change.actions ?? []).map(
            (action) =>
              `${action.verb} ${counted(action.count, action.entry_kind.replaceAll("_", " "))}`,
          );
          return [plane.name, `${parts.join(", ")} on ${counted(change.device_count, "device")}`];
        })}
      />
    </details>
  );
}

function Apply({ plan, isMoving, again }: Planned<Plan>) {
  const [, go] = useLocation();
  useTick(1_000);
  const left = (new Date(plan.expires_at).getTime() - Date.now()) / 1000;
  const apply = api.useMutation("post", "/gw/v1/plans/{plan_id}:apply", {
    onSuccess: (cluster) => go(`/operations/${cluster.operation_id}`),
  });
  if (left <= 0) {
    return (
      <Note kind="warn" title="This plan has expired">
        <p>Prices and free nodes may have changed since.</p>
        <Button onClick={again}>Plan again</Button>
      </Note>
    );
  }
  return (
    <>
      {apply.error && <ProblemNote error={apply.error} retry={again} />}
      <Button
        kind="primary"
        className="wide"
        disabled={isMoving}
        busy={apply.isPending && "Reserving the nodes …"}
        onClick={() =>
          apply.mutate({
            params: { path: { plan_id: plan.id } },
            // Pressing twice launches once.
            headers: { "Idempotency-Key": `apply-${plan.id}` },
          })
        }
      >
        Launch {counted(plan.gpu_count, "GPU")}
        {plan.price_micro_usd_per_hour > 0 && ` for ${usdPerHour(plan.price_micro_usd_per_hour)}`}
      </Button>
      <p className="hint">
        Applies exactly this plan, or nothing. It holds for {duration(left)} more.
      </p>
    </>
  );
}

/** Why there is no plan, and the queue if room is all that is missing. */
function NoPlan({ problem, wish }: { problem: Problem; wish: Wish }) {
  const [, go] = useLocation();
  const wait = useMutation<Schemas["WaitingRequest"], Problem>({
    mutationFn: async () => {
      const { data, error } = await call.POST("/gw/v1/waiting", { body: { cluster: wish } });
      if (error !== undefined) throw error;
      return data;
    },
    onSuccess: () => go("/clusters"),
  });
  const lacksRoom = problem.status === 507;
  const lacksQuota = problem.type.endsWith("QuotaError");
  return (
    <>
      <ProblemNote error={problem} />
      {lacksQuota && <LinkButton href="/quotas">See your quotas</LinkButton>}
      {lacksRoom && (
        <>
          {wait.error && <ProblemNote error={wait.error} />}
          <Button
            kind="primary"
            className="wide"
            busy={wait.isPending && "Taking a place in the queue …"}
            onClick={() => wait.mutate()}
          >
            Wait in the queue
          </Button>
          <p className="hint">
            The cluster starts by itself when there is room, within a week; until then it costs
            nothing and you can withdraw it.
          </p>
        </>
      )}
    </>
  );
}
