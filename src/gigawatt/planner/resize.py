"""Plans changes of a live cluster: grow, shrink, replace failed nodes, release."""

from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np

from gigawatt.boundary.render import render, render_member
from gigawatt.boundary.target import ClusterTarget, Member
from gigawatt.errors import ImpossibleError, InputError
from gigawatt.fleet.model import Fleet
from gigawatt.ids import NodeId
from gigawatt.intent.prices import LIST_PRICES, Prices
from gigawatt.intent.request import ClusterRequest
from gigawatt.intent.term import Term
from gigawatt.planner.change import stages_between
from gigawatt.planner.launch import PLAN_TTL_S, PlanIds, nodes_of, placed
from gigawatt.planner.plan import OperationKind, Plan, PlanReport
from gigawatt.planner.price import price_of, priced
from gigawatt.planner.snapshot import Snapshot
from gigawatt.planner.target import members_of, next_host_index, spread_of


def live_target(snapshot: Snapshot, ids: PlanIds) -> ClusterTarget:
    """The target of a live cluster.

    Raises:
        InputError: there is none of this id.
    """
    target = snapshot.targets.get(ids.cluster_id)
    if target is None or target.is_file_system:
        raise InputError(
            f"cluster {ids.cluster_id!r} is not live",
            next_step="See 'gw cluster list' for the clusters that are live.",
        )
    return target


def _within_fabric(snapshot: Snapshot, target: ClusterTarget) -> Snapshot:
    """The snapshot with nothing free outside the cluster's fabric, which it can never leave."""
    fleet = snapshot.fleet
    fabric = fleet.fabrics.index_of[target.fabric_id]
    free = np.where(fleet.fabric_of_node == fabric, snapshot.free_gpu_mask, 0)
    return replace(snapshot, free_gpu_mask=free.astype(np.uint16))


def gpu_type_of(snapshot: Snapshot, target: ClusterTarget) -> str:
    """GPU type of a cluster's nodes."""
    first = snapshot.fleet.node_index(target.members[0].node_id)
    return snapshot.fleet.node_type(first).gpu_type


def change_plan(
    snapshot: Snapshot,
    kind: OperationKind,
    ids: PlanIds,
    change: tuple[ClusterTarget, ClusterTarget | None],
    reason: str,
) -> Plan:
    """The plan that a change makes: (target before, target after, None for nothing left)."""
    fleet = snapshot.fleet
    before, after = change
    shown = after or before
    return Plan(
        plan_id=ids.plan_id,
        kind=kind,
        cluster_id=before.cluster_id,
        tenant_id=before.tenant_id,
        parent_generation=snapshot.generation,
        before=before,
        after=after,
        stages=stages_between(render(fleet, before), render(fleet, after) if after else ()),
        quarantined=(),
        report=PlanReport(
            gpu_type=gpu_type_of(snapshot, before),
            gpu_count=sum(m.gpu_mask.bit_count() for m in shown.active_members),
            spread=spread_of(fleet, shown.members),
            reasons=(reason,) if reason else (),
            alternatives=(),
            price_micro_usd_per_hour=price_of(fleet, after.members) if after else 0,
            expected_s=ids.expected_s,
            term=before.term,
        ),
        created_s=ids.now_s,
        expires_s=ids.now_s + PLAN_TTL_S,
    )


def growth_term(target: ClusterTarget) -> Term:
    """How GPUs are held that a cluster grows by: a reservation covers no more than was reserved."""
    return Term.ON_DEMAND if target.term is Term.RESERVED else target.term


def _check_growth(fleet: Fleet, before: ClusterTarget, gpu_count_more: int) -> None:
    first = fleet.node_index(before.members[0].node_id)
    if before.members[0].gpu_mask != int(fleet.full_gpu_mask_of_node[first]):
        raise InputError(
            f"cluster {before.name!r} is a guest on one node and cannot grow",
            next_step="Launch a cluster of whole nodes and release the guest.",
        )
    if gpu_count_more < 1 or gpu_count_more % fleet.node_type(first).gpu_count:
        raise InputError(
            f"cluster {before.name!r} cannot grow by {gpu_count_more} GPUs",
            next_step=f"Grow by a multiple of {fleet.node_type(first).gpu_count} GPUs.",
        )


def plan_grow(
    snapshot: Snapshot, gpu_count_more: int, ids: PlanIds, prices: Prices = LIST_PRICES
) -> Plan:
    """The plan that adds whole nodes to a cluster, as near to it as there is room.

    They cost what the card says on the day; the nodes that are there keep their price.

    Args:
        snapshot: what is taken now.
        gpu_count_more: GPUs to add, a multiple of the node's count.
        ids: ids of the plan and of the cluster.
        prices: what GPUs cost today, for the term of ``growth_term``.

    Raises:
        InputError: not live, or a guest, or not a multiple of a node.
        ImpossibleError: they cost more than was said when the cluster was launched.
        NoCapacityError: does not fit now.
    """
    before = live_target(snapshot, ids)
    fleet = snapshot.fleet
    _check_growth(fleet, before, gpu_count_more)
    request = ClusterRequest(
        tenant_id=before.tenant_id,
        name=before.name,
        gpu_count=gpu_count_more,
        gpu_type=gpu_type_of(snapshot, before),
        site_ids=(before.site_id,),
        term=prices.term,
        reservation_id=before.reservation_id if prices.term is Term.RESERVED else None,
        price_micro_usd_per_gpu_hour_max=before.price_micro_usd_per_gpu_hour_max,
    )
    room = _within_fabric(snapshot, before)
    try:
        placement = placed(room, request, nodes_of(snapshot, ids.cluster_id), prices)
    except ImpossibleError as error:
        if error.is_price:
            error.next_step = "Launch another cluster: the limit was said when this one was."
        raise
    joining = members_of(fleet, placement.members, "member", next_host_index(before))
    more = priced(fleet, prices, joining)
    spares = tuple(m for m in before.members if m.role == "spare")
    after = replace(before, members=before.active_members + more + spares)
    reason = "; ".join(placement.reasons)
    plan = change_plan(snapshot, OperationKind.GROW, ids, (before, after), reason)
    today = prices.of_node(fleet, placement.members[0][0])
    assert today is not None, "only what has a price is chosen"
    report = replace(
        plan.report,
        term=prices.term,
        price_micro_usd_per_gpu_hour=today.price_micro_usd_per_gpu_hour,
        price_basis=today.basis,
    )
    return replace(plan, report=report)


def leavers(snapshot: Snapshot, target: ClusterTarget, node_count: int) -> tuple[NodeId, ...]:
    """Nodes to give back, in order: empty the leaf groups where the cluster holds least first.

    Of one group the last ranks go first.
    """
    fleet = snapshot.fleet
    group_of = {
        m.node_id: int(fleet.nodes.leaf_group[fleet.node_index(m.node_id)])
        for m in target.active_members
    }
    held: dict[int, int] = {}
    for group in group_of.values():
        held[group] = held.get(group, 0) + 1
    order = sorted(
        target.active_members,
        key=lambda m: (held[group_of[m.node_id]], group_of[m.node_id], -m.host_index),
    )
    return tuple(m.node_id for m in order[:node_count])


def plan_shrink(snapshot: Snapshot, gpu_count_fewer: int, ids: PlanIds) -> Plan:
    """The plan that gives whole nodes of a cluster back, emptying its smallest leaf groups first.

    Raises:
        InputError: not live, not a multiple of a node, or nothing would be left.
    """
    before = live_target(snapshot, ids)
    per_node = before.members[0].gpu_mask.bit_count()
    active = before.active_members
    node_count, rest = divmod(gpu_count_fewer, per_node)
    if rest or not 0 < node_count < len(active):
        raise InputError(
            f"cluster {before.name!r} of {len(active) * per_node} GPUs cannot shrink by "
            f"{gpu_count_fewer}",
            next_step=f"Shrink by a multiple of {per_node} and keep at least {per_node}, "
            "or release the cluster.",
        )
    gone = frozenset(leavers(snapshot, before, node_count))
    after = replace(before, members=tuple(m for m in before.members if m.node_id not in gone))
    reason = f"{node_count} nodes leave from the leaf groups in which the cluster holds fewest"
    return change_plan(snapshot, OperationKind.SHRINK, ids, (before, after), reason)


def plan_release(snapshot: Snapshot, ids: PlanIds) -> Plan:
    """The plan that stops, isolates, cleans and gives back everything of a cluster.

    Raises:
        InputError: the cluster is not live.
    """
    before = live_target(snapshot, ids)
    return change_plan(snapshot, OperationKind.RELEASE, ids, (before, None), "")


def _in_place_of(lost: Member, successor: Member) -> Member:
    """Who takes a failed node's rank; one that nobody held takes over what was promised for it."""
    if successor.role == "spare":
        return replace(successor, role="member")
    promised = lost.price_micro_usd_per_gpu_hour
    return replace(successor, term=lost.term, price_micro_usd_per_gpu_hour=promised)


def swap_in_spares(
    target: ClusterTarget, failed: Collection[NodeId], newcomers: Sequence[Member] = ()
) -> ClusterTarget | None:
    """The target with failed nodes gone and spares in their ranks, None if spares do not suffice.

    Args:
        target: the target before.
        failed: nodes to give up; failed spares simply go.
        newcomers: further nodes to use when the spares are used up.
    """
    spares = [m for m in target.members if m.role == "spare" and m.node_id not in failed]
    ready = [*spares, *newcomers]
    members: list[Member] = []
    for member in target.active_members:
        if member.node_id not in failed:
            members.append(member)
        elif ready:
            members.append(_in_place_of(member, ready.pop(0)))
        else:
            return None
    left = [m for m in ready if m in spares]
    return replace(target, members=(*members, *left))


def plan_replace(snapshot: Snapshot, failed: Collection[NodeId], ids: PlanIds) -> Plan:
    """The plan that replaces failed nodes of a live cluster, from its spares, then the fleet.

    Raises:
        InputError: not live, or a node is not one of the cluster's.
        NoCapacityError: neither spares nor free nodes suffice.
    """
    before = live_target(snapshot, ids)
    strange = sorted(set(failed) - {m.node_id for m in before.members})
    if strange:
        raise InputError(f"cluster {before.name!r} does not hold {', '.join(strange)}")
    after = swap_in_spares(before, failed)
    if after is None:
        lost = sum(1 for m in before.active_members if m.node_id in failed)
        spare_count = sum(
            1 for m in before.members if m.role == "spare" and m.node_id not in failed
        )
        per_node = before.members[0].gpu_mask.bit_count()
        request = ClusterRequest(
            tenant_id=before.tenant_id,
            name=before.name,
            gpu_count=(lost - spare_count) * per_node,
            gpu_type=gpu_type_of(snapshot, before),
            site_ids=(before.site_id,),
            excluded_node_ids=frozenset(failed),
        )
        room = _within_fabric(snapshot, before)
        placement = placed(room, request, nodes_of(snapshot, ids.cluster_id))
        newcomers = members_of(snapshot.fleet, placement.members, "member", next_host_index(before))
        after = swap_in_spares(before, failed, newcomers)
        assert after is not None
    reason = f"replaced and quarantined: {', '.join(sorted(failed))}"
    plan = change_plan(snapshot, OperationKind.REPLACE, ids, (before, after), reason)
    return replace(plan, quarantined=tuple(sorted(failed)))


def substitute(fleet: Fleet, plan: Plan, failed: Collection[NodeId]) -> Plan | None:
    """The plan in force with spares in the place of nodes that failed under way, None if too few.

    What a failed node may hold already is removed by the new plan; steps whose content did not
    change keep their keys, so that a journal skips what is done.

    Args:
        fleet: what exists.
        plan: a launch, grow or replace under way.
        failed: nodes lost in this operation, all of them in ``plan.after``.
    """
    if plan.after is None:
        return None
    after = swap_in_spares(plan.after, failed)
    if after is None:
        return None
    lost = [m for m in plan.after.members if m.node_id in failed]
    held = {(e.device, e.key): e for e in (render(fleet, plan.before) if plan.before else ())}
    # Nodes that failed earlier in this operation have left the target, not their devices.
    held |= {(e.device, e.key): e for s in plan.steps if s.action == "remove" for e in s.entries}
    for member in lost:
        held |= {(e.device, e.key): e for e in render_member(fleet, plan.after, member, "on")}
    return replace(
        plan,
        after=after,
        stages=stages_between(tuple(held.values()), render(fleet, after)),
        quarantined=tuple(sorted({*plan.quarantined, *failed})),
        report=replace(
            plan.report,
            spread=spread_of(fleet, after.members),
            price_micro_usd_per_hour=price_of(fleet, after.members),
        ),
    )
