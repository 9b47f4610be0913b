/** Taking an invoice back: what the ledger would say first, then the note with its number typed. */
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { Link } from "wouter";
import { api, type Schemas } from "../../../api/client";
import { refresh } from "../../../api/live";
import { Button, Card, Facts, Note } from "../../../ui/basics";
import { Confirm } from "../../../ui/dialog";
import { SelectField, TextField } from "../../../ui/fields";
import { SaveForm } from "../../../ui/form";
import { usd, usdExact } from "../../../ui/format";
import { isAmount, microUsd, UsdField } from "../../../ui/money";
import { type Column, Table } from "../../../ui/table";

type Plan = Schemas["CreditNotePlan"];
type Wanted = Schemas["CreateCreditNote"];

const PATHS = ["/gw/v1/invoices", "/gw/v1/organisations", "/gw/v1/ledger"];
/** What can be taken back: its charges, or a commitment that it sold. */
function subjects(invoice: Schemas["Invoice"]) {
  const sold = (invoice.lines ?? []).filter(
    ({ kind, item_id }) => kind === "commitment" && item_id,
  );
  return [
    { value: "", label: "What was charged" },
    ...sold.map(({ item_id, text }) => ({ value: item_id, label: `The commitment ${text}` })),
  ];
}

const HOW_MUCH = [
  { value: "all", label: "All that is left of it" },
  { value: "part", label: "A part of it" },
];

export function Credit({ invoice }: { invoice: Schemas["Invoice"] }) {
  const [howMuch, setHowMuch] = useState("part");
  const [item, setItem] = useState("");
  const [amount, setAmount] = useState("");
  const [reason, setReason] = useState("");
  const plan = api.useMutation("post", "/gw/v1/invoices/{invoice_id}/credit-notes/plan");
  const things = subjects(invoice);
  const isPart = howMuch === "part";
  const body: Wanted = {
    reason: reason.trim(),
    net_micro_usd: isPart ? microUsd(amount) : null,
    item_id: item || null,
  };
  // What is shown is of what stands in the form: another wish, another plan.
  const edit = (set: (text: string) => void) => (text: string) => {
    plan.reset();
    set(text);
  };
  return (
    <Card title="Take it back" className="screen-only">
      <p>
        An invoice that went out stays as it is. A credit note takes all of it back, or a part, with
        its taxes: what is owed first, then what credits and commitments had paid, to be used again.
        It is a document of this month with an entry of its own in the ledger.
      </p>
      <SaveForm
        doIt="See what it writes"
        doing="Working it out …"
        isBusy={plan.isPending}
        isReady={body.reason !== "" && (!isPart || isAmount(amount))}
        error={plan.error}
        onSave={() => plan.mutate({ params: { path: { invoice_id: invoice.id } }, body })}
      >
        <div className="form-row even">
          {things.length > 1 && (
            <SelectField label="What" value={item} options={things} onChange={edit(setItem)} />
          )}
          <SelectField
            label="How much"
            value={howMuch}
            options={HOW_MUCH}
            onChange={edit(setHowMuch)}
          />
          {isPart && <UsdField label="Before taxes" value={amount} onChange={edit(setAmount)} />}
        </div>
        <TextField
          label="Reason"
          value={reason}
          onChange={edit(setReason)}
          required
          maxLength={200}
          autoComplete="off"
          hint="It stands on the credit note."
        />
      </SaveForm>
      {plan.data && <Planned plan={plan.data} invoice={invoice} wanted={body} />}
    </Card>
  );
}

const POSTINGS: Column<Schemas["LedgerPosting"]>[] = [
  { head: "Account", cell: (one) => <code>{one.account}</code> },
  {
    head: "Debit",
    isNumber: true,
    cell: (one) => (one.amount_micro_usd > 0 ? usdExact(one.amount_micro_usd) : ""),
  },
  {
    head: "Credit",
    isNumber: true,
    cell: (one) => (one.amount_micro_usd < 0 ? usdExact(-one.amount_micro_usd) : ""),
  },
];

interface PlannedProps {
  plan: Plan;
  invoice: Schemas["Invoice"];
  wanted: Wanted;
}

function Planned({ plan, invoice, wanted }: PlannedProps) {
  const queries = useQueryClient();
  const [isAsking, setAsking] = useState(false);
  const credit = api.useMutation("post", "/gw/v1/invoices/{invoice_id}/credit-notes", {
    onSuccess: () => {
      setAsking(false);
      refresh(queries, PATHS);
    },
  });
  const { note } = plan;
  if (credit.data) {
    return (
      <Note kind="good" title={`${credit.data.id} is written`}>
        <p>
          It credits {usd(-credit.data.total_micro_usd)} with taxes.{" "}
          <Link href={`/invoices/${credit.data.id}`}>Open the credit note</Link>
        </p>
      </Note>
    );
  }
  return (
    <>
      <h3>What would be written</h3>
      <Facts
        facts={[
          ["Document", note.id],
          ["Before taxes", usd(note.net_micro_usd)],
          ["Taxes", usd(note.tax_micro_usd)],
          ["Total", <strong key="total">{usd(note.total_micro_usd)}</strong>],
          ["Left of its charges then", usd(plan.left_micro_usd)],
          [
            `${note.organisation_name} owes`,
            `${usd(plan.owed_then_micro_usd)}, now ${usd(plan.owed_micro_usd)}`,
          ],
        ]}
      />
      <Table
        label="Entry in the ledger"
        columns={POSTINGS}
        rows={plan.postings}
        rowKey={(one) => one.account}
        empty={<p className="faint">It moves no money, so the ledger has no entry.</p>}
      />
      {plan.owed_then_micro_usd < 0 && (
        <Note kind="warn">
          <p>
            Then {note.organisation_name} has {usd(-plan.owed_then_micro_usd)} to its credit: pay it
            back, or let the next invoice use it.
          </p>
        </Note>
      )}
      <div>
        <Button kind="danger" onClick={() => setAsking(true)}>
          Write the credit note
        </Button>
      </div>
      <Confirm
        open={isAsking}
        onClose={() => setAsking(false)}
        title={`Take ${usd(-note.total_micro_usd)} of ${invoice.id} back?`}
        typeName={invoice.id}
        doIt="Write it"
        doing="Writing …"
        isBusy={credit.isPending}
        error={credit.error}
        onConfirm={() =>
          credit.mutate({
            params: { path: { invoice_id: invoice.id } },
            body: wanted,
          })
        }
      >
        <p>
          {note.organisation_name} sees it at once, and nothing takes it out of the books again.
        </p>
      </Confirm>
    </>
  );
}
