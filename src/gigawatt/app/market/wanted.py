"""Which nodes of others a request that waits would need: by least harm, else by topology."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from gigawatt.app.admission import Admission
from gigawatt.app.control import Control
from gigawatt.boundary.target import ClusterTarget
from gigawatt.errors import GigawattError, NoCapacityError
from gigawatt.ids import ClusterId, NodeId
from gigawatt.intent.request import ClusterRequest
from gigawatt.intent.term import Term
from gigawatt.interfaces.holders import LEAVING
from gigawatt.interfaces.store import ClusterRecord, StoreSnapshot
from gigawatt.market.order import gives_way
from gigawatt.market.victims import SpotHolding, choose_victims
from gigawatt.planner.resize import gpu_type_of, leavers
from gigawatt.planner.snapshot import Snapshot
from gigawatt.units import MINUTE_S

RESTART_S = 5.0 * MINUTE_S
"""What a change of size or a start costs a cluster. Ours: boot, and load a checkpoint."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Nodes of one cluster that somebody else needs."""

    target: ClusterTarget
    node_ids: frozenset[NodeId]


@dataclass(frozen=True, slots=True)
class _Giver:
    """A cluster that gives way.

    Fields: its record's; ``node_ids`` are those that are not asked back already.
    """

    record: ClusterRecord
    target: ClusterTarget
    node_ids: frozenset[NodeId]
    unsaved_s: float


def wanted_nodes(
    admission: Admission,
    request: ClusterRequest,
    under_notice: Mapping[ClusterId, Collection[NodeId]],
    saved_s: Mapping[ClusterId, float],
) -> dict[ClusterId, Wanted]:
    """Nodes that would have to be given back for a request to fit; none if it fits, or never would.

    Those whose loss does the least harm, if the request fits on what they leave; else those that
    it would take if everybody who gives way had gone.

    Args:
        admission: what holds what, and the order of classes.
        request: what waits.
        under_notice: nodes that are asked back already, for others.
        saved_s: when clusters were saved last.
    """
    control = admission.control
    view, stored = control.view_of_request(request)
    if _taken(control, view, request) is not None:
        return {}
    may_ask = partial(gives_way, request.term, order=admission.order)
    givers = list(_givers(stored, may_ask, under_notice, saved_s, admission.now_s()))
    everything = {giver.target.cluster_id: giver.node_ids for giver in givers}
    taken = _taken(control, _without(view, givers, everything), request)
    if taken is None:
        return {}
    if request.term is Term.ON_DEMAND:
        least = _least_harm(view, request, givers)
        taken = _taken(control, _without(view, givers, least), request) or taken
    return {
        giver.target.cluster_id: Wanted(giver.target, taken & giver.node_ids)
        for giver in givers
        if taken & giver.node_ids
    }


def _givers(
    stored: StoreSnapshot,
    may_ask: Callable[..., bool],
    under_notice: Mapping[ClusterId, Collection[NodeId]],
    saved_s: Mapping[ClusterId, float],
    now_s: float,
) -> Iterable[_Giver]:
    for cluster_id, record in stored.clusters.items():
        target = record.target
        if target is None or record.phase in LEAVING:
            continue
        if may_ask(target.term, is_lent=target.is_lent):
            left = _nodes(target) - frozenset(under_notice.get(cluster_id, ()))
            since_s = max(record.created_s, saved_s.get(cluster_id, 0.0))
            if left:
                yield _Giver(record, target, left, max(0.0, now_s - since_s))


def _nodes(target: ClusterTarget) -> frozenset[NodeId]:
    return frozenset(member.node_id for member in target.members)


def _without(
    view: Snapshot, givers: Iterable[_Giver], gone: Mapping[ClusterId, Collection[NodeId]]
) -> Snapshot:
    """The view as if clusters had given nodes back; what is barred or blocked stays so."""
    free = view.free_gpu_mask.copy()
    for giver in givers:
        for member in giver.target.members:
            is_gone = member.node_id in gone.get(giver.target.cluster_id, ())
            if is_gone and member.node_id not in view.blocked_nodes:
                free[view.fleet.node_index(member.node_id)] |= np.uint16(member.gpu_mask)
    return replace(view, free_gpu_mask=free)


def _taken(control: Control, view: Snapshot, request: ClusterRequest) -> frozenset[NodeId] | None:
    """Nodes that a request would take in a view, None if it does not fit."""
    try:
        plan = control.plan_on(view, request)
    except NoCapacityError:
        return None
    except GigawattError:
        # Who asks for what cannot be shall not cost others their nodes.
        return None
    assert plan.after is not None, "a launch has a target"
    return _nodes(plan.after)


def _least_harm(
    view: Snapshot, request: ClusterRequest, givers: Collection[_Giver]
) -> dict[ClusterId, frozenset[NodeId]]:
    """Nodes of the clusters whose loss does the least harm, enough of them by count."""
    fleet = view.fleet
    kinds = [
        row
        for row, kind in enumerate(fleet.node_types)
        if request.gpu_type in {None, kind.gpu_type}
    ]
    mine = np.isin(fleet.nodes.type, kinds)
    if request.site_ids:
        sites = [fleet.sites.index_of[s] for s in request.site_ids if s in fleet.sites.index_of]
        mine &= np.isin(fleet.site_of_node, sites)
    free = int(np.bitwise_count(view.free_gpu_mask[mine]).sum())
    most = int(fleet.full_gpu_mask_of_node[mine].max(initial=0)).bit_count()
    useful = {
        giver.target.cluster_id: giver
        for giver in givers
        if request.gpu_type in {None, gpu_type_of(view, giver.target)}
        and (not request.site_ids or giver.target.site_id in request.site_ids)
    }
    missing = request.gpu_count + request.spare_count * most - free
    try:
        chosen = choose_victims([_holding(giver) for giver in useful.values()], missing)
    except NoCapacityError:
        return {}
    found = {}
    for victim in chosen:
        giver = useful[ClusterId(victim.cluster_id)]
        # Spares first: nobody works on them.
        order = sorted(giver.node_ids - _nodes_at_work(giver))
        at_work = leavers(view, giver.target, len(giver.target.active_members))
        order += [node_id for node_id in at_work if node_id in giver.node_ids]
        found[giver.target.cluster_id] = frozenset(order[: victim.node_count])
    return found


def _nodes_at_work(giver: _Giver) -> frozenset[NodeId]:
    return frozenset(member.node_id for member in giver.target.active_members)


def _holding(giver: _Giver) -> SpotHolding:
    per_node = giver.target.members[0].gpu_mask.bit_count()
    at_least = -(-max(1, giver.target.gpu_count_min) // per_node)
    gone = len(giver.target.members) - len(giver.node_ids)
    node_count = len(giver.node_ids)
    return SpotHolding(
        cluster_id=giver.target.cluster_id,
        node_count=node_count,
        node_count_min=min(node_count, max(1, at_least - gone)),
        gpus_per_node=per_node,
        unsaved_s=giver.unsaved_s,
        restart_s=RESTART_S,
    )
