/** The card of a plan, which is made again while the reader chooses. */
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import type { ReactNode } from "react";
import type { Problem } from "../api/client";
import { useSettled } from "../api/settled";
import { Card, Loading, Note } from "./basics";

/** A plan as it is shown: it moves while a newer wish is planned; `again` makes it anew. */
export interface Planned<Plan> {
  plan: Plan;
  isMoving: boolean;
  again: () => void;
}

interface PlanCardProps<Wish, Plan> {
  /** What tells this kind of plan from others. */
  name: string;
  wish: Wish;
  /** Whether the wish is complete. */
  isReady: boolean;
  /** Asks for the plan, which changes nothing; throws the service's problem. */
  planFor: (wish: Wish, signal: AbortSignal) => Promise<Plan>;
  shown: (planned: Planned<Plan>) => ReactNode;
  /** What to say and do about a refusal. */
  refused: (problem: Problem, wish: Wish) => ReactNode;
  /** Stands below the plan or the refusal. */
  below?: (wish: Wish) => ReactNode;
}

export function PlanCard<Wish, Plan>(props: PlanCardProps<Wish, Plan>) {
  const { name, wish, isReady, planFor, shown, refused, below } = props;
  const settled = useSettled(wish);
  const { data, error, isPending, isFetching, refetch } = useQuery<Plan, Problem>({
    queryKey: ["plan", name, settled],
    queryFn: ({ signal }) => planFor(settled, signal),
    enabled: isReady,
    retry: false,
    gcTime: 0,
    staleTime: Number.POSITIVE_INFINITY,
    placeholderData: keepPreviousData,
  });
  const isMoving = settled !== wish || isFetching;
  return (
    <Card title="The plan" className="plan-card">
      <div aria-live="polite" aria-busy={isMoving} className="stack">
        {!isReady && <Note>Complete the form to see the plan.</Note>}
        {isReady && isPending && <Loading what="a plan for this" />}
        {isReady && error && refused(error, settled)}
        {isReady &&
          data !== undefined &&
          !error &&
          shown({ plan: data, isMoving, again: () => void refetch() })}
        {isReady && below?.(settled)}
      </div>
    </Card>
  );
}
