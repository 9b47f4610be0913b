"""What the database itself refuses: two promises of one node, and taking what is promised.

The planner keeps off such nodes by the same rule (``market.promises``); this is for whoever plans
from what is no longer true, and for a planner with a bug. All of it runs in transactions that hold
the lock of the generation counter.
"""

import json
from dataclasses import replace

from sqlalchemy import Connection, select

from gigawatt.errors import ConflictError
from gigawatt.ids import ClusterId, NodeId, TenantId
from gigawatt.interfaces.holders import free_at_s, holder_of, promised_part
from gigawatt.interfaces.reservations import ReservationRecord
from gigawatt.market.calendar import Reservation
from gigawatt.market.notice import NoticePolicy
from gigawatt.market.promises import Promises
from gigawatt.planner.plan import Plan
from gigawatt.store.clusters import get
from gigawatt.store.reservations_schema import reservation_nodes, reservations
from gigawatt.store.schema import allocations

_AT_LEAST = NoticePolicy(clear_s=0.0, use_s=0.0)
"""What the store insists on whatever a service was told: time for the shortest notice."""


def read_promises(connection: Connection, now_s: float) -> Promises:
    """What is promised and not over."""
    columns = reservations.c
    query = select(
        columns.reservation_id,
        columns.project_id,
        columns.node_ids,
        columns.growth_node_ids,
        columns.from_s,
        columns.to_s,
        columns.is_lent,
        columns.clear_until_s,
    ).where(columns.state == "booked", columns.clear_until_s > now_s)
    return Promises(_decoded(*row) for row in connection.execute(query))


def _decoded(
    reservation_id: str,
    project_id: str,
    node_ids: str,
    growth_node_ids: str,
    *times: float,
) -> tuple[Reservation, float]:
    from_s, to_s, is_lent, until_s = times
    nodes, growth = (
        frozenset(map(NodeId, json.loads(text))) for text in (node_ids, growth_node_ids)
    )
    promise = Reservation(
        reservation_id, TenantId(project_id), nodes, growth, from_s, to_s, bool(is_lent)
    )
    return promise, until_s


def refuse_promised(connection: Connection, plan: Plan, now_s: float) -> None:
    """Refuse a plan that comes to nodes which are promised to somebody else.

    Raises:
        ConflictError: it does.
    """
    after = plan.after
    if after is None:
        return
    known = {member.node_id for member in plan.before.members} if plan.before else set()
    coming = {member.node_id for member in after.members} - known
    if not coming:
        return
    promises = read_promises(connection, now_s)
    holder = replace(holder_of(after), part=promised_part(plan))
    barred = promises.barred(holder, now_s, _AT_LEAST, coming)
    if barred:
        node_id, why = min(barred.items())
        raise ConflictError(
            f"node {node_id!r}, one of {len(barred)} that the plan needs, cannot be had: {why}",
            next_step="Plan again.",
        )


def refuse_overlap(connection: Connection, record: ReservationRecord) -> None:
    """Refuse a promise of nodes that are promised in that time.

    Raises:
        ConflictError: one is.
    """
    columns, promise = reservation_nodes.c, record.promise
    query = select(columns.node_id, columns.reservation_id).where(
        columns.from_s < record.clear_until_s, columns.until_s > promise.from_s
    )
    wanted = promise.node_ids | promise.growth_node_ids
    for node_id, other in connection.execute(query):
        if node_id in wanted:
            raise ConflictError(
                f"node {node_id!r} is promised to reservation {other!r} in that time",
                next_step="Plan again: other nodes may be free then, or the same later.",
            )


def refuse_held(
    connection: Connection, record: ReservationRecord, policy: NoticePolicy, now_s: float
) -> None:
    """Refuse a promise of nodes that somebody holds who will not be gone in time.

    Raises:
        ConflictError: somebody does.
    """
    wanted = record.promise.node_ids | record.promise.growth_node_ids
    query = select(allocations.c.node_id, allocations.c.cluster_id).distinct()
    held = [(NodeId(n), ClusterId(c)) for n, c in connection.execute(query) if n in wanted]
    promises = read_promises(connection, now_s)
    for cluster_id in sorted({cluster for _, cluster in held}):
        cluster = get(connection, cluster_id)
        free_s = free_at_s(cluster.target, cluster.phase, promises, policy, now_s)
        if free_s > record.promise.from_s:
            node_id = min(node for node, holder in held if holder == cluster_id)
            raise ConflictError(
                f"node {node_id!r} is held by a cluster that will not be gone in time",
                next_step="Plan again: other nodes may be free then.",
            )
