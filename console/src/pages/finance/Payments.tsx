/** Money that came and that should have: overdue invoices, transfers, what providers told. */
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { Link } from "wouter";
import { api, type Schemas } from "../../api/client";
import { refresh } from "../../api/live";
import { useOrganisations } from "../../api/organisations";
import { Answer } from "../../ui/answer";
import { Button, Card, Empty, Page, Status, Time } from "../../ui/basics";
import { FormDialog } from "../../ui/dialog";
import { SelectField, TextField } from "../../ui/fields";
import { SaveForm } from "../../ui/form";
import { counted, usd } from "../../ui/format";
import { sentence } from "../../ui/problem";
import { type Column, Table } from "../../ui/table";
import { PaymentTable } from "./payments/PaymentTable";
import { Payouts } from "./payments/Payouts";
import { RecordTransfer } from "./payments/RecordTransfer";

type Told = Schemas["PaymentEvent"];

export default function Payments() {
  const payments = api.useQuery("get", "/gw/v1/payments", { params: { query: { limit: 100 } } });
  return (
    <Page title="Payments" lead="Money that came, money that should have, and what providers told.">
      <Overdue />
      <Held />
      <Payouts />
      <Card title="Money came by bank">
        <Transfer />
      </Card>
      <Card title="The newest payments">
        <Answer query={payments} what="payments">
          {({ items }) => (
            <PaymentTable
              payments={items}
              withInvoice
              empty={
                <Empty title="No money came yet">
                  Transfers are written down above. With a provider, payers pay by themselves: what
                  belongs into <code>payments.yaml</code> is said in the documents about billing.
                </Empty>
              }
            />
          )}
        </Answer>
      </Card>
    </Page>
  );
}

const OVERDUE: Column<Schemas["OverdueInvoice"]>[] = [
  {
    head: "Invoice",
    cell: (one) => <Link href={`/invoices/${one.invoice_id}`}>{one.invoice_id}</Link>,
  },
  { head: "Whose", cell: (one) => one.organisation_name, sortBy: (one) => one.organisation_name },
  { head: "Was due", cell: (one) => one.due_on, sortBy: (one) => one.due_on },
  {
    head: "Late",
    cell: (one) => <Status kind="warn">{counted(one.overdue_day_count, "day")}</Status>,
    sortBy: (one) => one.overdue_day_count,
  },
  { head: "Of", isNumber: true, cell: (one) => usd(one.total_micro_usd) },
  {
    head: "Open",
    isNumber: true,
    cell: (one) => usd(one.open_micro_usd),
    sortBy: (one) => one.open_micro_usd,
  },
];

function Overdue() {
  const found = api.useQuery("get", "/gw/v1/billing/overdue");
  const sum = (found.data?.items ?? []).reduce((whole, one) => whole + one.open_micro_usd, 0);
  return (
    <Card title={sum > 0 ? `Overdue: ${usd(sum)}` : "Overdue"}>
      <Answer query={found} what="overdue invoices">
        {({ items }) => (
          <Table
            label="Overdue invoices"
            columns={OVERDUE}
            rows={items}
            rowKey={(one) => one.invoice_id}
            empty={
              <Empty title="Nothing is overdue">
                Invoices stand here from the day after they were due. Nothing is stopped because of
                it: what to do is yours to say.
              </Empty>
            }
          />
        )}
      </Answer>
    </Card>
  );
}

function Transfer() {
  const organisations = useOrganisations();
  const [chosen, setChosen] = useState("");
  return (
    <Answer query={organisations} what="organisations">
      {({ items }) => (
        <>
          <div className="form-row">
            <SelectField
              label="Who paid"
              value={chosen}
              options={[
                { value: "", label: "Choose one" },
                ...items.map(({ id, name }) => ({ value: id, label: name })),
              ]}
              onChange={setChosen}
            />
          </div>
          {chosen !== "" && <RecordTransfer key={chosen} organisationId={chosen} />}
          <p className="hint">
            It pays the oldest invoices first. Money for one invoice is written down on its page.
          </p>
        </>
      )}
    </Answer>
  );
}

/** What a provider told and what fits nothing: a person looks. */
function Held() {
  const [resolving, setResolving] = useState<Told | null>(null);
  const found = api.useQuery("get", "/gw/v1/payment-events", {
    params: { query: { verdict: "held", limit: 100 } },
  });
  // Those that somebody looked at stay in the list of the service, with what was found.
  const items = (found.data?.items ?? []).filter((one) => one.note == null);
  if (items.length === 0) return null;
  const columns: Column<Told>[] = [
    { head: "Event", cell: (one) => <code>{one.event_id}</code> },
    { head: "Kind", cell: (one) => one.kind },
    { head: "Amount", isNumber: true, cell: (one) => usd(one.amount_micro_usd) },
    { head: "Why it is held", cell: (one) => sentence(one.reason ?? "it does not fit") },
    { head: "Came", cell: (one) => <Time iso={one.received_at} /> },
    {
      head: "Action",
      cell: (one) => (
        <Button onClick={() => setResolving(one)} aria-label={`I looked at it: ${one.event_id}`}>
          I looked at it
        </Button>
      ),
    },
  ];
  return (
    <Card title={`A person has to look: ${counted(items.length, "event")}`}>
      <Table label="Held events" columns={columns} rows={items} rowKey={(one) => one.event_id} />
      <FormDialog
        open={resolving !== null}
        onClose={() => setResolving(null)}
        title={resolving?.event_id ?? ""}
      >
        {resolving && <Resolve one={resolving} onClose={() => setResolving(null)} />}
      </FormDialog>
    </Card>
  );
}

function Resolve({ one, onClose }: { one: Told; onClose: () => void }) {
  const queries = useQueryClient();
  const [note, setNote] = useState("");
  const resolve = api.useMutation("post", "/gw/v1/payment-events/{provider}/{event_id}:resolve", {
    onSuccess: () => {
      onClose();
      refresh(queries, ["/gw/v1/payment-events"]);
    },
  });
  return (
    <SaveForm
      doIt="Keep it"
      doing="Keeping it …"
      isBusy={resolve.isPending}
      isReady={note.trim() !== ""}
      error={resolve.error}
      onSave={() =>
        resolve.mutate({
          params: { path: { provider: one.provider, event_id: one.event_id } },
          body: { note: note.trim() },
        })
      }
    >
      <p>It moves no money: write down or send back what there is to, then say what you found.</p>
      <TextField
        label="What was found and done"
        value={note}
        onChange={setNote}
        maxLength={200}
        autoComplete="off"
      />
    </SaveForm>
  );
}
