"""What is asked of the fleet in a replay: a real trace scaled to a load, or a generated one."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from gigawatt.errors import InputError
from gigawatt.twin.generator import generate
from gigawatt.twin.profile import profile_of
from gigawatt.twin.traces import (
    JOB_COUNT_MAX,
    Job,
    Trace,
    compress,
    load_of,
    make_trace,
    round_to_shapes,
    scale,
)
from gigawatt.units import DAY_S, HOUR_S

LEAD_S = 3.0 * DAY_S
"""How far before the window a generated trace begins, so that long jobs run when it opens."""

DRAW_COUNT = 4
"""Draws of which a generated trace is the best."""


@dataclass(frozen=True, slots=True)
class Workload:
    """Jobs of a replay.

    Fields:
        trace: jobs of 1, 2, 4 or a multiple of 8 GPUs, from second 0 of the replay.
        source: where they come from and what was done to them, one sentence.
        carried_count: the first jobs of the trace: they were submitted before the window and
            would still run when it opens, so they are submitted at once with what is left.
        load: GPU-seconds asked for inside the window over those the fleet has.
    """

    trace: Trace
    source: str
    carried_count: int
    load: float


def _cut(trace: Trace, start_s: float, end_s: float) -> tuple[Trace, int]:
    """Jobs of a window counted from its start, those carried over first; and how many these are."""
    carried = [
        Job(job.job_id, 0.0, job.submit_s + job.duration_s - start_s, job.gpu_count)
        for job in trace.jobs
        if job.submit_s < start_s < job.submit_s + job.duration_s
    ]
    fresh = [
        Job(job.job_id, job.submit_s - start_s, job.duration_s, job.gpu_count)
        for job in trace.jobs
        if start_s <= job.submit_s < end_s
    ]
    return make_trace(trace.name, [*carried, *fresh], end_s - start_s), len(carried)


def _load_inside(trace: Trace, gpu_count: int) -> float:
    work = math.fsum(
        min(job.duration_s, trace.span_s - job.submit_s) * job.gpu_count for job in trace.jobs
    )
    return work / (trace.span_s * gpu_count)


def _workload(trace: Trace, start_s: float, end_s: float, gpu_count: int, source: str) -> Workload:
    """A window of a trace whose jobs have sizes that nodes offer."""
    cut, carried_count = _cut(trace, start_s, end_s)
    return Workload(cut, source, carried_count, _load_inside(cut, gpu_count))


def from_trace(trace: Trace, gpu_count: int, span_s: float, load: float, seed: int) -> Workload:
    """A window of ``span_s`` seconds of a real trace, at about ``load`` of ``gpu_count`` GPUs.

    The trace is laid over itself in copies shifted by whole days, then sped up or slowed down by
    the rest. Of all windows that begin at a midnight after the first, the one is taken whose
    load is nearest; the whole trace when it is not longer than the window.

    Raises:
        InputError: the load is not above 0, or too many copies would be needed.
    """
    if not 0 < load < math.inf:
        raise InputError(f"load is {load}, wanted > 0")
    alone = load_of(trace, gpu_count)
    if alone <= 0:
        raise InputError(f"trace {trace.name!r} asks for no GPU time")
    copies = max(1, round(load / alone))
    if copies * len(trace) > JOB_COUNT_MAX:
        raise InputError(
            f"trace {trace.name!r} asks for {alone:.2e} of {gpu_count:,} GPUs: load {load:g} needs "
            f"{copies:,} copies, more than {JOB_COUNT_MAX:,} jobs",
            next_step="Take a smaller fleet, a lower load, or a busier trace.",
        )
    many = scale(trace, copies, seed)
    fitted = round_to_shapes(compress(many, load / load_of(many, gpu_count)))
    source = f"{trace.name}, real trace: {copies} copies shifted by whole days"
    starts = [DAY_S * day for day in range(1, int((fitted.span_s - span_s) // DAY_S) + 1)]
    if not starts:
        return _workload(fitted, 0.0, max(span_s, fitted.span_s), gpu_count, source)
    windows = [_workload(fitted, at_s, at_s + span_s, gpu_count, source) for at_s in starts]
    best = min(range(len(windows)), key=lambda row: (abs(windows[row].load - load), row))
    chosen = windows[best]
    return Workload(
        chosen.trace,
        f"{source}, {span_s / HOUR_S:g} h from day {best + 1}",
        chosen.carried_count,
        chosen.load,
    )


def generated(
    profiles: Sequence[str], gpu_count: int, span_s: float, load: float, seed: int
) -> Workload:
    """A seeded trace of ``span_s`` seconds; every profile brings an equal part of the load.

    A few jobs hold most of the work, so what falls into the window differs from what is drawn:
    the draw is repeated with a corrected load, and the nearest of all is taken.

    Raises:
        UnknownIdError: no such profile.
        InputError: an argument is out of range.
    """
    asked, tries = load, []
    for _ in range(DRAW_COUNT):
        tries.append(_draw(profiles, gpu_count, span_s, asked, seed))
        asked *= min(2.0, max(0.5, load / max(tries[-1].load, 1e-9)))
    return min(tries, key=lambda workload: abs(workload.load - load))


def _draw(
    profiles: Sequence[str], gpu_count: int, span_s: float, load: float, seed: int
) -> Workload:
    jobs: list[Job] = []
    for number, name in enumerate(profiles):
        part = generate(
            profile_of(name), seed + number, LEAD_S + span_s, gpu_count, load / len(profiles)
        )
        jobs.extend(part.jobs)
    names = " and ".join(name.capitalize() for name in profiles)
    trace = round_to_shapes(make_trace("-".join(profiles), jobs, LEAD_S + span_s))
    source = f"generated, fitted to {names}"
    return _workload(trace, LEAD_S, LEAD_S + span_s, gpu_count, source)
