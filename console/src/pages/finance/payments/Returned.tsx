/** A payer comes back from the page of a provider: the provider is asked what came of it. */
import { useQueryClient } from "@tanstack/react-query";
import { useEffect } from "react";
import { Link, useSearch } from "wouter";
import { api } from "../../../api/client";
import { refresh } from "../../../api/live";
import { Loading, Note } from "../../../ui/basics";
import { usd } from "../../../ui/format";
import { ProblemNote } from "../../../ui/problem";
import { PATHS, PaymentState } from "./PaymentState";

export function Returned() {
  const id = new URLSearchParams(useSearch()).get("payment");
  return id === null ? null : <Payment key={id} id={id} />;
}

function Payment({ id }: { id: string }) {
  const queries = useQueryClient();
  const ask = api.useMutation("post", "/gw/v1/payments/{payment_id}:refresh", {
    onSuccess: () => refresh(queries, PATHS),
  });
  const { mutate } = ask;
  useEffect(() => mutate({ params: { path: { payment_id: id } } }), [mutate, id]);
  if (ask.error) return <ProblemNote error={ask.error} />;
  if (!ask.data) return <Loading what="what came of your payment" />;
  const { data } = ask;
  return (
    <Note kind={data.state === "settled" ? "good" : "info"}>
      <p>
        Your payment of {usd(data.amount_micro_usd)}: <PaymentState one={data} />{" "}
        {data.invoice_id && <Link href={`/invoices/${data.invoice_id}`}>{data.invoice_id}</Link>}
      </p>
    </Note>
  );
}
