/** Money that came by bank is written down: for an invoice, or for the oldest ones. */
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { api } from "../../../api/client";
import { refresh } from "../../../api/live";
import { Note } from "../../../ui/basics";
import { TextField } from "../../../ui/fields";
import { SaveForm } from "../../../ui/form";
import { usd } from "../../../ui/format";
import { dollarsOf, isAmount, microUsd, UsdField } from "../../../ui/money";
import { PATHS } from "./PaymentState";

const REFERENCE = /^[A-Za-z0-9_.-]{1,100}$/;

interface TransferProps {
  organisationId: string;
  invoiceId?: string;
  openMicroUsd?: number;
}

export function RecordTransfer({ organisationId, invoiceId, openMicroUsd }: TransferProps) {
  const queries = useQueryClient();
  const [amount, setAmount] = useState(openMicroUsd ? dollarsOf(openMicroUsd) : "");
  const [reference, setReference] = useState("");
  const record = api.useMutation("post", "/gw/v1/organisations/{organisation_id}/payments", {
    onSuccess: () => {
      setReference("");
      setAmount("");
      refresh(queries, PATHS);
    },
  });
  const send = (): void => {
    const amount_micro_usd = microUsd(amount);
    if (amount_micro_usd === null) return;
    record.mutate({
      params: { path: { organisation_id: organisationId } },
      body: { reference, amount_micro_usd, invoice_id: invoiceId ?? null },
    });
  };
  const isWrong = reference !== "" && !REFERENCE.test(reference);
  return (
    <SaveForm
      doIt="Write it down"
      doing="Writing …"
      isBusy={record.isPending}
      isReady={isAmount(amount) && REFERENCE.test(reference)}
      error={record.error}
      onSave={send}
    >
      <div className="form-row even">
        <UsdField label="Amount that came" value={amount} onChange={setAmount} />
        <TextField
          label="Reference of the bank"
          value={reference}
          onChange={setReference}
          autoComplete="off"
          error={isWrong ? "Letters, digits, dots, hyphens and underscores, up to 100." : null}
          hint="Booked once, however often it is sent."
        />
      </div>
      {record.data && (
        <Note kind="good">
          <p>
            {record.data.reference} of {usd(record.data.amount_micro_usd)} is in the ledger.
          </p>
        </Note>
      )}
    </SaveForm>
  );
}
