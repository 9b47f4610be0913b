/** Paints the floor into a canvas: only what changed, at most once for each frame. */
import { type By, colour, isOver, type Swatch, type Tenants, TILE } from "./colours";
import { type Floor, STRIDE } from "./floor";

/** How the plan lies in the canvas: device pixels for each unit, and the plan's corner. */
export interface View {
  scale: number;
  x: number;
  y: number;
}

export interface Look {
  by: By;
  /** What cells are filled with, in the order of the legend. */
  tiles: readonly Tile[];
  ground: number;
  text: string;
  tenants: Tenants;
  /** Codes of all GPUs where they come from what was reported, not from what the floor holds. */
  codes: Uint16Array | null;
}

/** A square of packed pixels that is repeated; of a plain colour it is one pixel. */
export interface Tile {
  size: number;
  pixels: Uint32Array;
}

/** Share of its colour that a cell keeps while another one is looked for. */
const FADED = 0.15;

/** Above so many changed nodes one copy of the whole is cheaper than many of parts. */
const PARTS_MAX = 400;
/** Narrower GPUs are drawn as one node, lower nodes as one rack: pixels of the device. */
const CELL_PX_MIN = 2;

export class Painter {
  private readonly context: CanvasRenderingContext2D;
  private image: ImageData;
  private pixels: Uint32Array;
  private readonly codes: Uint16Array;
  private readonly dirty = new Set<number>();
  private isAllDirty = true;
  private frame = 0;
  private chosen = -1;
  private view: View = { scale: 1, x: 0, y: 0 };

  constructor(
    private readonly canvas: HTMLCanvasElement,
    private readonly floor: Floor,
    private look: Look,
  ) {
    const context = canvas.getContext("2d", { alpha: false });
    if (context === null) throw new Error("this browser draws no canvas");
    this.context = context;
    this.codes = new Uint16Array(floor.nodeCount * STRIDE);
    this.image = context.createImageData(1, 1);
    this.pixels = new Uint32Array(this.image.data.buffer);
    this.wear(look);
  }

  /** Paint with other colours. */
  wear(look: Look): void {
    this.look = look;
    for (let node = 0; node < this.floor.nodeCount; node += 1) this.encode(node);
    this.all();
  }

  /** Clusters came or went within the same projects. */
  tenants(tenants: Tenants): void {
    this.look = { ...this.look, tenants };
  }

  /** Nodes are other than they were. */
  changed(nodes: readonly number[]): void {
    for (const node of nodes) {
      this.encode(node);
      this.dirty.add(node);
    }
    if (nodes.length > 0) this.ask();
  }

  /** Look at another part, in a canvas of this size in device pixels. */
  show(view: View, width: number, height: number): void {
    this.view = view;
    if (this.canvas.width !== width || this.canvas.height !== height) {
      this.canvas.width = width;
      this.canvas.height = height;
      this.image = this.context.createImageData(width, height);
      this.pixels = new Uint32Array(this.image.data.buffer);
    }
    this.all();
  }

  choose(node: number): void {
    if (node === this.chosen) return;
    this.chosen = node;
    this.all();
  }

  stop(): void {
    cancelAnimationFrame(this.frame);
  }

  private encode(node: number): void {
    const { by, codes, tenants } = this.look;
    if (codes === null) colour(this.floor, by, tenants, node, this.codes);
    else {
      const at = node * STRIDE;
      this.codes.set(codes.subarray(at, at + STRIDE), at);
    }
  }

  private all(): void {
    this.isAllDirty = true;
    this.ask();
  }

  private ask(): void {
    if (this.frame === 0) this.frame = requestAnimationFrame(this.paint);
  }

  private readonly paint = (): void => {
    this.frame = 0;
    if (this.isAllDirty) this.pixels.fill(this.look.ground);
    const nodes = this.isAllDirty ? this.floor.nodeCount : this.dirty.size;
    if (this.isAllDirty) for (let node = 0; node < nodes; node += 1) this.node(node);
    else for (const node of this.dirty) this.node(node);
    if (this.isAllDirty || nodes > PARTS_MAX) this.copy();
    else for (const node of this.dirty) this.copyNode(node);
    this.isAllDirty = false;
    this.dirty.clear();
    this.canvas.dataset.painted = String(Number(this.canvas.dataset.painted ?? 0) + 1);
  };

  private copy(): void {
    this.context.putImageData(this.image, 0, 0);
    this.words();
    this.mark();
  }

  private copyNode(node: number): void {
    const [x, y, right, bottom] = this.box(node);
    this.context.putImageData(
      this.image,
      0,
      0,
      x,
      y,
      Math.max(1, right - x),
      Math.max(1, bottom - y),
    );
    if (node === this.chosen) this.mark();
  }

  /** Left, top, right and bottom of a node in device pixels. */
  private box(node: number): [number, number, number, number] {
    const { box } = this.floor;
    const { scale, x, y } = this.view;
    const at = 4 * node;
    const left = Math.round(((box[at] ?? 0) - x) * scale);
    const top = Math.round(((box[at + 1] ?? 0) - y) * scale);
    const right = Math.round(((box[at] ?? 0) + (box[at + 2] ?? 0) - x) * scale);
    const bottom = Math.round(((box[at + 1] ?? 0) + (box[at + 3] ?? 0) - y) * scale);
    return [left, top, right, bottom];
  }

  private node(node: number): void {
    const [left, top, right, bottom] = this.box(node);
    const { width, height } = this.image;
    if (right < 0 || bottom < 0 || left > width || top > height) return;
    const gpus = this.floor.places.node_gpu_count[node] ?? 1;
    const gap = bottom - top >= 4 ? 1 : 0;
    const base = node * STRIDE;
    const cell = (right - left) / gpus;
    if (cell < CELL_PX_MIN) {
      this.fill(left, top, right, bottom - gap, this.worst(base, gpus));
      return;
    }
    const between = cell >= 5 ? 1 : 0;
    for (let gpu = 0; gpu < gpus; gpu += 1) {
      const from = Math.round(left + gpu * cell);
      const to = Math.round(left + (gpu + 1) * cell) - between;
      this.fill(from, top, to, bottom - gap, this.codes[base + gpu] ?? 0);
    }
  }

  /** Worst wins: legends are in that order. */
  private worst(base: number, gpus: number): number {
    let worst = 0;
    for (let gpu = 0; gpu < gpus; gpu += 1) worst = Math.max(worst, this.codes[base + gpu] ?? 0);
    return worst;
  }

  private fill(left: number, top: number, right: number, bottom: number, code: number): void {
    const tile = this.look.tiles[code];
    const { width, height } = this.image;
    const from = Math.max(0, left);
    const to = Math.min(width, Math.max(right, left + 1));
    const last = Math.min(height, Math.max(bottom, top + 1));
    if (to <= from || tile === undefined) return;
    const { size, pixels } = tile;
    for (let y = Math.max(0, top); y < last; y += 1) {
      const row = y * width;
      if (size === 1) this.pixels.fill(pixels[0] ?? 0, row + from, row + to);
      else {
        const base = (y % size) * size;
        for (let x = from; x < to; x += 1) this.pixels[row + x] = pixels[base + (x % size)] ?? 0;
      }
    }
  }

  private words(): void {
    const { context, view } = this;
    context.fillStyle = this.look.text;
    const size = Math.max(11 * devicePixelRatio, 13 * Math.min(view.scale, 2 * devicePixelRatio));
    context.font = `600 ${size}px system-ui, sans-serif`;
    for (const word of this.floor.places.words) {
      context.fillText(
        word.text,
        (word.x_px - view.x) * view.scale,
        (word.y_px - view.y) * view.scale,
      );
    }
  }

  private mark(): void {
    if (this.chosen < 0) return;
    const [left, top, right, bottom] = this.box(this.chosen);
    const { context } = this;
    context.strokeStyle = this.look.text;
    context.lineWidth = 2 * devicePixelRatio;
    context.strokeRect(left - 2, top - 2, right - left + 3, bottom - top + 3);
  }
}

/** A colour token of the page as one pixel. */
export function pixelOf(token: string): number {
  const text = getComputedStyle(document.documentElement).getPropertyValue(`--${token}`).trim();
  // A build writes #ffffff as #fff.
  const digits = text.length === 4 ? text.slice(1).replace(/./g, "$&$&") : text.slice(1);
  const value = Number.parseInt(digits, 16);
  // Little-endian, as every browser of today runs: alpha, blue, green, red.
  return (0xff000000 | ((value & 0xff) << 16) | (value & 0xff00) | (value >> 16)) >>> 0;
}

/** What the swatches of a legend fill cells with; all but the one at `only` are faded. */
export function tilesOf(legend: readonly Swatch[], only: number): Tile[] {
  const ground = pixelOf("card");
  return legend.map((swatch, row) => {
    const isFaded = only >= 0 && row !== only;
    const fade = (pixel: number): number => (isFaded ? mixed(pixel, ground, FADED) : pixel);
    return tileOf(fade(pixelOf(swatch.token)), fade(pixelOf(swatch.over)), swatch.pattern);
  });
}

function tileOf(pixel: number, over: number, pattern: number): Tile {
  if (pattern === 0) return { size: 1, pixels: Uint32Array.of(pixel) };
  // Stripes are as wide on a screen with small pixels.
  const coarse = Math.max(1, Math.round(devicePixelRatio));
  const size = TILE * coarse;
  const pixels = new Uint32Array(size * size);
  for (let y = 0; y < size; y += 1) {
    for (let x = 0; x < size; x += 1) {
      const isCovered = isOver(pattern, Math.floor(x / coarse), Math.floor(y / coarse));
      pixels[y * size + x] = isCovered ? over : pixel;
    }
  }
  return { size, pixels };
}

/** A share of one pixel, the rest of another; opaque. */
function mixed(pixel: number, other: number, share: number): number {
  let out = 0xff;
  for (const shift of [16, 8, 0]) {
    const [a, b] = [(pixel >> shift) & 0xff, (other >> shift) & 0xff];
    out = (out << 8) | Math.round(share * a + (1 - share) * b);
  }
  return out >>> 0;
}
