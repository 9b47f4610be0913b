/** Browsers that are signed in: one's own, and those of the organisation for who manages it. */
import { useQueryClient } from "@tanstack/react-query";
import { api, call, type Schemas } from "../../api/client";
import { refresh } from "../../api/live";
import { signOut, useMe } from "../../api/session";
import { Button, Card, Loading, Page, Status, Time } from "../../ui/basics";
import { ProblemNote } from "../../ui/problem";
import { type Column, Table } from "../../ui/table";

type Session = Schemas["Session"];

const PATH = "/gw/v1/sessions";

/** What a browser calls itself; it may lie, so its address stands beside it. */
function Browser({ session, isThis }: { session: Session; isThis: boolean }) {
  return (
    <div className="long breaks">
      {isThis && <Status kind="good">this one</Status>}
      <div className="faint small">{session.user_agent || session.id}</div>
    </div>
  );
}

export default function Sessions() {
  const me = useMe();
  const queries = useQueryClient();
  const sessions = api.useQuery("get", PATH, { params: { query: { limit: 500 } } });
  const end = api.useMutation("delete", "/gw/v1/sessions/{session_id}", {
    onSuccess: () => refresh(queries, [PATH]),
  });
  const mine = sessions.data?.items.filter((one) => one.account_id === me.account_id) ?? [];
  const others = sessions.data?.items.filter((one) => one.account_id !== me.account_id) ?? [];
  const everywhere = async (): Promise<void> => {
    for (const { id } of mine.filter((one) => one.id !== me.key_id)) {
      await call.DELETE("/gw/v1/sessions/{session_id}", { params: { path: { session_id: id } } });
    }
    await signOut();
  };
  const columns: Column<Session>[] = [
    { head: "Browser", cell: (one) => <Browser session={one} isThis={one.id === me.key_id} /> },
    { head: "From", isTight: true, cell: (one) => one.client_address || "not noted" },
    { head: "Signed in", cell: (one) => <Time iso={one.created_at} /> },
    { head: "Last used", cell: (one) => <Time iso={one.last_used_at} /> },
    { head: "Ends if unused", cell: (one) => <Time iso={one.ends_at} /> },
    {
      head: "Action",
      cell: ({ id }) =>
        id === me.key_id ? (
          <Button onClick={() => void signOut()}>Sign out</Button>
        ) : (
          <Button
            aria-label={`End it: ${id}`}
            onClick={() => end.mutate({ params: { path: { session_id: id } } })}
          >
            End it
          </Button>
        ),
    },
  ];
  const whose: Column<Session> = { head: "Account", cell: (one) => <code>{one.account_id}</code> };
  return (
    <Page
      title="Sessions"
      lead="Browsers that are signed in. One that you do not know: end it, and change your key."
      actions={
        <Button kind="danger" disabled={!sessions.data} onClick={() => void everywhere()}>
          Sign out everywhere
        </Button>
      }
    >
      {end.error && <ProblemNote error={end.error} />}
      {sessions.error ? (
        <ProblemNote error={sessions.error} retry={() => void sessions.refetch()} />
      ) : sessions.isPending ? (
        <Loading what="sessions" />
      ) : (
        <>
          <Card title="Yours">
            <Table
              label="Your sessions"
              columns={columns}
              rows={mine}
              rowKey={(one) => one.id}
              empty={<p>None that the server knows.</p>}
            />
          </Card>
          {others.length > 0 && (
            <Card title="Of others in your organisation">
              <Table
                label="Sessions of others"
                columns={[whose, ...columns]}
                rows={others}
                rowKey={(one) => one.id}
              />
            </Card>
          )}
        </>
      )}
    </Page>
  );
}
