/** Numbers with their units, in the reader's own language and time zone. */

const locale = navigator.language;
const whole = new Intl.NumberFormat(locale, { maximumFractionDigits: 0 });
const oneDigit = new Intl.NumberFormat(locale, { maximumFractionDigits: 1 });
const dollars = new Intl.NumberFormat("en-US", { style: "currency", currency: "USD" });
const moment = new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "short" });
const exact = new Intl.DateTimeFormat(locale, { dateStyle: "full", timeStyle: "long" });
const relative = new Intl.RelativeTimeFormat(locale, { numeric: "auto" });

/** 4000 → "4,000". */
export const count = (value: number): string => whole.format(value);

/** 1, "GPU" → "1 GPU"; 2 → "2 GPUs". */
export function counted(value: number, one: string, many = `${one}s`): string {
  return `${whole.format(value)} ${value === 1 ? one : many}`;
}

/** 2_980_000 → "$2.98". */
export const usd = (microUsd: number): string => dollars.format(microUsd / 1e6);

const exactDollars = new Intl.NumberFormat("en-US", {
  style: "currency",
  currency: "USD",
  maximumFractionDigits: 6,
});

/** A price to its last digit: 12_500 → "$0.0125". */
export const usdExact = (microUsd: number): string => exactDollars.format(microUsd / 1e6);

/** "$2.98/h" */
export const usdPerHour = (microUsd: number): string => `${usd(microUsd)}/h`;

const BYTE_UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

/** 1 << 40 → "1 TiB". */
export function bytes(value: number): string {
  let amount = value;
  let unit = 0;
  while (amount >= 1024 && unit < BYTE_UNITS.length - 1) {
    amount /= 1024;
    unit += 1;
  }
  return `${oneDigit.format(amount)} ${BYTE_UNITS[unit]}`;
}

/** 10_200 → "10.2 kW". */
export function power(watts: number): string {
  const [size, unit] =
    Math.abs(watts) >= 1e6 ? [1e6, "MW"] : Math.abs(watts) >= 1e3 ? [1e3, "kW"] : [1, "W"];
  return `${oneDigit.format(watts / size)} ${unit}`;
}

/** 125 → "2 min 5 s". */
export function duration(seconds: number): string {
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3_600) return both(Math.floor(s / 60), "min", s % 60, "s");
  if (s < 86_400) return both(Math.floor(s / 3_600), "h", Math.floor((s % 3_600) / 60), "min");
  return both(Math.floor(s / 86_400), "d", Math.floor((s % 86_400) / 3_600), "h");
}

/** 5 min, not 5 min 0 s. */
function both(large: number, unit: string, small: number, smallUnit: string): string {
  return small === 0 ? `${large} ${unit}` : `${large} ${unit} ${small} ${smallUnit}`;
}

/** A moment in the reader's zone: "22 Nov 2026, 23:55". */
export const at = (iso: string): string => moment.format(new Date(iso));

/** The same with seconds and the zone's name. */
export const exactly = (iso: string): string => exact.format(new Date(iso));

const STEPS: [Intl.RelativeTimeFormatUnit, number][] = [
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
];

/** "5 minutes ago", "in 2 days". */
export function ago(iso: string, nowMs: number = Date.now()): string {
  const seconds = (new Date(iso).getTime() - nowMs) / 1000;
  for (const [unit, size] of STEPS) {
    if (Math.abs(seconds) >= size) return relative.format(Math.trunc(seconds / size), unit);
  }
  return relative.format(Math.trunc(seconds), "second");
}

/** "in_band" → "in band". */
export const words = (name: string): string => name.replaceAll("_", " ").replaceAll("-", " ");
