/** Who is signed in: everything else is drawn only when that is known. */
import { useQueryClient } from "@tanstack/react-query";
import { createContext, type ReactNode, useContext, useEffect } from "react";
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
  failed: (problem: unknown, retry: () => void) => ReactNode;
}

/** Shows the children to who is signed in, the sign-in page to others. */
export function SessionGate({ children, loading, signIn, failed }: GateProps) {
  const queries = useQueryClient();
  const me = api.useQuery("get", "/gw/v1/me", {}, { retry: false, staleTime: 60_000 });
  const proof = me.data?.csrf_token ?? null;
  keepCsrfProof(proof);
  useEffect(() => {
    whenSignedOut(() => {
      const key = ["get", "/gw/v1/me", {}];
      if (queries.getQueryData(key) !== undefined) queries.resetQueries({ queryKey: key });
    });
  }, [queries]);
  if (me.isPending) return loading;
  if (me.error) {
    return me.error.status === 401 ? signIn : failed(me.error, () => void me.refetch());
  }
  return <SessionContext.Provider value={me.data}>{children}</SessionContext.Provider>;
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
  window.location.assign("/");
}
