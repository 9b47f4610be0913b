/** What a page shows of a question to the service: that it waits, what went wrong, or the answer. */
import type { ReactNode } from "react";
import { Loading } from "./basics";
import { ProblemNote } from "./problem";

/** The part of a query that is drawn. */
export interface Asked<T> {
  isPending: boolean;
  error: unknown;
  data: T | undefined;
  refetch: () => unknown;
}

interface AnswerProps<T> {
  query: Asked<T>;
  /** What is asked for, as in "Loading rates …". */
  what: string;
  children: (data: T) => ReactNode;
}

/** Draws its child with the answer; until then says what is on its way, or why there is none. */
export function Answer<T>({ query, what, children }: AnswerProps<T>) {
  if (query.error) {
    return <ProblemNote error={query.error} retry={() => void query.refetch()} />;
  }
  if (query.isPending || query.data === undefined) return <Loading what={what} />;
  return <>{children(query.data)}</>;
}
