"""What a book of spot must offer: rounds, notices to give nodes back, and saved checkpoints.

Every method is one transaction, like those of ``Store``, and raises ``DataError`` and
``StorageFullError`` as they do. Bids are requests that wait, see ``interfaces.waiting``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from gigawatt.ids import ClusterId, NodeId, NoticeId, OperationId, SiteId, TenantId
from gigawatt.interfaces.directory import Reach
from gigawatt.interfaces.waiting import WaitingRequest
from gigawatt.market.notice import NoticeAnswer

NoticeState = Literal["given", "begun", "done", "withdrawn"]
NoticeCause = Literal["reservation", "waiting", "end"]
"""For whom: a reservation that starts, a request that waits, or nobody: its own time is over."""


@dataclass(frozen=True, slots=True)
class SpotRoundRecord:
    """How a round ended at one place.

    Fields: prices in micro-USD per GPU-hour, the floor is the rate card's; counts of GPUs.
    """

    sequence: int
    at_s: float
    gpu_type: str
    site_id: SiteId
    price_micro_usd_per_gpu_hour: int
    floor_micro_usd_per_gpu_hour: int
    offered_gpu_count: int
    sold_gpu_count: int
    bid_count: int


@dataclass(frozen=True, slots=True)
class Notice:
    """Nodes that a cluster is asked to give back.

    Fields:
        sequence: place among all; 0 before it is kept.
        node_ids: which; all of its nodes when it has to stop.
        cause, cause_id: for whom.
        reason: a sentence for its tenant.
        given_s, deadline_s: when it was given, and when the nodes are taken; Unix seconds.
        operation_id: drawn for taking them before it is tried, so they are taken once at most.
        state: "given", "begun" once the operation is committed, "done" once it has ended,
            "withdrawn" when the cluster went by itself or nobody needs the nodes any more.
        answer, answered_s: what its tenant said of its work and when; None before that.
    """

    sequence: int
    notice_id: NoticeId
    cluster_id: ClusterId
    project_id: TenantId
    node_ids: frozenset[NodeId]
    cause: NoticeCause
    cause_id: str
    reason: str
    given_s: float
    deadline_s: float
    operation_id: OperationId
    state: NoticeState
    state_since_s: float
    answer: NoticeAnswer | None = None
    answered_s: float | None = None


class SpotBook(Protocol):
    """Durable state of spot."""

    def note_round(self, found: SpotRoundRecord) -> bool:
        """Keep a round if it ended otherwise than the last one at its place; whether it did."""
        ...

    def prices(self) -> tuple[SpotRoundRecord, ...]:
        """The last round of each place, by type and site."""
        ...

    def rounds(self, before: int, limit: int) -> tuple[SpotRoundRecord, ...]:
        """Rounds, newest first, before a place."""
        ...

    def give(self, notice: Notice) -> Notice:
        """Give a notice, told in the trail; with its place.

        Raises:
            ConflictError: a node of the cluster is under another notice.
        """
        ...

    def get(self, notice_id: NoticeId) -> Notice:
        """One notice, whatever became of it.

        Raises:
            UnknownIdError: there is none.
        """
        ...

    def answer(
        self, notice_id: NoticeId, answer: NoticeAnswer, detail: str, now_s: float
    ) -> Notice:
        """Keep what a tenant says of its work after a notice, told in the trail once.

        "saved" also notes a checkpoint. A notice whose nodes are being taken, or were, is given as
        it is, and so is one of which the same was said.

        Raises:
            UnknownIdError: there is none.
        """
        ...

    def turn(
        self,
        notice_id: NoticeId,
        state: Literal["begun", "done", "withdrawn"],
        now_s: float,
        again: WaitingRequest | None = None,
    ) -> bool:
        """Say what became of a notice, and queue its cluster's bid again; False if it was said.

        A bid of a name that waits already is not queued twice.
        """
        ...

    def open_notices(self) -> tuple[Notice, ...]:
        """Those that are given or begun, by deadline."""
        ...

    def notices_of(self, cluster_id: ClusterId) -> tuple[Notice, ...]:
        """Notices of a cluster, newest first."""
        ...

    def page(
        self, reach: Reach, before: int, limit: int, *, with_ended: bool
    ) -> tuple[Notice, ...]:
        """Notices, newest first, before a place."""
        ...

    def note_saved(self, cluster_id: ClusterId, saved_s: float) -> None:
        """Note that the work of a cluster was saved; an older moment changes nothing."""
        ...

    def saved(self) -> Mapping[ClusterId, float]:
        """When clusters last said that their work was saved, Unix seconds."""
        ...

    def bid_of(self, cluster_id: ClusterId) -> WaitingRequest | None:
        """The request that became a cluster, None if it was none that waited."""
        ...
