/** The plan of a reservation, made again while the reader chooses; and the button that books it. */
import { useQueryClient } from "@tanstack/react-query";
import { Link, useLocation } from "wouter";
import { api, call, type Problem } from "../../../api/client";
import { refresh } from "../../../api/live";
import { useMayManage, useMe } from "../../../api/session";
import { Button, Facts, Figure, LinkButton, Note, useTick } from "../../../ui/basics";
import { at, count, counted, duration, usd, usdExact } from "../../../ui/format";
import { PlanCard } from "../../../ui/planning";
import { ProblemNote } from "../../../ui/problem";
import type { ReservationWish } from "../Reserve";
import { Room } from "./Room";
import { begin, end, type Reservation } from "./span";

/** Asks for a plan; nothing is promised. */
async function planFor(wish: ReservationWish, signal: AbortSignal): Promise<Reservation> {
  const { data, error } = await call.POST("/gw/v1/reservations/plans", { body: wish, signal });
  if (error !== undefined) throw error;
  return data;
}

interface PlanProps {
  wish: ReservationWish;
  isReady: boolean;
  beginAt: (iso: string) => void;
}

export function ReservationPlan({ wish, isReady, beginAt }: PlanProps) {
  return (
    <PlanCard
      name="reservation"
      wish={wish}
      isReady={isReady}
      planFor={planFor}
      shown={(planned) => (
        <>
          <div className={planned.isMoving ? "stack stale" : "stack"}>
            <Terms one={planned.plan} />
          </div>
          <Book {...planned} />
        </>
      )}
      refused={(problem) => <NoPlan problem={problem} />}
      below={(asked) => <Room wish={asked} beginAt={beginAt} />}
    />
  );
}

function NoPlan({ problem }: { problem: Problem }) {
  const isOperator = useMe().role === "operator";
  const lacksPrice = /price/.test(problem.detail);
  return (
    <>
      <ProblemNote error={problem} />
      {lacksPrice && isOperator && <LinkButton href="/rates/new">Set a price</LinkButton>}
      {problem.type.endsWith("QuotaError") && (
        <LinkButton href="/quotas">See your quotas</LinkButton>
      )}
    </>
  );
}

/** What is promised at which price, and how it may be given up. */
export function Terms({ one }: { one: Reservation }) {
  const { cancellation } = one;
  const isFree = Date.parse(cancellation.free_until) > Date.now();
  const isLater = begin(one) > Date.now();
  return (
    <>
      <div className="figures">
        <Figure
          name="In all"
          value={usd(one.amount_micro_usd)}
          more="used or not, from start to end"
        />
        <Figure
          name="A GPU-hour"
          value={usdExact(one.price_micro_usd_per_gpu_hour)}
          more={
            one.month_count > 0
              ? `by a term of ${counted(one.month_count, "month")}`
              : "by the hour"
          }
        />
      </div>
      <Facts
        facts={[
          ["From", at(one.from_at)],
          ["To", at(one.to_at)],
          ["Lasts", duration((end(one) - begin(one)) / 1000).replace(/ 0 h$/, "")],
          [
            "GPUs",
            `${count(one.gpu_count)} ${one.gpu_type}` +
              (one.growth_gpu_count ? `, room for ${count(one.growth_gpu_count)} more` : ""),
          ],
          ["Where", `site ${one.site_id}, fabric ${one.fabric_id}`],
          [
            "Nodes",
            `${counted(one.node_count, "node")} in ${counted(one.leaf_group_count, "leaf group")}`,
          ],
          ["Lent while unused", one.is_lent ? "yes, on call" : "no"],
        ]}
      />
      <p className="faint">
        {isFree
          ? `Giving it up is free until ${at(cancellation.free_until)}; after that it costs ${usd(cancellation.charge_micro_usd)} until it begins.`
          : isLater
            ? `Giving it up before it begins costs ${usd(cancellation.charge_micro_usd)}.`
            : ""}{" "}
        {isLater ? "Once it has begun it is paid to its end." : "It is paid to its end."}
      </p>
    </>
  );
}

interface BookProps {
  plan: Reservation;
  isMoving?: boolean;
  again?: () => void;
}

/** Books a plan while it holds, by who may. */
export function Book({ plan, isMoving = false, again }: BookProps) {
  const [, go] = useLocation();
  const queries = useQueryClient();
  const mayManage = useMayManage();
  useTick(1_000);
  const book = api.useMutation("post", "/gw/v1/reservations/{reservation_id}:book", {
    onSuccess: (made) => {
      refresh(queries, ["/gw/v1/reservations", "/gw/v1/capacity"]);
      go(`/reservations/${made.id}`);
    },
  });
  const left = plan.expires_at ? (Date.parse(plan.expires_at) - Date.now()) / 1000 : 0;
  if (left <= 0) {
    return (
      <Note kind="warn" title="This plan has lapsed">
        <p>Prices and free nodes may have changed since.</p>
        {again ? (
          <Button onClick={again}>Plan again</Button>
        ) : (
          <Link href="/reservations/new">Plan another one</Link>
        )}
      </Note>
    );
  }
  if (!mayManage) {
    return (
      <Note title="The owner of your organisation books it">
        <p>
          Send them <Link href={`/reservations/${plan.id}`}>this plan</Link>; it holds for{" "}
          {duration(left)} more.
        </p>
      </Note>
    );
  }
  return (
    <>
      {book.error && <ProblemNote error={book.error} retry={again} />}
      <Button
        kind="primary"
        className="wide"
        disabled={isMoving}
        busy={book.isPending && "Booking …"}
        onClick={() => book.mutate({ params: { path: { reservation_id: plan.id } } })}
      >
        Book {counted(plan.gpu_count, "GPU")} for {usd(plan.amount_micro_usd)}
      </Button>
      <p className="hint">
        Books exactly these nodes at this price, or nothing. It holds for {duration(left)} more.
      </p>
    </>
  );
}
