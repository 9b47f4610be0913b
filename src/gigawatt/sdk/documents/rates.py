"""Documents of the rate card, and of questions for a price."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field, StringConstraints

from gigawatt.sdk.documents.base import Answer, Id, Request
from gigawatt.sdk.documents.clusters import Term

Note = Annotated[str, StringConstraints(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]
MicroUsd = Annotated[int, Field(ge=0, le=10_000_000_000)]


class NewRate(Request):
    """A row to add. Without a beginning it is in force at once.

    A row follows the newest one for the same type, term, site, organisation, size and months.
    With ``valid_to`` equal to ``valid_from`` it ends that one and puts nothing in its place.
    """

    gpu_type: Id
    term: Term = "on_demand"
    price_micro_usd_per_gpu_hour: MicroUsd
    valid_from: AwareDatetime | None = None
    valid_to: AwareDatetime | None = None
    site_id: Id | None = None
    organisation_id: Id | None = None
    gpu_count_min: Annotated[int, Field(ge=1, le=32_000)] = 1
    month_count_min: Annotated[int, Field(ge=0, le=60)] = 0
    currency: Annotated[str, StringConstraints(max_length=3)] = "USD"
    note: Note = ""


class SetRates(Request):
    """Rows to add together, all of them or none."""

    rates: Annotated[list[NewRate], Field(min_length=1, max_length=1_000)]


class Rate(Answer):
    """A row of the rate card. Who set it is shown to operators."""

    id: str
    gpu_type: str
    term: str
    price_micro_usd_per_gpu_hour: int
    currency: str
    state: Literal["coming", "in_force", "past"]
    valid_from: datetime
    valid_to: datetime | None = None
    site_id: str | None = None
    organisation_id: str | None = None
    gpu_count_min: int
    month_count_min: int
    note: str = ""
    set_at: datetime
    set_by: str | None = None


class AskPrice(Request):
    """GPUs that somebody would like to know the price of; nothing is kept of it.

    A number of GPUs that no node type has is rounded up to whole nodes. ``from_at`` is the first
    start that is of use, now if left out: what is on demand or spot is promised for no later one.
    """

    project_id: Id
    gpu_count: Annotated[int, Field(ge=1, le=32_000)]
    gpu_type: Id | None = None
    term: Term = "on_demand"
    month_count: Annotated[int, Field(ge=0, le=60)] = 0
    site_ids: Annotated[list[Id], Field(max_length=100)] = []
    spare_count: Annotated[int, Field(ge=0, le=64)] = 0
    duration_s: Annotated[float, Field(gt=0, le=200_000_000)] | None = None
    from_at: AwareDatetime | None = None


class PriceOffer(Answer):
    """One way to have GPUs.

    ``gpu_count`` leaves spares out, which ``price_micro_usd_per_hour`` has. ``is_free_now`` is null
    where nobody knows. ``starts_at`` is the first moment at which reserved capacity fits, by the
    calendar; null for none that is known. Without months a reservation is of the time asked for.
    """

    gpu_type: str
    term: str
    site_id: str
    gpu_count: int
    spare_node_count: int
    month_count: int
    price_micro_usd_per_gpu_hour: int
    price_basis: str
    price_micro_usd_per_hour: int
    total_micro_usd: int | None = None
    is_free_now: bool | None = None
    starts_at: datetime | None = None
    cancellation: str


class PriceAnswer(Answer):
    """What was asked for, and other ways, the cheapest first: by the total, if a time was said.

    ``wait`` tells when it may be had, if it is not free now.
    """

    offer: PriceOffer
    billed: list[str]
    wait: str = ""
    alternatives: list[PriceOffer]
