"""Rows of operations, their fences and their leases."""

from collections import OrderedDict
from collections.abc import Sequence

from sqlalchemy import Connection, Row, insert, select, update
from sqlalchemy.exc import IntegrityError

from gigawatt.errors import ConflictError, DataError, UnknownIdError
from gigawatt.ids import ClusterId, OperationId
from gigawatt.interfaces.codec import plan_from_json, plan_to_json
from gigawatt.interfaces.store import OperationRecord
from gigawatt.planner.plan import OperationKind, Plan
from gigawatt.store.database import raise_generation
from gigawatt.store.schema import clusters, operations

LEASE_S = 30.0
"""How long a worker owns an operation without a word; renew at a third of it.

Ours: Kubernetes gives a leader 15 s and renews every 2 s; here the fence, not the lease, keeps a
late worker out, so a lease only has to outlast a pause of the process, not to end soon.
"""

PLANS_READ_MAX = 200
"""Plans that one query brings: one of 500 nodes is a megabyte of text. Ours."""

PLANS_KEPT_MAX = 64


class _Plans:
    """Plans by their JSON, the newest used: they are immutable, so equal text may share one value.

    A process that wrote a plan need not read it back. One of 500 nodes takes 5 MB.
    """

    def __init__(self) -> None:
        self._by_text: OrderedDict[str, Plan] = OrderedDict()

    def text_of(self, plan: Plan) -> str:
        text = plan_to_json(plan)
        self._keep(text, plan)
        return text

    def plan_of(self, text: str) -> Plan:
        plan = self._by_text.get(text)
        if plan is None:
            plan = plan_from_json(text)
        self._keep(text, plan)
        return plan

    def _keep(self, text: str, plan: Plan) -> None:
        self._by_text[text] = plan
        self._by_text.move_to_end(text)
        if len(self._by_text) > PLANS_KEPT_MAX:
            self._by_text.popitem(last=False)


_plans = _Plans()


def _plan_in(row: Row) -> Plan:  # type: ignore[type-arg]
    try:
        return _plans.plan_of(row.plan)
    except DataError as error:
        raise DataError(f"the row of operation {row.operation_id!r} is damaged: {error}") from error


def _record(row: Row) -> OperationRecord:  # type: ignore[type-arg]
    return OperationRecord(
        operation_id=OperationId(row.operation_id),
        cluster_id=ClusterId(row.cluster_id),
        kind=OperationKind(row.kind),
        state=row.state,
        plan=_plan_in(row),
        generation=row.generation,
        started_s=row.started_s,
        finished_s=row.finished_s,
        error=row.error,
    )


def _row(connection: Connection, operation_id: OperationId, *, lock: bool = False) -> Row:  # type: ignore[type-arg]
    query = select(operations).where(operations.c.operation_id == operation_id)
    row = connection.execute(query.with_for_update() if lock else query).one_or_none()
    if row is None:
        raise UnknownIdError(f"no operation {operation_id!r}")
    return row


def get(connection: Connection, operation_id: OperationId) -> OperationRecord:
    """One operation.

    Raises:
        UnknownIdError: no such operation.
    """
    return _record(_row(connection, operation_id))


def open_operations(connection: Connection) -> tuple[OperationRecord, ...]:
    """Operations that have not ended, oldest first."""
    query = select(operations).where(operations.c.is_open)
    rows = connection.execute(query.order_by(operations.c.opened_generation))
    return tuple(_record(row) for row in rows)


def of_cluster(connection: Connection, cluster_id: ClusterId) -> tuple[OperationRecord, ...]:
    """Operations of a cluster, oldest first."""
    query = select(operations).where(operations.c.cluster_id == cluster_id)
    rows = connection.execute(query.order_by(operations.c.opened_generation))
    return tuple(_record(row) for row in rows)


def plans_of(connection: Connection, operation_ids: Sequence[str]) -> dict[str, Plan]:
    """The plans in force of some operations, by id.

    Raises:
        DataError: a plan does not read back.
    """
    found: dict[str, Plan] = {}
    columns = operations.c
    for begin in range(0, len(operation_ids), PLANS_READ_MAX):
        some = operation_ids[begin : begin + PLANS_READ_MAX]
        query = select(columns.operation_id, columns.plan).where(columns.operation_id.in_(some))
        found.update((row.operation_id, _plan_in(row)) for row in connection.execute(query))
    return found


def durations_s(connection: Connection, kind: OperationKind, limit: int) -> tuple[float, ...]:
    """How long the newest operations of a kind on clusters took that ended well, newest first."""
    query = (
        select(operations.c.finished_s - operations.c.started_s)
        .select_from(operations.join(clusters, clusters.c.cluster_id == operations.c.cluster_id))
        .where(operations.c.kind == kind.value, operations.c.state == "done")
        .where(~clusters.c.is_file_system)
        .order_by(operations.c.opened_generation.desc())
        .limit(limit)
    )
    return tuple(connection.execute(query).scalars())


def refuse_second(connection: Connection, cluster_id: ClusterId) -> None:
    """Refuse a cluster that has an open operation.

    Raises:
        ConflictError: it has one.
    """
    query = select(operations.c.operation_id, operations.c.kind).where(
        operations.c.cluster_id == cluster_id, operations.c.is_open
    )
    row = connection.execute(query).first()
    if row is not None:
        raise ConflictError(
            f"cluster {cluster_id!r} has the open operation {row.operation_id!r} ({row.kind})",
            next_step="Wait until it has ended, then plan again.",
        )


def open_for(
    connection: Connection, plan: Plan, operation_id: OperationId, generation: int, now_s: float
) -> OperationRecord:
    """Write the row of a new operation; its fence is the generation of its commit.

    Raises:
        ConflictError: an operation of this id was opened before.
    """
    row = {
        "operation_id": operation_id,
        "cluster_id": plan.cluster_id,
        "kind": plan.kind.value,
        "state": "applying",
        "is_open": True,
        "plan": _plans.text_of(plan),
        "opened_generation": generation,
        "generation": generation,
        "started_s": now_s,
        "error": "",
    }
    try:
        connection.execute(insert(operations), row)
    except IntegrityError as error:
        raise ConflictError(f"operation {operation_id!r} was opened before") from error
    return OperationRecord(
        operation_id=operation_id,
        cluster_id=plan.cluster_id,
        kind=plan.kind,
        state="applying",
        plan=plan,
        generation=generation,
        started_s=now_s,
        finished_s=None,
        error="",
    )


def fence(connection: Connection, operation: OperationRecord) -> None:
    """Let nobody but the newest worker of an open operation pass.

    Raises:
        ConflictError: a newer worker took over, or the operation has ended.
        UnknownIdError: no such operation.
    """
    columns = operations.c
    query = select(columns.generation, columns.is_open, columns.state).where(
        columns.operation_id == operation.operation_id
    )
    row = connection.execute(query.with_for_update()).one_or_none()
    if row is None:
        raise UnknownIdError(f"no operation {operation.operation_id!r}")
    if row.generation != operation.generation:
        raise ConflictError(
            f"operation {operation.operation_id!r} is at generation {row.generation},"
            f" this worker holds {operation.generation}",
            next_step="Stop: another worker carries this operation on.",
        )
    if not row.is_open:
        raise ConflictError(f"operation {operation.operation_id!r} has ended: {row.state}")


def take_over(
    connection: Connection,
    operation_id: OperationId,
    worker: str,
    now_s: float,
    lease_s: float = LEASE_S,
    *,
    only_free: bool = False,
) -> OperationRecord:
    """Give an open operation to a worker, with a fence newer than any before; see ``Store``.

    Raises:
        ConflictError: another worker's lease is alive, or the operation has ended.
        UnknownIdError: no such operation.
    """
    generation = raise_generation(connection)
    row = _row(connection, operation_id, lock=True)
    if not row.is_open:
        raise ConflictError(f"operation {operation_id!r} has ended: {row.state}")
    is_alive = only_free or row.lease_expires_s is None or row.lease_expires_s > now_s
    if row.lease_worker not in {None, worker} and is_alive:
        raise ConflictError(
            f"worker {row.lease_worker!r} holds operation {operation_id!r}"
            f" until {row.lease_expires_s:.1f}, {worker!r} wants it at {now_s:.1f}",
            next_step="Wait until the lease is over.",
        )
    _change(
        connection,
        operation_id,
        generation=generation,
        lease_worker=worker,
        lease_expires_s=now_s + lease_s,
    )
    return get(connection, operation_id)


def renew(
    connection: Connection,
    operation: OperationRecord,
    worker: str,
    now_s: float,
    lease_s: float = LEASE_S,
) -> None:
    """Keep a worker's lease alive for another ``lease_s``.

    Raises:
        ConflictError: another worker took over, or the operation has ended.
    """
    fence(connection, operation)
    query = select(operations.c.lease_worker).where(
        operations.c.operation_id == operation.operation_id
    )
    holder = connection.execute(query).scalar_one()
    if holder not in {None, worker}:
        raise ConflictError(
            f"worker {holder!r} holds operation {operation.operation_id!r}, not {worker!r}"
        )
    _change(
        connection, operation.operation_id, lease_worker=worker, lease_expires_s=now_s + lease_s
    )


def replace_plan(connection: Connection, operation: OperationRecord, plan: Plan) -> OperationRecord:
    """Write another plan in force."""
    _change(connection, operation.operation_id, plan=_plans.text_of(plan))
    return get(connection, operation.operation_id)


def unwind(connection: Connection, operation: OperationRecord, error: str) -> OperationRecord:
    """Write that an operation goes back, and why."""
    _change(connection, operation.operation_id, state="unwinding", error=error)
    return get(connection, operation.operation_id)


def end(connection: Connection, operation: OperationRecord, state: str, now_s: float) -> None:
    """Write the end of an operation; a stuck one stays open and anybody may take it over."""
    is_open = state == "stuck"
    _change(
        connection,
        operation.operation_id,
        state=state,
        is_open=is_open,
        finished_s=None if is_open else now_s,
        lease_worker=None,
        lease_expires_s=None,
    )


def _change(connection: Connection, operation_id: OperationId, **values: object) -> None:
    statement = update(operations).where(operations.c.operation_id == operation_id)
    connection.execute(statement.values(**values))
