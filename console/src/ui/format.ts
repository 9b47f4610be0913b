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

const TIMES: [unit: string, seconds: number][] = [
  ["d", 86_400],
  ["h", 3_600],
  ["min", 60],
  ["s", 1],
];

/** 125 → "2 min 5 s", 7200 → "2 h". */
export function duration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const first = TIMES.findIndex(([, size]) => whole >= size);
  if (first < 0) return "0 s";
  let rest = whole;
  const parts = TIMES.slice(first, first + 2).map(([unit, size]) => {
    const number = Math.floor(rest / size);
    rest %= size;
    return number > 0 ? `${number} ${unit}` : "";
  });
  return parts.join(" ").trim();
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
