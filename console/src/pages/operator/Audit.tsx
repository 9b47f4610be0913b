/** Who changed what, and whether that record is as it was written. */
import { useState } from "react";
import { api, type Schemas } from "../../api/client";
import { useMe } from "../../api/session";
import { Button, Card, Loading, Note, Page, Status, Time } from "../../ui/basics";
import { SelectField } from "../../ui/fields";
import { count, counted, words } from "../../ui/format";
import { ProblemNote } from "../../ui/problem";
import { type Column, Table } from "../../ui/table";

const columnsOf = (name: (id: string) => string): Column<Schemas["AuditEntry"]>[] => [
  { head: "When", isTight: true, cell: (one) => <Time iso={one.at} /> },
  { head: "Who", cell: (one) => (one.account_id ? name(one.account_id) : "nobody") },
  { head: "What", cell: (one) => words(one.operation) },
  { head: "On", cell: (one) => <code className="breaks">{one.path}</code> },
  {
    head: "Outcome",
    cell: (one) =>
      one.status < 400 ? (
        <Status kind="good">done</Status>
      ) : (
        <Status kind="bad">{`refused, ${one.status}`}</Status>
      ),
  },
  { head: "From", cell: (one) => one.client_address || "not known" },
];

export default function Audit() {
  const me = useMe();
  const [chosen, setChosen] = useState(me.organisation_id);
  const organisations = api.useQuery("get", "/gw/v1/organisations", {
    params: { query: { limit: 500 } },
  });
  const audit = api.useQuery("get", "/gw/v1/organisations/{organisation_id}/audit", {
    params: { path: { organisation_id: chosen }, query: { limit: 200 } },
  });
  const name = useAccountName(chosen);
  return (
    <Page title="Audit" lead="Every call that changed something, or was refused.">
      <Chain />
      <Card>
        <div className="form-row">
          <SelectField
            label="Organisation"
            value={chosen}
            options={(organisations.data?.items ?? []).map(({ id, name }) => ({
              value: id,
              label: name,
            }))}
            onChange={setChosen}
          />
        </div>
        {audit.error ? (
          <ProblemNote error={audit.error} retry={() => void audit.refetch()} />
        ) : audit.isPending ? (
          <Loading what="the audit" />
        ) : (
          <Table
            label="Calls"
            columns={columnsOf(name)}
            rows={audit.data.items}
            rowKey={(one) => one.sequence}
            shown={50}
            empty={<p className="faint">Nobody of this organisation has changed anything yet.</p>}
          />
        )}
      </Card>
    </Page>
  );
}

/** Name of an account of an organisation; its id where it is of another, or not known yet. */
function useAccountName(organisationId: string): (id: string) => string {
  const accounts = api.useQuery("get", "/gw/v1/organisations/{organisation_id}/accounts", {
    params: { path: { organisation_id: organisationId }, query: { limit: 500 } },
  });
  return (id) => accounts.data?.items.find((one) => one.id === id)?.name ?? id;
}

function Chain() {
  const head = api.useQuery("get", "/gw/v1/audit/head");
  const verify = api.useMutation("post", "/gw/v1/audit:verify");
  const found = verify.data;
  return (
    <Card
      title="The chain of the audit"
      actions={
        <Button busy={verify.isPending && "Checking …"} onClick={() => verify.mutate({ body: {} })}>
          Check the chain
        </Button>
      }
    >
      {head.error && <ProblemNote error={head.error} />}
      {head.data && (
        <p>
          {counted(head.data.sequence - head.data.first_sequence + 1, "row")}; the last is number{" "}
          {count(head.data.sequence)}.
        </p>
      )}
      {verify.error && <ProblemNote error={verify.error} />}
      {found && (
        <Note kind={found.is_sound ? "good" : "bad"}>
          <p>
            {found.is_sound
              ? `All ${counted(found.checked_count, "row")} are as they were written.`
              : `Row ${found.broken_sequence} is not as it was written: ${found.reason}`}
          </p>
        </Note>
      )}
    </Card>
  );
}
