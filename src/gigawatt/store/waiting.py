"""``SqlWaitingRoom``: the ``WaitingRoom`` on the store's own database.

Whoever takes a request out of the queue raises the generation, so a commit that was judged before
does not pass; whoever starts one does it under an operation id that was drawn for it, so it cannot
be started twice. Between the two no lock is needed (ADR-0027).
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy import Connection, Row, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from gigawatt.errors import ConflictError, QuotaError, UnknownIdError
from gigawatt.identity.accounts import AccountId
from gigawatt.ids import ClusterId, OperationId, WaitingId
from gigawatt.intent.forecast import Freed
from gigawatt.intent.queue import Why
from gigawatt.interfaces.codec import request_from_json, request_to_json
from gigawatt.interfaces.directory import Reach
from gigawatt.interfaces.turned_away import TurnedAway
from gigawatt.interfaces.waiting import (
    LAUNCH_COUNT_MAX,
    WAITING_COUNT_MAX,
    WaitingRequest,
    WaitingRoom,
)
from gigawatt.store import freed, operations
from gigawatt.store.database import Database, lock_generation, raise_generation
from gigawatt.store.directory_schema import cancellations
from gigawatt.store.journal import add_event, add_project_event
from gigawatt.store.queue_schema import queue_turns, waiting_requests
from gigawatt.store.schema import operations as operation_rows
from gigawatt.store.store import SqlStore
from gigawatt.store.turned_away import add_row
from gigawatt.units import DAY_S

_columns = waiting_requests.c
_WAITS = _columns.state == "waiting"
_RETRY_S = 1.0 * DAY_S
"""How long after its start a request is looked after: a launch takes minutes. Ours."""


def open_waiting_room(store: SqlStore) -> "SqlWaitingRoom":
    """The waiting room in a store's database."""
    return SqlWaitingRoom(store.database)


def request_of_row(row: Row[Any]) -> WaitingRequest:
    """A row of the table as a value."""
    return WaitingRequest(
        sequence=row.sequence,
        waiting_id=WaitingId(row.waiting_id),
        account_id=None if row.account_id is None else AccountId(row.account_id),
        request=request_from_json(row.request),
        gpu_count=row.gpu_count,
        gpu_type=row.gpu_type,
        places=frozenset(json.loads(row.places)),
        price_micro_usd_per_gpu_hour_max=row.price_micro_usd_per_gpu_hour_max,
        duration_s=row.duration_s,
        operation_id=OperationId(row.operation_id),
        since_s=row.since_s,
        expires_s=row.expires_s,
        front_since_s=row.front_since_s,
        state=row.state,
        state_reason=row.state_reason,
        state_since_s=row.state_since_s,
        why=None if row.why_kind is None else Why(row.why_kind, row.why),
        cluster_id=None if row.cluster_id is None else ClusterId(row.cluster_id),
        launch_count=row.launch_count,
    )


def _row(waiting: WaitingRequest) -> dict[str, Any]:
    return {
        "waiting_id": waiting.waiting_id,
        "project_id": waiting.project_id,
        "account_id": waiting.account_id,
        "name": waiting.request.name,
        "request": request_to_json(waiting.request),
        "gpu_count": waiting.gpu_count,
        "gpu_type": waiting.gpu_type,
        "places": json.dumps(sorted(waiting.places)),
        "price_micro_usd_per_gpu_hour_max": waiting.price_micro_usd_per_gpu_hour_max,
        "duration_s": waiting.duration_s,
        "operation_id": waiting.operation_id,
        "since_s": waiting.since_s,
        "expires_s": waiting.expires_s,
        "front_since_s": waiting.front_since_s,
        "state": waiting.state,
        "state_reason": waiting.state_reason,
        "state_since_s": waiting.state_since_s,
        "launch_count": waiting.launch_count,
    }


def _one(connection: Connection, waiting_id: str) -> WaitingRequest:
    query = select(waiting_requests).where(_columns.waiting_id == waiting_id)
    row = connection.execute(query).one_or_none()
    if row is None:
        raise UnknownIdError(f"no waiting request {waiting_id!r}")
    return request_of_row(row)


def _has_operation(connection: Connection, operation_id: OperationId) -> bool:
    query = select(operation_rows.c.operation_id)
    found = connection.execute(query.where(operation_rows.c.operation_id == operation_id))
    return found.first() is not None


def _say(
    connection: Connection, waiting: WaitingRequest, kind: str, message: str, now_s: float
) -> None:
    """A line of the trail that the project sees."""
    data = {
        "waiting_id": waiting.waiting_id,
        "name": waiting.request.name,
        "gpu_count": waiting.gpu_count,
    }
    if _has_operation(connection, waiting.operation_id):
        operation = operations.get(connection, waiting.operation_id)
        add_event(connection, f"waiting.{kind}", message, now_s, operation=operation, data=data)
    else:
        add_project_event(connection, waiting.project_id, f"waiting.{kind}", message, now_s, data)


def add_waiting(connection: Connection, waiting: WaitingRequest) -> None:
    """Keep a new request, and tell it in the trail.

    Raises:
        ConflictError: its project has a waiting request of this name.
    """
    try:
        connection.execute(insert(waiting_requests), _row(waiting))
    except IntegrityError as error:
        raise ConflictError(
            f"project {waiting.project_id!r} has a waiting request"
            f" {waiting.request.name!r} already",
            next_step="Take another name, or withdraw the one that waits.",
        ) from error
    message = f"{waiting.request.name!r} waits for {waiting.gpu_count:,} GPUs"
    _say(connection, waiting, "created", message, waiting.since_s)


class SqlWaitingRoom:
    """The queue's durable state; every method is what ``WaitingRoom`` says of it."""

    def __init__(self, database: Database) -> None:
        """Serve from a database that has the tables."""
        self._database = database

    def add(self, waiting: WaitingRequest, count_max: int) -> WaitingRequest:
        """Keep a new request; with its place."""
        with self._database.write() as connection:
            lock_generation(connection)
            _refuse_too_many(connection, waiting, count_max)
            add_waiting(connection, waiting)
            return _one(connection, waiting.waiting_id)

    def request(self, waiting_id: WaitingId) -> WaitingRequest:
        """One request, whatever became of it."""
        with self._database.read() as connection:
            return _one(connection, waiting_id)

    def of_operation(self, operation_id: OperationId) -> WaitingRequest:
        """The request for whose launch an operation id was drawn."""
        with self._database.read() as connection:
            query = select(waiting_requests).where(_columns.operation_id == operation_id)
            row = connection.execute(query).one_or_none()
        if row is None:
            raise UnknownIdError(f"nobody waits for operation {operation_id!r}")
        return request_of_row(row)

    def waiting(self) -> tuple[WaitingRequest, ...]:
        """All that wait now, oldest first."""
        query = select(waiting_requests).where(_WAITS).order_by(_columns.since_s, _columns.sequence)
        with self._database.read() as connection:
            return tuple(request_of_row(row) for row in connection.execute(query))

    def page(
        self, reach: Reach, before: int, limit: int, *, with_ended: bool
    ) -> tuple[WaitingRequest, ...]:
        """Requests, newest first, before a place."""
        query = select(waiting_requests).where(_columns.sequence < before)
        if reach.project_ids is not None:
            query = query.where(_columns.project_id.in_(sorted(reach.project_ids)))
        if not with_ended:
            query = query.where(_WAITS)
        query = query.order_by(_columns.sequence.desc()).limit(limit)
        with self._database.read() as connection:
            return tuple(request_of_row(row) for row in connection.execute(query))

    def overdue(self, front_since_s_max: float) -> tuple[WaitingRequest, ...]:
        """Those that wait and are the front of their project since that moment or longer."""
        query = select(waiting_requests).where(_WAITS, _columns.front_since_s <= front_since_s_max)
        query = query.order_by(_columns.front_since_s, _columns.sequence)
        with self._database.read() as connection:
            return tuple(request_of_row(row) for row in connection.execute(query))

    def note_round(
        self, reasons: Mapping[WaitingId, Why], fronts: frozenset[WaitingId], now_s: float
    ) -> None:
        """Keep why they wait, and who is the front of its project since now or before."""
        with self._database.write() as connection:
            for row in connection.execute(select(waiting_requests).where(_WAITS)).all():
                why = reasons.get(row.waiting_id)
                values: dict[str, Any] = {}
                if why is not None and (why.kind, why.sentence) != (row.why_kind, row.why):
                    values |= {"why_kind": why.kind, "why": why.sentence}
                is_front = row.waiting_id in fronts
                if is_front != (row.front_since_s is not None):
                    values["front_since_s"] = now_s if is_front else None
                if values:
                    this = _columns.waiting_id == row.waiting_id
                    connection.execute(update(waiting_requests).where(this).values(**values))

    def settle(self, now_s: float, draw: Callable[[], OperationId]) -> int:
        """Agree with the operations: those launched are "started", how many."""
        pairs = waiting_requests.join(
            operation_rows, operation_rows.c.operation_id == _columns.operation_id
        )
        launched = select(waiting_requests).select_from(pairs).where(_WAITS)
        undone = (
            select(waiting_requests)
            .select_from(pairs)
            .where(_columns.state == "started", _columns.state_since_s > now_s - _RETRY_S)
            .where(operation_rows.c.state == "unwound", _columns.launch_count < LAUNCH_COUNT_MAX)
            .where(
                ~select(cancellations.c.operation_id)
                .where(cancellations.c.operation_id == _columns.operation_id)
                .exists()
            )
        )
        with self._database.read() as connection:
            is_due = any(connection.execute(query).first() for query in (launched, undone))
        if not is_due:
            return 0
        with self._database.write() as connection:
            lock_generation(connection)
            started = [request_of_row(row) for row in connection.execute(launched)]
            for waiting in started:
                _mark_started(connection, waiting, now_s)
            for row in connection.execute(undone).all():
                _queue_again(connection, request_of_row(row), draw(), now_s)
            return len(started)

    def end(
        self,
        waiting_id: WaitingId,
        state: Literal["withdrawn", "expired", "refused"],
        reason: str,
        now_s: float,
        turned_away: TurnedAway | None,
    ) -> WaitingRequest:
        """Take a request out of the queue, and keep a row of turned-away demand if one is given."""
        with self._database.write() as connection:
            # A launch that was judged while this one waited names an older parent: it fails.
            raise_generation(connection)
            waiting = _one(connection, waiting_id)
            if waiting.state != "waiting" or _has_operation(connection, waiting.operation_id):
                found = "started" if waiting.state == "waiting" else waiting.state
                raise ConflictError(
                    f"waiting request {waiting_id!r} is {found}, wanted waiting",
                    next_step="Look at it again; release its cluster if it has one.",
                )
            _set_state(connection, waiting_id, state, reason, now_s)
            _say(connection, waiting, state, f"{waiting.request.name!r} {state}: {reason}", now_s)
            if turned_away is not None:
                add_row(connection, turned_away)
            return _one(connection, waiting_id)

    def take_turn(self, worker: str, now_s: float, lease_s: float) -> bool:
        """Whether a worker may serve the queue until ``now_s + lease_s``."""
        row = {"name": "queue", "worker": worker, "expires_s": now_s + lease_s}
        columns = queue_turns.c
        with self._database.write() as connection:
            lock_generation(connection)
            found = connection.execute(select(queue_turns)).one_or_none()
            if found is None:
                connection.execute(insert(queue_turns), row)
                return True
            if found.worker != worker and found.expires_s > now_s:
                return False
            connection.execute(update(queue_turns).where(columns.name == "queue").values(**row))
            return True

    def freed(self, since_s: float) -> tuple[Sequence[Freed], float]:
        """What operations gave back since then, and when the record of that began."""
        with self._database.read() as connection:
            return freed.read_freed(connection, since_s)

    def forget(self, before_s: float) -> int:
        """Drop requests that ended, and records of freed GPUs, before then; how many."""
        old = ~_WAITS & (_columns.state_since_s < before_s)
        with self._database.write() as connection:
            dropped = connection.execute(delete(waiting_requests).where(old)).rowcount
            return dropped + freed.drop_freed(connection, before_s)


def _refuse_too_many(connection: Connection, waiting: WaitingRequest, count_max: int) -> None:
    query = select(func.count()).select_from(waiting_requests).where(_WAITS)
    if connection.execute(query).scalar_one() >= WAITING_COUNT_MAX:
        raise ConflictError(
            f"{WAITING_COUNT_MAX:,} requests wait already", next_step="Try again later."
        )
    mine = query.where(_columns.project_id == waiting.project_id)
    found = connection.execute(mine).scalar_one()
    if found >= count_max:
        raise QuotaError(
            f"project {waiting.project_id!r} may have {count_max:,} waiting requests and has"
            f" {found:,}",
            next_step="Withdraw one, or ask the operator for a larger quota.",
        )


def _set_state(
    connection: Connection, waiting_id: WaitingId, state: str, reason: str, now_s: float
) -> None:
    values = {"state": state, "state_reason": reason, "state_since_s": now_s, "front_since_s": None}
    this = _columns.waiting_id == waiting_id
    connection.execute(update(waiting_requests).where(this).values(**values))


def _mark_started(connection: Connection, waiting: WaitingRequest, now_s: float) -> None:
    query = select(operation_rows.c.cluster_id)
    query = query.where(operation_rows.c.operation_id == waiting.operation_id)
    cluster_id = connection.execute(query).scalar_one()
    waited_s = max(0.0, now_s - waiting.since_s)
    reason = f"it started after {waited_s:,.0f} s"
    _set_state(connection, waiting.waiting_id, "started", reason, now_s)
    connection.execute(
        update(waiting_requests)
        .where(_columns.waiting_id == waiting.waiting_id)
        .values(cluster_id=cluster_id, launch_count=waiting.launch_count + 1)
    )
    _say(connection, waiting, "started", f"{waiting.request.name!r}: {reason}", now_s)


def _queue_again(
    connection: Connection, waiting: WaitingRequest, operation_id: OperationId, now_s: float
) -> None:
    """Let a request wait again at its old place, unless another one of its name waits now."""
    same_name = (_columns.project_id == waiting.project_id) & (
        _columns.name == waiting.request.name
    )
    if connection.execute(select(_columns.sequence).where(_WAITS, same_name)).first() is not None:
        return
    reason = f"launch {waiting.launch_count} failed and was undone"
    _set_state(connection, waiting.waiting_id, "waiting", reason, now_s)
    connection.execute(
        update(waiting_requests)
        .where(_columns.waiting_id == waiting.waiting_id)
        .values(operation_id=operation_id, cluster_id=None)
    )
    message = f"{waiting.request.name!r} waits again: {reason}"
    _say(connection, waiting, "queued_again", message, now_s)


if TYPE_CHECKING:
    _KEEPS_THE_CONTRACT: type[WaitingRoom] = SqlWaitingRoom
