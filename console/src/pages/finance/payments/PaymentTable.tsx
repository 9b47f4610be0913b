/** Payments as rows, with what can be done about each. */
import { useQueryClient } from "@tanstack/react-query";
import { type ReactNode, useState } from "react";
import { Link } from "wouter";
import { api } from "../../../api/client";
import { refresh } from "../../../api/live";
import { useMe } from "../../../api/session";
import { Button, Time } from "../../../ui/basics";
import { usd } from "../../../ui/format";
import { ProblemNote } from "../../../ui/problem";
import { type Column, Table } from "../../../ui/table";
import { PATHS, type Payment, PaymentState } from "./PaymentState";
import { here, Refund } from "./Refund";

interface PaymentTableProps {
  payments: readonly Payment[];
  empty: ReactNode;
  /** Says of which invoice each is. */
  withInvoice?: boolean;
}

const BASE: Column<Payment>[] = [
  { head: "State", cell: (one) => <PaymentState one={one} /> },
  {
    head: "Amount",
    isNumber: true,
    cell: (one) => usd(one.amount_micro_usd),
    sortBy: (one) => one.amount_micro_usd,
  },
  {
    head: "Gone back",
    isNumber: true,
    cell: (one) => usd(one.refunded_micro_usd + one.charged_back_micro_usd),
  },
  { head: "By", cell: (one) => one.provider },
  { head: "Reference", cell: (one) => one.reference ?? one.reason ?? "none yet" },
  { head: "Since", cell: (one) => <Time iso={one.changed_at} />, sortBy: (one) => one.changed_at },
];

const INVOICE: Column<Payment> = {
  head: "For",
  cell: (one) =>
    one.invoice_id ? (
      <Link href={`/invoices/${one.invoice_id}`}>{one.invoice_id}</Link>
    ) : (
      "the oldest invoices"
    ),
};

export function PaymentTable({ payments, empty, withInvoice = false }: PaymentTableProps) {
  const queries = useQueryClient();
  const isOperator = useMe().role === "operator";
  const [refunding, setRefunding] = useState<Payment | null>(null);
  const onSuccess = (): void => refresh(queries, PATHS);
  const ask = api.useMutation("post", "/gw/v1/payments/{payment_id}:refresh", { onSuccess });
  const cancel = api.useMutation("post", "/gw/v1/payments/{payment_id}:cancel", { onSuccess });
  const action: Column<Payment> = {
    head: "Action",
    cell: (one) => {
      const params = { path: { payment_id: one.id } };
      const isLive = one.state === "open" || one.state === "processing";
      const isHere = isOperator && here(one) > 0;
      if (!isLive && !isHere) return null;
      return (
        <span className="actions">
          {one.state === "open" && one.url && (
            <a className="button primary" href={one.url} rel="noreferrer">
              Go on paying
            </a>
          )}
          {isLive && (
            <Button
              aria-label={`What came of it? ${one.id}`}
              busy={ask.isPending && "Asking …"}
              onClick={() => ask.mutate({ params })}
            >
              What came of it?
            </Button>
          )}
          {one.state === "open" && (
            <Button
              aria-label={`Cancel ${one.id}`}
              busy={cancel.isPending && "Cancelling …"}
              onClick={() => cancel.mutate({ params })}
            >
              Cancel
            </Button>
          )}
          {isHere && (
            <Button aria-label={`Send back ${one.id}`} onClick={() => setRefunding(one)}>
              Send back
            </Button>
          )}
        </span>
      );
    },
  };
  return (
    <>
      <Table
        label="Payments"
        columns={[...(withInvoice ? [INVOICE] : []), ...BASE, action]}
        rows={payments}
        rowKey={(one) => one.id}
        empty={empty}
      />
      {ask.error && <ProblemNote error={ask.error} />}
      {cancel.error && <ProblemNote error={cancel.error} />}
      <Refund of={refunding} onClose={() => setRefunding(null)} />
    </>
  );
}
