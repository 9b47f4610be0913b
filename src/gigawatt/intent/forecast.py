"""When a waiting request could start: what was freed lately, against what is wanted before it."""

from collections.abc import Sequence
from dataclasses import dataclass

from gigawatt.units import DAY_S, HOUR_S

WINDOWS_S = (1.0 * DAY_S, 7.0 * DAY_S)
"""Spans over which releases are counted, the first that has enough of them. Ours."""

FREED_COUNT_MIN = 3
"""Releases below which a rate says nothing. Ours."""

SPAN_S_MIN = 1.0 * HOUR_S
"""Shortest span that a rate is taken over, however short the record is. Ours."""


@dataclass(frozen=True, slots=True)
class Freed:
    """GPUs of one type that an operation gave back, at a moment in Unix seconds."""

    at_s: float
    gpu_type: str
    gpu_count: int


@dataclass(frozen=True, slots=True)
class Demand:
    """What has to be served until a request starts: it, those before it, and what is free now."""

    own_gpu_count: int
    ahead_gpu_count: int
    free_gpu_count: int


@dataclass(frozen=True, slots=True)
class Forecast:
    """An expected wait in seconds from now, None where nothing can be said; and on what basis."""

    wait_s: float | None
    basis: str


def forecast(demand: Demand, freed: Sequence[Freed], recorded_s: float, now_s: float) -> Forecast:
    """The wait until as many GPUs were freed as are missing, at the rate measured lately.

    It knows no shape: GPUs may be free and yet not lie together. So it is a rate, not a promise.

    Args:
        demand: see there.
        freed: what was freed of the types that would do, in any order.
        recorded_s: when the record of freed GPUs began, Unix seconds.
        now_s: Unix seconds.
    """
    missing = demand.ahead_gpu_count + demand.own_gpu_count - demand.free_gpu_count
    said = (
        f"{demand.own_gpu_count:,} GPUs wanted, {demand.ahead_gpu_count:,} before them,"
        f" {demand.free_gpu_count:,} free"
    )
    if missing <= 0:
        return Forecast(None, f"{said}, but not where they are needed: no rate tells when they are")
    for window_s in WINDOWS_S:
        found = [row for row in freed if now_s - row.at_s <= window_s]
        if len(found) >= FREED_COUNT_MIN:
            span_s = max(SPAN_S_MIN, min(window_s, now_s - recorded_s))
            count = sum(row.gpu_count for row in found)
            rate = count / span_s
            told = (
                f"{said}; {len(found):,} releases freed {count:,} GPUs in the last"
                f" {span_s / HOUR_S:.0f} h"
            )
            return Forecast(missing / rate, told)
    return Forecast(
        None,
        f"{said}; fewer than {FREED_COUNT_MIN} releases in the last"
        f" {WINDOWS_S[-1] / DAY_S:.0f} days, so there is no rate",
    )
