"""What a store must offer: snapshots, compare-and-set commit, the journal and the records.

Every method is one transaction: it happens wholly or not at all, and is durable when it returns.
All raise ``DataError`` when the database is damaged or out of reach, and ``StorageFullError`` when
the disk is full. A method that lost its database may have happened, wholly, or not.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from gigawatt.boundary.entries import Entry
from gigawatt.boundary.target import ClusterTarget
from gigawatt.errors import DataError
from gigawatt.identity.accounts import AccountId
from gigawatt.ids import ClusterId, DeviceId, KeyPoolId, NodeId, OperationId, TenantId
from gigawatt.market.promises import Promises
from gigawatt.planner.phases import Phase
from gigawatt.planner.plan import OperationKind, Plan

StepState = Literal["started", "done", "failed", "undone"]
NodeState = Literal["available", "drained", "quarantined"]


@dataclass(frozen=True, slots=True)
class ClusterRecord:
    """A cluster's row, or a file system's, whose id is then its ``cluster_id``.

    Target is what is committed; version counts changes of the row.
    """

    cluster_id: ClusterId
    tenant_id: TenantId
    name: str
    phase: Phase
    phase_reason: str
    phase_since_s: float
    version: int
    target: ClusterTarget | None
    created_s: float
    is_file_system: bool = False


@dataclass(frozen=True, slots=True)
class OperationRecord:
    """An operation's row: the plan in force and the fencing generation of its worker.

    ``state``: "applying" goes forward, "unwinding" goes back, "done" and "unwound" are ends,
    "stuck" waits for the reconciler because an undo or a removal failed. The plan is not shown:
    asyncio writes the result of what it ran to text, and that of 500 nodes takes 0.1 s.
    """

    operation_id: OperationId
    cluster_id: ClusterId
    kind: OperationKind
    state: Literal["applying", "unwinding", "done", "unwound", "stuck"]
    plan: Plan = field(repr=False)
    generation: int
    started_s: float
    finished_s: float | None
    error: str


@dataclass(frozen=True, slots=True)
class Tombstone:
    """Desired absence, durable before the removal is tried and until it is observed."""

    cluster_id: ClusterId
    entry: Entry
    generation: int


@dataclass(frozen=True, slots=True)
class HeldKey:
    """A key outside its pool: held, under a tombstone, or cooling until ``free_at_s``."""

    pool_id: KeyPoolId
    value: int
    cluster_id: ClusterId
    state: Literal["held", "tombstone", "cooling"]
    free_at_s: float | None


@dataclass(frozen=True, slots=True)
class Doer:
    """Who did something: an account, and what it was called then. Only operators are told."""

    account_id: AccountId
    name: str


@dataclass(frozen=True, slots=True)
class StoreSnapshot:
    """One consistent read of everything the planner needs.

    Fields:
        generation: counter that every commit raises by one.
        clusters: clusters and file systems that hold anything, by id.
        keys: keys that are not free.
        node_states: nodes that are not "available", with the reason, which tenants may read.
        allocations: GPU mask held, by node and cluster.
        tombstones: absences not yet observed.
        promises: what reservations are promised.
        damaged: why the rows of some clusters do not read back; they hold what they hold.
        taken_out_by: who took nodes out of service, where an account did.
    """

    generation: int
    clusters: Mapping[ClusterId, ClusterRecord]
    keys: tuple[HeldKey, ...]
    node_states: Mapping[NodeId, tuple[NodeState, str]]
    allocations: Mapping[tuple[NodeId, ClusterId], int]
    tombstones: tuple[Tombstone, ...]
    damaged: Mapping[ClusterId, str] = field(default_factory=dict)
    promises: Promises = field(default_factory=Promises)
    taken_out_by: Mapping[NodeId, Doer] = field(default_factory=dict)

    def refuse_damaged(self) -> None:
        """Refuse to judge devices while it is not known what they shall hold.

        Raises:
            DataError: the row of a cluster does not read back.
        """
        for sentence in self.damaged.values():
            raise DataError(sentence)


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the audit trail. ``data`` is JSON-able."""

    sequence: int
    at_s: float
    cluster_id: ClusterId | None
    operation_id: OperationId | None
    kind: str
    message: str
    data: Mapping[str, Any]


class Store(Protocol):
    """Durable state of the control plane."""

    def snapshot(self, now_s: float) -> StoreSnapshot:
        """Everything the planner needs; keys whose cool-down is over at ``now_s`` are free."""
        ...

    def turn(self) -> AbstractContextManager[None]:
        """Planners take turns in it, so that they do not all want the same nodes and keys.

        It spares work and protects nothing: whose turn does not come soon goes on without.
        """
        ...

    def commit(self, plan: Plan, operation_id: OperationId, now_s: float) -> OperationRecord:
        """Reserve what the plan needs and open its operation, or change nothing.

        Launch and grow add allocations and keys; the cluster's row gets ``plan.after`` (kept at
        ``plan.before`` for a release until it is finished) and the phase that ``planner.phases``
        names for the kind; the generation is raised and becomes the operation's fence.

        Raises:
            ConflictError: the generation is not ``plan.parent_generation``, the cluster has
                another open operation, its name is taken, or the plan has expired.
        """
        ...

    def take_over(
        self, operation_id: OperationId, worker: str, now_s: float, *, only_free: bool = False
    ) -> OperationRecord:
        """Raise the operation's fence for a new worker and record its lease.

        With ``only_free`` any other worker's lease counts as alive, whatever the clocks say.

        Raises:
            ConflictError: another worker's lease is alive at ``now_s``, or it has ended.
        """
        ...

    def renew(self, operation: OperationRecord, worker: str, now_s: float) -> None:
        """Keep the lease alive.

        Raises:
            ConflictError: another worker took over (its generation is higher).
        """
        ...

    def revise(self, operation: OperationRecord, plan: Plan, now_s: float) -> OperationRecord:
        """Replace the plan in force (a spare took a failed node's place).

        Allocations move to ``plan.after`` plus what is still to be removed; ``plan.quarantined``
        nodes become quarantined.

        Raises:
            ConflictError: this worker's generation is no longer the operation's.
        """
        ...

    def start_steps(
        self, operation: OperationRecord, step_keys: Sequence[str], now_s: float
    ) -> None:
        """Journal that these steps may have an effect from now on.

        Raises:
            ConflictError: this worker's generation is no longer the operation's.
        """
        ...

    def finish_steps(
        self,
        operation: OperationRecord,
        outcomes: Sequence[tuple[str, StepState, str]],
        now_s: float,
    ) -> None:
        """Journal outcomes: (step key, state, detail).

        Raises:
            ConflictError: this worker's generation is no longer the operation's.
        """
        ...

    def journal(self, operation_id: OperationId) -> Mapping[str, tuple[StepState, str]]:
        """State and detail of every journaled step, in order of first appearance."""
        ...

    def bury(self, operation: OperationRecord, entries: Sequence[Entry], now_s: float) -> None:
        """Commit desired absence of entries, before their removal is tried."""
        ...

    def observe_absent(self, keys: Sequence[tuple[DeviceId, str]], now_s: float) -> None:
        """Drop the tombstones of (device, key) pairs that were observed gone."""
        ...

    def begin_unwind(self, operation: OperationRecord, error: str, now_s: float) -> OperationRecord:
        """Turn an applying operation to unwinding, with the error that caused it."""
        ...

    def finish(
        self,
        operation: OperationRecord,
        state: Literal["done", "unwound", "stuck"],
        quarantined: Mapping[NodeId, str],
        now_s: float,
    ) -> None:
        """End the operation: set target, allocations, keys and phase to what is now true.

        "done": target is ``plan.after``; "unwound": ``plan.before``. Nodes and keys that left
        the target are freed, keys into cool-down, unless a tombstone still names them or the
        node is in ``quarantined`` (node -> reason). "stuck": everything stays held.
        """
        ...

    def cluster(self, cluster_id: ClusterId) -> ClusterRecord:
        """One cluster or file system, also when released or failed.

        Raises:
            UnknownIdError: no such cluster.
        """
        ...

    def find_cluster(self, tenant_id: TenantId | None, name: str) -> ClusterRecord:
        """The live cluster of this name, newest ended one if none is live.

        Raises:
            UnknownIdError: no such cluster, or several tenants have one and none was named.
        """
        ...

    def clusters(self) -> tuple[ClusterRecord, ...]:
        """All clusters, newest first; file systems are not among them."""
        ...

    def operation(self, operation_id: OperationId) -> OperationRecord:
        """One operation.

        Raises:
            UnknownIdError: no such operation.
        """
        ...

    def open_operations(self) -> tuple[OperationRecord, ...]:
        """Operations that have not ended ("applying", "unwinding", "stuck"), oldest first."""
        ...

    def operations_of(self, cluster_id: ClusterId) -> tuple[OperationRecord, ...]:
        """Operations of a cluster, oldest first."""
        ...

    def durations_s(self, kind: OperationKind, limit: int = 50) -> tuple[float, ...]:
        """How long the newest operations of a kind on clusters took that ended "done".

        Newest first.
        """
        ...

    def set_node_state(
        self,
        node_id: NodeId,
        state: NodeState,
        reason: str,
        now_s: float,
        by: Doer | None = None,
    ) -> None:
        """Drain, quarantine or return a node; a plan that would take it is refused at commit.

        Tenants may read the reason; ``by`` is who says so, None for the control plane itself.
        """
        ...

    def add_evidence(
        self, operation: OperationRecord, kind: str, document: Mapping[str, Any], now_s: float
    ) -> None:
        """Keep a JSON document as evidence with the cluster."""
        ...

    def evidence(self, cluster_id: ClusterId) -> tuple[Mapping[str, Any], ...]:
        """Evidence documents of a cluster, oldest first, each with "kind" and "at_s"."""
        ...

    def add_event(
        self,
        kind: str,
        message: str,
        now_s: float,
        *,
        operation: OperationRecord | None = None,
        data: Mapping[str, Any] | None = None,
    ) -> None:
        """Append to the audit trail."""
        ...

    def events(
        self, cluster_id: ClusterId | None = None, after_sequence: int = 0, limit: int = 1000
    ) -> tuple[Event, ...]:
        """Audit trail in order, at most ``limit`` (1 to 10,000) lines after a sequence number."""
        ...

    def close(self) -> None:
        """Release files and connections."""
        ...
