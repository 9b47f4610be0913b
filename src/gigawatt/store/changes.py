"""The changes that touch several tables at once: commit, revise, unwind, finish, observe.

Each runs inside one transaction that its caller opened, and first takes the lock of the
generation counter.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

from sqlalchemy import Connection

from gigawatt.errors import ConflictError
from gigawatt.ids import DeviceId, NodeId, OperationId
from gigawatt.interfaces.store import OperationRecord
from gigawatt.planner.plan import OperationKind, Plan
from gigawatt.store import (
    clusters,
    freed,
    holdings,
    journal,
    nodes,
    operations,
    promises,
    tombstones,
    usage,
    usage_notes,
)
from gigawatt.store.database import lock_generation, raise_generation

End = Literal["done", "unwound", "stuck"]

_ENDS_AFTER: Mapping[str, frozenset[str]] = {
    "done": frozenset({"applying", "stuck"}),
    "unwound": frozenset({"unwinding", "stuck"}),
    "stuck": frozenset({"applying", "unwinding", "stuck"}),
}
"""From which states of an operation each end may follow."""


def commit(
    connection: Connection, plan: Plan, operation_id: OperationId, now_s: float
) -> OperationRecord:
    """Reserve what a plan needs and open its operation; see ``Store.commit``.

    Raises:
        ConflictError: the plan no longer holds.
    """
    if plan.expires_s < now_s:
        raise ConflictError(
            f"plan {plan.plan_id!r} expired {now_s - plan.expires_s:.1f} s ago",
            next_step="Plan again; the price may differ.",
        )
    generation = raise_generation(connection, plan.parent_generation)
    operations.refuse_second(connection, plan.cluster_id)
    clusters.open_for(connection, plan, generation, now_s)
    promises.refuse_promised(connection, plan, now_s)
    holdings.reserve(connection, plan.cluster_id, plan.after, now_s)
    usage.settle(connection, plan.cluster_id, plan.report.gpu_type, now_s)
    usage_notes.note_committed(connection, plan, now_s)
    operation = operations.open_for(connection, plan, operation_id, generation, now_s)
    _give_up(connection, plan, now_s)
    data = {"plan_id": plan.plan_id, "generation": generation, **_losses(plan)}
    message = f"{plan.kind.value} committed"
    journal.add_event(connection, "committed", message, now_s, operation=operation, data=data)
    return operation


def _losses(plan: Plan) -> Mapping[str, list[NodeId]]:
    """What the trail says of nodes that cost nothing any more from here on, where there are any."""
    gone = usage_notes.leaving(plan) if plan.kind is OperationKind.SHRINK else []
    losses = {"leaving": gone, "quarantined": sorted(plan.quarantined)}
    return {word: node_ids for word, node_ids in losses.items() if node_ids}


def _give_up(connection: Connection, plan: Plan, now_s: float) -> None:
    """Quarantine the nodes that a plan gives up; an earlier reason says more, so it stays."""
    states = nodes.all_states(connection)
    known = {node_id for node_id, (state, _) in states.items() if state == "quarantined"}
    reason = f"given up by the {plan.kind.value} {plan.plan_id}"
    _quarantine(connection, dict.fromkeys({*plan.quarantined} - known, reason), now_s)


def _quarantine(connection: Connection, reasons: Mapping[NodeId, str], now_s: float) -> None:
    for node_id, reason in sorted(reasons.items()):
        nodes.set_state(connection, node_id, "quarantined", reason, now_s)


def revise(
    connection: Connection, operation: OperationRecord, plan: Plan, now_s: float
) -> OperationRecord:
    """Replace the plan in force; see ``Store.revise``.

    Raises:
        ConflictError: a newer worker took over, or what the plan adds is not free.
    """
    lock_generation(connection)
    operations.fence(connection, operation)
    assert plan.cluster_id == operation.cluster_id, "a revised plan is for the same cluster"
    assert plan.kind is operation.kind, "a revised plan does the same"
    holdings.reserve(connection, plan.cluster_id, plan.after, now_s)
    usage.settle(connection, plan.cluster_id, plan.report.gpu_type, now_s)
    if plan.after is not None and plan.kind is not OperationKind.RELEASE:
        clusters.retarget(connection, plan.cluster_id, plan.after)
    usage_notes.note_committed(connection, plan, now_s)
    _give_up(connection, plan, now_s)
    revised = operations.replace_plan(connection, operation, plan)
    message = f"plan {plan.plan_id} in force"
    data = {"plan_id": plan.plan_id, "quarantined": list(plan.quarantined), **_losses(plan)}
    journal.add_event(connection, "revised", message, now_s, operation=revised, data=data)
    return revised


def begin_unwind(
    connection: Connection, operation: OperationRecord, error: str, now_s: float
) -> OperationRecord:
    """Turn an applying operation to unwinding; one that unwinds already stays as it is.

    Raises:
        ConflictError: a newer worker took over, or the operation only goes forward.
    """
    lock_generation(connection)
    operations.fence(connection, operation)
    found = operations.get(connection, operation.operation_id)
    if found.state == "unwinding":
        return found
    if found.state != "applying":
        raise ConflictError(f"operation {found.operation_id!r} is {found.state}, wanted applying")
    cluster = clusters.get(connection, found.cluster_id)
    clusters.move(connection, cluster, (found.kind, "failed", error), cluster.target, now_s)
    turned = operations.unwind(connection, found, error)
    message = f"{found.kind.value} failed: {error}"
    journal.add_event(connection, "failed", message, now_s, operation=turned)
    return turned


def finish(
    connection: Connection,
    operation: OperationRecord,
    state: End,
    quarantined: Mapping[NodeId, str],
    now_s: float,
) -> None:
    """End an operation and let go of what its cluster no longer needs; see ``Store.finish``.

    Raises:
        ConflictError: a newer worker took over, or the operation cannot end so.
    """
    lock_generation(connection)
    operations.fence(connection, operation)
    found = operations.get(connection, operation.operation_id)
    if found.state not in _ENDS_AFTER[state]:
        raise ConflictError(
            f"operation {found.operation_id!r} is {found.state}: it cannot end as {state}"
        )
    cluster = clusters.get(connection, found.cluster_id)
    target = cluster.target
    if state != "stuck":
        target = found.plan.after if state == "done" else found.plan.before
        holdings.let_go(connection, found.cluster_id, target, now_s)
        usage.settle(connection, found.cluster_id, found.plan.report.gpu_type, now_s)
    clusters.move(connection, cluster, (found.kind, state, found.error), target, now_s)
    _quarantine(connection, quarantined, now_s)
    operations.end(connection, found, state, now_s)
    if state == "done":
        freed.note_freed(connection, found, now_s)
        usage_notes.note_done(connection, found.plan, now_s)
    data = {"quarantined": dict(quarantined)}
    message = f"{found.kind.value} {state}"
    journal.add_event(connection, state, message, now_s, operation=found, data=data)


def observe_absent(
    connection: Connection, keys: Sequence[tuple[DeviceId, str]], now_s: float
) -> None:
    """Drop tombstones that were observed gone, and let go of what only they held."""
    lock_generation(connection)
    tombstones.drop(connection, keys)
    holdings.release_observed(connection, now_s)
