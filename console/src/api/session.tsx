/** Who is signed in: everything else is drawn only when that is known. */
import { type QueryClient, useQueryClient } from "@tanstack/react-query";
import { createContext, type ReactNode, useContext, useEffect, useSyncExternalStore } from "react";
import { api, call, keepCsrfProof, type Problem, type Schemas, whenSignedOut } from "./client";

export type Me = Schemas["Me"];
export type Role = Me["role"];

const SessionContext = createContext<Me | null>(null);

/** The signed-in account. Only below `SessionGate`. */
export function useMe(): Me {
  const me = useContext(SessionContext);
  if (me === null) throw new Error("useMe is used outside SessionGate");
  return me;
}

/** Whether the signed-in account may change things of its projects. */
export function useMayBuild(): boolean {
  return ["owner", "operator", "member"].includes(useMe().role);
}

/** Whether it may manage the people of its organisation. */
export function useMayManage(): boolean {
  const me = useMe();
  return ["owner", "operator"].includes(me.role) && me.project_id === null;
}

interface GateProps {
  children: ReactNode;
  loading: ReactNode;
  signIn: ReactNode;
  /** Laid over the page when its session ends under it. */
  over: ReactNode;
  failed: (problem: unknown, retry: () => void) => ReactNode;
}

const ME = ["get", "/gw/v1/me", {}] as const;

let isOver = false;
const listeners = new Set<() => void>();

function setOver(now: boolean): void {
  isOver = now;
  for (const listener of listeners) listener();
}

/** Whether the session ended under a page that is still there. */
export const isSessionOver = (): boolean => isOver;

function useIsOver(): boolean {
  const subscribe = (listener: () => void) => {
    listeners.add(listener);
    return () => listeners.delete(listener);
  };
  return useSyncExternalStore(subscribe, isSessionOver);
}

/**
 * Shows the children to who is signed in, the sign-in page to others. When a session ends while
 * somebody works, the children stay as they are, so that nothing that was typed is lost.
 */
export function SessionGate({ children, loading, signIn, over, failed }: GateProps) {
  const queries = useQueryClient();
  const me = api.useQuery("get", "/gw/v1/me", {}, { retry: false, staleTime: 60_000 });
  const hasEnded = useIsOver();
  keepCsrfProof(me.data?.csrf_token ?? null);
  useEffect(() => {
    whenSignedOut(() => {
      if (queries.getQueryData(ME) !== undefined) setOver(true);
    });
  }, [queries]);
  if (me.data === undefined) {
    if (me.isPending) return loading;
    return me.error?.status === 401 ? signIn : failed(me.error, () => void me.refetch());
  }
  return (
    <SessionContext.Provider value={me.data}>
      {children}
      {hasEnded && over}
    </SessionContext.Provider>
  );
}

/**
 * Go on where the session ended, if the same account is signed in again; somebody else begins anew.
 * False while nobody is signed in.
 */
export async function goOn(queries: QueryClient): Promise<boolean> {
  const before = queries.getQueryData<Me>(ME);
  const { data } = await call.GET("/gw/v1/me");
  if (data === undefined) return false;
  if (before !== undefined && before.account_id !== data.account_id) {
    window.location.reload();
    return true;
  }
  queries.setQueryData(ME, data);
  setOver(false);
  await queries.invalidateQueries();
  return true;
}

/** Ways to sign in that this server offers. */
export async function signInWays(): Promise<{ has_openid: boolean }> {
  const response = await fetch("/gw/v1/login/ways");
  if (!response.ok) throw await response.json();
  return await response.json();
}

/** Exchange an API key for a session; the problem if that fails. */
export async function signInWithKey(key: string): Promise<Problem | null> {
  const response = await fetch("/gw/v1/login/key", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ key }),
    credentials: "same-origin",
  });
  return response.ok ? null : await response.json();
}

/** End the session here and forget all that was shown. */
export async function signOut(): Promise<void> {
  await call.POST("/gw/v1/logout");
  startOver();
}

/** Load the console anew, at its first page. */
export function startOver(): void {
  window.location.assign("/");
}
