/** Revenue, cost and margin: of each GPU-hour that there was, by type, by site and by the hour. */
import { useMemo, useState } from "react";
import { api, type Schemas } from "../../api/client";
import { Answer } from "../../ui/answer";
import { Card, Empty, Figure, Note, Page } from "../../ui/basics";
import { Chart } from "../../ui/chart";
import { SelectField } from "../../ui/fields";
import { count, usd, words } from "../../ui/format";
import { type Column, Table } from "../../ui/table";

type Row = Schemas["UtilisationRow"];
type By = Schemas["Utilisation"]["by"];

const DAY_MS = 86_400_000;
const TIMES = [
  { value: "day", label: "The last day" },
  { value: "week", label: "The last 7 days" },
  { value: "month", label: "This month" },
  { value: "before", label: "Last month" },
];

/** From when to when; months are of UTC, as in the books. */
function spanOf(time: string, nowMs: number): { from_ms: number; to_ms: number } {
  const now = new Date(nowMs);
  const month = Date.UTC(now.getUTCFullYear(), now.getUTCMonth());
  if (time === "month") return { from_ms: month, to_ms: nowMs };
  if (time === "before") {
    return { from_ms: Date.UTC(now.getUTCFullYear(), now.getUTCMonth() - 1), to_ms: month };
  }
  return { from_ms: nowMs - (time === "week" ? 7 : 1) * DAY_MS, to_ms: nowMs };
}

/** What the GPU-hours of a row cost, in micro-USD. */
const costOf = (row: Row): number => row.cost_usd_per_gpu_hour * row.capacity_gpu_hours * 1e6;
const marginOf = (row: Row): number => row.revenue_micro_usd - costOf(row);

const soldHours = (row: Row): number =>
  row.states
    .filter(({ state }) => state === "billed" || state === "kept")
    .reduce((sum, one) => sum + one.gpu_hours, 0);

/** "−$3.20" with a sign that reads as one. */
function signed(amount: number, form: (value: number) => string): string {
  return `${amount < 0 ? "−" : ""}${form(Math.abs(amount))}`;
}

const perHour = (dollars: number): string => signed(dollars, (value) => usd(value * 1e6));

function useRows(by: By, span: { from_ms: number; to_ms: number }) {
  return api.useQuery(
    "get",
    "/gw/v1/utilisation",
    { params: { query: { ...span, by } } },
    { staleTime: 60_000 },
  );
}

export default function Margin() {
  const [time, setTime] = useState("day");
  // One moment for all questions of the page, so that their sums agree.
  const [nowMs] = useState(() => Date.now());
  const span = spanOf(time, nowMs);
  const all = useRows("all", span);
  return (
    <Page
      title="Revenue and margin"
      lead="What GPU-hours brought and what they cost, sold or not. Usage that is not billed yet counts too."
    >
      <div className="form-row">
        <SelectField label="Time" value={time} options={TIMES} onChange={setTime} />
      </div>
      <Answer query={all} what="revenue">
        {({ rows: [total] }) =>
          total ? (
            <>
              <Totals row={total} />
              <Group by="type" span={span} title="By type of GPU" head="Type" />
              <Group by="site" span={span} title="By site" head="Site" />
              <Terms span={span} />
            </>
          ) : (
            <Empty title="Nothing was measured yet">
              Numbers are there when the service has run for a while in the time that is chosen.
            </Empty>
          )
        }
      </Answer>
      <Note title="Where the cost comes from">
        <p>
          It is the accounting cost of a GPU-hour by the model's inputs: hardware over its life,
          building, power and staff, and the energy of those that were used.{" "}
          <code>gw economics gpu-hour</code> shows what it is made of. It is a model's figure, not
          one of the books.
        </p>
      </Note>
    </Page>
  );
}

function Totals({ row }: { row: Row }) {
  const [revenue, cost] = [row.revenue_micro_usd, costOf(row)];
  const margin = revenue - cost;
  return (
    <div className="figures">
      <Figure
        name="Revenue"
        value={usd(revenue)}
        more={`${usd(row.revenue_usd_per_gpu_hour * 1e6)} per GPU-hour that there was`}
      />
      <Figure
        name="Cost"
        value={usd(cost)}
        more={`${usd(row.cost_usd_per_gpu_hour * 1e6)} per GPU-hour that there was`}
      />
      <Figure
        name="Margin"
        value={signed(margin, usd)}
        more={margin < 0 ? "a loss" : `${(100 * (margin / revenue)).toFixed(0)}% of revenue`}
      />
      <Figure
        name="Sold"
        value={`${(100 * row.paid_share).toFixed(1)}%`}
        more={`of ${count(row.capacity_gpu_hours)} GPU-hours`}
      />
    </div>
  );
}

interface GroupProps {
  by: By;
  span: { from_ms: number; to_ms: number };
  title: string;
  head: string;
}

function Group({ by, span, title, head }: GroupProps) {
  const found = useRows(by, span);
  return (
    <Card title={title}>
      <Answer query={found} what={head.toLowerCase()}>
        {({ rows }) => <Rows label={title} head={head} rows={rows} />}
      </Answer>
    </Card>
  );
}

function Rows({ label, head, rows }: { label: string; head: string; rows: readonly Row[] }) {
  const columns: Column<Row>[] = [
    { head, cell: (row) => row.key, sortBy: (row) => row.key },
    {
      head: "Sold",
      isNumber: true,
      cell: (row) => `${(100 * row.paid_share).toFixed(1)}%`,
      sortBy: (row) => row.paid_share,
    },
    {
      head: "Revenue",
      isNumber: true,
      cell: (row) => usd(row.revenue_micro_usd),
      sortBy: (row) => row.revenue_micro_usd,
    },
    { head: "Cost", isNumber: true, cell: (row) => usd(costOf(row)), sortBy: costOf },
    {
      head: "Margin",
      isNumber: true,
      cell: (row) => signed(marginOf(row), usd),
      sortBy: marginOf,
    },
    {
      head: "Per GPU-hour",
      isNumber: true,
      cell: (row) => usd(row.revenue_usd_per_gpu_hour * 1e6),
      sortBy: (row) => row.revenue_usd_per_gpu_hour,
    },
    {
      head: "Margin per GPU-hour",
      isNumber: true,
      cell: (row) => perHour(row.revenue_usd_per_gpu_hour - row.cost_usd_per_gpu_hour),
      sortBy: (row) => row.revenue_usd_per_gpu_hour - row.cost_usd_per_gpu_hour,
    },
  ];
  return (
    <>
      {rows.length > 1 && <Bars label={label} rows={rows} />}
      <Table label={label} columns={columns} rows={rows} rowKey={(row) => row.key} />
    </>
  );
}

/** Revenue and cost of a GPU-hour side by side: where the left bar is lower, it is a loss. */
function Bars({ label, rows }: { label: string; rows: readonly Row[] }) {
  const option = useMemo(() => {
    const values = (pick: (row: Row) => number): number[] =>
      rows.map((row) => Math.round(1e4 * pick(row)) / 1e4);
    return {
      xAxis: { type: "category", data: rows.map((row) => row.key) },
      yAxis: {
        type: "value",
        min: 0,
        axisLabel: { formatter: (value: number) => usd(value * 1e6) },
      },
      series: [
        {
          name: "Revenue per GPU-hour",
          type: "bar",
          barMaxWidth: 48,
          data: values((row) => row.revenue_usd_per_gpu_hour),
        },
        {
          name: "Cost per GPU-hour",
          type: "bar",
          barMaxWidth: 48,
          data: values((row) => row.cost_usd_per_gpu_hour),
        },
      ],
    };
  }, [rows]);
  return <Chart label={`${label}: revenue and cost of a GPU-hour`} option={option} height="low" />;
}

const TERMS: Column<Row>[] = [
  { head: "Term", cell: (row) => words(row.key) },
  { head: "GPU-hours sold", isNumber: true, cell: (row) => count(soldHours(row)) },
  { head: "Revenue", isNumber: true, cell: (row) => usd(row.revenue_micro_usd) },
  {
    head: "A GPU-hour sold",
    isNumber: true,
    cell: (row) => {
      const hours = soldHours(row);
      return hours > 0 ? usd(row.revenue_micro_usd / hours) : "none sold";
    },
  },
];

function Terms({ span }: { span: GroupProps["span"] }) {
  const found = useRows("term", span);
  return (
    <Card title="By term">
      <Answer query={found} what="terms">
        {({ rows }) => (
          <Table
            label="By term"
            columns={TERMS}
            rows={rows.filter((row) => row.key !== "unsold")}
            rowKey={(row) => row.key}
            empty={<p className="faint">Nothing was sold in that time.</p>}
          />
        )}
      </Answer>
    </Card>
  );
}
