/** The typed client of the API: one cookie, one CSRF proof, problems as values that pages show. */
import createFetchClient, { type Middleware } from "openapi-fetch";
import createQueryClient from "openapi-react-query";
import type { components, paths } from "./schema";

export type Schemas = components["schemas"];
export type Problem = Schemas["Problem"];

const SAFE = new Set(["GET", "HEAD", "OPTIONS"]);

let csrfProof: string | null = null;
let onSignedOut: () => void = () => undefined;

/** Keep what every change must carry; null when nobody is signed in. */
export function keepCsrfProof(proof: string | null): void {
  csrfProof = proof;
}

/** Call `listener` when the server says that the session is over. */
export function whenSignedOut(listener: () => void): void {
  onSignedOut = listener;
}

/** Headers that a request by cookie needs besides the cookie. */
export function proofHeaders(method: string): Record<string, string> {
  return SAFE.has(method) || csrfProof === null ? {} : { "X-CSRF-Token": csrfProof };
}

const middleware: Middleware = {
  onRequest({ request }) {
    for (const [name, value] of Object.entries(proofHeaders(request.method))) {
      request.headers.set(name, value);
    }
    return request;
  },
  onResponse({ response }) {
    if (response.status === 401) onSignedOut();
    return undefined;
  },
};

const fetchClient = createFetchClient<paths>({
  baseUrl: window.location.origin,
  credentials: "same-origin",
});
fetchClient.use(middleware);

/** Plain calls: `await call.GET("/gw/v1/fleet")`. */
export const call = fetchClient;

/** Hooks: `api.useQuery("get", "/gw/v1/fleet")`, `api.useMutation("post", "/gw/v1/plans")`. */
export const api = createQueryClient(fetchClient);

/** Whatever went wrong, as a problem with a next step. */
export function toProblem(error: unknown): Problem {
  if (isProblem(error)) return error;
  const isOffline = error instanceof TypeError;
  return {
    type: "urn:gigawatt:console",
    title: isOffline ? "The server does not answer" : "The console has a fault",
    status: 0,
    detail: isOffline
      ? "The request did not reach the server, or its answer did not come back."
      : String(error),
    next_step: isOffline
      ? "Check the network and whether the server runs, then try again."
      : "Load the page again; if it stays, tell the operator what you did.",
    request_id: "",
    reasons: [],
    would_fit: [],
    notes: [],
  };
}

function isProblem(error: unknown): error is Problem {
  return typeof error === "object" && error !== null && "detail" in error && "status" in error;
}
