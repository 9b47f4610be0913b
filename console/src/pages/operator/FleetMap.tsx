/** The floor on one screen: every GPU by hall, row and rack, as it is now. */
import { useEffect, useMemo, useState } from "react";
import { Link, useLocation, useSearch } from "wouter";
import { api } from "../../api/client";
import { useProjectName } from "../../api/lists";
import { Card, Facts, Figure, Loading, Page, Status, type StatusKind } from "../../ui/basics";
import { SelectField } from "../../ui/fields";
import { count } from "../../ui/format";
import { ProblemNote } from "../../ui/problem";
import { type Column, Table } from "../../ui/table";
import { BY, type By, keyOf, legendOf, projectsOf, RULE } from "./map/colours";
import { type Cells, type Floor, floorOf, type Places, SERVICE } from "./map/floor";
import { Legend } from "./map/Legend";
import { MapCanvas } from "./map/MapCanvas";
import { Sources } from "./Sources";

const PLACES = { params: { query: { with_places: true } } };
/** What GPUs report is read by the server every 15 s. */
const REPORT_MS = 15_000;
const NOW = { params: { query: { with_places: false } } };

export default function FleetMap() {
  // Places are asked for once; afterwards only who holds what.
  const [places, setPlaces] = useState<Places | null>(null);
  const first = api.useQuery("get", "/gw/v1/fleet/cells", PLACES, { enabled: places === null });
  useEffect(() => {
    if (first.data?.places && !places) setPlaces(first.data.places);
  }, [first.data, places]);
  const now = api.useQuery("get", "/gw/v1/fleet/cells", NOW, { enabled: places !== null });
  const cells = now.data ?? first.data;
  return (
    <Page title="Fleet map" lead="Every GPU by hall, row and rack. Choose a node to open it.">
      {first.error ? (
        <ProblemNote error={first.error} retry={() => void first.refetch()} />
      ) : places && cells ? (
        <Shown places={places} cells={cells} />
      ) : (
        <Loading what="the fleet" />
      )}
    </Page>
  );
}

function Shown({ places, cells }: { places: Places; cells: Cells }) {
  const { by, choose } = useBy();
  const [chosen, setChosen] = useState(-1);
  const [sought, seek] = useState("");
  const [, go] = useLocation();
  const projectName = useProjectName();
  const floor = useMemo(() => floorOf(places), [places]);
  const said = useReported(by);
  const legend = legendOf(by, projectsOf({ ...floor, cells }), projectName);
  const only = legend.findIndex((swatch) => keyOf(swatch) === sought);
  const totals = totalsOf(places, cells);
  const idOf = (node: number): string => places.node_ids[node] ?? "";
  return (
    <>
      <div className="figures">
        <Figure name="GPUs" value={count(totals.gpus)} more={`on ${count(totals.nodes)} nodes`} />
        <Figure name="Held" value={count(totals.held)} more={share(totals.held, totals.gpus)} />
        <Figure name="Drained" value={count(cells.drained_node.length)} more="nodes" />
        <Figure name="Quarantined" value={count(cells.quarantined_node.length)} more="nodes" />
      </div>
      <Card>
        <div className="map-head">
          <SelectField
            label="Colour by"
            value={by}
            options={BY}
            onChange={(value) => {
              seek("");
              choose(value as By);
            }}
          />
          <Legend
            legend={legend}
            only={only}
            onOnly={(swatch) => seek(swatch ? keyOf(swatch) : "")}
          />
        </div>
        {RULE[by] && <p className="faint">{RULE[by]}</p>}
        {by !== "power-max" && said.source && <Sources source={said.source} />}
        <MapCanvas
          floor={floor}
          cells={cells}
          by={by}
          said={said}
          only={only}
          chosen={chosen}
          onChoose={setChosen}
          onOpen={(node) => go(`/nodes/${idOf(node)}`)}
          describe={(node) => sentenceOf(places, cells, node)}
        />
        {chosen >= 0 && <Chosen floor={floor} cells={cells} node={chosen} />}
      </Card>
      <Card title="Racks">
        <RackTable places={places} cells={cells} />
      </Card>
    </>
  );
}

/** The colouring stands in the address, so that it can be sent to somebody. */
function useBy(): { by: By; choose: (by: By) => void } {
  const [path, go] = useLocation();
  const asked = new URLSearchParams(useSearch()).get("by");
  const by = BY.find(({ value }) => value === asked)?.value ?? "state";
  return { by, choose: (next) => go(`${path}?by=${next}`, { replace: true }) };
}

/** What GPUs report, while it is looked at. */
function useReported(by: By) {
  const isPower = by === "power" || by === "power-max";
  const load = api.useQuery(
    "get",
    "/gw/v1/fleet/load",
    {},
    { enabled: by === "load", refetchInterval: REPORT_MS },
  );
  const power = api.useQuery(
    "get",
    "/gw/v1/fleet/power",
    {},
    { enabled: isPower, refetchInterval: REPORT_MS },
  );
  const source = by === "load" ? load.data?.source : isPower ? power.data?.source : undefined;
  return { load: load.data, power: power.data, source };
}

function share(part: number, all: number): string {
  return `${all > 0 ? ((100 * part) / all).toFixed(1) : "0"}% of all`;
}

function bits(mask: number): number {
  let found = 0;
  for (let rest = mask; rest > 0; rest >>= 1) found += rest & 1;
  return found;
}

function totalsOf(places: Places, cells: Cells) {
  return {
    nodes: places.node_ids.length,
    gpus: places.node_gpu_count.reduce((sum, gpus) => sum + gpus, 0),
    held: cells.held_gpu_mask.reduce((sum, mask) => sum + bits(mask), 0),
  };
}

function serviceOf(cells: Cells, node: number): (typeof SERVICE)[number] {
  if (cells.quarantined_node.includes(node)) return "quarantined";
  return cells.drained_node.includes(node) ? "drained" : "available";
}

const KIND: Record<(typeof SERVICE)[number], StatusKind> = {
  available: "good",
  drained: "warn",
  quarantined: "bad",
};

function holdersOf(cells: Cells, node: number): { id: string; name: string; gpus: number }[] {
  return cells.held_node.flatMap((held, row) => {
    const by = cells.held_by[row] ?? 0;
    const id = cells.cluster_ids[by] ?? "";
    const name = cells.cluster_names[by] || id;
    return held === node ? [{ id, name, gpus: bits(cells.held_gpu_mask[row] ?? 0) }] : [];
  });
}

function placeOf(places: Places, node: number): string {
  const rack = places.node_rack[node] ?? 0;
  const hall = places.hall_ids[places.rack_hall[rack] ?? 0];
  return `hall ${hall}, row ${places.rack_row[rack]}, rack ${places.rack_ids[rack]}`;
}

function sentenceOf(places: Places, cells: Cells, node: number): string {
  const holders = holdersOf(cells, node).map(({ name, gpus }) => `${name} holds ${gpus}`);
  const held = holders.length > 0 ? holders.join(", ") : "free";
  return `${places.node_ids[node]}, ${serviceOf(cells, node)}, ${held}, ${placeOf(places, node)}`;
}

function Chosen({ floor, cells, node }: { floor: Floor; cells: Cells; node: number }) {
  const { places } = floor;
  const state = serviceOf(cells, node);
  const holders = holdersOf(cells, node);
  const id = places.node_ids[node] ?? "";
  return (
    <Facts
      facts={[
        [
          "Node",
          <Link key={id} href={`/nodes/${id}`}>
            {id}
          </Link>,
        ],
        [
          "State",
          <Status key={state} kind={KIND[state]}>
            {state}
          </Status>,
        ],
        [
          "Held by",
          holders.length === 0
            ? "nobody"
            : holders.map(({ id: cluster, name, gpus }) => (
                <span key={cluster}>
                  <Link href={`/clusters/${cluster}`}>{name}</Link> ({gpus} GPUs){" "}
                </span>
              )),
        ],
        ["Place", placeOf(places, node)],
      ]}
    />
  );
}

interface Rack {
  id: string;
  hall: string;
  row: number;
  nodes: number;
  gpus: number;
  held: number;
  worst: number;
}

/** The same as a table: racks, the worst first. */
function RackTable({ places, cells }: { places: Places; cells: Cells }) {
  const racks = useMemo(() => racksOf(places, cells), [places, cells]);
  const columns: Column<Rack>[] = [
    {
      head: "Rack",
      cell: (one) => <Link href={`/nodes?rack=${one.id}`}>{one.id}</Link>,
      sortBy: (one) => one.id,
    },
    { head: "Hall", cell: (one) => one.hall, sortBy: (one) => one.hall },
    { head: "Row", isNumber: true, cell: (one) => one.row, sortBy: (one) => one.row },
    { head: "Nodes", isNumber: true, cell: (one) => one.nodes, sortBy: (one) => one.nodes },
    {
      head: "GPUs held",
      isNumber: true,
      cell: (one) => `${one.held} of ${one.gpus}`,
      sortBy: (one) => one.held,
    },
    {
      head: "Worst node",
      cell: (one) => {
        const state = SERVICE[one.worst] ?? "available";
        return <Status kind={KIND[state]}>{state}</Status>;
      },
      sortBy: (one) => -one.worst,
    },
  ];
  return <Table label="Racks" columns={columns} rows={racks} rowKey={(one) => one.id} shown={25} />;
}

function racksOf(places: Places, cells: Cells): Rack[] {
  const racks = places.rack_ids.map(
    (id, row): Rack => ({
      id,
      hall: places.hall_ids[places.rack_hall[row] ?? 0] ?? "",
      row: places.rack_row[row] ?? 0,
      nodes: 0,
      gpus: 0,
      held: 0,
      worst: 0,
    }),
  );
  const of = (node: number): Rack | undefined => racks[places.node_rack[node] ?? 0];
  places.node_gpu_count.forEach((gpus, node) => {
    const rack = of(node);
    if (rack) [rack.nodes, rack.gpus] = [rack.nodes + 1, rack.gpus + gpus];
  });
  cells.held_node.forEach((node, row) => {
    const rack = of(node);
    if (rack) rack.held += bits(cells.held_gpu_mask[row] ?? 0);
  });
  for (const [worst, nodes] of [cells.drained_node, cells.quarantined_node].entries()) {
    for (const node of nodes) {
      const rack = of(node);
      if (rack) rack.worst = Math.max(rack.worst, worst + 1);
    }
  }
  return racks.sort((a, b) => b.worst - a.worst);
}
