/** How rows of the rate card follow each other and go before each other; as in the service. */

import { counted } from "../ui/format";
import type { Schemas } from "./client";

export type Rate = Schemas["Rate"];

/** What a row is a price for. */
export type Good = Pick<Rate, "gpu_type" | "term" | "gpu_count_min" | "month_count_min"> & {
  site_id: string | null;
  organisation_id: string | null;
};

const kindOf = (one: Good | Rate): string =>
  JSON.stringify([
    one.gpu_type,
    one.term,
    one.site_id ?? null,
    one.organisation_id ?? null,
    one.gpu_count_min,
    one.month_count_min,
  ]);

const begin = (rate: Rate): number => Date.parse(rate.valid_from);

/** Rows that are in force at a moment: of each kind the newest that has begun, if it has not ended. */
export function inForce(rates: readonly Rate[], atMs: number): Rate[] {
  const newest = new Map<string, Rate>();
  for (const rate of rates) {
    const before = newest.get(kindOf(rate));
    if (begin(rate) <= atMs && (!before || begin(rate) > begin(before))) {
      newest.set(kindOf(rate), rate);
    }
  }
  return [...newest.values()].filter(
    (rate) => rate.valid_to == null || Date.parse(rate.valid_to) > atMs,
  );
}

/** Customer before everybody, site before every site, then the longest term and the largest size. */
const particular = (one: Good | Rate): number[] => [
  one.organisation_id == null ? 0 : 1,
  one.site_id == null ? 0 : 1,
  one.month_count_min,
  one.gpu_count_min,
];

function compare(a: number[], b: number[]): number {
  for (const [place, value] of a.entries()) {
    const difference = value - (b[place] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

const reaches = (wide: string | null | undefined, one: string | null | undefined): boolean =>
  wide == null || wide === one;

/** The row that answers, at a moment, who would ask for just this good; null for the list price. */
export function answering(rates: readonly Rate[], good: Good, atMs: number): Rate | null {
  const fit = inForce(rates, atMs).filter(
    (rate) =>
      rate.gpu_type === good.gpu_type &&
      rate.term === good.term &&
      reaches(rate.site_id, good.site_id) &&
      reaches(rate.organisation_id, good.organisation_id) &&
      rate.gpu_count_min <= good.gpu_count_min &&
      rate.month_count_min <= good.month_count_min,
  );
  fit.sort((a, b) => compare(particular(b), particular(a)));
  return fit[0] ?? null;
}

/** Rows that go before this good for some of whom it is meant: they keep their own price. */
export function exceptions(rates: readonly Rate[], good: Good, atMs: number): Rate[] {
  return inForce(rates, atMs).filter(
    (rate) =>
      rate.gpu_type === good.gpu_type &&
      rate.term === good.term &&
      kindOf(rate) !== kindOf(good) &&
      (good.site_id === null || rate.site_id == null || rate.site_id === good.site_id) &&
      (good.organisation_id === null ||
        rate.organisation_id == null ||
        rate.organisation_id === good.organisation_id) &&
      compare(particular(rate), particular(good)) > 0,
  );
}

/** Rows of the same kind that begin later, the first one first. */
export function later(rates: readonly Rate[], good: Good, atMs: number): Rate[] {
  const found = rates.filter((rate) => kindOf(rate) === kindOf(good) && begin(rate) > atMs);
  return found.sort((a, b) => begin(a) - begin(b));
}

/** Whom a row is for, in words. */
export function whom(one: Good | Rate, organisation: (id: string) => string): string {
  const parts = [one.organisation_id == null ? "everybody" : organisation(one.organisation_id)];
  parts.push(one.site_id == null ? "at every site" : `at ${one.site_id}`);
  if (one.gpu_count_min > 1) parts.push(`from ${one.gpu_count_min} GPUs on`);
  if (one.month_count_min > 0) parts.push(`for ${counted(one.month_count_min, "month")} or more`);
  return parts.join(", ");
}
