/** Where GPU-hours went, and what they brought: in percent and in dollars. */
import { useMemo, useState } from "react";
import { api, type Schemas } from "../../api/client";
import { Card, Empty, Figure, Loading, Page } from "../../ui/basics";
import { Chart } from "../../ui/chart";
import { SelectField } from "../../ui/fields";
import { count, usd } from "../../ui/format";
import { ProblemNote } from "../../ui/problem";
import { type Column, Table } from "../../ui/table";

type Row = Schemas["UtilisationRow"];
type State = Schemas["StateHours"]["state"];

const DAYS = [
  { value: "1", label: "The last day" },
  { value: "7", label: "The last 7 days" },
  { value: "30", label: "The last 30 days" },
];
const STATES: Record<State, string> = {
  billed: "Billed",
  kept: "Kept for growth",
  held: "Held, not billed",
  cleaning: "Cleaning",
  broken: "Out of service",
  stranded: "Stranded",
  idle: "Idle",
};
const DAY_MS = 86_400_000;

export const percent = (share: number): string => `${(100 * share).toFixed(1)}%`;
const dollars = (value: number): string => `$${value.toFixed(2)}`;

export default function Utilisation() {
  const [days, setDays] = useState("1");
  // One moment for all queries of the page, so that their sums agree.
  const to_ms = useMemo(() => Date.now(), []);
  const span = { from_ms: to_ms - Number(days) * DAY_MS, to_ms };
  const all = api.useQuery("get", "/gw/v1/utilisation", { params: { query: span } });
  const hours = api.useQuery("get", "/gw/v1/utilisation", {
    params: { query: { ...span, by: "hour" } },
  });
  const types = api.useQuery("get", "/gw/v1/utilisation", {
    params: { query: { ...span, by: "type" } },
  });
  const total = all.data?.rows[0];
  return (
    <Page title="Utilisation" lead="Where GPU-hours went, and what they brought.">
      <div className="form-row">
        <SelectField label="Time" value={days} options={DAYS} onChange={setDays} />
      </div>
      {all.error ? (
        <ProblemNote error={all.error} retry={() => void all.refetch()} />
      ) : all.isPending ? (
        <Loading what="utilisation" />
      ) : !total ? (
        <Empty title="Nothing was measured yet">
          The first numbers are there when the service has run for a while.
        </Empty>
      ) : (
        <>
          <Figures row={total} />
          <Card title="Hour by hour">
            {hours.data ? <Hours rows={hours.data.rows} /> : <Loading what="hours" />}
          </Card>
          <Card title="Where the GPU-hours went">
            <States row={total} />
          </Card>
          <Card title="By type of GPU">
            {types.data ? <Types rows={types.data.rows} /> : <Loading what="types" />}
          </Card>
        </>
      )}
    </Page>
  );
}

function Figures({ row }: { row: Row }) {
  return (
    <div className="figures">
      <Figure name="Paid GPU-hours" value={percent(row.paid_share)} more="of all that there were" />
      <Figure
        name="In dollars"
        value={percent(row.dollar_share)}
        more="of what list price brings"
      />
      <Figure name="Revenue" value={usd(row.revenue_micro_usd)} />
      <Figure
        name="Revenue per GPU-hour"
        value={dollars(row.revenue_usd_per_gpu_hour)}
        more={`costs ${dollars(row.cost_usd_per_gpu_hour)}`}
      />
      <Figure
        name="One more point"
        value={usd(row.point_micro_usd)}
        more="if 1% more had been sold"
      />
    </div>
  );
}

const clock = new Intl.DateTimeFormat(undefined, {
  day: "numeric",
  month: "short",
  hour: "2-digit",
  minute: "2-digit",
});

function Hours({ rows }: { rows: readonly Row[] }) {
  const option = useMemo(
    () => ({
      xAxis: { type: "category", data: rows.map((row) => clock.format(Number(row.key))) },
      yAxis: { type: "value", min: 0, max: 100, axisLabel: { formatter: "{value}%" } },
      series: [
        line(
          "Used",
          rows.map((row) => row.used_share),
        ),
        line(
          "Paid",
          rows.map((row) => row.paid_share),
        ),
        line(
          "In dollars",
          rows.map((row) => row.dollar_share),
        ),
      ],
    }),
    [rows],
  );
  return (
    <Chart
      label="Used, paid and dollar share of the fleet by hour, in percent"
      option={option}
      table={
        <Shares label="Shares by hour" rows={rows} name={(row) => clock.format(Number(row.key))} />
      }
    />
  );
}

function line(name: string, shares: number[]) {
  const data = shares.map((share) => Math.round(1000 * share) / 10);
  return { name, type: "line", step: "end", showSymbol: data.length < 3, data };
}

interface SharesProps {
  label: string;
  rows: readonly Row[];
  name: (row: Row) => string;
}

function Shares({ label, rows, name }: SharesProps) {
  const columns: Column<Row>[] = [
    { head: "Of", cell: name },
    { head: "Used", isNumber: true, cell: (row) => percent(row.used_share) },
    { head: "Paid", isNumber: true, cell: (row) => percent(row.paid_share) },
    { head: "In dollars", isNumber: true, cell: (row) => percent(row.dollar_share) },
    { head: "Revenue", isNumber: true, cell: (row) => usd(row.revenue_micro_usd) },
    {
      head: "Per GPU-hour",
      isNumber: true,
      cell: (row) =>
        `${dollars(row.revenue_usd_per_gpu_hour)} for ${dollars(row.cost_usd_per_gpu_hour)}`,
    },
  ];
  return <Table label={label} columns={columns} rows={rows} rowKey={(row) => row.key} />;
}

function Types({ rows }: { rows: readonly Row[] }) {
  return <Shares label="Shares by type" rows={rows} name={(row) => row.key} />;
}

function States({ row }: { row: Row }) {
  const columns: Column<Schemas["StateHours"]>[] = [
    { head: "State", cell: (one) => STATES[one.state] },
    { head: "GPU-hours", isNumber: true, cell: (one) => count(one.gpu_hours) },
    {
      head: "Share",
      isNumber: true,
      cell: (one) =>
        percent(row.capacity_gpu_hours > 0 ? one.gpu_hours / row.capacity_gpu_hours : 0),
    },
    { head: "At list price", isNumber: true, cell: (one) => usd(one.list_value_micro_usd) },
  ];
  return (
    <Table
      label="GPU-hours by state"
      columns={columns}
      rows={row.states}
      rowKey={(one) => one.state}
    />
  );
}
