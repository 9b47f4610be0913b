"""Slices: where a guest smaller than a node goes, so that whole nodes stay whole.

Source: ours; best fit on the buddy scheme of Knuth, TAOCP vol. 1, section 2.5.
"""

from functools import lru_cache

import numpy as np

from gigawatt.fleet.model import I64, U16, Fleet
from gigawatt.fleet.slices import aligned_masks, slice_sizes
from gigawatt.placement.index import FleetIndex
from gigawatt.placement.supply import Mask, Near


@lru_cache(maxsize=128)
def best_slices(gpu_count: int, size: int) -> tuple[I64, I64]:
    """The best place for a slice in every state of a node.

    Returns:
        two int64[2**gpu_count], indexed by the mask of free GPUs: the size of the smallest free
        aligned block that holds the slice and is not part of a larger free one (0: none), and
        the GPU mask of the slice, lowest first in that block.
    """
    states = np.arange(1 << gpu_count)
    block_of, slice_of = np.zeros(len(states), np.int64), np.zeros(len(states), np.int64)
    blocks = [block for block in slice_sizes(gpu_count) if block >= size]
    for block, parent in reversed(list(zip(blocks, [*blocks[1:], 0], strict=True))):
        for mask in reversed(aligned_masks(gpu_count, block)):
            is_free = (states & mask) == mask
            for around in aligned_masks(gpu_count, parent) if parent else ():
                if around & mask:
                    is_free &= (states & around) != around
            block_of[is_free] = block
            slice_of[is_free] = (mask & -mask) * ((1 << size) - 1)
    return block_of, slice_of


def choose_slices(
    fleet: Fleet, index: FleetIndex, masks: U16, near: Near, want: tuple[int, int, int]
) -> list[tuple[int, int]]:
    """Nodes and GPU masks for one guest and its spares, on different nodes of one fabric.

    Groups of ``near`` come first; then the tightest free block, the leaf group with the fewest
    whole free nodes, the node with the fewest free GPUs, and the lowest row.

    Args:
        fleet: what exists.
        index: its index.
        masks: uint16[N], free GPUs of the nodes that may be used, 0 elsewhere.
        near: groups of an existing cluster.
        want: GPUs of the node type, GPUs of the slice, and how many slices (1 + spares).

    Returns:
        as many (node, GPU mask) as wanted, or fewer when no more fit.
    """
    gpu_count, size, count = want
    block_of, slice_of = best_slices(gpu_count, size)
    rows = np.flatnonzero(masks)
    rows = rows[block_of[masks[rows]] > 0]
    if not len(rows):
        return []
    leaf, pod, fabric = (
        index.leaf_of_node[rows],
        fleet.pod_of_node[rows],
        fleet.fabric_of_node[rows],
    )
    is_whole: Mask = masks == fleet.full_gpu_mask_of_node
    whole_in_leaf = np.bincount(index.leaf_of_node, is_whole, minlength=len(fleet.leaf_groups))
    gpus = np.bitwise_count(masks[rows])
    keys = (rows, gpus, whole_in_leaf[leaf], block_of[masks[rows]])
    affinity = (~near.leaf[leaf], ~near.pod[pod], ~near.fabric[fabric])
    rows = rows[np.lexsort((*keys, *affinity))]
    rows = rows[fleet.fabric_of_node[rows] == _fabric_for(fleet, rows, count)]
    return [(int(row), int(slice_of[masks[row]])) for row in rows[:count]]


def _fabric_for(fleet: Fleet, rows: I64, count: int) -> int:
    """The first fabric in the order of rows that has room for all; else that of the first row."""
    fabrics = fleet.fabric_of_node[rows]
    room = np.bincount(fabrics, minlength=len(fleet.fabrics))
    enough = room[fabrics] >= count
    return int(fabrics[int(np.argmax(enough))])
