/** What providers sent to our bank, and what they still have of ours. */
import { useQueryClient } from "@tanstack/react-query";
import { api, type Schemas } from "../../../api/client";
import { refresh } from "../../../api/live";
import { Button, Card, Status, Time } from "../../../ui/basics";
import { counted, usd } from "../../../ui/format";
import { ProblemNote, sentence } from "../../../ui/problem";
import { type Column, Table } from "../../../ui/table";

type Payout = Schemas["Payout"];

const COLUMNS: Column<Payout>[] = [
  { head: "Payout", cell: (one) => <code>{one.id}</code> },
  { head: "Made", isTight: true, cell: (one) => <Time iso={one.made_at} />, sortBy: madeAt },
  { head: "Payments", isNumber: true, cell: (one) => counted(one.line_count, "line") },
  { head: "Fees", isNumber: true, cell: (one) => usd(one.fee_micro_usd) },
  { head: "To the bank", isNumber: true, cell: (one) => usd(one.amount_micro_usd) },
  { head: "State", cell: (one) => <State payout={one} /> },
];

function madeAt(one: Payout): string {
  return one.made_at;
}

/** Entered, or held with the reason; a payout that the bank gave back is a failed one. */
function State({ payout }: { payout: Payout }) {
  const isEntered = payout.verdict === "entered";
  const said = payout.state === "failed" ? `failed, ${payout.verdict}` : payout.verdict;
  return (
    <>
      <Status kind={payout.state === "failed" ? "bad" : isEntered ? "good" : "warn"}>{said}</Status>
      {payout.reason && <div className="faint small long">{sentence(payout.reason)}</div>}
    </>
  );
}

/** Nothing where no provider takes payments. */
export function Payouts() {
  const queries = useQueryClient();
  const found = api.useQuery("get", "/gw/v1/payouts", { params: { query: { limit: 100 } } });
  const ask = api.useMutation("post", "/gw/v1/payouts:refresh", {
    onSuccess: () => refresh(queries, ["/gw/v1/payouts"]),
  });
  if (!found.data || (found.data.items.length === 0 && found.data.clearing_micro_usd === 0)) {
    return found.error ? <ProblemNote error={found.error} /> : null;
  }
  return (
    <Card
      title="What providers paid out"
      actions={
        <Button busy={ask.isPending && "Asking …"} onClick={() => ask.mutate({})}>
          Ask now
        </Button>
      }
    >
      <p>
        {usd(found.data.clearing_micro_usd)} are still with them. What is held fits no payment of
        the books: nothing of it was entered, and it is compared again every hour.
      </p>
      {ask.error && <ProblemNote error={ask.error} />}
      <Table
        label="Payouts"
        columns={COLUMNS}
        rows={found.data.items}
        rowKey={(one) => one.id}
        empty={<p className="faint">They have paid nothing out yet.</p>}
      />
    </Card>
  );
}
