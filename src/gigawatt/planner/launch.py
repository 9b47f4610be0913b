"""Plans a launch: place, take keys, write the target, derive the stages."""

from contextlib import suppress
from dataclasses import dataclass, replace

from gigawatt.boundary.keys import take_keys
from gigawatt.boundary.render import render
from gigawatt.boundary.target import ClusterTarget
from gigawatt.errors import ImpossibleError, InputError, NoCapacityError
from gigawatt.fleet.catalogue import host_images
from gigawatt.fleet.model import FabricKind
from gigawatt.ids import ClusterId, FabricId, PlanId, SiteId
from gigawatt.intent.prices import LIST_PRICES, Prices
from gigawatt.intent.request import ClusterRequest, check_request
from gigawatt.money import format_usd
from gigawatt.placement.place import place
from gigawatt.placement.result import Alternative, Placement, Refusal
from gigawatt.planner.change import stages_between
from gigawatt.planner.plan import OperationKind, Plan, PlanReport
from gigawatt.planner.price import affordable, price_of, priced
from gigawatt.planner.snapshot import Snapshot
from gigawatt.planner.storage import pool_for, resolve_mounts, sites_for
from gigawatt.planner.target import members_of

PLAN_TTL_S = 600.0
"""How long a shown plan binds its nodes' choice and its price. Source: ours, ADR-0008."""


@dataclass(frozen=True, slots=True)
class PlanIds:
    """Ids for a plan, drawn by the caller so that planning stays deterministic.

    Fields: plan_id; cluster_id of the cluster to make or change; now_s in Unix seconds;
    expected_s, how long operations of the kind took before, None when there were none.
    """

    plan_id: PlanId
    cluster_id: ClusterId
    now_s: float
    expected_s: float | None = None


def nodes_of(snapshot: Snapshot, cluster_id: ClusterId | None) -> tuple[int, ...]:
    """Node rows that a cluster holds.

    Raises:
        InputError: no such live cluster.
    """
    if cluster_id is None:
        return ()
    target = snapshot.targets.get(cluster_id)
    if target is None:
        raise InputError(
            f"there is no live cluster {cluster_id!r} to be near to",
            next_step="See 'gw cluster list' for the clusters that are live.",
        )
    return tuple(snapshot.fleet.node_index(member.node_id) for member in target.members)


def placed(
    snapshot: Snapshot,
    request: ClusterRequest,
    near: tuple[int, ...] = (),
    prices: Prices = LIST_PRICES,
) -> Placement:
    """The placement of a request, on nodes that cost no more than it allows.

    Raises:
        InputError: the request is wrong.
        ImpossibleError: it would not fit an empty fleet either, or costs more than it may.
        NoCapacityError: it does not fit now; carries why not and what would fit.
    """
    check_request(request)
    free = affordable(snapshot.fleet, snapshot.free_gpu_mask, request, prices)
    answer = place(snapshot.fleet, free, request, near, prices)
    if isinstance(answer, Placement):
        return answer
    raise refused(request, answer)


def refused(request: ClusterRequest, refusal: Refusal) -> ImpossibleError | NoCapacityError:
    """The error that tells a tenant of a refusal."""
    kind = f" {request.gpu_type}" if request.gpu_type else ""
    most = request.price_micro_usd_per_gpu_hour_max
    within = "" if most is None else f" for at most {format_usd(most, digits=4)} each an hour"
    wish = f"{request.gpu_count:,}{kind} GPUs for {request.name!r}{within}"
    if refusal.is_impossible:
        return ImpossibleError(
            f"{wish} can never fit this fleet: " + "; ".join(refusal.reasons),
            next_step="; ".join(refusal.would_fit) or "Ask for less, or for another type.",
        )
    return NoCapacityError(
        f"{wish} do not fit now: " + "; ".join(refusal.reasons),
        reasons=refusal.reasons,
        would_fit=refusal.would_fit,
    )


def target_of(
    snapshot: Snapshot,
    request: ClusterRequest,
    placement: Placement,
    cluster_id: ClusterId,
    prices: Prices = LIST_PRICES,
) -> ClusterTarget:
    """The complete target for a placed request, keys and prices included.

    Raises:
        NoCapacityError: a key pool is empty, or the storage pools have no room now.
        ImpossibleError: no storage pool of the site can ever hold the file system.
        InputError: what it shall mount cannot be mounted.
    """
    fleet = snapshot.fleet
    fabric = placement.fabric
    site = int(fleet.fabrics.site[fabric])
    fabric_id, site_id = FabricId(fleet.fabrics.ids[fabric]), SiteId(fleet.sites.ids[site])
    wanted_bytes = request.storage_bytes
    pool_id = pool_for(snapshot, site_id, wanted_bytes) if wanted_bytes else None
    members = members_of(fleet, placement.members, "member", 0)
    spares = members_of(fleet, placement.spares, "spare", len(members))
    keys = take_keys(
        snapshot.taken_keys,
        fabric_id=fabric_id,
        is_infiniband=fleet.fabrics.kind[fabric] is FabricKind.INFINIBAND,
        site_id=site_id,
        pool_id=pool_id,
    )
    return ClusterTarget(
        cluster_id=cluster_id,
        tenant_id=request.tenant_id,
        name=request.name,
        site_id=site_id,
        fabric_id=fabric_id,
        pool_id=pool_id,
        members=priced(fleet, prices, members + spares),
        keys=keys,
        storage_bytes=request.storage_bytes,
        image=request.image,
        ssh_public_keys=request.ssh_public_keys,
        egress_cidrs=request.egress_cidrs,
        mounts=resolve_mounts(snapshot, request.tenant_id, request.mounts),
        firewall_ruleset_ids=request.firewall_ruleset_ids,
        inbound_rules=request.inbound_rules,
        term=request.term,
        price_micro_usd_per_gpu_hour_max=request.price_micro_usd_per_gpu_hour_max,
        reservation_id=request.reservation_id,
        is_lent=request.is_lent,
        gpu_count_min=request.gpu_count_min,
    )


def _refuse_taken_name(snapshot: Snapshot, request: ClusterRequest) -> None:
    for target in snapshot.targets.values():
        is_taken = (target.tenant_id, target.name) == (request.tenant_id, request.name)
        if is_taken and not target.is_file_system:
            raise InputError(
                f"tenant {request.tenant_id!r} has a cluster {request.name!r} already "
                f"({target.cluster_id})",
                next_step="Take another name, or grow the cluster that is there.",
            )


def placed_when_empty(
    snapshot: Snapshot, request: ClusterRequest, prices: Prices = LIST_PRICES
) -> Placement:
    """Where a request would go if nobody held anything: that it can be served at all.

    Raises:
        InputError: the request is wrong, or names a taken name.
        ImpossibleError: it would not fit an empty fleet either, or costs more than it may.
    """
    _refuse_taken_name(snapshot, request)
    fleet = snapshot.fleet
    empty = replace(
        snapshot,
        free_gpu_mask=fleet.full_gpu_mask_of_node.astype(snapshot.free_gpu_mask.dtype),
        taken_keys={},
        blocked_nodes={},
    )
    near = nodes_of(snapshot, request.near_cluster_id)
    bound = at_its_mounts(snapshot, request)
    placement = placed(empty, bound, near, prices)
    # Storage that is promised to others now comes back like GPUs do.
    with suppress(NoCapacityError):
        target_of(empty, bound, placement, ClusterId("clu_"), prices)
    return placement


def at_its_mounts(snapshot: Snapshot, request: ClusterRequest) -> ClusterRequest:
    """The request, bound to the site of the file systems that it wants to mount.

    Raises:
        InputError: what it wants to mount cannot be mounted together, or at all.
    """
    if not request.mounts:
        return request
    mounts = resolve_mounts(snapshot, request.tenant_id, request.mounts)
    return replace(request, site_ids=sites_for(snapshot, request.site_ids, mounts))


def _check_image(request: ClusterRequest) -> None:
    """Refuse a host image that the catalogue does not have."""
    known = [row.host_image_id for row in host_images()]
    if request.image not in known:
        raise InputError(
            f"request {request.name!r}: image {request.image!r} is not one of {', '.join(known)}",
            next_step="Name one of them.",
        )


def plan_launch(
    snapshot: Snapshot,
    request: ClusterRequest,
    ids: PlanIds,
    alternatives: tuple[Alternative, ...] = (),
    prices: Prices = LIST_PRICES,
) -> Plan:
    """The plan that launches a cluster for ``request``; equal inputs give an equal plan.

    Args:
        snapshot: what is taken now.
        request: what is wanted.
        ids: ids of the plan and of the cluster.
        alternatives: other ways to serve it, if they were looked for.
        prices: what its GPUs cost, for its term.

    Raises:
        InputError: the request is wrong, names a taken name, or can never fit.
        NoCapacityError: it does not fit now; carries why not and what would fit.
    """
    _check_image(request)
    _refuse_taken_name(snapshot, request)
    near = nodes_of(snapshot, request.near_cluster_id)
    request = at_its_mounts(snapshot, request)
    placement = placed(snapshot, request, near, prices)
    after = target_of(snapshot, request, placement, ids.cluster_id, prices)
    first = prices.of_node(snapshot.fleet, placement.members[0][0])
    assert first is not None, "only what has a price is chosen"
    return Plan(
        plan_id=ids.plan_id,
        kind=OperationKind.LAUNCH,
        cluster_id=ids.cluster_id,
        tenant_id=request.tenant_id,
        parent_generation=snapshot.generation,
        before=None,
        after=after,
        stages=stages_between((), render(snapshot.fleet, after)),
        quarantined=(),
        report=PlanReport(
            gpu_type=placement.gpu_type,
            gpu_count=request.gpu_count,
            spread=placement.spread,
            reasons=placement.reasons,
            alternatives=alternatives or placement.alternatives,
            price_micro_usd_per_hour=price_of(snapshot.fleet, after.members),
            expected_s=ids.expected_s,
            term=request.term,
            price_micro_usd_per_gpu_hour=first.price_micro_usd_per_gpu_hour,
            price_basis=first.basis,
        ),
        created_s=ids.now_s,
        expires_s=ids.now_s + PLAN_TTL_S,
    )
