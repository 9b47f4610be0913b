/** People and programs of an organisation, and their roles. */
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { api, type Schemas } from "../../../api/client";
import { refresh } from "../../../api/live";
import { useMe } from "../../../api/session";
import { Answer } from "../../../ui/answer";
import { Button, Card, Time } from "../../../ui/basics";
import { FormDialog } from "../../../ui/dialog";
import { SelectField, TextField } from "../../../ui/fields";
import { Ending, SaveForm } from "../../../ui/form";
import { words } from "../../../ui/format";
import { type Column, Table } from "../../../ui/table";
import { PATHS, ROLES, type RoleName } from "./roles";

type Account = Schemas["Account"];

export function People() {
  const me = useMe();
  const [chosen, setChosen] = useState<Account | null>(null);
  const [ending, setEnding] = useState<Account | null>(null);
  const [isNew, setNew] = useState(false);
  const accounts = api.useQuery("get", "/gw/v1/organisations/{organisation_id}/accounts", {
    params: { path: { organisation_id: me.organisation_id }, query: { limit: 500 } },
  });
  const columns: Column<Account>[] = [
    { head: "Name", cell: (one) => one.name, sortBy: (one) => one.name },
    { head: "Kind", cell: (one) => (one.kind === "user" ? "person" : "program") },
    { head: "Role", cell: (one) => words(one.role), sortBy: (one) => one.role },
    {
      head: "Since",
      cell: (one) => <Time iso={one.created_at} />,
      sortBy: (one) => one.created_at,
    },
    {
      head: "Action",
      cell: (one) =>
        one.id === me.account_id ? (
          "you"
        ) : (
          <span className="actions">
            <Button onClick={() => setChosen(one)} aria-label={`Change role of ${one.name}`}>
              Change role
            </Button>
            <Button onClick={() => setEnding(one)} aria-label={`Remove ${one.name}`}>
              Remove
            </Button>
          </span>
        ),
    },
  ];
  return (
    <Card
      title="People and programs"
      actions={<Button onClick={() => setNew(true)}>Add an account</Button>}
    >
      <Answer query={accounts} what="members">
        {({ items }) => (
          <Table label="Members" columns={columns} rows={items} rowKey={(one) => one.id} />
        )}
      </Answer>
      <FormDialog open={isNew} onClose={() => setNew(false)} title="Add an account">
        <AddAccount onClose={() => setNew(false)} />
      </FormDialog>
      <FormDialog
        open={chosen !== null}
        onClose={() => setChosen(null)}
        title={`Role of ${chosen?.name ?? ""}`}
      >
        {chosen && <ChangeRole key={chosen.id} account={chosen} onClose={() => setChosen(null)} />}
      </FormDialog>
      <RemoveAccount account={ending} onClose={() => setEnding(null)} />
    </Card>
  );
}

function AddAccount({ onClose }: { onClose: () => void }) {
  const me = useMe();
  const queries = useQueryClient();
  const [name, setName] = useState("");
  const [role, setRole] = useState("member");
  const [kind, setKind] = useState("user");
  const add = api.useMutation("post", "/gw/v1/organisations/{organisation_id}/accounts", {
    onSuccess: () => {
      onClose();
      refresh(queries, PATHS);
    },
  });
  return (
    <SaveForm
      doIt="Add"
      doing="Adding …"
      isBusy={add.isPending}
      error={add.error}
      onSave={() =>
        add.mutate({
          params: { path: { organisation_id: me.organisation_id } },
          body: { name, role: role as RoleName, kind: kind as Account["kind"] },
        })
      }
    >
      <TextField label="Name" value={name} onChange={setName} required autoComplete="off" />
      <SelectField
        label="Kind"
        value={kind}
        onChange={setKind}
        options={[
          { value: "user", label: "Person" },
          { value: "service_account", label: "Program" },
        ]}
      />
      <SelectField label="Role" value={role} onChange={setRole} options={ROLES} />
    </SaveForm>
  );
}

function ChangeRole({ account, onClose }: { account: Account; onClose: () => void }) {
  const queries = useQueryClient();
  const [role, setRole] = useState<string>(account.role);
  const options = ROLES.some((one) => one.value === account.role)
    ? ROLES
    : [...ROLES, { value: account.role, label: words(account.role) }];
  const change = api.useMutation("patch", "/gw/v1/accounts/{account_id}", {
    onSuccess: () => {
      onClose();
      refresh(queries, PATHS);
    },
  });
  return (
    <SaveForm
      doIt="Save"
      doing="Saving …"
      isBusy={change.isPending}
      error={change.error}
      onSave={() =>
        change.mutate({
          params: { path: { account_id: account.id } },
          body: { role: role as RoleName },
        })
      }
    >
      <SelectField label="Role" value={role} onChange={setRole} options={options} />
    </SaveForm>
  );
}

function RemoveAccount({ account, onClose }: { account: Account | null; onClose: () => void }) {
  const queries = useQueryClient();
  const remove = api.useMutation("delete", "/gw/v1/accounts/{account_id}", {
    onSuccess: () => {
      onClose();
      refresh(queries, PATHS);
    },
  });
  return (
    <Ending
      of={account}
      onClose={onClose}
      verb="Remove"
      doing="Removing …"
      isTyped
      mutation={remove}
      onConfirm={(one) => remove.mutate({ params: { path: { account_id: one.id } } })}
    >
      <p>
        They are signed out everywhere at once, and their API keys end. Clusters that they launched
        stay: those belong to the project.
      </p>
    </Ending>
  );
}
