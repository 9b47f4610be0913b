"""Slices: where a guest smaller than a node goes, so that whole nodes stay whole.

Source: ours; best fit on the buddy scheme of Knuth, TAOCP vol. 1, section 2.5.
"""

from functools import lru_cache
from itertools import islice

import numpy as np

from gigawatt.fleet.model import I64, U16
from gigawatt.fleet.slices import aligned_masks, slice_sizes
from gigawatt.intent.request import Level
from gigawatt.placement.members import CapCounter
from gigawatt.placement.shape import Shape
from gigawatt.placement.supply import Mask
from gigawatt.placement.whole import Ask


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


def choose_slices(ask: Ask, masks: U16, shape: Shape) -> list[tuple[int, int]]:
    """Nodes and GPU masks for one guest and its spares, on different nodes.

    Groups of ``near`` come first; then the tightest free block, the leaf group with the fewest
    whole free nodes, the node with the fewest free GPUs, and the lowest row.

    Args:
        ask: the question; ``keep_together`` and the caps bind guest and spares together.
        masks: uint16[N], free GPUs of the nodes that may be used, 0 elsewhere.
        shape: the slice.

    Returns:
        (node, GPU mask) of the guest and then of its spares, or fewer when no more fit.
    """
    fleet, leaf_of_node, near = ask.fleet, ask.index.leaf_of_node, ask.near
    gpu_count = fleet.node_types[shape.type_index].gpu_count
    block_of, slice_of = best_slices(gpu_count, shape.slice_gpu_count)
    rows = np.flatnonzero(masks)
    rows = rows[block_of[masks[rows]] > 0]
    is_whole: Mask = masks == fleet.full_gpu_mask_of_node
    whole_in_leaf = np.bincount(leaf_of_node, is_whole, minlength=len(fleet.leaf_groups))
    leaf = leaf_of_node[rows]
    state = masks[rows]
    keys = (rows, np.bitwise_count(state), whole_in_leaf[leaf], block_of[state])
    affinity = (
        ~near.leaf[leaf],
        ~near.pod[fleet.pod_of_node[rows]],
        ~near.fabric[fleet.fabric_of_node[rows]],
    )
    rows = rows[np.lexsort((*keys, *affinity))]
    return [(row, int(slice_of[masks[row]])) for row in _together(ask, rows)]


def _together(ask: Ask, rows: I64) -> list[int]:
    """The first of the nodes given, and its spares, in one group of the level to stay in."""
    count = 1 + ask.request.spare_count
    columns: dict[Level, I64] = {
        Level.NODE: np.arange(len(ask.fleet.nodes)),
        Level.NVLINK_DOMAIN: ask.index.domain_of_node,
        Level.LEAF_GROUP: ask.index.leaf_of_node,
        Level.POD: ask.fleet.pod_of_node.astype(np.int64),
        Level.FABRIC: ask.fleet.fabric_of_node.astype(np.int64),
    }
    groups = columns[ask.request.keep_together][rows]
    for group in dict.fromkeys(groups.tolist()):
        inside = rows[groups == group]
        if len(inside) >= count:
            counter = CapCounter(ask.fleet, ask.index, ask.caps)
            taken = list(islice((row for row in inside.tolist() if counter.take(row)), count))
            if len(taken) == count:
                return taken
    return []
