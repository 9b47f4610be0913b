/** The rate card: what a GPU-hour costs, by type and term. */
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { type Rate, whom } from "../../api/card";
import { api, type Schemas } from "../../api/client";
import { refresh } from "../../api/live";
import { useOrganisationName } from "../../api/organisations";
import { useMe } from "../../api/session";
import { Answer } from "../../ui/answer";
import { Button, Card, Empty, LinkButton, Page, Status, Time } from "../../ui/basics";
import { Check } from "../../ui/fields";
import { Ending } from "../../ui/form";
import { usdExact, words } from "../../ui/format";
import { type Column, Table } from "../../ui/table";

const KIND = { in_force: "good", coming: "info", past: "off" } as const;

export default function Rates() {
  const isOperator = useMe().role === "operator";
  const [with_past, setPast] = useState(false);
  const rates = api.useQuery("get", "/gw/v1/rates", {
    params: { query: { with_past, limit: 500 } },
  });
  return (
    <Page
      title="Rates"
      lead="What a GPU-hour costs. What was promised before keeps its price."
      actions={
        isOperator && (
          <LinkButton href="/rates/new" kind="primary">
            Set a price
          </LinkButton>
        )
      }
    >
      <Card>
        <Answer query={rates} what="rates">
          {({ items }) => <Rows rates={items} isOperator={isOperator} />}
        </Answer>
        <Check label="Show rates of the past" checked={with_past} onChange={setPast} />
      </Card>
    </Page>
  );
}

function Rows({ rates, isOperator }: { rates: readonly Rate[]; isOperator: boolean }) {
  const organisation = useOrganisationName();
  const [ending, setEnding] = useState<Rate | null>(null);
  const columns: Column<Rate>[] = [
    { head: "Type", cell: (one) => one.gpu_type, sortBy: (one) => one.gpu_type },
    { head: "Term", cell: (one) => words(one.term), sortBy: (one) => one.term },
    {
      head: "A GPU-hour",
      isNumber: true,
      cell: (one) => usdExact(one.price_micro_usd_per_gpu_hour),
      sortBy: (one) => one.price_micro_usd_per_gpu_hour,
    },
    { head: "State", cell: (one) => <Status kind={KIND[one.state]}>{words(one.state)}</Status> },
    {
      head: "For",
      cell: (one) => (
        <span>
          {whom(one, organisation)}
          {one.note && <span className="faint small"> ({one.note})</span>}
        </span>
      ),
    },
    {
      head: "Since",
      cell: (one) => <Time iso={one.valid_from} plain />,
      sortBy: (one) => one.valid_from,
    },
  ];
  if (isOperator) {
    columns.push({
      head: "Action",
      cell: (one) =>
        one.state !== "past" && (
          <span className="actions">
            <LinkButton href={`/rates/new?follows=${one.id}`}>New price</LinkButton>
            {one.state === "in_force" && (
              <Button onClick={() => setEnding(one)} aria-label={`End ${one.id}`}>
                End
              </Button>
            )}
          </span>
        ),
    });
  }
  return (
    <>
      <Table
        label="Rates"
        columns={columns}
        rows={rates}
        rowKey={(one) => one.id}
        shown={50}
        empty={
          <Empty title="The rate card is empty">
            Then the list price of each type of node counts. An operator sets the first price here,
            or whole files of them: <code>gw rate set</code>.
          </Empty>
        }
      />
      <End rate={ending} onClose={() => setEnding(null)} />
    </>
  );
}

/** A row ends by another of its kind that is in force for no time at all. */
function endOf(rate: Rate): Schemas["NewRate"] {
  const now = new Date().toISOString();
  return {
    gpu_type: rate.gpu_type,
    term: rate.term as Schemas["NewRate"]["term"],
    price_micro_usd_per_gpu_hour: rate.price_micro_usd_per_gpu_hour,
    site_id: rate.site_id,
    organisation_id: rate.organisation_id,
    gpu_count_min: rate.gpu_count_min,
    month_count_min: rate.month_count_min,
    currency: rate.currency,
    note: `ends ${rate.id}`,
    valid_from: now,
    valid_to: now,
  };
}

function End({ rate, onClose }: { rate: Rate | null; onClose: () => void }) {
  const queries = useQueryClient();
  const organisation = useOrganisationName();
  const set = api.useMutation("post", "/gw/v1/rates", {
    onSuccess: () => {
      onClose();
      refresh(queries, ["/gw/v1/rates"]);
    },
  });
  return (
    <Ending
      of={rate && { ...rate, name: rate.id }}
      onClose={onClose}
      verb="End"
      doing="Ending …"
      mutation={set}
      onConfirm={(one) => set.mutate({ body: { rates: [endOf(one)] } })}
    >
      <p>
        {rate && `${usdExact(rate.price_micro_usd_per_gpu_hour)} a GPU-hour of ${rate.gpu_type} `}
        {rate && `${words(rate.term)} for ${whom(rate, organisation)}, is no longer sold. `}
        The next more general price of the card counts then; without one, on demand costs the list
        price of the type, and nothing else of it is sold. Clusters that run keep what they pay.
      </p>
    </Ending>
  );
}
