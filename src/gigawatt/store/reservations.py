"""``SqlReservations``: the ``ReservationBook`` on the store's own database."""

import json
from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from gigawatt.errors import ConflictError, UnknownIdError
from gigawatt.identity.accounts import AccountId
from gigawatt.ids import FabricId, NodeId, ReservationId, SiteId, TenantId
from gigawatt.intent.request import Level
from gigawatt.interfaces.directory import Reach
from gigawatt.interfaces.reservations import (
    CancellationTerms,
    ReservationBook,
    ReservationRecord,
    Swap,
)
from gigawatt.market.calendar import Reservation
from gigawatt.market.notice import NoticePolicy
from gigawatt.store.database import Database, lock_generation, raise_generation
from gigawatt.store.journal import add_project_event
from gigawatt.store.promises import refuse_held, refuse_overlap
from gigawatt.store.reservation_gaps import (
    add_gap,
    end_gap,
    gaps_of,
    move_promise,
    open_gap,
)
from gigawatt.store.reservations_schema import reservation_nodes, reservations

_columns = reservations.c


@lru_cache(maxsize=1 << 12)
def record_of(row: Row[Any]) -> ReservationRecord:
    """The record of a row; rows are values, so equal ones may share one."""
    promise = Reservation(
        reservation_id=row.reservation_id,
        tenant_id=TenantId(row.project_id),
        node_ids=frozenset(map(NodeId, json.loads(row.node_ids))),
        growth_node_ids=frozenset(map(NodeId, json.loads(row.growth_node_ids))),
        from_s=row.from_s,
        to_s=row.to_s,
        is_lent=row.is_lent,
    )
    return ReservationRecord(
        sequence=row.sequence,
        promise=promise,
        account_id=None if row.account_id is None else AccountId(row.account_id),
        name=row.name,
        state=row.state,
        gpu_type=row.gpu_type,
        site_id=SiteId(row.site_id),
        fabric_id=FabricId(row.fabric_id),
        gpu_count=row.gpu_count,
        growth_gpu_count=row.growth_gpu_count,
        leaf_group_count=row.leaf_group_count,
        price_micro_usd_per_gpu_hour=row.price_micro_usd_per_gpu_hour,
        month_count=row.month_count,
        cancellation=CancellationTerms(row.free_until_s, row.charge_micro_usd),
        clear_until_s=row.clear_until_s,
        planned_s=row.planned_s,
        expires_s=row.expires_s,
        booked_s=row.booked_s,
        cancelled_s=row.cancelled_s,
        charged_micro_usd=row.charged_micro_usd,
        keep_together=Level(row.keep_together),
    )


def _row_of(record: ReservationRecord) -> dict[str, Any]:
    promise = record.promise
    return {
        "reservation_id": record.reservation_id,
        "project_id": record.project_id,
        "account_id": record.account_id,
        "name": record.name,
        "state": record.state,
        "gpu_type": record.gpu_type,
        "site_id": record.site_id,
        "fabric_id": record.fabric_id,
        "gpu_count": record.gpu_count,
        "growth_gpu_count": record.growth_gpu_count,
        "leaf_group_count": record.leaf_group_count,
        "node_ids": json.dumps(sorted(promise.node_ids)),
        "growth_node_ids": json.dumps(sorted(promise.growth_node_ids)),
        "from_s": promise.from_s,
        "to_s": promise.to_s,
        "clear_until_s": record.clear_until_s,
        "is_lent": promise.is_lent,
        "price_micro_usd_per_gpu_hour": record.price_micro_usd_per_gpu_hour,
        "month_count": record.month_count,
        "free_until_s": record.cancellation.free_until_s,
        "charge_micro_usd": record.cancellation.charge_micro_usd,
        "planned_s": record.planned_s,
        "expires_s": record.expires_s,
        "booked_s": record.booked_s,
        "cancelled_s": record.cancelled_s,
        "charged_micro_usd": record.charged_micro_usd,
        "keep_together": record.keep_together.value,
    }


def _one(connection: Connection, reservation_id: str) -> ReservationRecord:
    query = select(reservations).where(_columns.reservation_id == reservation_id)
    row = connection.execute(query).one_or_none()
    if row is None:
        raise UnknownIdError(f"no reservation {reservation_id!r}")
    return _whole(connection, [row])[0]


def _whole(connection: Connection, rows: Iterable[Row[Any]]) -> tuple[ReservationRecord, ...]:
    """Records of rows, with their gaps."""
    records = tuple(record_of(row) for row in rows)
    gaps = gaps_of(connection, [record.reservation_id for record in records]) if records else {}
    return tuple(
        replace(record, gaps=gaps[record.reservation_id])
        if record.reservation_id in gaps
        else record
        for record in records
    )


def _change(connection: Connection, reservation_id: ReservationId, **values: object) -> None:
    this = _columns.reservation_id == reservation_id
    connection.execute(update(reservations).where(this).values(**values))


def _say(
    connection: Connection,
    record: ReservationRecord,
    kind: str,
    message: str,
    now_s: float,
    **more: str,
) -> None:
    data = {
        "reservation_id": record.reservation_id,
        "project_id": record.project_id,
        "name": record.name,
        "gpu_count": record.gpu_count,
        "from_s": record.promise.from_s,
        "to_s": record.promise.to_s,
        **more,
    }
    add_project_event(connection, record.project_id, f"reservation.{kind}", message, now_s, data)


class SqlReservations:
    """Reservations; every method is what ``ReservationBook`` says of it."""

    def __init__(self, database: Database) -> None:
        """Serve from a database that has the tables."""
        self._database = database

    def plan(self, record: ReservationRecord) -> ReservationRecord:
        """Keep what was worked out, in the place of an older plan of its id."""
        lapsed = (_columns.state == "planned") & (
            (_columns.expires_s < record.planned_s)
            | (_columns.reservation_id == record.reservation_id)
        )
        with self._database.write() as connection:
            connection.execute(delete(reservations).where(lapsed))
            connection.execute(insert(reservations), _row_of(record))
            return _one(connection, record.reservation_id)

    def book(
        self,
        reservation_id: ReservationId,
        parent_generation: int | None,
        policy: NoticePolicy,
        now_s: float,
    ) -> ReservationRecord:
        """Promise the nodes of a plan."""
        with self._database.write() as connection:
            # Plans that were made before know nothing of this promise: their commit fails.
            generation = lock_generation(connection)
            record = _one(connection, reservation_id)
            if record.state == "booked":
                return record
            if record.state != "planned" or record.expires_s < now_s:
                what = record.state if record.state != "planned" else "too old"
                raise ConflictError(
                    f"the plan of reservation {reservation_id!r} is {what}",
                    next_step="Plan again; price and nodes may differ.",
                )
            raise_generation(
                connection, generation if parent_generation is None else parent_generation
            )
            refuse_overlap(connection, record)
            refuse_held(connection, record, policy, now_s)
            _promise(connection, record)
            _change(connection, reservation_id, state="booked", booked_s=now_s)
            message = f"{record.name!r} reserves {record.gpu_count:,} {record.gpu_type} GPUs"
            _say(connection, record, "booked", message, now_s)
            return _one(connection, reservation_id)

    def cancel(self, reservation_id: ReservationId, now_s: float) -> ReservationRecord:
        """Give a reservation up under its terms."""
        with self._database.write() as connection:
            lock_generation(connection)
            record = _one(connection, reservation_id)
            if record.state == "cancelled":
                return record
            is_booked = record.state == "booked"
            if is_booked and record.promise.from_s <= now_s:
                raise ConflictError(
                    f"reservation {reservation_id!r} has begun: it is paid to its end",
                    next_step="Use it; it ends by itself.",
                )
            is_late = is_booked and now_s >= record.cancellation.free_until_s
            charged = record.cancellation.charge_micro_usd if is_late else 0
            mine = reservation_nodes.c.reservation_id == reservation_id
            connection.execute(delete(reservation_nodes).where(mine))
            _change(
                connection,
                reservation_id,
                state="cancelled",
                cancelled_s=now_s,
                charged_micro_usd=charged,
            )
            if is_booked:
                message = f"{record.name!r} was cancelled for {charged:,} micro-USD"
                _say(connection, record, "cancelled", message, now_s)
            return _one(connection, reservation_id)

    def get(self, reservation_id: ReservationId) -> ReservationRecord:
        """One reservation, whatever became of it."""
        with self._database.read() as connection:
            return _one(connection, reservation_id)

    def page(
        self, reach: Reach, before: int, limit: int, *, with_ended: bool, now_s: float
    ) -> tuple[ReservationRecord, ...]:
        """Booked ones, newest first, before a place."""
        query = select(reservations).where(_columns.sequence < before)
        if reach.project_ids is not None:
            query = query.where(_columns.project_id.in_(sorted(reach.project_ids)))
        if with_ended:
            query = query.where(_columns.state != "planned")
        else:
            query = query.where(_columns.state == "booked", _columns.to_s > now_s)
        query = query.order_by(_columns.sequence.desc()).limit(limit)
        with self._database.read() as connection:
            return _whole(connection, connection.execute(query))

    def booked(self, after_s: float) -> tuple[ReservationRecord, ...]:
        """Booked ones whose nodes are not free again at a moment, by start."""
        query = select(reservations).where(
            _columns.state == "booked", _columns.clear_until_s > after_s
        )
        query = query.order_by(_columns.from_s, _columns.sequence)
        with self._database.read() as connection:
            return _whole(connection, connection.execute(query))

    def between(
        self, project_ids: frozenset[TenantId] | None, from_s: float, to_s: float
    ) -> tuple[ReservationRecord, ...]:
        """What is to be paid in a time."""
        is_due = (_columns.state == "booked") & (_columns.from_s < to_s) & (_columns.to_s > from_s)
        is_charged = (_columns.charged_micro_usd > 0) & (
            (_columns.cancelled_s >= from_s) & (_columns.cancelled_s < to_s)
        )
        query = select(reservations).where(is_due | is_charged).order_by(_columns.sequence)
        if project_ids is not None:
            query = query.where(_columns.project_id.in_(sorted(project_ids)))
        with self._database.read() as connection:
            return _whole(connection, connection.execute(query))

    def note_gap(self, reservation_id: ReservationId, node_id: NodeId, now_s: float) -> bool:
        """Note that a promised node is out of use and none takes its place."""
        with self._database.write() as connection:
            lock_generation(connection)
            record = _one(connection, reservation_id)
            if open_gap(record, node_id) is not None:
                return False
            gap = add_gap(connection, record, node_id)
            what = "of growth room" if gap.is_growth else "that are credited"
            message = (
                f"{record.name!r} is {gap.gpu_count:,} GPUs short, {what}: {node_id} is out of use"
                " and no other one fits"
            )
            _say(connection, record, "short", message, now_s, node_id=node_id)
            return True

    def end_gap(self, reservation_id: ReservationId, node_id: NodeId, now_s: float) -> bool:
        """Note that a promised node is in use again."""
        with self._database.write() as connection:
            lock_generation(connection)
            record = _one(connection, reservation_id)
            gap = open_gap(record, node_id)
            if gap is None:
                return False
            end_gap(connection, record, gap, now_s)
            message = f"{record.name!r} has {node_id} again"
            _say(connection, record, "restored", message, now_s, node_id=node_id)
            return True

    def swap(
        self, reservation_id: ReservationId, swap: Swap, policy: NoticePolicy, now_s: float
    ) -> ReservationRecord:
        """Promise another node in the place of one that is out of use."""
        with self._database.write() as connection:
            # Plans that were made before may want the new node: their commit fails.
            raise_generation(connection)
            record = _one(connection, reservation_id)
            gap = open_gap(record, swap.node_id)
            gap = gap or add_gap(connection, record, swap.node_id)
            paid, growth = move_promise(connection, record, swap, policy, now_s)
            _change(
                connection,
                reservation_id,
                node_ids=json.dumps(sorted(paid)),
                growth_node_ids=json.dumps(sorted(growth)),
                leaf_group_count=swap.leaf_group_count,
            )
            end_gap(connection, record, gap, max(now_s, swap.ready_s), swap.new_id)
            message = f"{swap.new_id} takes the place of {swap.node_id} in {record.name!r}"
            _say(connection, record, "node_replaced", message, now_s, node_id=swap.node_id)
            return _one(connection, reservation_id)


def _promise(connection: Connection, record: ReservationRecord) -> None:
    promise = record.promise
    rows = [
        {
            "node_id": node_id,
            "from_s": promise.from_s,
            "until_s": record.clear_until_s,
            "reservation_id": record.reservation_id,
        }
        for node_id in sorted(promise.node_ids | promise.growth_node_ids)
    ]
    connection.execute(insert(reservation_nodes), rows)


if TYPE_CHECKING:
    _KEEPS_THE_CONTRACT: type[ReservationBook] = SqlReservations
