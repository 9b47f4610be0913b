/** When so many GPUs could start: free ones over time, with what is promised to others. */
import { useMemo } from "react";
import { api, type Schemas } from "../../../api/client";
import { Button } from "../../../ui/basics";
import { Chart } from "../../../ui/chart";
import { at, count, counted } from "../../../ui/format";
import { type Column, Table } from "../../../ui/table";
import type { ReservationWish } from "../Reserve";

type Capacity = Schemas["Capacity"];
type Window = Schemas["CapacityWindow"];

const MONTH_H = 720;

interface RoomProps {
  wish: ReservationWish;
  beginAt: (iso: string) => void;
}

export function Room({ wish, beginAt }: RoomProps) {
  const found = api.useQuery(
    "get",
    "/gw/v1/capacity",
    {
      params: {
        query: {
          gpus: wish.gpu_count,
          gpu_type: wish.gpu_type,
          hours: wish.months ? wish.months * MONTH_H : (wish.hours ?? 1),
          site_id: wish.site_ids?.[0],
        },
      },
    },
    { retry: false },
  );
  if (!found.data) return null;
  const { starts_at } = found.data;
  const isLater = starts_at !== null && Date.parse(starts_at) > Date.now() + 60_000;
  return (
    <div className="stack">
      <h3>When there is room</h3>
      <p>
        {starts_at === null
          ? `There is no moment at which ${counted(wish.gpu_count, "GPU")} are free for so long.`
          : isLater
            ? `${counted(wish.gpu_count, "GPU")} are free for so long from ${at(starts_at)} on.`
            : `${counted(wish.gpu_count, "GPU")} are free for so long from now on.`}
      </p>
      {isLater && starts_at !== null && (
        <div>
          <Button onClick={() => beginAt(starts_at)}>Begin then</Button>
        </div>
      )}
      {found.data.windows.length > 1 && <Windows capacity={found.data} />}
    </div>
  );
}

const COLUMNS: Column<Window>[] = [
  { head: "From", cell: (one) => at(one.from_at) },
  { head: "GPUs free for so long", isNumber: true, cell: (one) => count(one.free_gpu_count) },
];

function Windows({ capacity }: { capacity: Capacity }) {
  const { windows, gpu_count } = capacity;
  const option = useMemo(
    () => ({
      grid: { left: 8, right: 20, top: 16, bottom: 8, containLabel: true },
      legend: { show: false },
      xAxis: { type: "time", axisLabel: { hideOverlap: true } },
      yAxis: { type: "value", min: 0 },
      series: [
        {
          name: "Free",
          type: "line",
          step: "end",
          showSymbol: false,
          areaStyle: { opacity: 0.2 },
          data: windows.map((one) => [one.from_at, one.free_gpu_count]),
          markLine: {
            symbol: "none",
            label: { formatter: "wanted", position: "insideEndTop" },
            data: [{ yAxis: gpu_count }],
          },
        },
      ],
    }),
    [windows, gpu_count],
  );
  return (
    <Chart
      label={`GPUs that are free for so long, by start; ${count(gpu_count)} are wanted`}
      option={option}
      height="low"
      table={
        <Table label="Free by start" columns={COLUMNS} rows={windows} rowKey={(w) => w.from_at} />
      }
    />
  );
}
