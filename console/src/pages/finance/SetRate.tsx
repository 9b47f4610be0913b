/** A new price: what it is for, from when, and what it changes; rows are added, never rewritten. */
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { useLocation, useSearch } from "wouter";
import type { Good, Rate } from "../../api/card";
import { api, type Schemas } from "../../api/client";
import { useFleet } from "../../api/lists";
import { refresh } from "../../api/live";
import { useOrganisations } from "../../api/organisations";
import { Answer } from "../../ui/answer";
import { Card, Page } from "../../ui/basics";
import { CountField, SelectField, TextField } from "../../ui/fields";
import { SaveForm } from "../../ui/form";
import { isoOf, MomentField } from "../../ui/moment";
import { dollarsOf, isAmount, microUsd, UsdField } from "../../ui/money";
import { Effect, type Wish } from "./rates/Effect";

type Term = Schemas["NewRate"]["term"];

const TERMS = [
  { value: "on_demand", label: "On demand" },
  { value: "reserved", label: "Reserved, from a number of months on" },
  { value: "spot", label: "Spot: the floor of its rounds" },
];

export default function SetRate() {
  const follows = new URLSearchParams(useSearch()).get("follows");
  const fleet = useFleet();
  const rates = api.useQuery("get", "/gw/v1/rates", {
    params: { query: { with_past: true, limit: 500 } },
  });
  return (
    <Page
      title="Set a price"
      lead="A row is added to the rate card. What was promised before keeps its price."
    >
      <Answer query={fleet} what="what the site offers">
        {(offer) => (
          <Answer query={rates} what="the rate card">
            {({ items }) => (
              <Form offer={offer} before={items.find((one) => one.id === follows) ?? null} />
            )}
          </Answer>
        )}
      </Answer>
    </Page>
  );
}

interface FormProps {
  offer: Schemas["Fleet"];
  before: Rate | null;
}

function Form({ offer, before }: FormProps) {
  const [, go] = useLocation();
  const queries = useQueryClient();
  const [good, setGood] = useState<Good>(() => ({
    gpu_type: before?.gpu_type ?? offer.gpu_types[0]?.gpu_type ?? "",
    term: before?.term ?? "on_demand",
    site_id: before?.site_id ?? null,
    organisation_id: before?.organisation_id ?? null,
    gpu_count_min: before?.gpu_count_min ?? 1,
    month_count_min: before?.month_count_min ?? 0,
  }));
  const [price, setPrice] = useState(
    before === null ? "" : dollarsOf(before.price_micro_usd_per_gpu_hour),
  );
  const [from, setFrom] = useState("");
  const [to, setTo] = useState("");
  const [note, setNote] = useState("");
  const change = (part: Partial<Good>): void => setGood((was) => ({ ...was, ...part }));
  const set = api.useMutation("post", "/gw/v1/rates", {
    onSuccess: () => {
      refresh(queries, ["/gw/v1/rates"]);
      go("/rates");
    },
  });
  const wish: Wish = {
    ...good,
    price_micro_usd_per_gpu_hour: microUsd(price),
    valid_from: isoOf(from),
    valid_to: isoOf(to),
  };
  const isBackwards = wish.valid_to !== null && wish.valid_to <= (wish.valid_from ?? "");
  const send = (): void => {
    const { price_micro_usd_per_gpu_hour: amount, valid_from, valid_to } = wish;
    if (amount === null) return;
    const row: Schemas["NewRate"] = {
      ...good,
      term: good.term as Term,
      price_micro_usd_per_gpu_hour: amount,
      // An end needs a beginning that both sides know.
      valid_from: valid_from ?? (valid_to === null ? null : new Date().toISOString()),
      valid_to,
      currency: "USD",
      note,
    };
    set.mutate({ body: { rates: [row] } });
  };
  return (
    <div className="launch">
      <Card title="The price">
        <SaveForm
          doIt="Set the price"
          doing="Setting it …"
          isBusy={set.isPending}
          isReady={isAmount(price, { mayBeZero: true }) && !isBackwards}
          error={set.error}
          onSave={send}
        >
          <ForWhat good={good} change={change} offer={offer} />
          <UsdField
            label="Price of a GPU-hour"
            value={price}
            onChange={setPrice}
            mayBeZero
            hint="To a millionth of a dollar."
          />
          <MomentField
            label="In force from"
            value={from}
            onChange={setFrom}
            hint="Empty for at once; never in the past."
          />
          <MomentField
            label="Ends"
            value={to}
            onChange={setTo}
            hint="Empty if it stays until another follows."
            error={isBackwards ? "It ends before it begins." : null}
          />
          <TextField
            label="Note"
            value={note}
            onChange={setNote}
            maxLength={200}
            autoComplete="off"
            hint="Why, for those who look at the card later."
          />
        </SaveForm>
      </Card>
      <Effect wish={wish} />
    </div>
  );
}

interface ForWhatProps {
  good: Good;
  change: (part: Partial<Good>) => void;
  offer: Schemas["Fleet"];
}

function ForWhat({ good, change, offer }: ForWhatProps) {
  const organisations = useOrganisations();
  return (
    <>
      <SelectField
        label="GPU type"
        value={good.gpu_type}
        options={offer.gpu_types.map(({ gpu_type }) => ({ value: gpu_type, label: gpu_type }))}
        onChange={(gpu_type) => change({ gpu_type })}
      />
      <SelectField
        label="Term"
        value={good.term}
        options={TERMS}
        onChange={(term) => change({ term, month_count_min: term === "reserved" ? 1 : 0 })}
      />
      {good.term === "reserved" && (
        <CountField
          label="Months at least"
          value={good.month_count_min}
          min={1}
          max={60}
          onChange={(month_count_min) => change({ month_count_min })}
        />
      )}
      <SelectField
        label="For"
        value={good.organisation_id ?? ""}
        options={[
          { value: "", label: "Everybody" },
          ...(organisations.data?.items ?? []).map(({ id, name }) => ({ value: id, label: name })),
        ]}
        onChange={(id) => change({ organisation_id: id || null })}
        hint="A price for one organisation is seen by nobody else."
      />
      <SelectField
        label="Site"
        value={good.site_id ?? ""}
        options={[
          { value: "", label: "Every site" },
          ...offer.sites.map(({ site_id }) => ({ value: site_id, label: site_id })),
        ]}
        onChange={(id) => change({ site_id: id || null })}
      />
      <CountField
        label="GPUs at least"
        value={good.gpu_count_min}
        min={1}
        max={32_000}
        onChange={(gpu_count_min) => change({ gpu_count_min })}
      />
    </>
  );
}
