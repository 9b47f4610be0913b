/** Which part of the plan is looked at: zoom and middle, never past the edge of the plan. */
import type { Floor } from "./floor";

/** The reader's choice: how near, and which point of the plan is in the middle. */
export interface Place {
  zoom: number;
  x: number;
  y: number;
}

export const ZOOM_MAX = 24;

interface Plan {
  width_px: number;
  height_px: number;
}

/** All of it. */
export function wholeOf({ width_px, height_px }: Plan): Place {
  return { zoom: 1, x: width_px / 2, y: height_px / 2 };
}

function kept({ zoom, x, y }: Place, { width_px, height_px }: Plan): Place {
  const within = (value: number, size: number): number => {
    const half = size / zoom / 2;
    return Math.min(size - half, Math.max(half, value));
  };
  return { zoom, x: within(x, width_px), y: within(y, height_px) };
}

/** Nearer or farther; a point of the plan stays where it is in the window. */
export function zoomed(place: Place, plan: Plan, factor: number, at = place): Place {
  const zoom = Math.min(ZOOM_MAX, Math.max(1, place.zoom * factor));
  const by = place.zoom / zoom;
  return kept({ zoom, x: at.x - (at.x - place.x) * by, y: at.y - (at.y - place.y) * by }, plan);
}

/** The same, moved by so much of the plan. */
export function moved(place: Place, plan: Plan, dx: number, dy: number): Place {
  return kept({ ...place, x: place.x + dx, y: place.y + dy }, plan);
}

/** The same, with a node in the middle if it is not seen. */
export function following(place: Place, floor: Floor, node: number): Place {
  const { x, y } = middleOf(floor, node);
  const { width_px, height_px } = floor.places;
  const isSeen =
    Math.abs(x - place.x) < (0.45 * width_px) / place.zoom &&
    Math.abs(y - place.y) < (0.45 * height_px) / place.zoom;
  return isSeen ? place : kept({ ...place, x, y }, floor.places);
}

/** The middle of a node, in units of the plan. */
export function middleOf(floor: Floor, node: number): { x: number; y: number } {
  const [x = 0, y = 0, width = 0, height = 0] = floor.box.subarray(4 * node, 4 * node + 4);
  return { x: x + width / 2, y: y + height / 2 };
}
