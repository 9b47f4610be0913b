"""What a waiting room must offer: durable requests that wait for room, and who serves them.

Every method is one transaction, like those of ``Store``, and raises ``DataError`` and
``StorageFullError`` as they do.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from gigawatt.identity.accounts import AccountId
from gigawatt.ids import ClusterId, OperationId, TenantId, WaitingId
from gigawatt.intent.forecast import Freed
from gigawatt.intent.queue import Why
from gigawatt.intent.request import ClusterRequest
from gigawatt.interfaces.directory import Reach
from gigawatt.interfaces.turned_away import TurnedAway

WaitingState = Literal["waiting", "started", "withdrawn", "expired", "refused"]


@dataclass(frozen=True, slots=True)
class WaitingRequest:
    """A request that waits for room, or did.

    Fields:
        sequence: place among all, by time of sending; 0 before it is kept.
        account_id: who sent it; None when that is not known.
        request: the cluster wanted.
        gpu_count: GPUs that it would hold, spares included.
        gpu_type: the type it would take if the fleet were empty.
        places: where it could go, see ``intent.queue.Passage``.
        price_micro_usd_per_gpu_hour_max: dearest GPU that it takes, None for any.
        duration_s: how long its cluster shall live, as far as its sender said.
        operation_id: drawn for its launch before it is tried, so it starts once at most.
        since_s, expires_s: when it was sent, and when it gives up by itself; Unix seconds.
        front_since_s: see ``intent.queue.Waiter``.
        state, state_reason, state_since_s: "waiting", or what became of it, why and when.
        why: why it waits, as of the last round; None before the first.
        cluster_id: of the cluster it became, None before that.
        launch_count: launches that were begun for it.
    """

    sequence: int
    waiting_id: WaitingId
    account_id: AccountId | None
    request: ClusterRequest
    gpu_count: int
    gpu_type: str
    places: frozenset[str]
    price_micro_usd_per_gpu_hour_max: int | None
    duration_s: float | None
    operation_id: OperationId
    since_s: float
    expires_s: float
    front_since_s: float | None
    state: WaitingState
    state_reason: str
    state_since_s: float
    why: Why | None
    cluster_id: ClusterId | None
    launch_count: int

    @property
    def project_id(self) -> TenantId:
        """Whose it is."""
        return self.request.tenant_id


class WaitingRoom(Protocol):
    """Durable state of the queue."""

    def add(self, waiting: WaitingRequest, count_max: int) -> WaitingRequest:
        """Keep a new request; with its place.

        Raises:
            ConflictError: its project has a waiting request of this name, or the room is full.
            QuotaError: ``count_max`` requests of its project wait already.
        """
        ...

    def request(self, waiting_id: WaitingId) -> WaitingRequest:
        """One request, whatever became of it.

        Raises:
            UnknownIdError: there is none.
        """
        ...

    def of_operation(self, operation_id: OperationId) -> WaitingRequest:
        """The request for whose launch an operation id was drawn.

        Raises:
            UnknownIdError: there is none.
        """
        ...

    def waiting(self) -> tuple[WaitingRequest, ...]:
        """All that wait now, oldest first."""
        ...

    def page(
        self, reach: Reach, before: int, limit: int, *, with_ended: bool
    ) -> tuple[WaitingRequest, ...]:
        """Requests, newest first, before a place."""
        ...

    def overdue(self, front_since_s_max: float) -> tuple[WaitingRequest, ...]:
        """Those that wait and are the front of their project since that moment or longer."""
        ...

    def note_round(
        self, reasons: Mapping[WaitingId, Why], fronts: frozenset[WaitingId], now_s: float
    ) -> None:
        """Keep why they wait, and who is the front of its project since now or before."""
        ...

    def settle(self, now_s: float, draw: Callable[[], OperationId]) -> int:
        """Agree with the operations: those launched are "started", how many.

        A started one whose launch was unwound, and not because somebody cancelled it, waits again
        at its old place, under an operation id drawn with ``draw``, up to ``LAUNCH_COUNT_MAX``
        launches.
        """
        ...

    def end(
        self,
        waiting_id: WaitingId,
        state: Literal["withdrawn", "expired", "refused"],
        reason: str,
        now_s: float,
        turned_away: TurnedAway | None,
    ) -> WaitingRequest:
        """Take a request out of the queue, and keep a row of turned-away demand if one is given.

        Nobody can start it after that.

        Raises:
            ConflictError: it waits no more.
            UnknownIdError: there is none.
        """
        ...

    def take_turn(self, worker: str, now_s: float, lease_s: float) -> bool:
        """Whether a worker, one at a time, may serve the queue until ``now_s + lease_s``."""
        ...

    def freed(self, since_s: float) -> tuple[Sequence[Freed], float]:
        """What operations gave back since then, and when the record of that began."""
        ...

    def forget(self, before_s: float) -> int:
        """Drop requests that ended, and records of freed GPUs, before then; how many."""
        ...


LAUNCH_COUNT_MAX = 3
"""Launches that are tried for one request. Ours: three failures in a row are no accident."""

WAITING_COUNT_MAX = 10_000
"""Requests that may wait in all. Ours: one round over them takes well below a second."""
