/** The page of who is not signed in: by the organisation's login, or with an API key. */
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useEffect, useState } from "react";
import type { Problem } from "./api/client";
import { signInWays, signInWithKey } from "./api/session";
import { Button, Card } from "./ui/basics";
import { TextField } from "./ui/fields";
import { ProblemNote } from "./ui/problem";

export function SignIn() {
  const ways = useQuery({ queryKey: ["ways"], queryFn: signInWays, retry: false });
  useEffect(() => {
    document.title = "Sign in · Gigawatt";
  }, []);
  return (
    <main className="sign-in">
      <h1>
        <img src="/icon.svg" alt="" width={32} height={32} /> Gigawatt
      </h1>
      {ways.data?.has_openid && <ByProvider />}
      <ByKey isAlone={!ways.data?.has_openid} />
      {ways.error && <ProblemNote error={ways.error} retry={() => void ways.refetch()} />}
    </main>
  );
}

function ByProvider() {
  const { pathname, search } = window.location;
  const to = `/gw/v1/login?return_to=${encodeURIComponent(pathname + search)}`;
  return (
    <Card title="Sign in">
      <a className="button primary" href={to}>
        Sign in with your organisation's login
      </a>
    </Card>
  );
}

function ByKey({ isAlone }: { isAlone: boolean }) {
  const queries = useQueryClient();
  const [key, setKey] = useState("");
  const [problem, setProblem] = useState<Problem | TypeError | null>(null);
  const [isBusy, setBusy] = useState(false);
  const submit = async (event: FormEvent): Promise<void> => {
    event.preventDefault();
    setBusy(true);
    try {
      const found = await signInWithKey(key.trim());
      setProblem(found);
      if (found === null) await queries.resetQueries();
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
              It begins with <code>gw_</code>. <code>gw key create</code> makes one; so does the
              owner of your organisation under Members. The key stays out of this browser: it gets a
              session of at most 12 hours instead.
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
