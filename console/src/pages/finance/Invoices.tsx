/** Invoices and credit notes, and what is owed. */
import { Link } from "wouter";
import { api, type Schemas } from "../../api/client";
import { useMe } from "../../api/session";
import { Answer } from "../../ui/answer";
import { Card, Empty, Figure, Page, Status } from "../../ui/basics";
import { count, usd } from "../../ui/format";
import { type Column, Table } from "../../ui/table";
import { Files } from "./Files";

const COLUMNS: Column<Schemas["Invoice"]>[] = [
  {
    head: "Invoice",
    cell: (one) => <Link href={`/invoices/${one.id}`}>{one.id}</Link>,
    sortBy: (one) => one.id,
  },
  { head: "Month", cell: (one) => one.month, sortBy: (one) => one.month },
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
  { head: "Lines", isNumber: true, cell: (one) => count(one.line_count) },
  {
    head: "Total",
    isNumber: true,
    cell: (one) => usd(one.total_micro_usd),
    sortBy: (one) => one.total_micro_usd,
  },
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
      {statement.data && (
        <div className="figures">
          <Figure
            name="Your organisation owes"
            value={usd(statement.data.owed_micro_usd)}
            more="invoices less credit notes and payments"
          />
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
