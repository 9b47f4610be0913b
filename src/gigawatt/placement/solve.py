"""One question answered: members and spares of a request on the first type where it fits."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gigawatt.errors import InputError, UnknownIdError
from gigawatt.fleet.model import U16, Fleet
from gigawatt.intent.prices import Prices
from gigawatt.intent.request import ClusterRequest, check_request
from gigawatt.placement.explain import why_here, why_type
from gigawatt.placement.guest import choose_slices
from gigawatt.placement.index import index_fleet
from gigawatt.placement.members import choose_members, choose_spares
from gigawatt.placement.result import Placement, Spread
from gigawatt.placement.shape import Shape, shapes
from gigawatt.placement.supply import Caps, Near, usable_nodes
from gigawatt.placement.whole import Ask, find_whole

Members = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """Members and spares, each (node, GPU mask), and why they are there."""

    members: Members
    spares: Members
    reasons: tuple[str, ...]


def make_ask(
    fleet: Fleet,
    free_gpu_mask: U16,
    request: ClusterRequest,
    near: Sequence[int],
    prices: Prices,
) -> Ask:
    """The question in the form that the search works on.

    Raises:
        InputError: the request is wrong whatever is free, or the mask is not one per node.
        UnknownIdError: a site or an excluded node is not in the fleet.
    """
    check_request(request)
    if free_gpu_mask.shape != (len(fleet.nodes),):
        raise InputError(
            f"free_gpu_mask has shape {free_gpu_mask.shape}, wanted ({len(fleet.nodes)},)"
        )
    for node_id in sorted(request.excluded_node_ids):
        fleet.node_index(node_id)
    for site_id in request.site_ids:
        if site_id not in fleet.sites.index_of:
            raise UnknownIdError(
                f"fleet {fleet.name!r} has no site {site_id!r}",
                next_step=f"Name one of {', '.join(fleet.sites.ids)}.",
            )
    return Ask(
        fleet=fleet,
        index=index_fleet(fleet),
        free_gpu_mask=free_gpu_mask,
        request=request,
        caps=Caps.of(request),
        near=Near.of(fleet, near),
        prices=prices,
    )


def measure_spread(fleet: Fleet, nodes: Sequence[int]) -> Spread:
    """The spread of some nodes of one fabric."""
    rows = np.unique(np.asarray(nodes, np.int64))
    pods = len(np.unique(fleet.pod_of_node[rows]))
    leaves = len(np.unique(fleet.nodes.leaf_group[rows]))
    domains = len(np.unique(fleet.nodes.nvlink_domain[rows]))
    hops = 5 if pods > 1 else 3 if leaves > 1 else 1 if domains > 1 else 0
    return Spread(pods, leaves, domains, len(rows), hops)


def _whole(ask: Ask, shape: Shape) -> Answer | None:
    """Members and spares as whole nodes."""
    found = find_whole(ask, shape)
    if found is None:
        return None
    members = choose_members(ask.fleet, ask.index, found.supply, found.choice)
    count = ask.request.spare_count
    spares = choose_spares(ask.fleet, ask.index, found.supply, members, count)
    assert len(spares) == count, f"{count} spares fit by rank, {len(spares)} were found"
    full = ask.fleet.full_gpu_mask_of_node
    return Answer(
        tuple((node, int(full[node])) for node in members),
        tuple((node, int(full[node])) for node in spares),
        why_here(ask, found),
    )


def _slice(ask: Ask, shape: Shape) -> Answer | None:
    """The member and the spares as slices of nodes."""
    usable = usable_nodes(ask.fleet, ask.free_gpu_mask, ask.request, shape.type_index)
    masks = np.where(usable, ask.free_gpu_mask, 0).astype(np.uint16)
    slices = choose_slices(ask, masks, shape)
    if len(slices) <= ask.request.spare_count:
        return None
    node, mask = slices[0]
    had, full = int(ask.free_gpu_mask[node]), int(ask.fleet.full_gpu_mask_of_node[node])
    why = (
        f"node {ask.fleet.node_id(node)} was in use already, so whole nodes stay whole"
        if had != full
        else f"no node in use has {mask.bit_count()} aligned GPUs free, so a whole node is opened"
    )
    return Answer(tuple(slices[:1]), tuple(slices[1:]), (why,))


def answer(ask: Ask, shape: Shape) -> Answer | None:
    """Members and spares of one shape, or None when it does not fit."""
    return _slice(ask, shape) if shape.slice_gpu_count else _whole(ask, shape)


def solve(ask: Ask) -> Placement | None:
    """The placement on the cheapest type that fits, without alternatives; None when none fits.

    Raises:
        InputError: the GPU count or type means nothing on this fleet.
    """
    for shape in shapes(ask.fleet, ask.request, ask.prices):
        found = answer(ask, shape)
        if found is None:
            continue
        node_type = ask.fleet.node_types[shape.type_index]
        nodes = [node for node, _ in found.members]
        fabric = int(ask.fleet.fabric_of_node[nodes[0]])
        site_id = ask.fleet.sites.ids[int(ask.fleet.fabrics.site[fabric])]
        gpus = sum(mask.bit_count() for _, mask in (*found.members, *found.spares))
        return Placement(
            members=found.members,
            spares=found.spares,
            gpu_type=node_type.gpu_type,
            fabric=fabric,
            spread=measure_spread(ask.fleet, nodes),
            price_micro_usd_per_hour=gpus
            * ask.prices.amount(node_type, site_id, ask.request.gpu_count),
            reasons=(*why_type(ask, shape, site_id), *found.reasons),
            alternatives=(),
        )
    return None
