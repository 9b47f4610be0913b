/** Invoices and credit notes, and what is owed. */
import { Link } from "wouter";
import { api, type Schemas } from "../../api/client";
import { useMe } from "../../api/session";
import { Answer } from "../../ui/answer";
import { Card, Empty, Figure, Page, Status } from "../../ui/basics";
import { usd } from "../../ui/format";
import { type Column, Table } from "../../ui/table";
import { Files } from "./Files";
import { Due } from "./invoice/Due";
import { Returned } from "./payments/Returned";

const COLUMNS: Column<Schemas["Invoice"]>[] = [
  {
    head: "Invoice",
    cell: (one) => (
      <Link href={`/invoices/${one.id}`} className="whole">
        {one.id}
      </Link>
    ),
    sortBy: (one) => one.id,
  },
  {
    head: "Month",
    cell: (one) => <span className="whole">{one.month}</span>,
    sortBy: (one) => one.month,
  },
  {
    head: "For",
    cell: (one) => one.organisation_name,
    sortBy: (one) => one.organisation_name,
  },
  {
    head: "Kind",
    cell: (one) =>
      one.corrects ? (
        <Status kind="warn">credit note</Status>
      ) : (
        <Status kind="info">invoice</Status>
      ),
  },
  {
    head: "Total",
    isNumber: true,
    cell: (one) => usd(one.total_micro_usd),
    sortBy: (one) => one.total_micro_usd,
  },
  {
    head: "Open",
    isNumber: true,
    cell: (one) => (one.corrects ? "" : usd(one.open_micro_usd ?? 0)),
    sortBy: (one) => one.open_micro_usd ?? 0,
  },
  { head: "Due", cell: (one) => <Due invoice={one} />, sortBy: (one) => one.due_on ?? "" },
  { head: "Download", cell: (one) => <Files id={one.id} /> },
];

export default function Invoices() {
  const { organisation_id } = useMe();
  const invoices = api.useQuery("get", "/gw/v1/invoices", { params: { query: { limit: 200 } } });
  const statement = api.useQuery("get", "/gw/v1/organisations/{organisation_id}/statement", {
    params: { path: { organisation_id } },
  });
  return (
    <Page title="Invoices" lead="One for each month that was closed; credit notes correct them.">
      <Returned />
      {statement.data && (
        <div className="figures">
          <Figure
            name="Your organisation owes"
            value={usd(statement.data.owed_micro_usd)}
            more="invoices less credit notes and payments"
          />
          {statement.data.overdue_micro_usd > 0 && (
            <Figure name="Overdue" value={usd(statement.data.overdue_micro_usd)} more="of that" />
          )}
          {statement.data.credit_micro_usd > 0 && (
            <Figure
              name="To your credit"
              value={usd(statement.data.credit_micro_usd)}
              more="paid or credited beyond invoices; later ones use it"
            />
          )}
        </div>
      )}
      <Card>
        <Answer query={invoices} what="invoices">
          {({ items }) => (
            <Table
              label="Invoices"
              columns={COLUMNS}
              rows={items}
              rowKey={(one) => one.id}
              shown={50}
              empty={
                <Empty title="No invoice yet">
                  The first one is here when the first month is closed.
                </Empty>
              }
            />
          )}
        </Answer>
      </Card>
    </Page>
  );
}
