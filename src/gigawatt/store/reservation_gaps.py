"""Gaps of reservations: promised nodes that are out of use, and those that take their place.

All of it runs in transactions that hold the lock of the generation counter (ADR-0049).
"""

from collections.abc import Collection, Mapping
from dataclasses import replace

from sqlalchemy import Connection, delete, insert, select, update

from gigawatt.errors import ConflictError
from gigawatt.ids import NodeId
from gigawatt.interfaces.reservations import ReservationRecord, Swap
from gigawatt.market.gap import Gap
from gigawatt.market.notice import NoticePolicy
from gigawatt.store.promises import refuse_held
from gigawatt.store.reservations_schema import reservation_gaps, reservation_nodes
from gigawatt.store.schema import nodes
from gigawatt.units import MINUTE_S

SETTLED_S = 10.0 * MINUTE_S
"""How long after a reservation its nodes take nobody else's place. Ours: servers whose clocks are
behind still read it, and to them a node is promised once."""

_columns = reservation_gaps.c


def gaps_of(
    connection: Connection, reservation_ids: Collection[str]
) -> Mapping[str, tuple[Gap, ...]]:
    """Gaps of reservations that have any, oldest first."""
    query = select(reservation_gaps).order_by(_columns.since_s, _columns.node_id)
    if len(reservation_ids) == 1:
        query = query.where(_columns.reservation_id.in_(list(reservation_ids)))
    found: dict[str, tuple[Gap, ...]] = {}
    for row in connection.execute(query):
        gap = Gap(
            node_id=NodeId(row.node_id),
            gpu_count=row.gpu_count,
            is_growth=row.is_growth,
            since_s=row.since_s,
            until_s=row.until_s,
            replaced_by=None if row.replaced_by is None else NodeId(row.replaced_by),
        )
        found[row.reservation_id] = (*found.get(row.reservation_id, ()), gap)
    return found


def open_gap(record: ReservationRecord, node_id: NodeId) -> Gap | None:
    """The gap of a node that nothing has ended yet."""
    mine = (gap for gap in record.gaps if gap.node_id == node_id and gap.until_s is None)
    return next(mine, None)


def add_gap(connection: Connection, record: ReservationRecord, node_id: NodeId) -> Gap:
    """Begin a gap of a promised node that is out of use.

    Raises:
        ConflictError: it is in use, not promised, or was out of use only after its promise.
    """
    if record.state != "booked" or node_id not in _promised(record):
        raise ConflictError(f"node {node_id!r} is not promised to {record.reservation_id!r}")
    out_s = _out_since(connection, node_id)
    if out_s is None:
        raise ConflictError(f"node {node_id!r} is in use")
    joined_s = max((g.until_s or 0.0 for g in record.gaps if g.replaced_by == node_id), default=0.0)
    since_s = max(out_s, joined_s)
    if since_s >= record.promise.to_s:
        raise ConflictError(f"{record.reservation_id!r} was over when node {node_id!r} went")
    gap = Gap(
        node_id=node_id,
        # Reservations are of whole nodes of one type.
        gpu_count=record.gpu_count // len(record.promise.node_ids),
        is_growth=node_id in record.promise.growth_node_ids,
        since_s=since_s,
    )
    row = {
        "reservation_id": record.reservation_id,
        "node_id": node_id,
        "since_s": gap.since_s,
        "gpu_count": gap.gpu_count,
        "is_growth": gap.is_growth,
    }
    connection.execute(insert(reservation_gaps), row)
    return gap


def end_gap(
    connection: Connection,
    record: ReservationRecord,
    gap: Gap,
    until_s: float,
    new_id: NodeId | None = None,
) -> None:
    """End a gap, never before it began."""
    this = (
        (_columns.reservation_id == record.reservation_id)
        & (_columns.node_id == gap.node_id)
        & (_columns.since_s == gap.since_s)
    )
    values = {"until_s": max(until_s, gap.since_s), "replaced_by": new_id}
    connection.execute(update(reservation_gaps).where(this).values(**values))


def move_promise(
    connection: Connection,
    record: ReservationRecord,
    swap: Swap,
    policy: NoticePolicy,
    now_s: float,
) -> tuple[frozenset[NodeId], frozenset[NodeId]]:
    """Promise another node in the place of one; paid nodes and growth room after it.

    Raises:
        ConflictError: the new node cannot be had.
    """
    promise, old_id, new_id = record.promise, swap.node_id, swap.new_id
    is_out = _out_since(connection, old_id) is not None
    if new_id in _promised(record) or not is_out or _out_since(connection, new_id) is not None:
        raise ConflictError(f"node {new_id!r} cannot take the place of {old_id!r}")
    _refuse_promised(connection, record, new_id, now_s)
    alone = replace(
        promise,
        node_ids=frozenset({new_id}),
        growth_node_ids=frozenset(),
        from_s=max(promise.from_s, swap.ready_s),
    )
    refuse_held(connection, replace(record, promise=alone), policy, now_s)
    mine = reservation_nodes.c.reservation_id == record.reservation_id
    connection.execute(delete(reservation_nodes).where(mine, reservation_nodes.c.node_id == old_id))
    row = {
        "node_id": new_id,
        "from_s": max(promise.from_s, now_s),
        "until_s": record.clear_until_s,
        "reservation_id": record.reservation_id,
    }
    connection.execute(insert(reservation_nodes), row)
    paid, growth = (
        (ids - {old_id}) | {new_id} if old_id in ids else ids
        for ids in (promise.node_ids, promise.growth_node_ids)
    )
    return paid, growth


def _promised(record: ReservationRecord) -> frozenset[NodeId]:
    return record.promise.node_ids | record.promise.growth_node_ids


def _out_since(connection: Connection, node_id: NodeId) -> float | None:
    """Since when a node is drained or quarantined; None if it is not."""
    found = connection.execute(select(nodes.c.since_s).where(nodes.c.node_id == node_id)).scalar()
    return None if found is None else float(found)


def _refuse_promised(
    connection: Connection, record: ReservationRecord, new_id: NodeId, now_s: float
) -> None:
    columns = reservation_nodes.c
    query = select(columns.reservation_id).where(
        columns.node_id == new_id,
        columns.from_s < record.clear_until_s,
        columns.until_s > now_s - SETTLED_S,
    )
    other = connection.execute(query.limit(1)).scalar()
    if other is not None:
        raise ConflictError(f"node {new_id!r} is promised to reservation {other!r} in that time")
