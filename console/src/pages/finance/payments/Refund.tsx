/** Money of a payment is sent back; what is owed rises by it. */
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { api } from "../../../api/client";
import { refresh } from "../../../api/live";
import { FormDialog } from "../../../ui/dialog";
import { TextField } from "../../../ui/fields";
import { SaveForm } from "../../../ui/form";
import { usd } from "../../../ui/format";
import { dollarsOf, isAmount, microUsd, UsdField } from "../../../ui/money";
import { PATHS, type Payment } from "./PaymentState";

/** What is still here of a payment. */
export function here(one: Payment): number {
  if (one.state !== "settled") return 0;
  return one.amount_micro_usd - one.refunded_micro_usd - one.charged_back_micro_usd;
}

export function Refund({ of, onClose }: { of: Payment | null; onClose: () => void }) {
  return (
    <FormDialog open={of !== null} onClose={onClose} title={`Send back of ${of?.id ?? ""}`}>
      {of && <Form key={of.id} payment={of} onClose={onClose} />}
    </FormDialog>
  );
}

function Form({ payment, onClose }: { payment: Payment; onClose: () => void }) {
  const queries = useQueryClient();
  const [amount, setAmount] = useState(dollarsOf(here(payment)));
  const [reason, setReason] = useState("");
  const [typed, setTyped] = useState("");
  const send = api.useMutation("post", "/gw/v1/payments/{payment_id}/refunds", {
    onSuccess: () => {
      onClose();
      refresh(queries, PATHS);
    },
  });
  return (
    <SaveForm
      doIt="Send it back"
      doing="Sending it back …"
      isBusy={send.isPending}
      isReady={isAmount(amount) && reason.trim() !== "" && typed === payment.id}
      error={send.error}
      onSave={() =>
        send.mutate({
          params: { path: { payment_id: payment.id } },
          body: { amount_micro_usd: microUsd(amount), reason: reason.trim() },
        })
      }
    >
      <p>
        {usd(here(payment))} of it are here.{" "}
        {payment.provider === "bank"
          ? "Of a transfer this only writes down that you sent it."
          : "The payer gets it back by the way it came."}{" "}
        That much is owed again; correct the invoice too if nothing shall be.
      </p>
      <UsdField label="Amount" value={amount} onChange={setAmount} />
      <TextField
        label="Reason"
        value={reason}
        onChange={setReason}
        maxLength={200}
        autoComplete="off"
      />
      <TextField
        label={`Type ${payment.id} to confirm`}
        value={typed}
        onChange={setTyped}
        autoComplete="off"
        spellCheck={false}
      />
    </SaveForm>
  );
}
