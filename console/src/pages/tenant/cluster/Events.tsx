/** What happened to a cluster, newest first. */
import { Link } from "wouter";
import { api, type Schemas } from "../../../api/client";
import { Card, Loading, Time } from "../../../ui/basics";
import { words } from "../../../ui/format";
import { ProblemNote, sentence } from "../../../ui/problem";
import { type Column, Table } from "../../../ui/table";

type Event = Schemas["Event"];

const COLUMNS: Column<Event>[] = [
  { head: "When", cell: (event) => <Time iso={event.at} plain /> },
  { head: "What", cell: (event) => words(event.kind) },
  { head: "Said", cell: (event) => sentence(event.message) },
  {
    head: "Operation",
    cell: (event) =>
      event.operation_id ? <Link href={`/operations/${event.operation_id}`}>open</Link> : "none",
  },
];

export function Events({ clusterId }: { clusterId: string }) {
  const events = api.useQuery("get", "/gw/v1/events", {
    params: { query: { cluster_id: clusterId, newest_first: true, limit: 200 } },
  });
  return (
    <Card title="Events">
      {events.isPending ? (
        <Loading what="events" />
      ) : events.error ? (
        <ProblemNote error={events.error} />
      ) : (
        <Table
          label="Events"
          columns={COLUMNS}
          rows={events.data.items}
          rowKey={(e) => e.sequence}
        />
      )}
    </Card>
  );
}
