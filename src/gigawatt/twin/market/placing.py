"""Where a cluster goes in the market's twin: packed by the real placer, or spread."""

from collections.abc import Callable, Collection

import numpy as np

from gigawatt.fleet.model import U16, Fleet
from gigawatt.fleet.slices import aligned_masks
from gigawatt.ids import TenantId
from gigawatt.intent.prices import LIST_PRICES
from gigawatt.intent.request import ClusterRequest
from gigawatt.placement.solve import make_ask, solve

Place = Callable[[Fleet, U16, int, Collection[int]], dict[int, int] | None]
"""GPU mask by node row for so many GPUs among what is free, near some rows; None if none fits."""


def _cannot(fleet: Fleet, free: U16, gpu_count: int) -> bool:
    """Whether so many GPUs cannot be there; spares the placer what is hopeless."""
    node_gpus = fleet.node_types[0].gpu_count
    if gpu_count < node_gpus:
        return not free.any()
    return int((free == fleet.full_gpu_mask_of_node).sum()) * node_gpus < gpu_count


def pack(fleet: Fleet, free: U16, gpu_count: int, near: Collection[int]) -> dict[int, int] | None:
    """The placer's own answer: fewest pods and leaf groups, and the least fragmentation."""
    if _cannot(fleet, free, gpu_count):
        return None
    request = ClusterRequest(tenant_id=TenantId("ten"), name="job", gpu_count=gpu_count)
    found = solve(make_ask(fleet, free, request, sorted(near), LIST_PRICES))
    return None if found is None else dict(found.members)


def spread(fleet: Fleet, free: U16, gpu_count: int, near: Collection[int]) -> dict[int, int] | None:
    """The emptiest first: nodes one by one from the leaf groups with most free nodes.

    What schedulers do that balance load; here it is what packing is compared with.
    """
    del near
    if _cannot(fleet, free, gpu_count):
        return None
    node_gpus = fleet.node_types[0].gpu_count
    if gpu_count < node_gpus:
        return _emptiest_slice(free, node_gpus, gpu_count)
    rows = np.flatnonzero(free == fleet.full_gpu_mask_of_node)
    leaf = fleet.nodes.leaf_group[rows]
    size = np.bincount(leaf, minlength=len(fleet.leaf_groups))
    # The k-th free node of a group comes when the group has as many left as others.
    first = np.concatenate(([0], np.cumsum(size)[:-1]))
    order = np.argsort(leaf, kind="stable")
    rank = np.empty(len(rows), np.int64)
    rank[order] = np.arange(len(rows)) - first[leaf[order]]
    left = size[leaf] - rank
    chosen = rows[np.lexsort((rows, -left))][: gpu_count // node_gpus]
    full = fleet.full_gpu_mask_of_node
    return {int(row): int(full[row]) for row in chosen}


def _emptiest_slice(free: U16, node_gpus: int, gpu_count: int) -> dict[int, int] | None:
    counts = np.bitwise_count(free)
    for row in np.lexsort((np.arange(len(free)), -counts.astype(np.int64)))[:64].tolist():
        for mask in aligned_masks(node_gpus, gpu_count):
            if int(free[row]) & mask == mask:
                return {row: mask}
    return _any_slice(free, node_gpus, gpu_count)


def _any_slice(free: U16, node_gpus: int, gpu_count: int) -> dict[int, int] | None:
    for mask in aligned_masks(node_gpus, gpu_count):
        rows = np.flatnonzero(free & mask == mask)
        if len(rows):
            return {int(rows[0]): mask}
    return None
