/** The console: queries, session, live updates, frame, and the page that the address names. */
import { CSPProvider } from "@base-ui/react/csp-provider";
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { StrictMode, Suspense } from "react";
import { createRoot } from "react-dom/client";
import { Redirect, Route, Switch } from "wouter";
import { LiveUpdates } from "./api/live";
import { SessionGate } from "./api/session";
import { Layout, useAreas } from "./Layout";
import { NoPage } from "./NoPage";
import { SignIn, SignInAgain } from "./SignIn";
import { Loading } from "./ui/basics";
import { FaultBarrier, ProblemNote } from "./ui/problem";
import { applyTheme } from "./ui/theme";
import "./styles/tokens.css";
import "./styles/base.css";
import "./styles/frame.css";
import "./styles/parts.css";
import "./styles/cluster.css";
import "./styles/operator.css";
import "./styles/finance.css";
import "./styles/print.css";

applyTheme();

const queries = new QueryClient({
  defaultOptions: {
    queries: {
      // A refusal stays one; only what did not arrive is asked again.
      retry: (failures, error) => error instanceof TypeError && failures < 2,
      staleTime: 5_000,
    },
  },
});

function Pages() {
  const areas = useAreas();
  const home = areas[0]?.pages[0]?.path ?? "/";
  return (
    <Switch>
      <Route path="/">
        <Redirect to={home} replace />
      </Route>
      {areas.flatMap((area) =>
        area.pages.map(({ path, page: AreaPage }) => (
          <Route key={path} path={path}>
            <FaultBarrier key={path}>
              <Suspense fallback={<Loading what="the page" />}>
                <AreaPage />
              </Suspense>
            </FaultBarrier>
          </Route>
        )),
      )}
      <Route>
        <NoPage />
      </Route>
    </Switch>
  );
}

const root = document.getElementById("root");
if (root === null) throw new Error("index.html has no #root");
createRoot(root).render(
  <StrictMode>
    <CSPProvider disableStyleElements>
      <QueryClientProvider client={queries}>
        <SessionGate
          loading={<Loading what="your account" />}
          signIn={<SignIn />}
          over={<SignInAgain />}
          failed={(problem, retry) => (
            <main className="sign-in">
              <h1>Gigawatt</h1>
              <ProblemNote error={problem} retry={retry} />
            </main>
          )}
        >
          <LiveUpdates>
            <Layout>
              <Pages />
            </Layout>
          </LiveUpdates>
        </SessionGate>
      </QueryClientProvider>
    </CSPProvider>
  </StrictMode>,
);
