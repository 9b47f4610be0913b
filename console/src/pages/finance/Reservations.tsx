/** Reservations over time, and what they cost. */
import { useState } from "react";
import { api, type Schemas } from "../../api/client";
import { useProjectName } from "../../api/lists";
import { Card, Empty, Loading, Page, Status, type StatusKind, Time } from "../../ui/basics";
import { Check } from "../../ui/fields";
import { at, count, usd } from "../../ui/format";
import { ProblemNote } from "../../ui/problem";
import { type Column, Table } from "../../ui/table";

type Reservation = Schemas["Reservation"];

const KIND: Record<Reservation["state"], StatusKind> = {
  planned: "info",
  booked: "busy",
  running: "good",
  ended: "off",
  cancelled: "off",
};

export default function Reservations() {
  const [with_ended, setEnded] = useState(false);
  const found = api.useQuery("get", "/gw/v1/reservations", {
    params: { query: { with_ended, limit: 200 } },
  });
  const items = found.data?.items ?? [];
  return (
    <Page title="Reservations" lead="Nodes that are promised, from when to when, at which price.">
      {items.length > 0 && (
        <Card title="Calendar">
          <Calendar items={items} />
        </Card>
      )}
      <Card>
        {found.isPending ? (
          <Loading what="reservations" />
        ) : found.error ? (
          <ProblemNote error={found.error} retry={() => void found.refetch()} />
        ) : (
          <List items={items} />
        )}
        <Check label="Show those that are over" checked={with_ended} onChange={setEnded} />
      </Card>
    </Page>
  );
}

const ms = (iso: string): number => new Date(iso).getTime();

function Calendar({ items }: { items: readonly Reservation[] }) {
  const first = Math.min(...items.map((one) => ms(one.from_at)));
  const last = Math.max(...items.map((one) => ms(one.to_at)));
  const share = (moment: number): number => (100 * (moment - first)) / Math.max(1, last - first);
  const ordered = [...items].sort((a, b) => ms(a.from_at) - ms(b.from_at));
  return (
    <>
      <div className="calendar-ends" aria-hidden>
        <span>{at(new Date(first).toISOString())}</span>
        <span>{at(new Date(last).toISOString())}</span>
      </div>
      <ul className="calendar">
        {ordered.map((one) => (
          <li key={one.id}>
            <span>
              {one.name} <span className="faint">{count(one.gpu_count)} GPUs</span>
            </span>
            <span
              className="calendar-line"
              role="img"
              aria-label={`from ${at(one.from_at)} to ${at(one.to_at)}`}
            >
              <span
                className={`calendar-bar ${one.state}`}
                style={{
                  left: `${share(ms(one.from_at))}%`,
                  width: `${share(ms(one.to_at)) - share(ms(one.from_at))}%`,
                }}
              />
            </span>
          </li>
        ))}
      </ul>
    </>
  );
}

function List({ items }: { items: readonly Reservation[] }) {
  const projectName = useProjectName();
  const columns: Column<Reservation>[] = [
    { head: "Name", cell: (one) => one.name, sortBy: (one) => one.name },
    { head: "State", cell: (one) => <Status kind={KIND[one.state]}>{one.state}</Status> },
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
      head: "Price",
      isNumber: true,
      cell: (one) => `${usd(one.price_micro_usd_per_gpu_hour)} per GPU-hour`,
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
          A reservation holds nodes from one moment to another, at a price that stays:{" "}
          <code>gw reservation create</code>.
        </Empty>
      }
    />
  );
}
