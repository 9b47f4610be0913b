/** The rate card: what a GPU-hour costs, by type and term. */
import { useState } from "react";
import { api, type Schemas } from "../../api/client";
import { Card, Empty, Loading, Page, Status, Time } from "../../ui/basics";
import { Check } from "../../ui/fields";
import { usd, words } from "../../ui/format";
import { ProblemNote } from "../../ui/problem";
import { type Column, Table } from "../../ui/table";

type Rate = Schemas["Rate"];

const KIND = { in_force: "good", coming: "info", past: "off" } as const;

const COLUMNS: Column<Rate>[] = [
  { head: "Type", cell: (one) => one.gpu_type, sortBy: (one) => one.gpu_type },
  { head: "Term", cell: (one) => words(one.term), sortBy: (one) => one.term },
  {
    head: "Price",
    isNumber: true,
    cell: (one) => `${usd(one.price_micro_usd_per_gpu_hour)} per GPU-hour`,
    sortBy: (one) => one.price_micro_usd_per_gpu_hour,
  },
  { head: "State", cell: (one) => <Status kind={KIND[one.state]}>{words(one.state)}</Status> },
  {
    head: "From size",
    isNumber: true,
    cell: (one) => (one.month_count_min > 0 ? `${one.month_count_min} months` : one.gpu_count_min),
  },
  { head: "Site", cell: (one) => one.site_id ?? "every site" },
  { head: "For", cell: (one) => one.organisation_id ?? "everybody" },
  { head: "Since", cell: (one) => <Time iso={one.valid_from} plain /> },
  { head: "Note", cell: (one) => one.note || "none" },
];

export default function Rates() {
  const [with_past, setPast] = useState(false);
  const rates = api.useQuery("get", "/gw/v1/rates", {
    params: { query: { with_past, limit: 500 } },
  });
  return (
    <Page title="Rates" lead="What a GPU-hour costs. What was promised before keeps its price.">
      <Card>
        {rates.isPending ? (
          <Loading what="rates" />
        ) : rates.error ? (
          <ProblemNote error={rates.error} retry={() => void rates.refetch()} />
        ) : (
          <Table
            label="Rates"
            columns={COLUMNS}
            rows={rates.data.items}
            rowKey={(one) => one.id}
            shown={50}
            empty={
              <Empty title="The rate card is empty">
                Then the list price of each type of node counts. An operator adds rows:{" "}
                <code>gw rate set</code>.
              </Empty>
            }
          />
        )}
        <Check label="Show rates of the past" checked={with_past} onChange={setPast} />
      </Card>
    </Page>
  );
}
