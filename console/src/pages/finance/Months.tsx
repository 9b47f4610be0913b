/** Closing months: the plan first, then the invoices go out; and whether the books are whole. */
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { api, type Schemas } from "../../api/client";
import { refresh } from "../../api/live";
import { Answer } from "../../ui/answer";
import { Button, Card, Empty, Note, Page, Time } from "../../ui/basics";
import { Confirm } from "../../ui/dialog";
import { TextField } from "../../ui/fields";
import { count, counted, usd } from "../../ui/format";
import { ProblemNote } from "../../ui/problem";
import { type Column, Table } from "../../ui/table";

const PATHS = ["/gw/v1/billing", "/gw/v1/invoices", "/gw/v1/ledger"];
const MONTH = /^20\d\d-(0[1-9]|1[0-2])$/;

/** The month before this one, in UTC as months of the books are. */
function lastMonth(): string {
  const now = new Date();
  return new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() - 1)).toISOString().slice(0, 7);
}

export default function Months() {
  return (
    <Page title="Months and ledger" lead="See what a month would bill; then close it.">
      <Close />
      <Ledger />
      <Closed />
    </Page>
  );
}

const INVOICES: Column<Schemas["Invoice"]>[] = [
  { head: "For", cell: (one) => one.organisation_name },
  { head: "Lines", isNumber: true, cell: (one) => count(one.line_count) },
  { head: "Net", isNumber: true, cell: (one) => usd(one.net_micro_usd) },
  { head: "Tax", isNumber: true, cell: (one) => usd(one.tax_micro_usd) },
  { head: "Total", isNumber: true, cell: (one) => usd(one.total_micro_usd) },
];

function Close() {
  const [month, setMonth] = useState(lastMonth);
  const [planned, setPlanned] = useState("");
  const isMonth = MONTH.test(month);
  const plan = api.useQuery(
    "get",
    "/gw/v1/billing/months/{month}/plan",
    { params: { path: { month: planned } } },
    { enabled: planned !== "", retry: false },
  );
  return (
    <Card title="Close a month">
      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (planned === month) void plan.refetch();
          else setPlanned(month);
        }}
      >
        <TextField
          label="Month"
          value={month}
          onChange={setMonth}
          maxLength={7}
          autoComplete="off"
          hint="Year and month, in UTC: 2026-10."
          error={isMonth ? null : "Year and month, as in 2026-10."}
        />
        <Button
          type="submit"
          kind="primary"
          disabled={!isMonth}
          busy={plan.isFetching && "Planning …"}
        >
          Plan it
        </Button>
      </form>
      {plan.error && <ProblemNote error={plan.error} />}
      {plan.data && <Planned key={plan.data.month} plan={plan.data} />}
    </Card>
  );
}

function Planned({ plan }: { plan: Schemas["ClosingPlan"] }) {
  const queries = useQueryClient();
  const [isAsking, setAsking] = useState(false);
  const close = api.useMutation("post", "/gw/v1/billing/months/{month}:close", {
    onSuccess: () => {
      setAsking(false);
      refresh(queries, PATHS);
    },
  });
  if (close.data) {
    return (
      <Note kind="good" title={`${plan.month} is closed`}>
        <p>
          {counted(close.data.invoice_count, "invoice")} went out, {usd(close.data.total_micro_usd)}{" "}
          in all. The last entry of the ledger is number {count(close.data.entry_number)}; keep its
          digest elsewhere: <code className="digest">{close.data.entry_digest}</code>
        </p>
      </Note>
    );
  }
  const isReady = plan.is_over && !plan.close_first;
  return (
    <>
      {!plan.is_over && (
        <Note kind="warn">
          <p>{plan.month} is not over; this is what it would bill as of now.</p>
        </Note>
      )}
      {plan.close_first && (
        <Note kind="warn">
          <p>Close {plan.close_first} first: months are closed in their order.</p>
        </Note>
      )}
      <p>
        <strong>{usd(plan.total_micro_usd)}</strong> in {counted(plan.invoice_count, "invoice")},{" "}
        {counted(plan.entry_count, "entry", "entries")} of the ledger. Nothing is changed yet.
      </p>
      <Table
        label={`Invoices of ${plan.month}`}
        columns={INVOICES}
        rows={plan.invoices}
        rowKey={(one) => one.organisation_id}
        empty={<p className="faint">Nobody used anything in that month.</p>}
      />
      {plan.credit_notes.length > 0 && (
        <Table
          label={`Credit notes of ${plan.month}`}
          columns={INVOICES}
          rows={plan.credit_notes}
          rowKey={(one) => one.id}
          empty={null}
        />
      )}
      {plan.notes.map((note) => (
        <Note key={note}>
          <p>{note}</p>
        </Note>
      ))}
      <div className="actions">
        <Button kind="primary" disabled={!isReady} onClick={() => setAsking(true)}>
          Close {plan.month}
        </Button>
      </div>
      <Confirm
        open={isAsking}
        onClose={() => setAsking(false)}
        title={`Close ${plan.month}?`}
        typeName={plan.month}
        doIt="Close the month"
        doing="Closing …"
        isBusy={close.isPending}
        error={close.error}
        onConfirm={() => close.mutate({ params: { path: { month: plan.month } } })}
      >
        <p>
          {counted(plan.invoice_count, "invoice")} go out, {usd(plan.total_micro_usd)} in all. What
          is issued stays; credit notes correct it.
        </p>
      </Confirm>
    </>
  );
}

function Ledger() {
  const check = api.useQuery("get", "/gw/v1/ledger/verdict", {}, { enabled: false, retry: false });
  const found = check.data;
  return (
    <Card
      title="The ledger"
      actions={
        <>
          <a href="/gw/v1/ledger/beancount" download="ledger.beancount" className="button plain">
            Download for beancount
          </a>
          <Button busy={check.isFetching && "Checking …"} onClick={() => void check.refetch()}>
            Check the books
          </Button>
        </>
      }
    >
      <p>Every entry names the digest of the one before it, so that a change of the past shows.</p>
      {check.error && <ProblemNote error={check.error} />}
      {found && (
        <Note kind={found.is_whole ? "good" : "bad"}>
          <p>
            {found.is_whole
              ? `All ${counted(found.entry_count, "entry", "entries")} and ${counted(found.invoice_count, "invoice")} are as they were written.`
              : (found.fault ?? "Something is not as it was written.")}
          </p>
        </Note>
      )}
    </Card>
  );
}

const CLOSED: Column<Schemas["Closing"]>[] = [
  { head: "Month", cell: (one) => one.month },
  { head: "Closed", cell: (one) => <Time iso={one.closed_at} /> },
  { head: "Invoices", isNumber: true, cell: (one) => count(one.invoice_count) },
  { head: "Total", isNumber: true, cell: (one) => usd(one.total_micro_usd) },
  { head: "Last entry", isNumber: true, cell: (one) => count(one.entry_number) },
];

function Closed() {
  const months = api.useQuery("get", "/gw/v1/billing/months");
  return (
    <Card title="Closed months">
      <Answer query={months} what="months">
        {({ items }) => (
          <Table
            label="Closed months"
            columns={CLOSED}
            rows={items}
            rowKey={(one) => one.month}
            empty={
              <Empty title="No month is closed yet">Plan one above to see what it bills.</Empty>
            }
          />
        )}
      </Answer>
    </Card>
  );
}
