/** One invoice with its lines. */
import { Link, useParams } from "wouter";
import { api, type Schemas } from "../../api/client";
import { Card, Facts, Loading, Page } from "../../ui/basics";
import { usd, words } from "../../ui/format";
import { ProblemNote } from "../../ui/problem";
import { type Column, Table } from "../../ui/table";
import { Files } from "./Files";

type Line = Schemas["InvoiceLine"];

const quantity = new Intl.NumberFormat(undefined, { maximumFractionDigits: 3 });

const COLUMNS: Column<Line>[] = [
  { head: "What", cell: (line) => line.text },
  { head: "Kind", cell: (line) => words(line.kind), sortBy: (line) => line.kind },
  { head: "Tag", cell: (line) => line.tag || "none", sortBy: (line) => line.tag },
  {
    head: "Quantity",
    isNumber: true,
    cell: (line) =>
      line.unit ? `${quantity.format(line.quantity_parts / line.parts_per_unit)} ${line.unit}` : "",
  },
  {
    head: "Price",
    isNumber: true,
    cell: (line) => (line.unit ? `${usd(line.price_micro_usd)} per ${line.unit}` : ""),
  },
  {
    head: "Amount",
    isNumber: true,
    cell: (line) => usd(line.amount_micro_usd),
    sortBy: (line) => line.amount_micro_usd,
  },
];

export default function InvoicePage() {
  const { id = "" } = useParams();
  const invoice = api.useQuery("get", "/gw/v1/invoices/{invoice_id}", {
    params: { path: { invoice_id: id } },
  });
  const found = invoice.data;
  return (
    <Page
      title={id}
      lead={found && `${found.organisation_name}, ${found.month}`}
      actions={found && <Files id={id} />}
    >
      {invoice.error ? (
        <ProblemNote error={invoice.error} retry={() => void invoice.refetch()} />
      ) : !found ? (
        <Loading what="the invoice" />
      ) : (
        <>
          <Card title="Total">
            <Facts
              facts={[
                ["Issued", found.issued_on],
                ["Net", usd(found.net_micro_usd)],
                ["Tax", usd(found.tax_micro_usd)],
                ["Total", <strong key="total">{usd(found.total_micro_usd)}</strong>],
                [
                  "Corrects",
                  found.corrects ? (
                    <Link key="corrects" href={`/invoices/${found.corrects}`}>
                      {found.corrects}
                    </Link>
                  ) : (
                    "nothing"
                  ),
                ],
              ]}
            />
          </Card>
          <Card title="Lines">
            <Table
              label="Lines"
              columns={COLUMNS}
              rows={found.lines ?? []}
              rowKey={(line) => `${line.kind} ${line.text} ${line.subject_id} ${line.item_id}`}
            />
          </Card>
        </>
      )}
    </Page>
  );
}
