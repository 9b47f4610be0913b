/** The floor as typed arrays: places once, what changes again and again. */
import type { Schemas } from "../../../api/client";

export type Cells = Schemas["FleetCells"];
export type Places = Schemas["FleetPlaces"];

/** GPUs that one node has at most; each node has so many cells. Source: `GPUS_PER_NODE_MAX`. */
export const STRIDE = 16;

/** Worst last: what a rolled-up box shows is the highest. */
export const SERVICE = ["available", "drained", "quarantined"] as const;

export interface Floor {
  readonly places: Places;
  readonly nodeCount: number;
  /** x, y, width, height of each node, in the units of the plan. */
  readonly box: Float32Array;
  /** Index into SERVICE of each node. */
  readonly service: Uint8Array;
  /** Cluster of each GPU, -1 for none; STRIDE for each node. */
  readonly holder: Int32Array;
  /** The clusters that `holder` means. */
  cells: Cells;
}

/** Places laid out, with nothing held yet. */
export function floorOf(places: Places): Floor {
  const nodeCount = places.node_ids.length;
  const size = new Int32Array(places.rack_ids.length);
  const slot = new Int32Array(nodeCount);
  places.node_rack.forEach((rack, node) => {
    slot[node] = size[rack] ?? 0;
    size[rack] = (size[rack] ?? 0) + 1;
  });
  const box = new Float32Array(nodeCount * 4);
  places.node_rack.forEach((rack, node) => {
    const [x = 0, y = 0, width = 0, height = 0] = places.rack_box_px.slice(4 * rack, 4 * rack + 4);
    const own = height / (size[rack] ?? 1);
    box.set([x, y + own * (slot[node] ?? 0), width, own], 4 * node);
  });
  return {
    places,
    nodeCount,
    box,
    service: new Uint8Array(nodeCount),
    holder: new Int32Array(nodeCount * STRIDE).fill(-1),
    cells: NOTHING,
  };
}

const NOTHING: Cells = {
  held_node: [],
  held_gpu_mask: [],
  held_by: [],
  cluster_ids: [],
  cluster_names: [],
  project_ids: [],
  drained_node: [],
  quarantined_node: [],
};

/** A stable number of a cluster: rows of the document change when one ends. */
export class Names {
  private readonly numbers = new Map<string, number>();
  readonly ids: string[] = [];

  of(id: string): number {
    const known = this.numbers.get(id);
    if (known !== undefined) return known;
    const next = this.ids.length;
    this.numbers.set(id, next);
    this.ids.push(id);
    return next;
  }
}

/** Take in what is so now; the nodes that changed. */
export function update(floor: Floor, cells: Cells, names: Names): number[] {
  const service = new Uint8Array(floor.nodeCount);
  for (const node of cells.drained_node) service[node] = 1;
  for (const node of cells.quarantined_node) service[node] = 2;
  const holder = new Int32Array(floor.nodeCount * STRIDE).fill(-1);
  const number = cells.cluster_ids.map((id) => names.of(id));
  cells.held_node.forEach((node, row) => {
    const mask = cells.held_gpu_mask[row] ?? 0;
    const by = number[cells.held_by[row] ?? 0] ?? -1;
    for (let gpu = 0; gpu < STRIDE; gpu += 1) {
      if (mask & (1 << gpu)) holder[node * STRIDE + gpu] = by;
    }
  });
  const changed: number[] = [];
  for (let node = 0; node < floor.nodeCount; node += 1) {
    let isSame = service[node] === floor.service[node];
    for (let at = node * STRIDE; isSame && at < (node + 1) * STRIDE; at += 1) {
      isSame = holder[at] === floor.holder[at];
    }
    if (!isSame) changed.push(node);
  }
  floor.service.set(service);
  floor.holder.set(holder);
  floor.cells = cells;
  return changed;
}

/** Whether a GPU is held. */
export function isHeld(floor: Floor, node: number, gpu: number): boolean {
  return (floor.holder[node * STRIDE + gpu] ?? -1) >= 0;
}

/** GPUs of a node that are held. */
export function heldCount(floor: Floor, node: number): number {
  let held = 0;
  for (let gpu = 0; gpu < STRIDE; gpu += 1) held += isHeld(floor, node, gpu) ? 1 : 0;
  return held;
}

/** The node under a point of the plan; -1 for none. */
export function nodeAt(floor: Floor, x: number, y: number): number {
  const { box } = floor;
  for (let node = 0, at = 0; node < floor.nodeCount; node += 1, at += 4) {
    const left = box[at] ?? 0;
    const top = box[at + 1] ?? 0;
    if (x >= left && y >= top && x < left + (box[at + 2] ?? 0) && y < top + (box[at + 3] ?? 0)) {
      return node;
    }
  }
  return -1;
}

/** The nearest node in a direction, as arrow keys go. */
export function neighbour(floor: Floor, from: number, dx: number, dy: number): number {
  const { box } = floor;
  const middle = (node: number): [number, number] => [
    (box[4 * node] ?? 0) + (box[4 * node + 2] ?? 0) / 2,
    (box[4 * node + 1] ?? 0) + (box[4 * node + 3] ?? 0) / 2,
  ];
  const [x0, y0] = middle(from);
  let best = from;
  let bestCost = Number.POSITIVE_INFINITY;
  for (let node = 0; node < floor.nodeCount; node += 1) {
    const [x, y] = middle(node);
    const ahead = (x - x0) * dx + (y - y0) * dy;
    if (ahead < 1) continue;
    // Straight ahead is better than aside.
    const aside = Math.abs((x - x0) * dy) + Math.abs((y - y0) * dx);
    const cost = ahead + 4 * aside;
    if (cost < bestCost) [best, bestCost] = [node, cost];
  }
  return best;
}
