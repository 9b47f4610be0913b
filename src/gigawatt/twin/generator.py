"""A seeded generator of traces with the sizes, durations and arrivals of a real one.

- size: a draw from the profile's table, or with ``size_repeat`` the size of the job before;
- duration: the quantile function of the job's size class at a uniform draw;
- arrival: gaps from their quantile function, ordered so that the logarithms of neighbours
  correlate by ``gap_memory`` (bursts), then stretched by the rhythm of the day.

Durations do not depend on those of earlier jobs, and sizes not on the time of day.
"""

import math
from itertools import accumulate

import numpy as np

from gigawatt.errors import InputError
from gigawatt.fleet.model import F64, I64
from gigawatt.twin.profile import LEVELS, TraceProfile
from gigawatt.twin.traces import JOB_COUNT_MAX, Job, Trace, make_trace
from gigawatt.units import DAY_S, HOUR_S

_CHUNK = 4_096


def operational_time(times_s: F64, hour_weights: tuple[float, ...]) -> F64:
    """float64[N]: seconds at even rate that pass until ``times_s`` under the day's rhythm.

    One day of 86,400 s counts as one day whatever the weights (24, of mean 1) are.
    """
    edges = np.arange(25) * float(HOUR_S)
    passed = np.concatenate(([0.0], np.cumsum(hour_weights))) * HOUR_S
    days, rest = np.divmod(times_s, DAY_S)
    return np.asarray(days * DAY_S + np.interp(rest, edges, passed), dtype=np.float64)


def _clock_time(passed_s: F64, hour_weights: tuple[float, ...]) -> F64:
    """Inverse of ``operational_time``."""
    edges = np.arange(25) * float(HOUR_S)
    passed = np.concatenate(([0.0], np.cumsum(hour_weights))) * HOUR_S
    days, rest = np.divmod(passed_s, DAY_S)
    return np.asarray(days * DAY_S + np.interp(rest, passed, edges), dtype=np.float64)


def _sizes(profile: TraceProfile, random: np.random.Generator, count: int, largest: int) -> I64:
    """int64[count]: sizes up to ``largest``; a repeat copies the last fresh draw."""
    values = np.array([gpus for gpus, _ in profile.sizes if gpus <= largest], dtype=np.int64)
    shares = np.array([share for gpus, share in profile.sizes if gpus <= largest])
    fresh = random.choice(values, size=count, p=shares / shares.sum())
    is_fresh = random.random(count) >= profile.size_repeat
    # Before the first fresh one it is draw 0 that is repeated.
    last_fresh = np.maximum.accumulate(np.where(is_fresh, np.arange(count), 0))
    return np.asarray(fresh[last_fresh], dtype=np.int64)


def _durations(profile: TraceProfile, random: np.random.Generator, sizes: I64) -> F64:
    """float64[N]: whole seconds, >= 1."""
    draw = random.random(len(sizes))
    limits = [row.gpu_count_max for row in profile.durations]
    row_of = np.minimum(np.searchsorted(limits, sizes), len(limits) - 1)
    logs = np.empty(len(sizes))
    for number, row in enumerate(profile.durations):
        chosen = row_of == number
        logs[chosen] = np.interp(draw[chosen], LEVELS, row.duration_log10_s)
    return np.maximum(1.0, np.round(10.0**logs))


def _arrivals(profile: TraceProfile, random: np.random.Generator, count: int, span_s: float) -> F64:
    """float64[count]: times of submission in [0, span_s], ascending."""
    noise, memory = random.standard_normal(count + 1), profile.gap_memory
    series = np.array(list(accumulate(noise.tolist(), lambda z, e: memory * z + e)))
    # Ranks turn the series into evenly spread levels: its order stays, its law becomes the gaps'.
    levels = (np.argsort(np.argsort(series, kind="stable"), kind="stable") + 0.5) / (count + 1)
    gaps = 10.0 ** np.interp(levels, LEVELS, profile.gap_log10) - 1.0 + 1e-6
    passed = np.cumsum(gaps)
    end = operational_time(np.array([span_s]), profile.hour_weights)[0]
    return np.minimum(span_s, _clock_time(passed[:-1] / passed[-1] * end, profile.hour_weights))


def _trace(
    profile: TraceProfile, submit_s: F64, duration_s: F64, sizes: I64, span_s: float
) -> Trace:
    rows = zip(submit_s.tolist(), duration_s.tolist(), sizes.tolist(), strict=True)
    jobs = (Job(f"{profile.name}-{number}", *row) for number, row in enumerate(rows))
    return make_trace(f"{profile.name}-like", jobs, span_s)


def _check(profile: TraceProfile, span_s: float, largest: int) -> None:
    if not 0 < span_s < math.inf:
        raise InputError(f"duration_s is {span_s}, wanted > 0")
    if largest < profile.sizes[0][0]:
        raise InputError(
            f"profile {profile.name!r} has no job of {largest} GPUs or fewer, "
            f"its smallest has {profile.sizes[0][0]}"
        )


def generate_count(profile: TraceProfile, seed: int, duration_s: float, job_count: int) -> Trace:
    """A trace of ``job_count`` (1 to 2,000,000) jobs over ``duration_s`` (> 0); the same per seed.

    Raises:
        InputError: an argument is out of range.
    """
    _check(profile, duration_s, profile.sizes[-1][0])
    if not 1 <= job_count <= JOB_COUNT_MAX:
        raise InputError(f"job_count is {job_count}, wanted 1 to {JOB_COUNT_MAX:,}")
    random = np.random.default_rng(seed)
    sizes = _sizes(profile, random, job_count, profile.sizes[-1][0])
    durations = _durations(profile, random, sizes)
    arrivals = _arrivals(profile, random, job_count, duration_s)
    return _trace(profile, arrivals, durations, sizes, duration_s)


def generate(
    profile: TraceProfile, seed: int, duration_s: float, gpu_capacity: int, load: float
) -> Trace:
    """A trace that asks for ``load`` of what ``gpu_capacity`` GPUs can do in ``duration_s``.

    Jobs are drawn until they ask for that much; jobs larger than the capacity are left out of
    the mix. So the offered load is met to within the last job, and the count of jobs follows.

    Args:
        profile: what the jobs are like.
        seed: the same seed gives the same trace.
        duration_s: span of the submissions, s, > 0.
        gpu_capacity: GPUs, >= 1.
        load: offered load, > 0; above 1 the queue grows without end.

    Raises:
        InputError: an argument is out of range, or more than 2,000,000 jobs would be needed.
    """
    _check(profile, duration_s, gpu_capacity)
    if not 0 < load < math.inf:
        raise InputError(f"load is {load}, wanted > 0")
    wanted_gpu_s = load * gpu_capacity * duration_s
    random = np.random.default_rng(seed)
    size_parts: list[I64] = []
    duration_parts: list[F64] = []
    work_gpu_s, count = 0.0, 0
    while work_gpu_s < wanted_gpu_s:
        if count >= JOB_COUNT_MAX:
            raise InputError(
                f"profile {profile.name!r}: load {load:g} of {gpu_capacity:,} GPUs over "
                f"{duration_s:g} s needs more than {JOB_COUNT_MAX:,} jobs"
            )
        sizes = _sizes(profile, random, _CHUNK, gpu_capacity)
        durations = _durations(profile, random, sizes)
        total = work_gpu_s + np.cumsum(sizes * durations)
        kept = min(_CHUNK, int(np.searchsorted(total, wanted_gpu_s)) + 1)
        size_parts.append(sizes[:kept])
        duration_parts.append(durations[:kept])
        work_gpu_s, count = float(total[kept - 1]), count + kept
    arrivals = _arrivals(profile, random, count, duration_s)
    return _trace(
        profile, arrivals, np.concatenate(duration_parts), np.concatenate(size_parts), duration_s
    )
