"""Power of a fleet by feed and by rack: what may be drawn, and what its GPUs say they draw.

Two numbers stand side by side and are not mixed. What nodes may draw at full load comes from the
operator's catalogue, so what is held may draw that at any moment. What GPUs report is measured, and
is of the GPUs alone: fans, CPUs, NICs and losses of the node are not in it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gigawatt.fleet.model import F64, I32, I64, Fleet


@dataclass(frozen=True, slots=True, eq=False)
class PowerSums:
    """Sums over places, one row each: racks, or feeds.

    Fields:
        all_w_max: float64, W that all nodes may draw at full load.
        held_w_max: float64, W of that by nodes of which anything is held.
        gpu_w: float64, W that GPUs report; 0 where none does.
        reporting_gpu_count: int64, GPUs that report their power.
        node_count: int64, nodes.
        gpu_count: int64, GPUs.
    """

    all_w_max: F64
    held_w_max: F64
    gpu_w: F64
    reporting_gpu_count: I64
    node_count: I64
    gpu_count: I64


def node_power_w_max(fleet: Fleet) -> F64:
    """float64[N]: W that each node may draw at full load. Source: its type in the catalogue."""
    types = np.array([kind.power_w_max for kind in fleet.node_types], np.float64)
    return types[fleet.nodes.type]


def feed_of_node(fleet: Fleet) -> I32:
    """int32[N]: power feed of each node, that of its rack."""
    return fleet.racks.feed[fleet.nodes.rack]


def power_by_rack(fleet: Fleet, is_held: NDArray[np.bool_], gpu_power_w: F64) -> PowerSums:
    """Sums by rack, in the order of the fleet; see ``power_by_feed`` for the arguments."""
    return _sums(fleet, fleet.nodes.rack, len(fleet.racks), is_held, gpu_power_w)


def power_by_feed(fleet: Fleet, is_held: NDArray[np.bool_], gpu_power_w: F64) -> PowerSums:
    """Sums by power feed, in the order of the fleet.

    Args:
        fleet: where nodes stand and what they may draw.
        is_held: bool[N], nodes of which a cluster holds anything.
        gpu_power_w: float64[N, 16], W that each GPU reports, NaN where none does.
    """
    return _sums(fleet, feed_of_node(fleet), len(fleet.power_feeds), is_held, gpu_power_w)


def _sums(
    fleet: Fleet, place: I32, count: int, is_held: NDArray[np.bool_], gpu_power_w: F64
) -> PowerSums:
    node_w, reports = node_power_w_max(fleet), ~np.isnan(gpu_power_w)

    def total(weights: NDArray[np.float64] | NDArray[np.int64] | I32) -> F64:
        return np.bincount(place, weights, count).astype(np.float64)

    return PowerSums(
        all_w_max=total(node_w),
        held_w_max=total(np.where(is_held, node_w, 0.0)),
        gpu_w=total(np.nansum(gpu_power_w, axis=1)),
        reporting_gpu_count=total(reports.sum(axis=1)).astype(np.int64),
        node_count=np.bincount(place, minlength=count).astype(np.int64),
        gpu_count=total(fleet.gpu_count_of_node).astype(np.int64),
    )
