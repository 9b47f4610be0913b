/** How far a payment is, for the eye. */
import type { Schemas } from "../../../api/client";
import { Status, type StatusKind } from "../../../ui/basics";

export type Payment = Schemas["Payment"];

const KIND: Record<Payment["state"], [StatusKind, string]> = {
  asked: ["busy", "asking"],
  open: ["info", "to be paid"],
  processing: ["busy", "on its way"],
  settled: ["good", "paid"],
  failed: ["bad", "failed"],
  expired: ["off", "expired"],
  cancelled: ["off", "cancelled"],
};

export function PaymentState({ one }: { one: Payment }) {
  const [kind, word] = KIND[one.state];
  if (one.charged_back_micro_usd > 0) return <Status kind="bad">charged back</Status>;
  return <Status kind={kind}>{word}</Status>;
}

/** Paths whose answers a payment changes. */
export const PATHS = [
  "/gw/v1/invoices",
  "/gw/v1/payments",
  "/gw/v1/organisations",
  "/gw/v1/billing",
  "/gw/v1/ledger",
];
