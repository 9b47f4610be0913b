/** One stream of events for the whole page; what an event touches is asked again. */
import { type QueryClient, useQueryClient } from "@tanstack/react-query";
import { createContext, type ReactNode, useContext, useEffect, useRef } from "react";
import type { Schemas } from "./client";
import { useMe } from "./session";
import { type StreamState, useStream } from "./stream";

const LiveContext = createContext<StreamState>("connecting");

/** Paths whose answers an event may have changed. */
const TOUCHED = [
  "/gw/v1/clusters",
  "/gw/v1/operations",
  "/gw/v1/events",
  "/gw/v1/waiting",
  "/gw/v1/notices",
  "/gw/v1/reservations",
  "/gw/v1/admission",
  "/gw/v1/turned-away",
  "/gw/v1/file-systems",
  "/gw/v1/fleet",
  "/gw/v1/nodes",
  "/gw/v1/reconcil",
  "/gw/v1/projects/{project_id}/quota",
  "/gw/v1/projects/{project_id}/storage-quota",
];

/** Answers are asked again at most this often, however many events come. */
const PAUSE_MS = 1_000;

/** Ask again whatever begins with one of these paths. */
export function refresh(queries: QueryClient, prefixes: readonly string[] = TOUCHED): void {
  void queries.invalidateQueries({
    predicate: ({ queryKey }) =>
      typeof queryKey[1] === "string" && prefixes.some((p) => String(queryKey[1]).startsWith(p)),
  });
}

/** Keeps all pages below it up to date. */
export function LiveUpdates({ children }: { children: ReactNode }) {
  const queries = useQueryClient();
  const timer = useRef<ReturnType<typeof setTimeout> | null>(null);
  // Who only pays sees no events; their pages are asked again by the clock.
  const mayListen = useMe().role !== "billing";
  const state = useStream(mayListen ? "/gw/v1/events:stream" : null, () => {
    timer.current ??= setTimeout(() => {
      timer.current = null;
      refresh(queries);
    }, PAUSE_MS);
    return undefined;
  });
  // What happened while the line was cut is not sent again, so all is asked again.
  useEffect(() => {
    if (state === "live") refresh(queries);
  }, [state, queries]);
  return (
    <LiveContext.Provider value={mayListen ? state : "ended"}>{children}</LiveContext.Provider>
  );
}

/** Whether what is shown is kept up to date. */
export function useLive(): StreamState {
  return useContext(LiveContext);
}

export type Event = Schemas["Event"];
