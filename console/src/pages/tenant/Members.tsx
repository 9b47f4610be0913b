/** People and programs of an organisation: roles, invitations, API keys. */
import { useQueryClient } from "@tanstack/react-query";
import { type FormEvent, type ReactNode, useState } from "react";
import { api, type Schemas } from "../../api/client";
import { refresh } from "../../api/live";
import { useMayManage, useMe } from "../../api/session";
import { Button, Card, Empty, Loading, Note, Page, StateOf, Time } from "../../ui/basics";
import { Confirm, FormDialog } from "../../ui/dialog";
import { SelectField, TextField } from "../../ui/fields";
import { words } from "../../ui/format";
import { ProblemNote } from "../../ui/problem";
import { type Column, Table } from "../../ui/table";

type Account = Schemas["Account"];
type ApiKey = Schemas["ApiKey"];
type Invitation = Schemas["Invitation"];
type RoleName = Account["role"];

const PATHS = ["/gw/v1/organisations", "/gw/v1/accounts", "/gw/v1/api-keys"];

const ROLES = [
  { value: "member", label: "Member: launches and releases clusters" },
  { value: "owner", label: "Owner: also manages people" },
  { value: "billing", label: "Billing: sees what it costs" },
  { value: "read_only", label: "Read only: sees everything, changes nothing" },
];

export default function Members() {
  const mayManage = useMayManage();
  return (
    <Page title="Members" lead="Who belongs to your organisation, and the keys that programs use.">
      {mayManage && <People />}
      {mayManage && <Invitations />}
      <Keys />
    </Page>
  );
}

function People() {
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
      {accounts.isPending ? (
        <Loading what="members" />
      ) : accounts.error ? (
        <ProblemNote error={accounts.error} retry={() => void accounts.refetch()} />
      ) : (
        <Table
          label="Members"
          columns={columns}
          rows={accounts.data.items}
          rowKey={(one) => one.id}
        />
      )}
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

interface SaveProps {
  children: ReactNode;
  error: unknown;
  doIt: string;
  busy: string | false;
  onSave: () => void;
}

/** A small form with one button. */
function SaveForm({ children, error, doIt, busy, onSave }: SaveProps) {
  return (
    <form
      onSubmit={(event: FormEvent) => {
        event.preventDefault();
        onSave();
      }}
    >
      {children}
      {error !== null && <ProblemNote error={error} />}
      <Button type="submit" kind="primary" busy={busy}>
        {doIt}
      </Button>
    </form>
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
      busy={add.isPending && "Adding …"}
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
      busy={change.isPending && "Saving …"}
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
    <Confirm
      open={account !== null}
      onClose={onClose}
      title={`Remove ${account?.name ?? ""}?`}
      typeName={account?.name ?? ""}
      doIt="Remove"
      doing="Removing …"
      isBusy={remove.isPending}
      error={remove.error}
      onConfirm={() => account && remove.mutate({ params: { path: { account_id: account.id } } })}
    >
      <p>
        They are signed out everywhere at once, and their API keys end. Clusters that they launched
        stay: those belong to the project.
      </p>
    </Confirm>
  );
}

function Invitations() {
  const me = useMe();
  const queries = useQueryClient();
  const [isNew, setNew] = useState(false);
  const found = api.useQuery("get", "/gw/v1/organisations/{organisation_id}/invitations", {
    params: { path: { organisation_id: me.organisation_id }, query: { limit: 500 } },
  });
  const takeBack = api.useMutation("delete", "/gw/v1/invitations/{invitation_id}", {
    onSuccess: () => refresh(queries, PATHS),
  });
  const columns: Column<Invitation>[] = [
    { head: "E-mail", cell: (one) => one.email },
    { head: "Role", cell: (one) => words(one.role) },
    { head: "State", cell: (one) => <StateOf state={one.state} /> },
    { head: "Ends", cell: (one) => <Time iso={one.expires_at} /> },
    {
      head: "Action",
      cell: (one) =>
        one.state === "open" && (
          <Button
            aria-label={`Take back the invitation of ${one.email}`}
            busy={takeBack.isPending && "Taking back …"}
            onClick={() => takeBack.mutate({ params: { path: { invitation_id: one.id } } })}
          >
            Take back
          </Button>
        ),
    },
  ];
  return (
    <Card title="Invitations" actions={<Button onClick={() => setNew(true)}>Invite</Button>}>
      {found.isPending ? (
        <Loading what="invitations" />
      ) : found.error ? (
        <ProblemNote error={found.error} />
      ) : (
        <Table
          label="Invitations"
          columns={columns}
          rows={found.data.items}
          rowKey={(one) => one.id}
          empty={
            <Empty title="Nobody is invited">
              People who log in with your organisation's login come in by invitation. Without such a
              login, add an account and give its owner an API key.
            </Empty>
          }
        />
      )}
      {takeBack.error && <ProblemNote error={takeBack.error} />}
      <FormDialog open={isNew} onClose={() => setNew(false)} title="Invite a person">
        <Invite />
      </FormDialog>
    </Card>
  );
}

function Invite() {
  const me = useMe();
  const queries = useQueryClient();
  const [email, setEmail] = useState("");
  const [role, setRole] = useState("member");
  const invite = api.useMutation("post", "/gw/v1/organisations/{organisation_id}/invitations", {
    onSuccess: () => refresh(queries, PATHS),
  });
  if (invite.data?.link) {
    return (
      <Note kind="good" title="Send them this link; it is shown once">
        <p>
          <code>{invite.data.link}</code>
        </p>
        <p>It lets in nobody but the owner of that e-mail address.</p>
      </Note>
    );
  }
  return (
    <SaveForm
      doIt="Invite"
      busy={invite.isPending && "Inviting …"}
      error={invite.error}
      onSave={() =>
        invite.mutate({
          params: { path: { organisation_id: me.organisation_id } },
          body: { email, role: role as RoleName },
        })
      }
    >
      <TextField label="E-mail" type="email" value={email} onChange={setEmail} required />
      <SelectField label="Role" value={role} onChange={setRole} options={ROLES} />
    </SaveForm>
  );
}

function Keys() {
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
      {keys.isPending ? (
        <Loading what="keys" />
      ) : keys.error ? (
        <ProblemNote error={keys.error} />
      ) : (
        <Table label="API keys" columns={columns} rows={keys.data.items} rowKey={(one) => one.id} />
      )}
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
      busy={make.isPending && "Making it …"}
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
    <Confirm
      open={apiKey !== null}
      onClose={onClose}
      title={`Revoke ${apiKey?.name ?? ""}?`}
      typeName={apiKey?.name ?? ""}
      doIt="Revoke it"
      doing="Revoking …"
      isBusy={revoke.isPending}
      error={revoke.error}
      onConfirm={() => apiKey && revoke.mutate({ params: { path: { key_id: apiKey.id } } })}
    >
      <p>
        Programs that use it are refused from now on, and browsers that signed in with it are signed
        out.
      </p>
    </Confirm>
  );
}
