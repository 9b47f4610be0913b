"""Emptying nodes: which few slices, moved elsewhere, give the most whole nodes back.

A node of which a part is held is of no use to whoever needs whole nodes. If its slices fit into
free parts of other such nodes, the node becomes whole and nothing else is broken up for it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gigawatt.fleet.model import U16
from gigawatt.fleet.slices import aligned_masks, slice_sizes


@dataclass(frozen=True, slots=True)
class Emptying:
    """One node that becomes whole.

    Fields:
        node: row of the node.
        moved_gpu_count: GPUs of the slices that move off it.
        gained_gpu_count: GPUs that were free there and are of use then.
        to_nodes: rows of the nodes that take its slices, in their order.
    """

    node: int
    moved_gpu_count: int
    gained_gpu_count: int
    to_nodes: tuple[int, ...]


def emptyings(
    free_gpu_mask: U16,
    held: Mapping[int, Sequence[int]],
    gpus_per_node: int,
    limit: int,
) -> tuple[Emptying, ...]:
    """Nodes that can be emptied one after the other, those with the least to move first.

    Each takes the ones before it as done: a slice moves to the fullest node that has a place for
    it, and never to a node that was emptied. Nothing is moved to a wholly free node.

    Args:
        free_gpu_mask: uint16[N], free GPUs of each node; 0 where it cannot be given.
        held: masks of the slices that are held, by row, of nodes whose rest is free.
        gpus_per_node: GPUs of each node, 1 to 16.
        limit: most nodes that are emptied.
    """
    full = (1 << gpus_per_node) - 1
    free = free_gpu_mask.copy()
    may_take = (free != 0) & (free != full)
    found: list[Emptying] = []
    taking: set[int] = set()
    for row in sorted(held, key=lambda row: (_gpus(held[row]), row)):
        if len(found) == limit:
            break
        if row in taking or not may_take[row] or int(free[row]) | _union(held[row]) != full:
            continue
        may_take[row] = False
        places = _places(free, may_take, held[row], gpus_per_node)
        may_take[row] = places is None
        if places is not None:
            for to_row, mask in places:
                free[to_row] &= ~np.uint16(mask)
                taking.add(to_row)
            gained = int(free[row]).bit_count()
            rows = tuple(to_row for to_row, _ in places)
            found.append(Emptying(row, _gpus(held[row]), gained, rows))
    return tuple(found)


def _union(masks: Sequence[int]) -> int:
    union = 0
    for mask in masks:
        union |= mask
    return union


def _gpus(masks: Sequence[int]) -> int:
    return _union(masks).bit_count()


def _places(
    free: U16, may_take: NDArray[np.bool_], masks: Sequence[int], gpus_per_node: int
) -> list[tuple[int, int]] | None:
    """A row and a mask for each slice, the largest first; None if one finds none."""
    left = free.copy()
    found: list[tuple[int, int]] = []
    for size in sorted((mask.bit_count() for mask in masks), reverse=True):
        if size not in slice_sizes(gpus_per_node)[:-1]:
            return None
        best: tuple[int, int, int] | None = None
        for mask in aligned_masks(gpus_per_node, size):
            rows = np.flatnonzero(may_take & (left & mask == mask))
            if rows.size:
                count = np.bitwise_count(left[rows])
                row = int(rows[int(count.argmin())])
                fullest = int(left[row]).bit_count(), row, mask
                best = fullest if best is None else min(best, fullest)
        if best is None:
            return None
        left[best[1]] &= ~np.uint16(best[2])
        found.append((best[1], best[2]))
    return found
