/** What a cell's colour says, by what the reader chose to see. */
import type { Schemas } from "../../../api/client";
import { type Floor, heldCount, isHeld, type Names, STRIDE } from "./floor";

export type By = "state" | "tenant" | "health" | "use" | "load" | "power" | "power-max";

export const BY: readonly { value: By; label: string }[] = [
  { value: "state", label: "State" },
  { value: "tenant", label: "Tenant" },
  { value: "health", label: "Health" },
  { value: "use", label: "Utilisation" },
  { value: "load", label: "GPU load, reported" },
  { value: "power", label: "Power, reported" },
  { value: "power-max", label: "Power, at full load" },
];

/** What colours mean beyond a name: the rule that a legend cannot hold. */
export const RULE: Partial<Record<By, string>> = {
  load: "How busy each GPU says it is. Of a box that is too small for its GPUs, the busiest.",
  power: "What the GPUs of a rack say they draw, as a share of what the rack may draw in all.",
  "power-max":
    "What the held nodes of a rack may draw at full load by the catalogue, as a share of its limit.",
};

export interface Swatch {
  name: string;
  /** A token of `tokens.css`. */
  token: string;
  /** Which pattern lies on it, and in which colour; 0 is none. */
  pattern: number;
  over: string;
}

/** Tells entries of a legend apart; a project may be called as a state is. */
export const keyOf = ({ name, token, pattern, over }: Swatch): string =>
  [name, token, pattern, over].join();

const plain = (name: string, token: string): Swatch => ({ name, token, pattern: 0, over: "card" });

const FREE = plain("Free", "cell-free");
const HELD = plain("Held by a cluster", "series-1");
const DRAINED = plain("Drained", "series-5");
const QUARANTINED = plain("Quarantined", "series-2");
const NO_DATA: Swatch = { ...plain("No data", "cell-free"), pattern: 1 };
/** Colours of tenants: those that say that a node is ill are left out. */
const SERIES = [1, 3, 4, 6, 7].map((number) => `series-${number}`);
/** Patterns beside the plain one; see `isOver`. */
const PATTERNS = 4;

const LOADS = ["Below 5%", "5 to 25%", "25 to 50%", "50 to 75%", "75% and more"];
const LOAD_FROM = [0, 5, 25, 50, 75];
const POWERS = ["Below 25%", "25 to 50%", "50 to 75%", "75 to 90%", "90 to 100%"];
const POWER_FROM = [0, 0.25, 0.5, 0.75, 0.9];
const ABOVE = plain("Above the limit", "series-2");

/**
 * The look of the n-th tenant: five colours plain, the same with four patterns, then patterns in the
 * colour of another. No two of 105 are the same, and none needs more than five colours to be told.
 */
export function lookOfTenant(n: number): Omit<Swatch, "name"> {
  const colour = (row: number): string => SERIES[row % SERIES.length] ?? "series-1";
  const a = n % SERIES.length;
  const round = Math.floor(n / SERIES.length) % (1 + PATTERNS * SERIES.length);
  if (round === 0) return { token: colour(a), pattern: 0, over: "card" };
  const [pattern, shift] = [(round - 1) % PATTERNS, Math.floor((round - 1) / PATTERNS)];
  const over = shift === 0 ? "card" : colour(a + shift);
  return { token: colour(a), pattern: pattern + 1, over };
}

/** Whether a pattern covers a pixel: stripes one way, the other way, dots, and both stripes. */
export function isOver(pattern: number, x: number, y: number): boolean {
  const rising = (x + y) % TILE < TILE / 3;
  const falling = (x - y + TILE) % TILE < TILE / 3;
  if (pattern === 1) return rising;
  if (pattern === 2) return falling;
  if (pattern === 3) return x % TILE < TILE / 2 && y % TILE < TILE / 2;
  return pattern === 4 && (rising || falling);
}

/** Pixels after which a pattern repeats. */
export const TILE = 6;

/** Projects on the floor, in the order of their ids. */
export function projectsOf(floor: Floor): string[] {
  return [...new Set(floor.cells.project_ids)].sort();
}

/** The legend; a cell's colour is a place in it. */
export function legendOf(
  by: By,
  projects: readonly string[],
  name: (id: string) => string,
): Swatch[] {
  if (by === "state") return [FREE, HELD, DRAINED, QUARANTINED];
  if (by === "health") return [plain("In service", "series-3"), DRAINED, QUARANTINED];
  if (by === "use") {
    return [
      FREE,
      plain("A part of the node is held", "series-6"),
      plain("All of it is held", "series-1"),
    ];
  }
  if (by === "tenant") {
    const names = projects.map(name);
    const tenants = projects.map((id, row) => {
      const own = names[row] ?? id;
      const isShared = names.indexOf(own) !== names.lastIndexOf(own);
      return { name: isShared ? `${own} (${id})` : own, ...lookOfTenant(row) };
    });
    return [FREE, ...tenants, QUARANTINED];
  }
  const steps = (by === "load" ? LOADS : POWERS).map((step, row) =>
    plain(step, `scale-${row + 1}`),
  );
  return by === "load" ? [NO_DATA, ...steps] : [NO_DATA, ...steps, ABOVE];
}

/** Which project each cluster's number is of, as rows of `projectsOf`. */
export interface Tenants {
  projectOf: Int32Array;
  projectCount: number;
}

/** Tenants of what the floor shows now. */
export function tenantsOf(floor: Floor, names: Names, projects: readonly string[]): Tenants {
  const projectOf = new Int32Array(names.ids.length);
  floor.cells.cluster_ids.forEach((id, row) => {
    projectOf[names.of(id)] = projects.indexOf(floor.cells.project_ids[row] ?? "");
  });
  return { projectOf, projectCount: projects.length };
}

/** What GPUs and racks say, as far as it is known. */
export interface Reported {
  load: Schemas["FleetLoad"] | undefined;
  power: Schemas["FleetPower"] | undefined;
}

/** Codes of every GPU by what was reported, or null where the colours do not need that. */
export function reportedCodes(floor: Floor, by: By, said: Reported): Uint16Array | null {
  if (by !== "load" && by !== "power" && by !== "power-max") return null;
  const codes = new Uint16Array(floor.nodeCount * STRIDE);
  const racks = by === "load" ? [] : (said.power?.racks ?? []).map((rack) => shareOf(rack, by));
  const busy = said.load?.utilisation_percent ?? [];
  let gpu = 0;
  for (let node = 0; node < floor.nodeCount; node += 1) {
    const share = racks[floor.places.node_rack[node] ?? 0] ?? -1;
    const count = floor.places.node_gpu_count[node] ?? 0;
    for (let slot = 0; slot < count; slot += 1, gpu += 1) {
      const percent = by === "load" ? (busy[gpu] ?? -1) : -1;
      codes[node * STRIDE + slot] =
        by === "load" ? stepOf(percent, LOAD_FROM) : share > 1 ? 6 : stepOf(share, POWER_FROM);
    }
  }
  return codes;
}

/** Share of a rack's limit; -1 where nothing is known. */
function shareOf(rack: Schemas["RackPower"], by: By): number {
  const power = by === "power" ? rack.gpu_w : rack.held_w_max;
  // What adds up to exactly the limit is not above it.
  return power == null ? -1 : power / rack.limit_w - 1e-9;
}

function stepOf(value: number, from: readonly number[]): number {
  if (value < -0.5) return 0;
  let step = 1;
  while (step < from.length && value >= (from[step] ?? 0)) step += 1;
  return step;
}

/** Colours of all GPUs of a node, as places in the legend; written to `out`. */
export function colour(
  floor: Floor,
  by: By,
  tenants: Tenants,
  node: number,
  out: Uint16Array,
): void {
  const service = floor.service[node] ?? 0;
  const base = node * STRIDE;
  const used = by === "use" ? heldCount(floor, node) : 0;
  const all = floor.places.node_gpu_count[node] ?? 0;
  for (let gpu = 0; gpu < all; gpu += 1) {
    const held = isHeld(floor, node, gpu);
    if (by === "state") out[base + gpu] = service > 0 ? service + 1 : held ? 1 : 0;
    else if (by === "health") out[base + gpu] = service;
    else if (by === "use") out[base + gpu] = used === 0 ? 0 : used < all ? 1 : 2;
    else if (service === 2) out[base + gpu] = tenants.projectCount + 1;
    else out[base + gpu] = held ? 1 + (tenants.projectOf[floor.holder[base + gpu] ?? 0] ?? 0) : 0;
  }
}
