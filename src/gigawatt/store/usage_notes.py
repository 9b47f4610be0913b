"""What happens to clusters and nodes, told to their meters (ADR-0042).

The rules of what is billed from when to when are in these few functions and in ``market.meter``.
Each runs in the transaction that makes it happen, under the lock of the generation counter.
"""

from collections.abc import Collection, Iterable, Mapping

from sqlalchemy import Connection, insert, select

from gigawatt.boundary.target import ClusterTarget, Member
from gigawatt.ids import ClusterId, NodeId
from gigawatt.intent.term import Term
from gigawatt.market.meter import (
    Delivered,
    MembersChanged,
    Promise,
    ReadinessChanged,
    Stopped,
)
from gigawatt.planner.plan import OperationKind, Plan
from gigawatt.store import storage_meters, usage_meters
from gigawatt.store.schema import nodes
from gigawatt.store.usage_records_schema import usage_meters as meter_rows

NOT_READY = "quarantined"
"""State of a node that is not billed. A drained one works on for who has it."""


def ms_of(now_s: float) -> int:
    """Unix milliseconds of Unix seconds, to the nearest."""
    return round(now_s * 1000)


def note_committed(connection: Connection, plan: Plan, now_s: float) -> None:
    """What is asked to be given back costs nothing from now on, however long that takes."""
    if plan.kind is OperationKind.RELEASE:
        storage_meters.note_let_go(connection, plan.cluster_id, ms_of(now_s))
        if usage_meters.is_metered(connection, plan.cluster_id):
            usage_meters.note(connection, plan.cluster_id, Stopped(ms_of(now_s)))
    if plan.kind is OperationKind.SHRINK:
        _note_leaving(connection, plan.cluster_id, leaving(plan), ms_of(now_s))


def leaving(plan: Plan) -> list[NodeId]:
    """Nodes that a cluster gives back by a plan."""
    kept = {member.node_id for member in plan.after.members} if plan.after else set()
    members = plan.before.members if plan.before else ()
    return sorted(member.node_id for member in members if member.node_id not in kept)


def _note_leaving(
    connection: Connection, cluster_id: ClusterId, gone: Collection[NodeId], now_ms: int
) -> None:
    if not usage_meters.is_metered(connection, cluster_id):
        return
    promises = usage_meters.read(connection, cluster_id).promises
    left = {node_id: promise for node_id, promise in promises.items() if node_id not in gone}
    usage_meters.note(connection, cluster_id, MembersChanged(now_ms, left))


def note_done(connection: Connection, plan: Plan, now_s: float) -> None:
    """What was verified is billed from now on, at the price that was bound when it was planned."""
    now_ms, target = ms_of(now_s), plan.after
    if target is None:
        _note_leaving(connection, plan.cluster_id, leaving(plan), now_ms)
        return
    storage_meters.note_promised(connection, target, now_ms)
    if target.is_file_system:
        return
    if not usage_meters.is_metered(connection, plan.cluster_id):
        _open(connection, plan, target, now_ms)
    known = usage_meters.read(connection, plan.cluster_id).promises
    strange = [member.node_id for member in target.members if member.node_id not in known]
    usage_meters.note(
        connection,
        plan.cluster_id,
        *(ReadinessChanged(now_ms, n, is_ready=False) for n in _unready(connection, strange)),
        MembersChanged(now_ms, promises_of(plan, target)),
        *([Delivered(now_ms)] if plan.kind is OperationKind.LAUNCH else []),
    )


def _unready(connection: Connection, node_ids: Iterable[NodeId]) -> list[NodeId]:
    query = select(nodes.c.node_id).where(nodes.c.state == NOT_READY)
    unready = set(connection.execute(query).scalars())
    return sorted(node_id for node_id in node_ids if node_id in unready)


def promises_of(plan: Plan, target: ClusterTarget) -> Mapping[NodeId, Promise]:
    """What each member of a plan's target costs: what was bound when it joined.

    Members from before prices were bound share what is left of the plan's price. What a
    reservation covers costs nothing here: it is billed by the reservation.
    """
    bound = {m: m.price_micro_usd_per_gpu_hour for m in target.members}
    known = sum(m.gpu_mask.bit_count() * (price or 0) for m, price in bound.items())
    older = sum(m.gpu_mask.bit_count() for m, price in bound.items() if price is None)
    left = plan.report.price_micro_usd_per_hour - known
    return {
        member.node_id: _promise(member, target, left // older if price is None else price)
        for member, price in bound.items()
    }


def _promise(member: Member, target: ClusterTarget, price_micro_usd: int) -> Promise:
    is_covered = member.term is Term.RESERVED
    return Promise(
        gpu_count=member.gpu_mask.bit_count(),
        price_micro_usd_per_gpu_hour=0 if is_covered else price_micro_usd,
        term=member.term,
        reservation_id=target.reservation_id if is_covered else None,
    )


def _open(connection: Connection, plan: Plan, target: ClusterTarget, now_ms: int) -> None:
    row = {
        "cluster_id": target.cluster_id,
        "organisation_id": usage_meters.organisation_of(connection, target.tenant_id),
        "project_id": target.tenant_id,
        "gpu_type": plan.report.gpu_type,
        "site_id": target.site_id,
        "at_ms": now_ms,
        "is_delivered": False,
        "next_number": 0,
    }
    connection.execute(insert(meter_rows), row)


def note_node(connection: Connection, node_id: NodeId, state: str, now_s: float) -> None:
    """A node that is quarantined costs nobody anything, from now until it is not."""
    is_ready = state != NOT_READY
    for cluster_id in usage_meters.holders_of(connection, node_id, is_ready=not is_ready):
        changed = ReadinessChanged(ms_of(now_s), node_id, is_ready=is_ready)
        usage_meters.note(connection, cluster_id, changed)
