"""Stranded GPUs: free, and of no use to anybody who asks.

A free GPU can be placed if some size that is asked for could have it: a part of a node where an
aligned slice of that size is free, or whole nodes where one fabric has enough of them free. Nobody
asks, nothing is stranded.
"""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from gigawatt.fleet.model import I64, U16
from gigawatt.fleet.slices import aligned_masks, slice_sizes


@dataclass(frozen=True, slots=True)
class Stranded:
    """Free GPUs that no size asked for could have, by why.

    Fields:
        in_part: on nodes of which another part is taken, and what is left of them is too small.
        too_few: on nodes that are wholly free, but fewer together than anybody asks for.
    """

    in_part: int
    too_few: int

    @property
    def gpu_count(self) -> int:
        """All of them."""
        return self.in_part + self.too_few


NONE_STRANDED = Stranded(0, 0)


@dataclass(frozen=True, slots=True)
class Fit:
    """What a size finds among free GPUs.

    Fields:
        fit_count: requests of that size that fit now, side by side.
        stranded: free GPUs that are of no use to this size.
    """

    fit_count: int
    stranded: Stranded


def fit_of(free_gpu_mask: U16, fabric_of_node: I64, gpus_per_node: int, gpu_count: int) -> Fit:
    """How often one size fits, and what is of no use to it; see ``stranded`` for the arguments.

    A size above a node's is rounded up to whole nodes.
    """
    lost = stranded(free_gpu_mask, fabric_of_node, gpus_per_node, [gpu_count])
    if gpu_count in slice_sizes(gpus_per_node)[:-1]:
        slots = [free_gpu_mask & mask == mask for mask in aligned_masks(gpus_per_node, gpu_count)]
        return Fit(int(np.sum(slots)), lost)
    is_whole = free_gpu_mask == (1 << gpus_per_node) - 1
    wholes = np.bincount(fabric_of_node, is_whole).astype(np.int64)
    return Fit(int((wholes // -(-gpu_count // gpus_per_node)).sum()), lost)


def stranded(
    free_gpu_mask: U16, fabric_of_node: I64, gpus_per_node: int, asked: Collection[int]
) -> Stranded:
    """Stranded GPUs of one type.

    Args:
        free_gpu_mask: uint16[N], free GPUs of each node of the type; 0 where it is out of use.
        fabric_of_node: int64[N]; whole nodes of one request lie in one fabric.
        gpus_per_node: GPUs of each node, 1 to 16.
        asked: sizes in GPUs that somebody waits for; a size above a node's is rounded up to nodes.
    """
    if not len(asked):
        return NONE_STRANDED
    full = (1 << gpus_per_node) - 1
    is_whole = free_gpu_mask == full
    usable = np.zeros_like(free_gpu_mask)
    slices = [size for size in asked if size in slice_sizes(gpus_per_node)[:-1]]
    for size in slices:
        for mask in aligned_masks(gpus_per_node, size):
            usable |= np.where(free_gpu_mask & mask == mask, mask, 0).astype(np.uint16)
    wholes = [-(-size // gpus_per_node) for size in asked if size not in slices]
    if wholes:
        count = np.bincount(fabric_of_node, is_whole)
        has_room = count >= min(wholes)
        usable |= np.where(is_whole & has_room[fabric_of_node], full, 0).astype(np.uint16)
    left = np.bitwise_count(free_gpu_mask & ~usable)
    return Stranded(int(left[~is_whole].sum()), int(left[is_whole].sum()))
