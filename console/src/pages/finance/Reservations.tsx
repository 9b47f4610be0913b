/** Reservations over time, and what they cost. */
import { useState } from "react";
import { Link } from "wouter";
import { api } from "../../api/client";
import { useProjectName } from "../../api/lists";
import { useMayBuild } from "../../api/session";
import { Answer } from "../../ui/answer";
import { Card, Empty, LinkButton, Page, Time } from "../../ui/basics";
import { Check } from "../../ui/fields";
import { count, usd, usdExact } from "../../ui/format";
import { type Column, Table } from "../../ui/table";
import { Calendar } from "./reservations/Calendar";
import { ReservationState } from "./reservations/ReservationState";
import type { Reservation } from "./reservations/span";

export default function Reservations() {
  const [with_ended, setEnded] = useState(false);
  const mayBuild = useMayBuild();
  const found = api.useQuery("get", "/gw/v1/reservations", {
    params: { query: { with_ended, limit: 200 } },
  });
  const items = found.data?.items ?? [];
  return (
    <Page
      title="Reservations"
      lead="Nodes that are promised, from when to when, at which price."
      actions={
        mayBuild && (
          <LinkButton href="/reservations/new" kind="primary">
            Reserve GPUs
          </LinkButton>
        )
      }
    >
      {items.length > 0 && (
        <Card title="Calendar">
          <Calendar items={items} />
        </Card>
      )}
      <Card title={items.length > 0 ? "All of them" : undefined}>
        <Answer query={found} what="reservations">
          {() => <List items={items} />}
        </Answer>
        <Check label="Show those that are over" checked={with_ended} onChange={setEnded} />
      </Card>
    </Page>
  );
}

function List({ items }: { items: readonly Reservation[] }) {
  const projectName = useProjectName();
  const columns: Column<Reservation>[] = [
    {
      head: "Name",
      cell: (one) => <Link href={`/reservations/${one.id}`}>{one.name}</Link>,
      sortBy: (one) => one.name,
    },
    { head: "State", cell: (one) => <ReservationState one={one} /> },
    { head: "Project", cell: (one) => projectName(one.project_id) },
    {
      head: "GPUs",
      isNumber: true,
      cell: (one) => `${count(one.gpu_count)} ${one.gpu_type}`,
      sortBy: (one) => one.gpu_count,
    },
    {
      head: "From",
      cell: (one) => <Time iso={one.from_at} plain />,
      sortBy: (one) => one.from_at,
    },
    { head: "To", cell: (one) => <Time iso={one.to_at} plain />, sortBy: (one) => one.to_at },
    {
      head: "A GPU-hour",
      isNumber: true,
      cell: (one) => usdExact(one.price_micro_usd_per_gpu_hour),
    },
    {
      head: "In all",
      isNumber: true,
      cell: (one) => usd(one.amount_micro_usd),
      sortBy: (one) => one.amount_micro_usd,
    },
  ];
  return (
    <Table
      label="Reservations"
      columns={columns}
      rows={items}
      rowKey={(one) => one.id}
      empty={
        <Empty title="Nothing is reserved">
          A reservation holds nodes from one moment to another, at a price that stays and that is
          below the one on demand if the rate card says so. Nothing is promised before you have seen
          the nodes, the price, and what giving it up costs.
        </Empty>
      }
    />
  );
}
