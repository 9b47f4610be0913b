"""What a book of usage must offer: what clusters, storage and other services used, by whom, when.

Records only grow: none is changed or removed, and a mistake is mended by a credit, which is money
and stands in the ledger. Times are Unix milliseconds and intervals are half open, so the sum over
any cut of time is the same. A record is named for good by its cluster and its number.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from gigawatt.identity.accounts import OrganisationId
from gigawatt.ids import ClusterId, NodeId, ReservationId, SiteId, StoragePoolId, TenantId
from gigawatt.intent.term import Term

By = Literal["project", "cluster", "gpu_type", "day"]
"""What a summary is made by; days are of UTC."""


@dataclass(frozen=True, slots=True)
class UsageRecord:
    """One node of one cluster in use, at one price; what is asked for is clipped to the question.

    Fields: number counts the records of a cluster from 0, None while the use is under way;
    organisation is None for a tenant that is no project; price is in micro-USD, 0 for what a
    reservation covers.
    """

    cluster_id: ClusterId
    number: int | None
    organisation_id: OrganisationId | None
    project_id: TenantId
    node_id: NodeId
    gpu_type: str
    site_id: SiteId
    term: Term
    gpu_count: int
    price_micro_usd_per_gpu_hour: int
    from_ms: int
    to_ms: int
    reservation_id: ReservationId | None = None

    @property
    def gpu_ms(self) -> int:
        """GPU-milliseconds."""
        return (self.to_ms - self.from_ms) * self.gpu_count

    @property
    def rated(self) -> int:
        """Micro-USD times milliseconds an hour; see ``market.meter.rounded_micro_usd``."""
        return self.gpu_ms * self.price_micro_usd_per_gpu_hour


@dataclass(frozen=True, slots=True)
class StorageRecord:
    """A quota that one holder, a cluster or a file system, had; fields as in ``UsageRecord``."""

    holder_id: ClusterId
    number: int | None
    organisation_id: OrganisationId | None
    project_id: TenantId
    storage_pool_id: StoragePoolId
    site_id: SiteId
    storage_bytes: int
    from_ms: int
    to_ms: int

    @property
    def byte_ms(self) -> int:
        """Byte-milliseconds."""
        return (self.to_ms - self.from_ms) * self.storage_bytes


@dataclass(frozen=True, slots=True)
class ExternalUsage:
    """What another service measured and sent as a CloudEvent.

    Fields:
        source, event_id: name it for good.
        kind: the event's type, e.g. "com.example.llm_tokens".
        quantity: whole, 0 or more, of ``unit``.
        data: the rest of what the event says, JSON-able.
    """

    source: str
    event_id: str
    kind: str
    at_ms: int
    subject: str | None
    organisation_id: OrganisationId
    project_id: TenantId
    quantity: int
    unit: str
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class UsageQuery:
    """Which records: those that touch a stretch of time, of whom if it is said.

    Fields: project_ids are those that the caller reaches, None for all.
    """

    from_ms: int
    to_ms: int
    organisation_id: OrganisationId | None = None
    project_ids: frozenset[TenantId] | None = None
    cluster_id: ClusterId | None = None


@dataclass(frozen=True, slots=True)
class UsageLine:
    """A line of a summary: GPU time and its price, both exact, of one project, cluster, ...

    Fields: rated is micro-USD times milliseconds an hour, to be rounded once.
    """

    key: str
    gpu_ms: int
    rated: int


@dataclass(frozen=True, slots=True)
class UsageDifference:
    """Where records are not what the log of operations says: milliseconds, and micro-USD.

    Fields: cluster is the cluster or file system; node None where it is of storage.
    """

    cluster_id: ClusterId
    node_id: NodeId | None
    from_ms: int
    to_ms: int
    sentence: str


@dataclass(frozen=True, slots=True)
class UsageChecked:
    """Records compared with the log of operations.

    Fields: clusters, and holders of storage, that were compared; where they differ.
    """

    cluster_count: int
    holder_count: int
    differences: tuple[UsageDifference, ...]


class UsageBook(Protocol):
    """Usage that was written down, and what is under way."""

    def usages(self, query: UsageQuery) -> Iterator[UsageRecord]:
        """Records clipped to the query, in the order in which they were written.

        What is under way has none yet: ``cut`` first, and all before the cut has one.
        """
        ...

    def under_way(self, now_ms: int, query: UsageQuery | None = None) -> Iterator[UsageRecord]:
        """What is in use now, up to ``now_ms``, by cluster and node; nothing of it is final."""
        ...

    def cut(self, at_ms: int) -> int:
        """Write down all that is under way, GPUs and storage, up to a moment; how many records.

        After it, all use before the moment has a record. Cutting again there changes nothing.
        """
        ...

    def page(
        self, query: UsageQuery, after: int, limit: int
    ) -> tuple[tuple[int, UsageRecord], ...]:
        """Records as of ``usages``, each with its place in that order, after a place."""
        ...

    def summary(self, query: UsageQuery, by: By, now_ms: int) -> tuple[UsageLine, ...]:
        """GPU time and price of records and of what is under way until ``now_ms``, by key."""
        ...

    def storage_usages(self, query: UsageQuery) -> Iterator[StorageRecord]:
        """Storage that was had, clipped; ``cluster_id`` names a cluster or a file system."""
        ...

    def storage_under_way(
        self, now_ms: int, query: UsageQuery | None = None
    ) -> Iterator[StorageRecord]:
        """Storage that is had now, up to ``now_ms``."""
        ...

    def add_external(self, events: Sequence[ExternalUsage], now_s: float) -> int:
        """Keep what is not kept yet, all or nothing; how many were new.

        Raises:
            ConflictError: one has the source and id of another that says something else.
            InputError: one that is new is of a month before the books begin, or one is of a known
                product in another unit than its own.
        """
        ...

    def external_usages(self, query: UsageQuery) -> Iterator[ExternalUsage]:
        """What other services measured in the time of the query, in the order it came in."""
        ...

    def check(self, cluster_id: ClusterId | None = None) -> UsageChecked:
        """Compare GPUs and storage of a cluster or file system, or of all, with the log."""
        ...
