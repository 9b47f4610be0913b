"""Documents of reservations, and of free capacity over time."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field, StringConstraints

from gigawatt.sdk.documents.base import Answer, Id, Request

Hours = Annotated[float, Field(ge=1, le=43_920, allow_inf_nan=False)]
LevelName = Literal["node", "nvlink_domain", "leaf_group", "pod", "fabric"]


class ReservationRequest(Request):
    """A wish for whole nodes from a moment to another: ``hours``, or 30-day ``months``.

    It begins now unless ``from_at`` says when. ``growth_gpu_count`` GPUs are kept free beside it,
    and cost the price of the day when they are used. ``is_lent`` lets others use it, on call, while
    its project does not. It must cost no more than the price that is said, if one is.
    """

    project_id: Id
    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
    gpu_count: Annotated[int, Field(ge=1, le=32_000)]
    gpu_type: Id
    from_at: AwareDatetime | None = None
    hours: Hours | None = None
    months: Annotated[int, Field(ge=1, le=60)] | None = None
    growth_gpu_count: Annotated[int, Field(ge=0, le=32_000)] = 0
    is_lent: bool = False
    site_ids: Annotated[list[Id], Field(max_length=100)] = []
    keep_together: LevelName = "fabric"
    price_micro_usd_per_gpu_hour_max: Annotated[int, Field(ge=0, le=10**10)] | None = None


class Cancellation(Answer):
    """What it costs to give a reservation up: nothing until a moment, then this until it begins.

    After its start it is paid to its end.
    """

    free_until: datetime
    charge_micro_usd: int


class ReservationGap(Answer):
    """A promised node that was out of use, until another one took its place or it was mended.

    ``until_at`` is null while nothing does; it may lie ahead, where who is on the other node has
    notice to leave it.
    """

    node_id: str
    gpu_count: int
    is_growth: bool
    since: datetime
    until_at: datetime | None
    replaced_by: str | None


class Reservation(Answer):
    """Nodes that are promised, or would be: a plan promises nothing and lapses.

    The price is bound. ``amount_micro_usd`` is what all of it costs, used or not;
    ``credited_micro_usd`` is what of it is taken off until now for nodes that could not be had.
    ``short_gpu_count`` are GPUs that it lacks now.
    """

    id: str
    project_id: str
    name: str
    state: Literal["planned", "booked", "running", "ended", "cancelled"]
    gpu_type: str
    site_id: str
    fabric_id: str
    gpu_count: int
    growth_gpu_count: int
    node_count: int
    leaf_group_count: int
    from_at: datetime
    to_at: datetime
    is_lent: bool
    month_count: int
    price_micro_usd_per_gpu_hour: int
    amount_micro_usd: int
    cancellation: Cancellation
    planned_at: datetime
    expires_at: datetime | None
    booked_at: datetime | None
    cancelled_at: datetime | None
    charged_micro_usd: int
    short_gpu_count: int = 0
    credited_micro_usd: int = 0
    gaps: list[ReservationGap] | None = None
    nodes: list[str] | None = None
    growth_nodes: list[str] | None = None


class CapacityWindow(Answer):
    """GPUs of whole nodes that could be reserved from a moment on, for the length asked."""

    from_at: datetime
    free_gpu_count: int


class Capacity(Answer):
    """What could start when; by topology, and with what is promised to others.

    ``starts_at`` is the first moment at which what was asked fits, null for none that was looked
    at. ``is_whole`` is false when there were more moments than are looked at in one answer.
    """

    gpu_type: str
    gpu_count: int
    hours: float
    starts_at: datetime | None
    windows: list[CapacityWindow]
    is_whole: bool
