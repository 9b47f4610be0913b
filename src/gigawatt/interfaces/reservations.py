"""What a book of reservations must offer: promises of nodes, kept by the database itself.

Every method is one transaction, like those of ``Store``, and raises ``DataError`` and
``StorageFullError`` as they do. Books of money read ``between``: a reservation is paid from
``from_s`` to ``to_s`` whether it is used or not, and one that was cancelled only its charge.
"""

from dataclasses import dataclass
from typing import Literal, Protocol

from gigawatt.identity.accounts import AccountId
from gigawatt.ids import FabricId, NodeId, ReservationId, SiteId, TenantId
from gigawatt.intent.request import Level
from gigawatt.interfaces.directory import Reach
from gigawatt.market.calendar import Reservation
from gigawatt.market.gap import Gap, short_gpu_ms
from gigawatt.market.notice import NoticePolicy

ReservationState = Literal["planned", "booked", "cancelled"]


@dataclass(frozen=True, slots=True)
class CancellationTerms:
    """What it costs to give a reservation up, said when it is planned.

    Fields: until ``free_until_s`` (Unix seconds) nothing; from then until the start
    ``charge_micro_usd``; after the start it cannot be given up.
    """

    free_until_s: float
    charge_micro_usd: int


@dataclass(frozen=True, slots=True)
class ReservationRecord:
    """A reservation's row.

    Fields:
        sequence: place among all, by time of planning; 0 before it is kept.
        promise: nodes, growth room, holder and time.
        account_id: who planned it; None when that is not known.
        name: what its holder calls it.
        state: "planned" promises nothing yet, and lapses at ``expires_s``.
        gpu_type, site_id, fabric_id: of all its nodes.
        gpu_count, growth_gpu_count: GPUs paid for, and kept free beside them.
        leaf_group_count: leaf groups that the GPUs paid for touch.
        price_micro_usd_per_gpu_hour: bound when it was planned.
        month_count: whole months of its term, for the rate card.
        cancellation: see there.
        clear_until_s: until when nobody else is promised its nodes, so that they can be cleared.
        planned_s, expires_s: Unix seconds.
        booked_s, cancelled_s: None before that.
        charged_micro_usd: what the cancellation cost, 0 unless cancelled late.
        keep_together: widest level that its paid nodes may span, as it was asked for.
        gaps: promised nodes that could not be had, oldest first.
    """

    sequence: int
    promise: Reservation
    account_id: AccountId | None
    name: str
    state: ReservationState
    gpu_type: str
    site_id: SiteId
    fabric_id: FabricId
    gpu_count: int
    growth_gpu_count: int
    leaf_group_count: int
    price_micro_usd_per_gpu_hour: int
    month_count: int
    cancellation: CancellationTerms
    clear_until_s: float
    planned_s: float
    expires_s: float
    booked_s: float | None = None
    cancelled_s: float | None = None
    charged_micro_usd: int = 0
    keep_together: Level = Level.FABRIC
    gaps: tuple[Gap, ...] = ()

    @property
    def reservation_id(self) -> ReservationId:
        """Its id."""
        return ReservationId(self.promise.reservation_id)

    @property
    def project_id(self) -> TenantId:
        """Whose it is."""
        return self.promise.tenant_id

    def short_gpu_ms(self, from_ms: int, to_ms: int) -> int:
        """GPU-milliseconds between two moments that it pays for and could not have."""
        return short_gpu_ms(self.promise, self.gaps, from_ms, to_ms)


@dataclass(frozen=True, slots=True)
class Swap:
    """Another node in the place of a promised one.

    Fields:
        node_id: the promised one, which is out of use.
        new_id: the other one.
        ready_s: when nobody is on it any more, now or later; Unix seconds.
        leaf_group_count: leaf groups that the paid GPUs touch then.
    """

    node_id: NodeId
    new_id: NodeId
    ready_s: float
    leaf_group_count: int


class ReservationBook(Protocol):
    """Durable reservations."""

    def plan(self, record: ReservationRecord) -> ReservationRecord:
        """Keep what was worked out, and promise nothing; with its place.

        It replaces an older plan of its id.
        """
        ...

    def book(
        self,
        reservation_id: ReservationId,
        parent_generation: int | None,
        policy: NoticePolicy,
        now_s: float,
    ) -> ReservationRecord:
        """Promise the nodes of a plan; one that is booked already is given as it is.

        Raises:
            ConflictError: the plan has lapsed or was cancelled, the generation is not the parent
                (None takes any), a node is promised to another in that time, or somebody holds one
                who will not be gone in time.
            UnknownIdError: there is none.
        """
        ...

    def cancel(self, reservation_id: ReservationId, now_s: float) -> ReservationRecord:
        """Give a reservation up under its terms; one that was cancelled is given as it is.

        Raises:
            ConflictError: it has begun.
            UnknownIdError: there is none.
        """
        ...

    def get(self, reservation_id: ReservationId) -> ReservationRecord:
        """One reservation, whatever became of it.

        Raises:
            UnknownIdError: there is none.
        """
        ...

    def page(
        self, reach: Reach, before: int, limit: int, *, with_ended: bool, now_s: float
    ) -> tuple[ReservationRecord, ...]:
        """Booked ones, newest first, before a place; with ended ones also those that are over."""
        ...

    def booked(self, after_s: float) -> tuple[ReservationRecord, ...]:
        """Booked ones whose nodes are not free again at a moment, by start."""
        ...

    def between(
        self, project_ids: frozenset[TenantId] | None, from_s: float, to_s: float
    ) -> tuple[ReservationRecord, ...]:
        """What is to be paid in a time: booked ones that overlap it, cancellations in it."""
        ...

    def note_gap(self, reservation_id: ReservationId, node_id: NodeId, now_s: float) -> bool:
        """Note that a promised node is out of use and none takes its place; False if it is known.

        Holder and operator are told. The time counts from when it was taken out of use.

        Raises:
            ConflictError: the node is in use, or the reservation is not booked or not of it.
        """
        ...

    def end_gap(self, reservation_id: ReservationId, node_id: NodeId, now_s: float) -> bool:
        """Note that a promised node is in use again; False if no gap of it was open."""
        ...

    def swap(
        self, reservation_id: ReservationId, swap: Swap, policy: NoticePolicy, now_s: float
    ) -> ReservationRecord:
        """Promise another node in the place of one that is out of use.

        Raises:
            ConflictError: the old node is in use again or not promised, or the new one is out of
                use, promised to somebody, or held by who will not be gone in time.
        """
        ...
