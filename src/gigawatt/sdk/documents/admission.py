"""Documents of supply against demand: grants, what waits, and what was turned away."""

from datetime import date, datetime
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field, StringConstraints

from gigawatt.sdk.documents.base import Answer, Id, Request

CauseName = Literal["capacity", "quota", "impossible", "price"]
OriginName = Literal["plan", "create", "grow", "waiting"]


class TypeAdmission(Answer):
    """GPUs of one type, or of "all".

    ``oversubscription_ratio`` is GPUs granted for each that there is. Turned away are the distinct
    wishes of the last seven days, plans that were only shown left out.
    """

    gpu_type: str
    gpu_count: int
    blocked_gpu_count: int
    held_gpu_count: int
    free_gpu_count: int
    granted_gpu_count: int
    oversubscription_ratio: float | None
    waiting_count: int
    waiting_gpu_count: int
    turned_away_count: int
    turned_away_gpu_count: int


class Admission(Answer):
    """Supply against demand, and in which order who is served and who gives way for whom.

    ``unrecorded_count`` are refusals this server could not record.
    """

    gpu_types: list[TypeAdmission]
    patience_s: float
    unrecorded_count: int
    order: list[str] = []


class TurnedAwayFilter(Request):
    """Which turned-away requests a list shows; what is left out shows all."""

    since: AwareDatetime | None = None
    until: AwareDatetime | None = None
    project_id: Id | None = None
    cause: CauseName | None = None
    origin: OriginName | None = None
    gpu_type: Id | None = None
    cursor: (
        Annotated[str, StringConstraints(max_length=512, pattern=r"^[A-Za-z0-9_=-]*$")] | None
    ) = None
    limit: Annotated[int, Field(ge=1, le=500)] = 100


class TurnedAway(Answer):
    """A request that was not served; ``shape`` is what else it wanted of its cluster."""

    sequence: int
    at: datetime
    project_id: str
    cause: CauseName
    origin: OriginName
    outcome: Literal["refused", "expired", "withdrawn"]
    gpu_type: str
    gpu_count: int
    shape: str
    price_micro_usd_per_gpu_hour_max: int | None
    list_price_micro_usd_per_hour: int | None
    duration_s: float | None
    waited_s: float
    reasons: list[str]


class TurnedAwayDay(Answer):
    """Sums of one day (UTC), type, class of size and kind.

    A class goes from ``gpu_count_from`` to below its double. A wish that a project repeats on one
    day counts once, but for ``request_count``. ``gpu_hours`` are those of the ``timed_count``
    wishes that said how long.
    """

    day: date
    gpu_type: str
    gpu_count_from: int
    cause: CauseName
    origin: OriginName
    request_count: int
    distinct_count: int
    gpu_count: int
    gpu_hours: float
    timed_count: int
    list_price_micro_usd_per_hour: int
