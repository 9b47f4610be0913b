/** A stretch of time that a picture shows, its marks, and how much is promised in it. */
import type { Schemas } from "../../../api/client";

export type Reservation = Schemas["Reservation"];

export interface Span {
  fromMs: number;
  toMs: number;
}

const DAY_MS = 86_400_000;

/** Stretches that one can choose; 0 days for all that there is. */
export const LENGTHS = [
  { value: "30", label: "30 days" },
  { value: "90", label: "90 days" },
  { value: "365", label: "A year" },
  { value: "0", label: "All of it" },
] as const;

export const begin = (one: Reservation): number => Date.parse(one.from_at);
export const end = (one: Reservation): number => Date.parse(one.to_at);

/** The shortest length in which every reservation ends; a year of those that go far beyond. */
export function usualLength(items: readonly Reservation[], nowMs: number): string {
  const days = (Math.max(...items.map(end), nowMs) - nowMs) / DAY_MS;
  if (days <= 30) return "30";
  if (days <= 90) return "90";
  return days <= 500 ? "0" : "365";
}

/** What is shown: a little of the past, then so many days; or everything. */
export function spanOf(days: number, items: readonly Reservation[], nowMs: number): Span {
  if (days > 0) return { fromMs: nowMs - days * 0.05 * DAY_MS, toMs: nowMs + days * DAY_MS };
  const fromMs = Math.min(nowMs, ...items.map(begin));
  const toMs = Math.max(nowMs + DAY_MS, ...items.map(end));
  const edge = 0.03 * (toMs - fromMs);
  return { fromMs: fromMs - edge, toMs: toMs + edge };
}

/** Where a moment lies, in percent of the width; 0 to 100. */
export function share(span: Span, moment: number): number {
  const part = (moment - span.fromMs) / (span.toMs - span.fromMs);
  return 100 * Math.min(1, Math.max(0, part));
}

export interface Tick {
  ms: number;
  text: string;
}

const dayText = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const monthText = new Intl.DateTimeFormat(undefined, { month: "short" });
const yearText = new Intl.DateTimeFormat(undefined, { month: "short", year: "2-digit" });

/** Weeks, months or quarters, as many as there is room for; in the reader's zone. */
export function ticksOf(span: Span): Tick[] {
  const days = (span.toMs - span.fromMs) / DAY_MS;
  const found: Tick[] = [];
  const moment = new Date(span.fromMs);
  moment.setHours(0, 0, 0, 0);
  const isWeeks = days <= 45;
  const months = days <= 400 ? 1 : days <= 1_200 ? 3 : 12;
  for (;;) {
    if (isWeeks) moment.setDate(moment.getDate() + 1);
    else moment.setMonth(moment.getMonth() + 1, 1);
    const ms = moment.getTime();
    if (ms >= span.toMs) return found;
    if (isWeeks ? moment.getDay() === 1 : moment.getMonth() % months === 0) {
      const form = isWeeks ? dayText : days > 400 || moment.getMonth() === 0 ? yearText : monthText;
      found.push({ ms, text: form.format(moment) });
    }
  }
}

/** How many GPUs are promised from a moment on, until the next one. */
export interface Step {
  ms: number;
  gpuCount: number;
}

const COUNTS = new Set<Reservation["state"]>(["booked", "running", "ended"]);

/** Promised GPUs over a stretch, with their room for growth; the first step is at its begin. */
export function stepsOf(items: readonly Reservation[], span: Span): Step[] {
  const kept = items.filter((one) => COUNTS.has(one.state));
  const moments = new Set([span.fromMs]);
  for (const one of kept) {
    for (const ms of [begin(one), end(one)]) {
      if (ms > span.fromMs && ms < span.toMs) moments.add(ms);
    }
  }
  return [...moments]
    .sort((a, b) => a - b)
    .map((ms) => ({
      ms,
      gpuCount: kept
        .filter((one) => begin(one) <= ms && ms < end(one))
        .reduce((sum, one) => sum + one.gpu_count + one.growth_gpu_count, 0),
    }));
}

/** Reservations of one type at one site. */
export interface Place {
  key: string;
  gpuType: string;
  items: Reservation[];
}

/** Reservations by place, each in the order of their begin. */
export function placesOf(items: readonly Reservation[]): Place[] {
  const found = new Map<string, Place>();
  for (const one of [...items].sort((a, b) => begin(a) - begin(b))) {
    const key = `${one.gpu_type} at ${one.site_id}`;
    const place = found.get(key) ?? { key, gpuType: one.gpu_type, items: [] };
    place.items.push(one);
    found.set(key, place);
  }
  return [...found.values()].sort((a, b) => (a.key < b.key ? -1 : 1));
}
