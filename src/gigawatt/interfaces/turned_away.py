"""What a book of turned-away demand must offer: what was asked for here and not served.

An operator plans capacity from it. It is bounded: rows are kept for a while and then summed by day.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from gigawatt.ids import TenantId

Cause = Literal["capacity", "quota", "impossible", "price"]
Origin = Literal["plan", "create", "grow", "waiting"]
Outcome = Literal["refused", "expired", "withdrawn"]


@dataclass(frozen=True, slots=True)
class TurnedAway:
    """One request that was not served.

    Fields:
        sequence: place in the book, 0 before it is kept.
        source_key: the same for every try of one request, so that it is kept once.
        at_s: Unix seconds.
        project_id: who asked.
        cause: why not.
        origin: what was asked for: to see a plan, to create, to grow, to wait.
        outcome: refused at once, or what ended its wait.
        gpu_type: the type wanted, "any", or "unknown" for one that the fleet does not have.
        gpu_count: GPUs wanted.
        shape: what else was wanted of the cluster, one sentence; "" for nothing.
        price_micro_usd_per_gpu_hour_max: dearest GPU that would have been taken, None for any.
        list_price_micro_usd_per_hour: what the GPUs wanted would cost by list, None when the
            fleet has none of them.
        duration_s: how long the cluster was wanted, None when nobody said.
        waited_s: how long the request waited.
        reasons: why not, as the caller was told.
        fingerprint: equal for requests of one project that want the same.
    """

    sequence: int
    source_key: str
    at_s: float
    project_id: TenantId
    cause: Cause
    origin: Origin
    outcome: Outcome
    gpu_type: str
    gpu_count: int
    shape: str
    price_micro_usd_per_gpu_hour_max: int | None
    list_price_micro_usd_per_hour: int | None
    duration_s: float | None
    waited_s: float
    reasons: tuple[str, ...]
    fingerprint: str


@dataclass(frozen=True, slots=True)
class TurnedAwayDay:
    """Demand of one day, type, size and kind that was not served.

    Fields:
        day: days since 1970-01-01, UTC.
        gpu_count_from: smallest size of the class, a power of two; the class ends below the next.
        request_count: all requests, repeated ones too.
        distinct_count: projects and wishes that differ; a wish repeated all day counts once.
        gpu_count: GPUs of the distinct wishes, each at its first appearance that day.
        gpu_s: GPU-seconds of those of them that said how long, and how many these are.
        list_price_micro_usd_per_hour: what they would have paid for an hour, by list.
    """

    day: int
    gpu_type: str
    gpu_count_from: int
    cause: Cause
    origin: Origin
    request_count: int
    distinct_count: int
    gpu_count: int
    gpu_s: float
    timed_count: int
    list_price_micro_usd_per_hour: int


@dataclass(frozen=True, slots=True)
class TurnedAwayFilter:
    """Which rows; None for all. ``since_s`` is included, ``until_s`` is not."""

    since_s: float | None = None
    until_s: float | None = None
    project_id: TenantId | None = None
    cause: Cause | None = None
    origin: Origin | None = None
    gpu_type: str | None = None


class TurnedAwayBook(Protocol):
    """Durable record of turned-away demand. Every method is one transaction."""

    def record(self, row: TurnedAway) -> bool:
        """Keep a row; False when its source is in the book already."""
        ...

    def page(self, wanted: TurnedAwayFilter, before: int, limit: int) -> tuple[TurnedAway, ...]:
        """Rows, newest first, before a place."""
        ...

    def days(self, first_day: int, last_day: int) -> Sequence[TurnedAwayDay]:
        """Sums by day, type, size and kind, those of rows that are gone too; oldest first."""
        ...

    def tidy(self, now_s: float) -> int:
        """Sum up and drop rows that are too old or too many; how many."""
        ...
