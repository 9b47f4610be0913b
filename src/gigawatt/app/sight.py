"""What a planner sees for somebody: what is free, less what is promised to others."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from gigawatt.boundary.target import ClusterTarget
from gigawatt.fleet.model import Fleet
from gigawatt.ids import KeyPoolId, NodeId
from gigawatt.intent.prices import GpuPrice, Prices
from gigawatt.intent.request import ClusterRequest
from gigawatt.intent.term import Term
from gigawatt.interfaces.holders import holder_of, promised_part
from gigawatt.interfaces.store import StoreSnapshot
from gigawatt.market.notice import NoticePolicy
from gigawatt.market.promises import Holder, Promises
from gigawatt.planner.phases import Phase
from gigawatt.planner.plan import Plan
from gigawatt.planner.snapshot import Snapshot

SERVING = frozenset({Phase.ACTIVE, Phase.CHANGING})
"""Phases in which what a target names may be relied on."""


@dataclass(frozen=True, slots=True, eq=False)
class Sight:
    """One consistent read: the rows, and what a planner sees who is promised nothing."""

    stored: StoreSnapshot
    view: Snapshot

    def for_holder(self, holder: Holder, policy: NoticePolicy, now_s: float) -> Snapshot:
        """What a planner sees for somebody: nodes that are not for them count as blocked."""
        view, promises = self.view, self.stored.promises
        if holder.reservation_id is None and not promises.nodes():
            return view
        nodes = frozenset(NodeId(node_id) for node_id in view.fleet.nodes.ids)
        barred = promises.barred(holder, now_s, policy, nodes)
        if not barred:
            return view
        free, row_of = view.free_gpu_mask.copy(), view.fleet.nodes.index_of
        free[[row_of[node_id] for node_id in barred if node_id in row_of]] = 0
        blocked: Mapping[NodeId, str] = {**barred, **view.blocked_nodes}
        return replace(view, free_gpu_mask=free, blocked_nodes=blocked)


def see(fleet: Fleet, stored: StoreSnapshot) -> Sight:
    """What a planner sees of a fleet by what is stored."""
    free = fleet.full_gpu_mask_of_node.astype(np.uint16)
    row_of = fleet.nodes.index_of
    for (node_id, _), mask in stored.allocations.items():
        free[row_of[node_id]] &= ~np.uint16(mask)
    for node_id in stored.node_states:
        if node_id in row_of:
            free[row_of[node_id]] = 0
    taken: dict[KeyPoolId, set[int]] = {}
    for key in stored.keys:
        taken.setdefault(key.pool_id, set()).add(key.value)
    view = Snapshot(
        fleet=fleet,
        generation=stored.generation,
        free_gpu_mask=free,
        targets={
            cluster_id: record.target
            for cluster_id, record in stored.clusters.items()
            if record.target is not None
        },
        taken_keys={pool: frozenset(values) for pool, values in taken.items()},
        blocked_nodes={
            node: f"{state}: {reason}" for node, (state, reason) in stored.node_states.items()
        },
        unready={
            cluster_id: record.phase.value
            for cluster_id, record in stored.clusters.items()
            if record.phase not in SERVING
        },
    )
    return Sight(stored, view)


def holder_of_request(request: ClusterRequest) -> Holder:
    """Who somebody is who asks for a new cluster: a reservation covers no growth room."""
    part: Literal["base", "all"] = "base" if request.term is Term.RESERVED else "all"
    return Holder(request.tenant_id, request.term, request.is_lent, request.reservation_id, part)


def holder_of_plan(plan: Plan) -> Holder | None:
    """Who a plan is for, to the calendar; None where no host is concerned."""
    target: ClusterTarget | None = plan.after or plan.before
    if target is None or target.is_file_system:
        return None
    return replace(holder_of(target), part=promised_part(plan))


def told_until(plan: Plan, promises: Promises, policy: NoticePolicy, now_s: float) -> Plan:
    """The plan, which says until when its nodes can be had, if that has an end."""
    target = plan.after
    assert target is not None, "a launch has a target"
    holder = holder_of(target)
    nodes = [member.node_id for member in target.members]
    until_s = promises.until_s(holder, nodes, now_s, policy)
    if holder.reservation_id is not None:
        why = "it ends with its reservation"
    elif holder.gives_back:
        why = f"its nodes are asked back {policy.notice_s:,.0f} s before others take them"
    else:
        return plan
    report = replace(plan.report, until_s=until_s, reasons=(*plan.report.reasons, why))
    return replace(plan, report=report)


def covered_prices(fleet: Fleet) -> Prices:
    """What GPUs cost that a reservation covers, wherever it is: it is paid for itself."""
    nothing = GpuPrice(0, "reservation")
    types = {kind.gpu_type for kind in fleet.node_types}
    places = {(gpu_type, site_id): nothing for gpu_type in types for site_id in fleet.sites.ids}
    return Prices(Term.RESERVED, places)
