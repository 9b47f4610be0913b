/** Who was asked to come in. */
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { api, type Schemas } from "../../../api/client";
import { refresh } from "../../../api/live";
import { useMe } from "../../../api/session";
import { Answer } from "../../../ui/answer";
import { Button, Card, Empty, Note, StateOf, Time } from "../../../ui/basics";
import { FormDialog } from "../../../ui/dialog";
import { SelectField, TextField } from "../../../ui/fields";
import { SaveForm } from "../../../ui/form";
import { words } from "../../../ui/format";
import { ProblemNote } from "../../../ui/problem";
import { type Column, Table } from "../../../ui/table";
import { PATHS, ROLES, type RoleName } from "./roles";

type Invitation = Schemas["Invitation"];

export function Invitations() {
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
      <Answer query={found} what="invitations">
        {({ items }) => (
          <Table
            label="Invitations"
            columns={columns}
            rows={items}
            rowKey={(one) => one.id}
            empty={
              <Empty title="Nobody is invited">
                People who log in with your organisation's login come in by invitation. Without such
                a login, add an account and give its owner an API key.
              </Empty>
            }
          />
        )}
      </Answer>
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
      doing="Inviting …"
      isBusy={invite.isPending}
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
