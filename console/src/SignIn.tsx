/** Signing in: the page of who is not, and the dialog of whose session ended while they worked. */
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, type ReactNode, useEffect, useRef, useState } from "react";
import { createPortal } from "react-dom";
import type { Problem } from "./api/client";
import { goOn, signInWays, signInWithKey, startOver, useMe } from "./api/session";
import { Button, Card } from "./ui/basics";
import { TextField } from "./ui/fields";
import { words } from "./ui/format";
import { ProblemNote } from "./ui/problem";

/** Where a second tab says that it has signed in. */
export const SIGNED_IN_PATH = "/signed-in";

export function SignIn() {
  const queries = useQueryClient();
  const { pathname, search } = window.location;
  useEffect(() => {
    document.title = "Sign in · Gigawatt";
  }, []);
  return (
    <main className="sign-in">
      <h1>
        <img src="/icon.svg" alt="" width={32} height={32} /> Gigawatt
      </h1>
      <Ways
        provider={
          <a className="button primary" href={loginUrl(pathname + search)}>
            Sign in with your organisation's login
          </a>
        }
        onSignedIn={async () => void (await queries.resetQueries())}
      />
    </main>
  );
}

const loginUrl = (path: string): string => `/gw/v1/login?return_to=${encodeURIComponent(path)}`;

/** What lies over the page while its session is over: nothing can be read, nothing is lost. */
export function SignInAgain() {
  const me = useMe();
  const queries = useQueryClient();
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    dialog.current?.showModal();
    const look = () => void (document.hidden || goOn(queries));
    window.addEventListener("focus", look);
    document.addEventListener("visibilitychange", look);
    return () => {
      window.removeEventListener("focus", look);
      document.removeEventListener("visibilitychange", look);
    };
  }, [queries]);
  return createPortal(
    // The browser's own dialog: it lies over those that the page may have open, and lets them be.
    <dialog
      ref={dialog}
      className="session-over"
      aria-labelledby="session-over"
      onCancel={(event) => event.preventDefault()}
      onClose={() => dialog.current?.showModal()}
    >
      <h2 id="session-over">Your session is over</h2>
      <p>
        Sign in again as {me.name} ({words(me.role)}) to go on where you were. What you typed is
        still there.
      </p>
      <Ways
        provider={
          <a
            className="button primary"
            href={loginUrl(SIGNED_IN_PATH)}
            target="_blank"
            rel="noopener"
          >
            Sign in with your organisation's login, in a new tab
          </a>
        }
        onSignedIn={async () => void (await goOn(queries))}
      />
      <div className="actions">
        <Button onClick={startOver}>Leave this page</Button>
      </div>
    </dialog>,
    document.body,
  );
}

interface WaysProps {
  provider: ReactNode;
  onSignedIn: () => Promise<void>;
}

function Ways({ provider, onSignedIn }: WaysProps) {
  const ways = useQuery({ queryKey: ["ways"], queryFn: signInWays, retry: false });
  const hasProvider = ways.data?.has_openid ?? false;
  return (
    <>
      {hasProvider && <Card title="Sign in">{provider}</Card>}
      <ByKey isAlone={!hasProvider} onSignedIn={onSignedIn} />
      {ways.error && <ProblemNote error={ways.error} retry={() => void ways.refetch()} />}
    </>
  );
}

function ByKey({ isAlone, onSignedIn }: { isAlone: boolean; onSignedIn: () => Promise<void> }) {
  const [key, setKey] = useState("");
  const [problem, setProblem] = useState<Problem | TypeError | null>(null);
  const [isBusy, setBusy] = useState(false);
  const submit = async (event: FormEvent): Promise<void> => {
    event.preventDefault();
    setBusy(true);
    try {
      const found = await signInWithKey(key.trim());
      setProblem(found);
      if (found === null) await onSignedIn();
    } catch (error) {
      setProblem(error as TypeError);
    } finally {
      setBusy(false);
    }
  };
  return (
    <Card title={isAlone ? "Sign in with an API key" : "Or with an API key"}>
      <form onSubmit={submit}>
        <TextField
          label="API key"
          type="password"
          autoComplete="off"
          spellCheck={false}
          required
          value={key}
          onChange={setKey}
          hint={
            <>
              It begins with <code>gw_</code>. <code>gw key create NAME</code> on the server makes
              one; so does the owner of your organisation under Members. The key stays out of this
              browser: it gets a session of at most 12 hours instead.
            </>
          }
        />
        {problem && <ProblemNote error={problem} />}
        <Button type="submit" kind="primary" busy={isBusy && "Signing in …"}>
          Sign in
        </Button>
      </form>
    </Card>
  );
}
