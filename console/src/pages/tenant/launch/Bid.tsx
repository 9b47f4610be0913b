/** A bid for spot: what the last rounds cost, what giving back means, and the button. */
import { useMutation } from "@tanstack/react-query";
import { useLocation } from "wouter";
import { api, call, type Problem, type Schemas } from "../../../api/client";
import { Answer } from "../../../ui/answer";
import { Button, Card, Figure, Note, Time } from "../../../ui/basics";
import { count, counted, usdExact, usdPerHour } from "../../../ui/format";
import { ProblemNote } from "../../../ui/problem";
import { type Column, Table } from "../../../ui/table";
import type { Wish } from "./wish";

type Round = Schemas["SpotRound"];

const ROUNDS: Column<Round>[] = [
  { head: "Site", cell: (one) => one.site_id },
  {
    head: "A GPU-hour",
    isNumber: true,
    cell: (one) => usdExact(one.price_micro_usd_per_gpu_hour),
  },
  { head: "Floor", isNumber: true, cell: (one) => usdExact(one.floor_micro_usd_per_gpu_hour) },
  {
    head: "Sold",
    isNumber: true,
    cell: (one) => `${count(one.sold_gpu_count)} of ${count(one.offered_gpu_count)}`,
  },
  { head: "Round", cell: (one) => <Time iso={one.at} /> },
];

export function Bid({ wish, isReady }: { wish: Wish; isReady: boolean }) {
  const rounds = api.useQuery("get", "/gw/v1/spot/prices");
  const most = wish.price_micro_usd_per_gpu_hour_max ?? null;
  return (
    <Card title="Your bid" className="plan-card">
      <div className="figures">
        <Figure
          name="At most"
          value={most === null ? "type a price" : usdPerHour(most * wish.gpu_count)}
          more={
            most === null
              ? "the most that you pay"
              : `${usdExact(most)} a GPU-hour, ${counted(wish.gpu_count, "GPU")}${wish.spare_count ? ", spare nodes beside that" : ""}`
          }
        />
      </div>
      <div className="stack">
        <h3>What rounds cost</h3>
        <Answer query={rounds} what="prices of spot">
          {({ items }) => (
            <Table
              label="Last rounds"
              columns={ROUNDS}
              rows={items.filter((one) => one.gpu_type === wish.gpu_type)}
              rowKey={(one) => `${one.site_id} ${one.gpu_type}`}
              empty={
                <p className="faint">
                  No round was held yet for {wish.gpu_type ?? "these GPUs"}; yours may be the first.
                </p>
              }
            />
          )}
        </Answer>
      </div>
      <Note kind="warn" title="These GPUs may be asked back">
        <p>
          When others need them you get a notice, two minutes before or longer: here under Clusters,
          as an event, and by <code>gw spot notices</code>. Then exactly the nodes that it names are
          taken. Say <code>gw spot saved {wish.name}</code> whenever your work is saved: who loses
          least is asked first.
        </p>
      </Note>
      <Send wish={wish} isReady={isReady && most !== null} />
    </Card>
  );
}

function Send({ wish, isReady }: { wish: Wish; isReady: boolean }) {
  const [, go] = useLocation();
  const bid = useMutation<Schemas["WaitingRequest"], Problem>({
    mutationFn: async () => {
      const { data, error } = await call.POST("/gw/v1/waiting", { body: { cluster: wish } });
      if (error !== undefined) throw error;
      return data;
    },
    onSuccess: () => go("/clusters"),
  });
  return (
    <>
      {bid.error && <ProblemNote error={bid.error} />}
      <Button
        kind="primary"
        className="wide"
        disabled={!isReady}
        busy={bid.isPending && "Bidding …"}
        onClick={() => bid.mutate()}
      >
        Bid for {counted(wish.gpu_count, "GPU")}
      </Button>
      <p className="hint">
        It waits until it wins a round, a week at most; until then it costs nothing and you can
        withdraw it. The cluster keeps the price of the round that it won.
      </p>
    </>
  );
}
