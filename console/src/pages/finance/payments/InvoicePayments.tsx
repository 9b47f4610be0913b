/** What was paid of an invoice, and how the rest can be. */
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { api, type Schemas } from "../../../api/client";
import { refresh } from "../../../api/live";
import { useMe } from "../../../api/session";
import { Answer } from "../../../ui/answer";
import { Button, Card } from "../../../ui/basics";
import { SaveForm } from "../../../ui/form";
import { usd } from "../../../ui/format";
import { dollarsOf, isAmount, microUsd, UsdField } from "../../../ui/money";
import { PATHS } from "./PaymentState";
import { PaymentTable } from "./PaymentTable";
import { RecordTransfer } from "./RecordTransfer";

type Invoice = Schemas["Invoice"];

export function InvoicePayments({ invoice }: { invoice: Invoice }) {
  const isOperator = useMe().role === "operator";
  const payments = api.useQuery("get", "/gw/v1/payments", {
    params: { query: { invoice_id: invoice.id, limit: 500 } },
  });
  const open = invoice.open_micro_usd ?? 0;
  return (
    <>
      <Card title="Payments">
        <Answer query={payments} what="payments">
          {({ items }) => (
            <PaymentTable
              payments={items}
              empty={<p className="faint">No payment names this invoice yet.</p>}
            />
          )}
        </Answer>
        {open > 0 && !isOperator && <Pay key={invoice.id} invoice={invoice} open={open} />}
      </Card>
      {isOperator && open > 0 && (
        <Card title="Money came by bank" className="screen-only">
          <RecordTransfer
            key={open}
            organisationId={invoice.organisation_id}
            invoiceId={invoice.id}
            openMicroUsd={open}
          />
        </Card>
      )}
    </>
  );
}

/** Pay what is open, or a part of it, on a page of whoever takes the money. */
function Pay({ invoice, open }: { invoice: Invoice; open: number }) {
  const queries = useQueryClient();
  const options = api.useQuery("get", "/gw/v1/payment-options", {}, { staleTime: 600_000 });
  const [isPart, setPart] = useState(false);
  const [amount, setAmount] = useState(dollarsOf(open));
  const pay = api.useMutation("post", "/gw/v1/invoices/{invoice_id}/payments", {
    onSuccess: (made) => {
      refresh(queries, PATHS);
      if (made.url) window.location.assign(made.url);
    },
  });
  if (!options.data) return null;
  const [provider] = options.data.providers;
  if (provider === undefined) {
    return (
      <p>
        Pay {usd(open)} by bank transfer and name <code>{invoice.id}</code>; it is booked when it
        has come.
      </p>
    );
  }
  return (
    <SaveForm
      doIt={isPart ? "Pay that much" : `Pay ${usd(open)}`}
      doing="Asking for the page …"
      isBusy={pay.isPending}
      isReady={!isPart || isAmount(amount)}
      error={pay.error}
      beside={!isPart && <Button onClick={() => setPart(true)}>Pay a part of it</Button>}
      onSave={() =>
        pay.mutate({
          params: { path: { invoice_id: invoice.id } },
          body: { amount_micro_usd: isPart ? microUsd(amount) : null },
        })
      }
    >
      {isPart && <UsdField label="Amount" value={amount} onChange={setAmount} />}
      <p className="hint">
        You pay on a page of {provider} and come back here. Cards and accounts are never seen by
        this service.
      </p>
    </SaveForm>
  );
}
