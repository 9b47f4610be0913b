"""Documents of usage: records, sums, and events that other services send."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, RootModel, StringConstraints

from gigawatt.sdk.documents.base import Answer, Id, Request

UsageBy = Literal["project", "cluster", "gpu_type", "day"]
UnixMs = Annotated[int, Field(ge=0, le=1 << 53, description="Unix milliseconds.")]
_Uri = Annotated[str, StringConstraints(min_length=1, max_length=512, pattern=r"^[!-~]+$")]
_Word = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[!-~]+$")]

USAGE_EVENTS_MAX = 500
"""Events of one request."""


class UsageRecord(Answer):
    """One node of one cluster in use at one price, from ``from_ms`` up to, and not with, ``to_ms``.

    The cluster's id and the number name it for good; none is ever changed or removed.
    """

    cluster_id: str
    number: int
    project_id: str
    node_id: str
    gpu_type: str
    site_id: str
    term: str
    gpu_count: int
    price_micro_usd_per_gpu_hour: int
    from_ms: int
    to_ms: int
    reservation_id: str | None = None
    amount_micro_usd: int


class UsageLine(Answer):
    """GPU time of one project, cluster, GPU type or day, with what is under way.

    Each amount is rounded once, from an exact sum: that of the total may differ from the sum of
    the lines by half a micro-dollar a line.
    """

    key: str
    name: str | None = None
    gpu_ms: int
    gpu_hours: float
    amount_micro_usd: int


class StorageLine(Answer):
    """Storage that a cluster or file system had, or has."""

    holder_id: str
    name: str
    project_id: str
    byte_ms: int
    gib_hours: float
    storage_bytes: int
    is_under_way: bool


class ExternalLine(Answer):
    """What other services measured of one product for one project, summed up."""

    product: str
    project_id: str
    quantity: int
    unit: str
    event_count: int


class UsageSummary(Answer):
    """Usage from ``from_ms`` up to ``to_ms``, by key, and its total.

    ``external`` is of no cluster, so it is empty where one is asked for.
    """

    by: UsageBy
    from_ms: int
    to_ms: int
    lines: list[UsageLine]
    total: UsageLine
    storage: list[StorageLine]
    external: list[ExternalLine] = []


class UsageEventData(Request):
    """What was used: a whole number of a unit, by a project. Further fields are kept as well."""

    model_config = ConfigDict(extra="allow")

    project_id: Id
    quantity: Annotated[int, Field(ge=0, lt=1 << 53, strict=True)]
    unit: _Word

    def further(self) -> dict[str, Any]:
        """The other fields."""
        return dict(self.model_extra or {})


class UsageEvent(Request):
    """A CloudEvent in the JSON format, https://cloudevents.io, that says what a project used.

    Source and id name it: the same event may be sent again, and counts once. Extension attributes
    are not kept; they may differ from one try to the next.
    """

    model_config = ConfigDict(extra="ignore")

    specversion: Literal["1.0"]
    id: _Uri
    source: _Uri
    type: Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=r"^[!-~]+$")]
    time: datetime
    subject: Annotated[str, StringConstraints(max_length=512)] | None = None
    datacontenttype: Literal["application/json"] | None = None
    data: UsageEventData


class UsageEvents(RootModel[list[UsageEvent]]):
    """CloudEvents in the JSON batch format."""

    root: Annotated[list[UsageEvent], Field(min_length=1, max_length=USAGE_EVENTS_MAX)]


class UsageEventsKept(Answer):
    """How many events a request had, and how many of them were new."""

    event_count: int
    new_count: int


class UsageDifference(Answer):
    """Where records of usage are not what the audit trail says; of storage it is of no node."""

    cluster_id: str
    node_id: str | None
    from_ms: int
    to_ms: int
    sentence: str


class UsageCheck(Answer):
    """Records of GPUs and of storage compared with a second reckoning from the audit trail."""

    cluster_count: int
    storage_holder_count: int
    is_sound: bool
    differences: list[UsageDifference]
