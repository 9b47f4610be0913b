"""Where a request goes, or why it does not fit: the entry of the room.

Order of wishes: the cheapest GPU type on which it fits when none is named; then the fabric that
``near`` uses; then, exactly, fewest new pods, leaf groups and NVLink domains; then least
fragmentation; then the lowest rows. The answer is a function of the arguments alone.
"""

from collections.abc import Sequence

import numpy as np

from gigawatt.errors import InputError
from gigawatt.fleet.model import U16, Fleet
from gigawatt.intent.request import ClusterRequest, check_request
from gigawatt.placement.guest import choose_slices
from gigawatt.placement.index import index_fleet
from gigawatt.placement.members import choose_members, choose_spares
from gigawatt.placement.result import Placement, Refusal, Spread
from gigawatt.placement.shape import Shape, shapes
from gigawatt.placement.supply import Caps, Near, usable_nodes
from gigawatt.placement.whole import Ask, find_whole

Members = tuple[tuple[int, int], ...]


def measure_spread(fleet: Fleet, nodes: Sequence[int]) -> Spread:
    """The spread of some nodes of one fabric."""
    rows = np.unique(np.asarray(nodes, np.int64))
    pods = len(np.unique(fleet.pod_of_node[rows]))
    leaves = len(np.unique(fleet.nodes.leaf_group[rows]))
    domains = len(np.unique(fleet.nodes.nvlink_domain[rows]))
    hops = 5 if pods > 1 else 3 if leaves > 1 else 1 if domains > 1 else 0
    return Spread(pods, leaves, domains, len(rows), hops)


def _whole(ask: Ask, shape: Shape) -> tuple[Members, Members] | None:
    """Members and spares as whole nodes."""
    found = find_whole(ask, shape)
    if found is None:
        return None
    members = choose_members(ask.fleet, ask.index, found.supply, found.choice)
    count = ask.request.spare_count
    spares = choose_spares(ask.fleet, ask.index, found.supply, members, count)
    assert len(spares) == count, f"{count} spares fit by rank, {len(spares)} were found"
    full = ask.fleet.full_gpu_mask_of_node
    return (
        tuple((node, int(full[node])) for node in members),
        tuple((node, int(full[node])) for node in spares),
    )


def _slice(ask: Ask, shape: Shape) -> tuple[Members, Members] | None:
    """The member and the spares as slices of nodes."""
    usable = usable_nodes(ask.fleet, ask.free_gpu_mask, ask.request, shape.type_index)
    masks = np.where(usable, ask.free_gpu_mask, 0).astype(np.uint16)
    gpu_count = ask.fleet.node_types[shape.type_index].gpu_count
    want = (gpu_count, shape.slice_gpu_count, 1 + ask.request.spare_count)
    slices = choose_slices(ask.fleet, ask.index, masks, ask.near, want)
    return (tuple(slices[:1]), tuple(slices[1:])) if len(slices) == want[2] else None


def _placement(ask: Ask, shape: Shape, members: Members, spares: Members) -> Placement:
    node_type = ask.fleet.node_types[shape.type_index]
    nodes = [node for node, _ in members]
    gpus = sum(mask.bit_count() for _, mask in (*members, *spares))
    return Placement(
        members=members,
        spares=spares,
        gpu_type=node_type.gpu_type,
        fabric=int(ask.fleet.fabric_of_node[nodes[0]]),
        spread=measure_spread(ask.fleet, nodes),
        price_micro_usd_per_hour=gpus * node_type.price_micro_usd_per_gpu_hour,
        reasons=(),
        alternatives=(),
    )


def make_ask(fleet: Fleet, free_gpu_mask: U16, request: ClusterRequest, near: Sequence[int]) -> Ask:
    """The question in the form that the search works on.

    Raises:
        InputError: the request is wrong whatever is free, or the mask is not one per node.
        UnknownIdError: an excluded node is not in the fleet.
    """
    check_request(request)
    if free_gpu_mask.shape != (len(fleet.nodes),):
        raise InputError(
            f"free_gpu_mask has shape {free_gpu_mask.shape}, wanted ({len(fleet.nodes)},)"
        )
    return Ask(
        fleet=fleet,
        index=index_fleet(fleet),
        free_gpu_mask=free_gpu_mask,
        request=request,
        caps=Caps.of(request),
        near=Near.of(fleet, near),
    )


def place(
    fleet: Fleet, free_gpu_mask: U16, request: ClusterRequest, near: Sequence[int] = ()
) -> Placement | Refusal:
    """Where the request goes, or why it does not fit; pure and deterministic.

    Args:
        fleet: what exists.
        free_gpu_mask: uint16[N], free GPUs of each node; 0 when the node is unusable.
        request: what is wanted.
        near: node rows of an existing cluster whose groups cost nothing to use again. Caps and
            ``keep_together`` bind the new nodes only.

    Returns:
        a placement without alternatives (see ``place_with_alternatives``), or a refusal.

    Raises:
        InputError: the request is wrong whatever is free.
        UnknownIdError: an excluded node is not in the fleet.
    """
    ask = make_ask(fleet, free_gpu_mask, request, near)
    for shape in shapes(fleet, request):
        nodes = _slice(ask, shape) if shape.slice_gpu_count else _whole(ask, shape)
        if nodes is not None:
            return _placement(ask, shape, *nodes)
    return Refusal(reasons=("does not fit",), would_fit=(), is_impossible=False)
