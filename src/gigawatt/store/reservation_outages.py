"""Outages of promised nodes that nobody looked at while they lasted (ADR-0049).

Who looks after promises does so every few seconds. A node that is back before, or whose promise
ended meanwhile, was missing all the same: that is noted in the transaction that ends its outage.
"""

import json
from typing import Any

from sqlalchemy import Connection, Row, insert, select

from gigawatt.ids import NodeId, TenantId
from gigawatt.store.journal import add_project_event
from gigawatt.store.reservations_schema import (
    reservation_gaps,
    reservation_nodes,
    reservations,
)


def note_outage(connection: Connection, node_id: NodeId, since_s: float, until_s: float) -> None:
    """Note a gap in every promise of a node that was out of use, unless one is noted already."""
    columns = reservations.c
    query = (
        select(reservations, reservation_nodes.c.from_s.label("joined_s"))
        .join(reservation_nodes, reservation_nodes.c.reservation_id == columns.reservation_id)
        .where(
            reservation_nodes.c.node_id == node_id,
            columns.state == "booked",
            columns.from_s < until_s,
            columns.to_s > since_s,
        )
    )
    for row in connection.execute(query.order_by(columns.sequence)).all():
        begin_s = max(since_s, row.joined_s, _ready_s(connection, row.reservation_id, node_id))
        end_s = min(until_s, row.to_s)
        if begin_s < end_s and not _is_noted(connection, row.reservation_id, node_id, begin_s):
            _note(connection, row, node_id, (begin_s, end_s))


def _ready_s(connection: Connection, reservation_id: str, node_id: NodeId) -> float:
    """From when a node that took another's place could be had; 0 for one that was there before."""
    gaps = reservation_gaps.c
    query = select(gaps.until_s).where(
        gaps.reservation_id == reservation_id, gaps.replaced_by == node_id
    )
    return max(connection.execute(query).scalars(), default=0.0)


def _is_noted(connection: Connection, reservation_id: str, node_id: NodeId, begin_s: float) -> bool:
    """Whether a gap of it goes on, which whoever looks after promises ends, or ended since."""
    gaps = reservation_gaps.c
    mine = (gaps.reservation_id == reservation_id) & (gaps.node_id == node_id)
    is_then = gaps.until_s.is_(None) | (gaps.until_s > begin_s) | (gaps.since_s == begin_s)
    return (
        connection.execute(select(gaps.since_s).where(mine, is_then).limit(1)).first() is not None
    )


def _note(
    connection: Connection, row: Row[Any], node_id: NodeId, out_s: tuple[float, float]
) -> None:
    paid, is_growth = len(json.loads(row.node_ids)), node_id in json.loads(row.growth_node_ids)
    since_s, until_s = out_s
    gap = {
        "reservation_id": row.reservation_id,
        "node_id": node_id,
        "since_s": since_s,
        "until_s": until_s,
        # Reservations are of whole nodes of one type.
        "gpu_count": row.gpu_count // paid,
        "is_growth": is_growth,
    }
    connection.execute(insert(reservation_gaps), gap)
    what = "of growth room" if is_growth else "which is credited"
    message = f"{row.name!r} was without {node_id} for {until_s - since_s:,.0f} s, {what}"
    data = {"reservation_id": row.reservation_id, "project_id": row.project_id, **gap}
    project_id = TenantId(row.project_id)
    add_project_event(connection, project_id, "reservation.restored", message, until_s, data)
