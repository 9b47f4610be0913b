/** API keys, which programs show. */
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { api, type Schemas } from "../../../api/client";
import { refresh } from "../../../api/live";
import { useMe } from "../../../api/session";
import { Answer } from "../../../ui/answer";
import { Button, Card, Empty, Note, StateOf, Time } from "../../../ui/basics";
import { FormDialog } from "../../../ui/dialog";
import { SelectField, TextField } from "../../../ui/fields";
import { Ending, SaveForm } from "../../../ui/form";
import { type Column, Table } from "../../../ui/table";
import { PATHS } from "./roles";

type ApiKey = Schemas["ApiKey"];

export function ApiKeys() {
  const me = useMe();
  const [isNew, setNew] = useState(false);
  const [ending, setEnding] = useState<ApiKey | null>(null);
  const keys = api.useQuery("get", "/gw/v1/api-keys", { params: { query: { limit: 500 } } });
  const columns: Column<ApiKey>[] = [
    { head: "Name", cell: (one) => one.name, sortBy: (one) => one.name },
    { head: "Id", cell: (one) => <code>{one.id}</code> },
    { head: "State", cell: (one) => <StateOf state={one.state} />, sortBy: (one) => one.state },
    {
      head: "Last used",
      cell: (one) => (one.last_used_at ? <Time iso={one.last_used_at} /> : "never"),
      sortBy: (one) => one.last_used_at ?? "",
    },
    { head: "Ends", cell: (one) => (one.expires_at ? <Time iso={one.expires_at} /> : "never") },
    {
      head: "Action",
      cell: (one) =>
        one.state === "active" && (
          <Button onClick={() => setEnding(one)} aria-label={`Revoke ${one.name}`}>
            Revoke
          </Button>
        ),
    },
  ];
  return (
    <Card
      title="API keys"
      actions={me.project_id === null && <Button onClick={() => setNew(true)}>Make a key</Button>}
    >
      <Answer query={keys} what="keys">
        {({ items }) => (
          <Table
            label="API keys"
            columns={columns}
            rows={items}
            rowKey={(one) => one.id}
            empty={
              <Empty title="No API key yet">
                Programs and the command <code>gw</code> show one with each request. Make one for
                each place where it is used, so that ending one ends nothing else.
              </Empty>
            }
          />
        )}
      </Answer>
      <FormDialog open={isNew} onClose={() => setNew(false)} title="Make a key for yourself">
        <MakeKey />
      </FormDialog>
      <Revoke apiKey={ending} onClose={() => setEnding(null)} />
    </Card>
  );
}

const LIVES = [
  { value: "604800", label: "A week" },
  { value: "2592000", label: "30 days" },
  { value: "31536000", label: "A year" },
  { value: "", label: "Until it is revoked" },
];

function MakeKey() {
  const me = useMe();
  const queries = useQueryClient();
  const [name, setName] = useState("");
  const [life, setLife] = useState("2592000");
  const make = api.useMutation("post", "/gw/v1/accounts/{account_id}/api-keys", {
    onSuccess: () => refresh(queries, PATHS),
  });
  if (make.data?.key) {
    return (
      <Note kind="good" title="Copy it now; it is shown once">
        <p>
          <code>{make.data.key}</code>
        </p>
      </Note>
    );
  }
  return (
    <SaveForm
      doIt="Make the key"
      doing="Making it …"
      isBusy={make.isPending}
      error={make.error}
      onSave={() =>
        make.mutate({
          params: { path: { account_id: me.account_id } },
          body: { name, lifetime_s: life === "" ? null : Number(life) },
        })
      }
    >
      <TextField
        label="Name"
        value={name}
        onChange={setName}
        required
        autoComplete="off"
        hint="Where it will be used, so that you know later."
      />
      <SelectField label="Lives" value={life} onChange={setLife} options={LIVES} />
    </SaveForm>
  );
}

function Revoke({ apiKey, onClose }: { apiKey: ApiKey | null; onClose: () => void }) {
  const queries = useQueryClient();
  const revoke = api.useMutation("post", "/gw/v1/api-keys/{key_id}:revoke", {
    onSuccess: () => {
      onClose();
      refresh(queries, PATHS);
    },
  });
  return (
    <Ending
      of={apiKey}
      onClose={onClose}
      verb="Revoke"
      doing="Revoking …"
      mutation={revoke}
      onConfirm={(one) => revoke.mutate({ params: { path: { key_id: one.id } } })}
    >
      <p>
        Programs that use it are refused from now on, and browsers that signed in with it are signed
        out.
      </p>
    </Ending>
  );
}
