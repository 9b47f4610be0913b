"""Who asks for what: the jobs of a trace as demand on demand, for reserved capacity and for spot.

A job's class, tenant and bid follow from the seed and its number alone, so every policy meets the
same demand.
"""

import math
from dataclasses import dataclass, replace

from gigawatt.ids import TenantId
from gigawatt.intent.term import Term
from gigawatt.twin.failures import draw
from gigawatt.twin.market.settings import MarketMix
from gigawatt.twin.traces import JOB_COUNT_MAX, Job, Trace, make_trace
from gigawatt.twin.workload import Workload, from_trace


@dataclass(slots=True, eq=False)
class Wish:
    """One job and how far it is.

    Fields:
        number, job: of the trace.
        term: how its tenant wants it.
        tenant_id: whose it is.
        bid_ratio: most that is paid for it over the list price, where it is spot.
        done_ms: work that is kept.
        is_started, is_interrupted: whether it ever had a cluster, or lost one.
    """

    number: int
    job: Job
    term: Term
    tenant_id: TenantId
    bid_ratio: float
    is_carried: bool
    done_ms: int = 0
    is_started: bool = False
    is_interrupted: bool = False

    @property
    def gpu_count(self) -> int:
        """GPUs wanted."""
        return self.job.gpu_count

    @property
    def order(self) -> tuple[float, int]:
        """When it was submitted, and its number."""
        return self.job.submit_s, self.number

    @property
    def submit_ms(self) -> int:
        """When it is submitted."""
        return round(self.job.submit_s * 1000)

    @property
    def left_ms(self) -> int:
        """Work that is left."""
        return max(0, round(self.job.duration_s * 1000) - self.done_ms)


def wishes_of(workload: Workload, mix: MarketMix, seed: int) -> tuple[Wish, ...]:
    """The jobs of a workload with class, tenant and bid."""
    return tuple(
        _wish(number, job, mix, seed, is_carried=number < workload.carried_count)
        for number, job in enumerate(workload.trace.jobs)
    )


def _wish(number: int, job: Job, mix: MarketMix, seed: int, *, is_carried: bool) -> Wish:
    at = draw(seed, f"term {number}")
    who = draw(seed, f"tenant {number}")
    term = Term.ON_DEMAND
    tenant = f"ten_{math.floor(mix.tenant_count * who**2):03d}"
    if at < mix.reserved_share:
        term = Term.RESERVED
        tenant = f"ten_r{math.floor(mix.reserved_tenant_count * who):02d}"
    elif at < mix.reserved_share + mix.spot_share:
        term = Term.SPOT
    width = mix.bid_ratio_max - mix.bid_ratio_min
    bid_ratio = mix.bid_ratio_min + width * draw(seed, f"bid {number}")
    return Wish(number, job, term, TenantId(tenant), bid_ratio, is_carried)


def repeat(trace: Trace, span_s: float) -> Trace:
    """The trace again and again until it spans ``span_s`` seconds or more."""
    count = max(1, math.ceil(span_s / trace.span_s))
    jobs = (
        replace(job, job_id=f"{job.job_id}@{turn}", submit_s=job.submit_s + turn * trace.span_s)
        for turn in range(count)
        for job in trace.jobs
    )
    return trace if count == 1 else make_trace(trace.name, jobs, count * trace.span_s)


def market_workload(
    trace: Trace, gpu_count: int, span_s: float, load: float, seed: int
) -> Workload:
    """A window of ``span_s`` seconds of a trace that is repeated as often as needed.

    Raises:
        InputError: as ``from_trace``.
    """
    alone = sum(job.duration_s * job.gpu_count for job in trace.jobs) / trace.span_s / gpu_count
    copies = max(1, round(load / alone)) if alone > 0 else 1
    # Two days more than the window, so that there is one to choose; a trace that asks for more than
    # the load is slowed down, and one that asks for less is laid over itself first.
    wanted_s = (span_s + 2.0 * 86_400.0) * min(4.0, max(1.0, load / max(alone * copies, 1e-9)))
    turns = max(1, math.ceil(wanted_s / trace.span_s))
    turns = min(turns, max(1, JOB_COUNT_MAX // (copies * len(trace))))
    return from_trace(repeat(trace, turns * trace.span_s), gpu_count, span_s, load, seed)
