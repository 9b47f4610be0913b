/** One invoice with its lines. */
import { Link, useParams } from "wouter";
import { api, type Schemas } from "../../api/client";
import { useMe } from "../../api/session";
import { Answer } from "../../ui/answer";
import { Card, type Fact, Facts, Page } from "../../ui/basics";
import { usd, words } from "../../ui/format";
import { type Column, Table } from "../../ui/table";
import { Files } from "./Files";
import { Credit } from "./invoice/Credit";
import { Due } from "./invoice/Due";
import { InvoicePayments } from "./payments/InvoicePayments";

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
      <Answer query={invoice} what="the invoice">
        {(shown) => <Shown invoice={shown} />}
      </Answer>
    </Page>
  );
}

function Shown({ invoice }: { invoice: Schemas["Invoice"] }) {
  const isOperator = useMe().role === "operator";
  return (
    <>
      <Card title="Total">
        <Facts
          facts={[
            ["Issued", invoice.issued_on],
            ["Net", usd(invoice.net_micro_usd)],
            ["Tax", usd(invoice.tax_micro_usd)],
            ["Total", <strong key="total">{usd(invoice.total_micro_usd)}</strong>],
            ...standing(invoice),
          ]}
        />
      </Card>
      <Card title="Lines">
        <Table
          label="Lines"
          columns={COLUMNS}
          rows={invoice.lines ?? []}
          rowKey={(line) =>
            [
              line.kind,
              line.text,
              line.subject_id,
              line.item_id,
              line.tag,
              line.price_micro_usd,
            ].join()
          }
        />
      </Card>
      {!invoice.corrects && <InvoicePayments invoice={invoice} />}
      <Corrections invoice={invoice} />
      {isOperator && !invoice.corrects && <Credit invoice={invoice} />}
    </>
  );
}

/** What became of an invoice; of a credit note what it corrects. */
function standing(invoice: Schemas["Invoice"]): Fact[] {
  if (invoice.corrects) {
    return [
      [
        "Corrects",
        <Link key="corrects" href={`/invoices/${invoice.corrects}`}>
          {invoice.corrects}
        </Link>,
      ],
    ];
  }
  return [
    ["Credited", usd(invoice.credited_micro_usd ?? 0)],
    ["Paid", usd(invoice.paid_micro_usd ?? 0)],
    ["Open", <strong key="open">{usd(invoice.open_micro_usd ?? 0)}</strong>],
    ["Due", <Due key="due" invoice={invoice} />],
  ];
}

const NOTES: Column<Schemas["Invoice"]>[] = [
  { head: "Credit note", cell: (one) => <Link href={`/invoices/${one.id}`}>{one.id}</Link> },
  { head: "Issued", cell: (one) => one.issued_on },
  { head: "Total", isNumber: true, cell: (one) => usd(one.total_micro_usd) },
];

/** What was taken back of it so far. */
function Corrections({ invoice }: { invoice: Schemas["Invoice"] }) {
  const found = api.useQuery("get", "/gw/v1/invoices", {
    params: { query: { organisation_id: invoice.organisation_id, limit: 500 } },
  });
  const notes = (found.data?.items ?? []).filter((one) => one.corrects === invoice.id);
  if (notes.length === 0) return null;
  return (
    <Card title="Corrected by">
      <Table label="Credit notes" columns={NOTES} rows={notes} rowKey={(one) => one.id} />
    </Card>
  );
}
