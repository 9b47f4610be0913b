/** What a cell's colour says, by what the reader chose to see. */
import { type Floor, heldCount, isHeld, type Names, STRIDE } from "./floor";

export type By = "state" | "tenant" | "health" | "use";

export const BY: readonly { value: By; label: string }[] = [
  { value: "state", label: "State" },
  { value: "tenant", label: "Tenant" },
  { value: "health", label: "Health" },
  { value: "use", label: "Utilisation" },
];

export interface Swatch {
  name: string;
  /** A token of `tokens.css`. */
  token: string;
}

const FREE = { name: "Free", token: "cell-free" };
const HELD = { name: "Held by a cluster", token: "series-1" };
const DRAINED = { name: "Drained", token: "series-5" };
const QUARANTINED = { name: "Quarantined", token: "series-2" };
const SERIES = [1, 3, 4, 6, 7].map((number) => `series-${number}`);

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
  if (by === "health") {
    return [{ name: "In service", token: "series-3" }, DRAINED, QUARANTINED];
  }
  if (by === "use") {
    return [
      FREE,
      { name: "A part of the node is held", token: "series-6" },
      { name: "All of it is held", token: "series-1" },
    ];
  }
  const tenants = projects.map((id, row) => ({
    name: name(id),
    token: SERIES[row % SERIES.length] ?? "series-1",
  }));
  return [FREE, ...tenants, QUARANTINED];
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

/** Colours of all GPUs of a node, as places in the legend; written to `out`. */
export function colour(
  floor: Floor,
  by: By,
  tenants: Tenants,
  node: number,
  out: Uint8Array,
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
