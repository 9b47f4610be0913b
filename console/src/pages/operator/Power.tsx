/** Power by feed and rack: what each may give, what may be drawn, and what GPUs say they draw. */
import { Link, useLocation, useSearch } from "wouter";
import { api, type Schemas } from "../../api/client";
import { Button, Card, Empty, Figure, LinkButton, Loading, Page, Status } from "../../ui/basics";
import { count, power } from "../../ui/format";
import { ProblemNote } from "../../ui/problem";
import { type Column, Table } from "../../ui/table";
import { Sources } from "./Sources";

type Feed = Schemas["FeedPower"];
/** What feeds and racks have in common. */
type Place = Omit<Feed, "site_id" | "rack_count">;
type Rack = Schemas["RackPower"];

/** From this share of a limit on, what GPUs report is worth a look. */
const NEAR = 0.9;
/** Sums of floats that are exactly the limit are not above it. */
const ABOVE = 1 + 1e-9;
const ASK_MS = 15_000;

export default function Power() {
  const asked = api.useQuery("get", "/gw/v1/fleet/power", {}, { refetchInterval: ASK_MS });
  return (
    <Page
      title="Power"
      lead="Every feed and rack against its limit, the fullest first."
      actions={<LinkButton href="/fleet?by=power-max">On the map</LinkButton>}
    >
      {asked.error ? (
        <ProblemNote error={asked.error} retry={() => void asked.refetch()} />
      ) : asked.data ? (
        <Shown found={asked.data} />
      ) : (
        <Loading what="power" />
      )}
    </Page>
  );
}

function Shown({ found }: { found: Schemas["FleetPower"] }) {
  const [path, go] = useLocation();
  const feed = new URLSearchParams(useSearch()).get("feed");
  const feeds = [...found.feeds].sort(byFullness);
  const racks = found.racks.filter((rack) => !feed || rack.feed_id === feed).sort(byFullness);
  return (
    <>
      <Figures found={found} />
      <Card title="Feeds">
        <p className="faint">
          A limit is the fleet's; what a node may draw at full load is that of its type. The wide
          bar is what held nodes may draw, the narrow one what GPUs report: their own draw alone,
          with fans, CPUs, NICs and losses of their nodes left out.
        </p>
        <Table
          label="Feeds"
          columns={FEEDS}
          rows={feeds}
          rowKey={(one) => one.id}
          empty={<Empty title="This fleet has no power feeds">Name them in its file.</Empty>}
        />
        <Sources source={found.source} />
      </Card>
      <Card
        title={feed ? `Racks on ${feed}` : "Racks"}
        actions={feed && <Button onClick={() => go(path)}>All racks</Button>}
      >
        <Table
          label="Racks"
          columns={RACKS}
          rows={racks}
          rowKey={(one) => one.id}
          shown={25}
          empty={<Empty title="No rack is on this feed">Choose another feed.</Empty>}
        />
      </Card>
    </>
  );
}

function Figures({ found }: { found: Schemas["FleetPower"] }) {
  const sum = (of: (one: Feed) => number): number =>
    found.feeds.reduce((all, one) => all + of(one), 0);
  const limit = sum((one) => one.limit_w);
  const held = sum((one) => one.held_w_max);
  const isReported = found.source.reporting_gpu_count > 0;
  const over = found.feeds.filter((one) => one.held_w_max / one.limit_w > ABOVE).length;
  return (
    <div className="figures">
      <Figure name="Limit of all feeds" value={power(limit)} />
      <Figure name="Held nodes may draw" value={power(held)} more={share(held, limit)} />
      <Figure
        name="GPUs report"
        value={isReported ? power(sum((one) => one.gpu_w ?? 0)) : "no data"}
        more={
          isReported
            ? `${count(found.source.reporting_gpu_count)} of ${count(sum((one) => one.gpu_count))} GPUs`
            : "no source says"
        }
      />
      <Figure
        name="Feeds that may exceed it"
        value={count(over)}
        more="if what is held ran at full load"
      />
    </div>
  );
}

const share = (part: number, all: number): string =>
  `${all > 0 ? ((100 * part) / all).toFixed(1) : "0"}% of the limit`;

/** The larger of what may be drawn by what is held, and what is reported. */
function fullness(one: Place): number {
  return Math.max(one.held_w_max, one.gpu_w ?? 0) / one.limit_w;
}

function byFullness(a: Place, b: Place): number {
  return fullness(b) - fullness(a) || a.id.localeCompare(b.id, undefined, { numeric: true });
}

/** What is held may all run at full load at once, so that is what a limit must bear. */
function stateOf(one: Place): { kind: "good" | "warn" | "bad"; word: string } {
  if (fullness(one) > ABOVE) return { kind: "bad", word: "may exceed its limit" };
  if ((one.gpu_w ?? 0) / one.limit_w >= NEAR) return { kind: "warn", word: "near it now" };
  if (one.all_w_max / one.limit_w > ABOVE) {
    return { kind: "warn", word: "too small for all its nodes" };
  }
  return { kind: "good", word: "within its limit" };
}

function Gauge({ one }: { one: Place }) {
  const kind = fullness(one) > ABOVE ? "above" : "";
  const wide = (watts: number): string => `${Math.min(100, (100 * watts) / one.limit_w)}%`;
  return (
    <span className={`gauge ${kind}`}>
      <span className="gauge-track" aria-hidden>
        <span className="gauge-fill" style={{ width: wide(one.held_w_max) }} />
        {one.gpu_w != null && (
          <span className="gauge-fill measured" style={{ width: wide(one.gpu_w) }} />
        )}
      </span>
      {`${((100 * one.held_w_max) / one.limit_w).toFixed(0)}%`}
    </span>
  );
}

function common<Row extends Place>(): Column<Row>[] {
  return [
    {
      head: "State",
      cell: (one) => <Status kind={stateOf(one).kind}>{stateOf(one).word}</Status>,
      sortBy: fullness,
    },
    {
      head: "Limit",
      isNumber: true,
      cell: (one) => power(one.limit_w),
      sortBy: (one) => one.limit_w,
    },
    {
      head: "Held may draw",
      isNumber: true,
      cell: (one) => power(one.held_w_max),
      sortBy: (one) => one.held_w_max,
    },
    { head: "Of the limit", isTight: true, cell: (one) => <Gauge one={one} />, sortBy: fullness },
    {
      head: "GPUs report",
      isNumber: true,
      cell: (one) => (one.gpu_w == null ? "no data" : power(one.gpu_w)),
      sortBy: (one) => one.gpu_w ?? -1,
    },
    {
      head: "Nodes",
      isNumber: true,
      cell: (one) => count(one.node_count),
      sortBy: (one) => one.node_count,
    },
  ];
}

const FEEDS: Column<Feed>[] = [
  {
    head: "Feed",
    isTight: true,
    cell: (one) => <Link href={`/power?feed=${encodeURIComponent(one.id)}`}>{one.id}</Link>,
    sortBy: (one) => one.id,
  },
  { head: "Site", isTight: true, cell: (one) => one.site_id, sortBy: (one) => one.site_id },
  ...common<Feed>(),
  {
    head: "All may draw",
    isNumber: true,
    cell: (one) => power(one.all_w_max),
    sortBy: (one) => one.all_w_max,
  },
];

const RACKS: Column<Rack>[] = [
  {
    head: "Rack",
    isTight: true,
    cell: (one) => <Link href={`/nodes?rack=${encodeURIComponent(one.id)}`}>{one.id}</Link>,
    sortBy: (one) => one.id,
  },
  { head: "Feed", isTight: true, cell: (one) => one.feed_id, sortBy: (one) => one.feed_id },
  { head: "Hall", isTight: true, cell: (one) => one.hall_id, sortBy: (one) => one.hall_id },
  ...common<Rack>(),
];
