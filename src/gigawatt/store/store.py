"""``SqlStore``: the ``Store`` on a SQL database, put together from the tables' own modules."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Literal

from gigawatt.boundary.entries import Entry
from gigawatt.errors import GigawattError
from gigawatt.ids import ClusterId, DeviceId, NodeId, OperationId, TenantId
from gigawatt.interfaces.store import (
    ClusterRecord,
    Event,
    NodeState,
    OperationRecord,
    StepState,
    Store,
    StoreSnapshot,
)
from gigawatt.planner.plan import OperationKind, Plan
from gigawatt.store import (
    changes,
    clusters,
    holdings,
    journal,
    nodes,
    operations,
    promises,
    tombstones,
    version,
)
from gigawatt.store.database import Database, current_generation, lock_generation


class SqlStore:
    """Durable state of the control plane; every method is what ``Store`` says of it."""

    def __init__(self, database: Database, lease_s: float = operations.LEASE_S) -> None:
        """Serve from a database that is ready; a worker owns an operation for ``lease_s``."""
        self._database = database
        self._lease_s = lease_s

    @property
    def database(self) -> Database:
        """Where the rows are; the directory keeps its own beside them."""
        return self._database

    def snapshot(self, now_s: float) -> StoreSnapshot:
        """Everything the planner needs; keys whose cool-down is over at ``now_s`` are free."""
        with self._database.read() as connection:
            found, damaged = clusters.holders(connection)
            return StoreSnapshot(
                generation=current_generation(connection),
                clusters=found,
                damaged=damaged,
                keys=holdings.keys_not_free(connection, now_s),
                node_states=nodes.all_states(connection),
                allocations=holdings.masks(connection),
                tombstones=tombstones.all_tombstones(connection),
                promises=promises.read_promises(connection, now_s),
            )

    def turn(self) -> AbstractContextManager[None]:
        """A turn of planning, or none if it does not come soon."""
        return self._database.turn()

    def commit(self, plan: Plan, operation_id: OperationId, now_s: float) -> OperationRecord:
        """Reserve what the plan needs and open its operation, or change nothing.

        Raises:
            ConflictError: the generation is not the plan's parent, the cluster has another open
                operation or is not what the plan was made from, its name is taken, a node or
                key is not free, or the plan has expired.
            UnknownIdError: the plan changes a cluster that never was.
        """
        with self._database.write() as connection:
            return changes.commit(connection, plan, operation_id, now_s)

    def take_over(
        self, operation_id: OperationId, worker: str, now_s: float, *, only_free: bool = False
    ) -> OperationRecord:
        """Raise the operation's fence for a new worker and record its lease.

        The fence is the next generation, so a plan made before is refused at commit. With
        ``only_free`` any other worker's lease counts as alive, whatever the clocks say.

        Raises:
            ConflictError: another worker's lease is alive at ``now_s``, or it has ended.
        """
        with self._database.write() as connection:
            operation = operations.take_over(
                connection, operation_id, worker, now_s, self._lease_s, only_free=only_free
            )
            message = f"carried on at generation {operation.generation}"
            data = {"worker": worker, "generation": operation.generation}
            journal.add_event(
                connection, "taken_over", message, now_s, operation=operation, data=data
            )
            return operation

    def renew(self, operation: OperationRecord, worker: str, now_s: float) -> None:
        """Keep the lease alive.

        Raises:
            ConflictError: another worker took over, or the operation has ended.
        """
        with self._database.write() as connection:
            operations.renew(connection, operation, worker, now_s, self._lease_s)

    def revise(self, operation: OperationRecord, plan: Plan, now_s: float) -> OperationRecord:
        """Replace the plan in force; what it adds is reserved, nothing is let go before the end.

        Raises:
            ConflictError: a newer worker took over, or what the plan adds is not free.
        """
        with self._database.write() as connection:
            return changes.revise(connection, operation, plan, now_s)

    def start_steps(
        self, operation: OperationRecord, step_keys: Sequence[str], now_s: float
    ) -> None:
        """Journal that these steps may have an effect from now on.

        Raises:
            ConflictError: a newer worker took over, or the operation has ended.
        """
        self.finish_steps(operation, [(key, "started", "") for key in step_keys], now_s)

    def finish_steps(
        self,
        operation: OperationRecord,
        outcomes: Sequence[tuple[str, StepState, str]],
        now_s: float,
    ) -> None:
        """Journal outcomes: (step key, state, detail).

        Raises:
            ConflictError: a newer worker took over, or the operation has ended.
        """
        with self._database.write() as connection:
            operations.fence(connection, operation)
            journal.write_steps(connection, operation.operation_id, outcomes, now_s)

    def journal(self, operation_id: OperationId) -> Mapping[str, tuple[StepState, str]]:
        """State and detail of every journaled step, in order of first appearance."""
        with self._database.read() as connection:
            return journal.read_steps(connection, operation_id)

    def bury(self, operation: OperationRecord, entries: Sequence[Entry], now_s: float) -> None:
        """Commit desired absence of entries, before their removal is tried.

        Raises:
            ConflictError: a newer worker took over, or the operation has ended.
        """
        with self._database.write() as connection:
            lock_generation(connection)
            operations.fence(connection, operation)
            tombstones.bury(connection, operation.cluster_id, entries, operation.generation)

    def observe_absent(self, keys: Sequence[tuple[DeviceId, str]], now_s: float) -> None:
        """Drop the tombstones of (device, key) pairs that were observed gone."""
        with self._database.write() as connection:
            changes.observe_absent(connection, keys, now_s)

    def begin_unwind(self, operation: OperationRecord, error: str, now_s: float) -> OperationRecord:
        """Turn an applying operation to unwinding; one that unwinds already stays as it is.

        Raises:
            ConflictError: a newer worker took over, or the operation only goes forward.
        """
        with self._database.write() as connection:
            return changes.begin_unwind(connection, operation, error, now_s)

    def finish(
        self,
        operation: OperationRecord,
        state: Literal["done", "unwound", "stuck"],
        quarantined: Mapping[NodeId, str],
        now_s: float,
    ) -> None:
        """End the operation: set target, allocations, keys and phase to what is now true.

        A node that left waits, still allocated, while a tombstone of the cluster names it or
        names a NIC; a key waits while the cluster has any tombstone.

        Raises:
            ConflictError: a newer worker took over, or the operation cannot end so.
        """
        with self._database.write() as connection:
            changes.finish(connection, operation, state, quarantined, now_s)

    def cluster(self, cluster_id: ClusterId) -> ClusterRecord:
        """One cluster, also when released or failed.

        Raises:
            UnknownIdError: no such cluster.
        """
        with self._database.read() as connection:
            return clusters.get(connection, cluster_id)

    def find_cluster(self, tenant_id: TenantId | None, name: str) -> ClusterRecord:
        """The live cluster of this name, newest ended one if none is live.

        Raises:
            UnknownIdError: no such cluster, or several tenants have one and none was named.
        """
        with self._database.read() as connection:
            return clusters.find(connection, tenant_id, name)

    def clusters(self) -> tuple[ClusterRecord, ...]:
        """All clusters, newest first."""
        with self._database.read() as connection:
            return clusters.all_clusters(connection)

    def operation(self, operation_id: OperationId) -> OperationRecord:
        """One operation.

        Raises:
            UnknownIdError: no such operation.
        """
        with self._database.read() as connection:
            return operations.get(connection, operation_id)

    def open_operations(self) -> tuple[OperationRecord, ...]:
        """Operations that have not ended ("applying", "unwinding", "stuck"), oldest first."""
        with self._database.read() as connection:
            return operations.open_operations(connection)

    def operations_of(self, cluster_id: ClusterId) -> tuple[OperationRecord, ...]:
        """Operations of a cluster, oldest first."""
        with self._database.read() as connection:
            return operations.of_cluster(connection, cluster_id)

    def durations_s(self, kind: OperationKind, limit: int = 50) -> tuple[float, ...]:
        """How long the newest operations of a kind took that ended "done", newest first."""
        with self._database.read() as connection:
            return operations.durations_s(connection, kind, limit)

    def set_node_state(self, node_id: NodeId, state: NodeState, reason: str, now_s: float) -> None:
        """Drain, quarantine or return a node; what a cluster holds on it stays held.

        Raises:
            InputError: no such state.
        """
        with self._database.write() as connection:
            lock_generation(connection)
            nodes.set_state(connection, node_id, state, reason, now_s)
            message = f"node {node_id} is {state}: {reason}"
            data = {"node_id": node_id, "state": state, "reason": reason}
            journal.add_event(connection, "node", message, now_s, data=data)

    def add_evidence(
        self, operation: OperationRecord, kind: str, document: Mapping[str, Any], now_s: float
    ) -> None:
        """Keep a JSON document as evidence with the cluster."""
        with self._database.write() as connection:
            journal.add_evidence(connection, operation, kind, document, now_s)

    def evidence(self, cluster_id: ClusterId) -> tuple[Mapping[str, Any], ...]:
        """Evidence documents of a cluster, oldest first, each with "kind" and "at_s"."""
        with self._database.read() as connection:
            return journal.read_evidence(connection, cluster_id)

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
        with self._database.write() as connection:
            lock_generation(connection)
            journal.add_event(connection, kind, message, now_s, operation=operation, data=data)

    def events(
        self, cluster_id: ClusterId | None = None, after_sequence: int = 0, limit: int = 1000
    ) -> tuple[Event, ...]:
        """Audit trail in order, at most ``limit`` (1 to 10,000) lines after a sequence number.

        Raises:
            InputError: ``limit`` is out of range.
        """
        with self._database.read() as connection:
            return journal.read_events(connection, cluster_id, after_sequence, limit)

    def close(self) -> None:
        """Release files and connections."""
        self._database.close()


def ready_store(database: Database, lease_s: float = operations.LEASE_S) -> SqlStore:
    """The store in a database; an empty one gets its tables, and what cannot serve is closed.

    A worker owns an operation for ``lease_s`` (> 0) without a word.

    Raises:
        ConflictError: another process held the database for too long.
        DataError: it is no store, damaged, out of reach or of another revision.
        StorageFullError: no space to make it.
    """
    try:
        with database.read() as connection:
            is_ready = version.is_ready(connection, database.name)
        if not is_ready:
            with database.write() as connection:
                version.make_tables(connection, database.name)
    except GigawattError:
        database.close()
        raise
    return SqlStore(database, lease_s)


if TYPE_CHECKING:
    _KEEPS_THE_CONTRACT: type[Store] = SqlStore
