/** Reservations as a picture: a bar each, above them how much of the fleet is promised when. */
import { useState } from "react";
import { Link } from "wouter";
import { useFleet } from "../../../api/lists";
import { SelectField } from "../../../ui/fields";
import { at, count, usd } from "../../../ui/format";
import {
  begin,
  end,
  LENGTHS,
  type Place,
  placesOf,
  type Reservation,
  type Span,
  type Step,
  share,
  spanOf,
  stepsOf,
  type Tick,
  ticksOf,
  usualLength,
} from "./span";

export function Calendar({ items }: { items: readonly Reservation[] }) {
  const [nowMs] = useState(() => Date.now());
  const [length, setLength] = useState(() => usualLength(items, nowMs));
  const span = spanOf(Number(length), items, nowMs);
  const ticks = ticksOf(span);
  return (
    <>
      <div className="calendar-head">
        <SelectField label="Shown" value={length} options={LENGTHS} onChange={setLength} />
        <ul className="legend">
          <li>
            <span className="swatch promised" aria-hidden /> promised of all GPUs
          </li>
          <li>
            <span className="swatch running" aria-hidden /> runs now
          </li>
          <li>
            <span className="swatch booked" aria-hidden /> booked
          </li>
        </ul>
      </div>
      <div className="calendar">
        <Axis span={span} ticks={ticks} nowMs={nowMs} />
        {placesOf(items).map((place) => (
          <Lanes key={place.key} place={place} span={span} ticks={ticks} nowMs={nowMs} />
        ))}
      </div>
    </>
  );
}

interface Drawn {
  span: Span;
  ticks: readonly Tick[];
  nowMs: number;
}

function Axis({ span, ticks, nowMs }: Drawn) {
  return (
    <div className="calendar-row calendar-axis-row" aria-hidden>
      <span />
      <div className="calendar-lane calendar-axis">
        {ticks.map(({ ms, text }) => (
          <span key={ms} className="calendar-tick" style={{ left: `${share(span, ms)}%` }}>
            {share(span, ms) < 92 && text}
          </span>
        ))}
        <span className="calendar-now" style={{ left: `${share(span, nowMs)}%` }}>
          now
        </span>
      </div>
    </div>
  );
}

function Grid({ span, ticks, nowMs }: Drawn) {
  return (
    <>
      {ticks.map(({ ms }) => (
        <span key={ms} className="calendar-tick" style={{ left: `${share(span, ms)}%` }} />
      ))}
      <span className="calendar-now" style={{ left: `${share(span, nowMs)}%` }} />
    </>
  );
}

function Lanes({ place, ...drawn }: Drawn & { place: Place }) {
  const fleet = useFleet();
  const steps = stepsOf(place.items, drawn.span);
  const most = Math.max(...steps.map((step) => step.gpuCount));
  // The fleet's summary counts a type over all sites, so the ground is that of the type.
  const whole =
    fleet.data?.gpu_types.find((one) => one.gpu_type === place.gpuType)?.gpu_count ?? most;
  const words = `${count(most)} of ${count(whole)} GPUs at most`;
  return (
    <section aria-label={place.key} className="stack">
      <div className="calendar-row">
        <div>
          <div className="calendar-place">{place.key}</div>
          <div className="faint small">{words}</div>
        </div>
        <div className="calendar-lane">
          <Load steps={steps} span={drawn.span} whole={Math.max(1, whole, most)} label={words} />
          <Grid {...drawn} />
        </div>
      </div>
      <ul>
        {place.items
          .filter((one) => end(one) > drawn.span.fromMs && begin(one) < drawn.span.toMs)
          .map((one) => (
            <li key={one.id} className="calendar-row">
              <span>
                {one.name} <span className="faint small">{count(one.gpu_count)} GPUs</span>
              </span>
              <div className="calendar-lane">
                <Grid {...drawn} />
                <Bar one={one} span={drawn.span} />
              </div>
            </li>
          ))}
      </ul>
    </section>
  );
}

const HEIGHT = 100;

function Load({
  steps,
  span,
  whole,
  label,
}: {
  steps: readonly Step[];
  span: Span;
  whole: number;
  label: string;
}) {
  const x = (ms: number): string => (10 * share(span, ms)).toFixed(1);
  const y = (gpuCount: number): string => (HEIGHT * (1 - gpuCount / whole)).toFixed(1);
  const line = steps.map((step, place) => {
    const next = steps[place + 1];
    return `L${x(step.ms)} ${y(step.gpuCount)} H${x(next?.ms ?? span.toMs)}`;
  });
  return (
    <svg
      className="calendar-load"
      viewBox={`0 0 1000 ${HEIGHT}`}
      preserveAspectRatio="none"
      role="img"
      aria-label={`Promised over time: ${label}`}
    >
      <rect className="room" width={1000} height={HEIGHT} />
      <path className="promised" d={`M0 ${HEIGHT} ${line.join(" ")} V${HEIGHT} Z`} />
    </svg>
  );
}

function Bar({ one, span }: { one: Reservation; span: Span }) {
  const [left, right] = [share(span, begin(one)), share(span, end(one))];
  const classes = ["calendar-bar", one.state];
  if (right - left < 12) classes.push("tight");
  if (begin(one) < span.fromMs) classes.push("goes-back");
  if (end(one) > span.toMs) classes.push("goes-on");
  const when = `${one.state}, from ${at(one.from_at)} to ${at(one.to_at)}`;
  return (
    <Link
      href={`/reservations/${one.id}`}
      className={classes.join(" ")}
      style={{ left: `${left}%`, width: `${right - left}%` }}
      title={`${one.name}, ${when}`}
    >
      <span className="hidden">{one.name}, </span>
      {usd(one.amount_micro_usd)}
      {one.is_lent && ", lent"}
      <span className="hidden">, {when}</span>
    </Link>
  );
}
