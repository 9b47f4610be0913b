"""Who holds what of the fleet now, as arrays: what a list or a map of nodes shows."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from gigawatt.fleet.model import I64, U16, Fleet
from gigawatt.ids import ClusterId, NodeId
from gigawatt.interfaces.store import ClusterRecord, Doer, NodeState, StoreSnapshot


@dataclass(frozen=True, slots=True, eq=False)
class FleetHoldings:
    """One moment of the fleet.

    Fields:
        free_gpu_mask: uint16[N], GPUs that could be given now; 0 on blocked nodes.
        holders: (cluster, GPU mask) by node row; rows that nobody holds are left out.
        states: state and reason of nodes that are not "available".
        clusters: clusters that hold anything.
        taken_out_by: who took nodes out of service, where an account did; for operators alone.
    """

    fleet: Fleet
    free_gpu_mask: U16
    holders: Mapping[int, tuple[tuple[ClusterId, int], ...]]
    states: Mapping[NodeId, tuple[NodeState, str]]
    clusters: Mapping[ClusterId, ClusterRecord]
    taken_out_by: Mapping[NodeId, Doer]

    @property
    def free_gpu_count(self) -> I64:
        """int64[N]: free GPUs of each node."""
        return np.bitwise_count(self.free_gpu_mask).astype(np.int64)


def holdings_of(fleet: Fleet, stored: StoreSnapshot) -> FleetHoldings:
    """Holdings in one reading of the store."""
    free = fleet.full_gpu_mask_of_node.astype(np.uint16)
    row_of = fleet.nodes.index_of
    holders: dict[int, tuple[tuple[ClusterId, int], ...]] = {}
    for (node_id, cluster_id), mask in sorted(stored.allocations.items()):
        row = row_of.get(node_id)
        if row is not None:
            free[row] &= ~np.uint16(mask)
            holders[row] = (*holders.get(row, ()), (cluster_id, mask))
    for row, found in holders.items():
        if len(found) > 1:
            holders[row] = tuple(sorted(found, key=lambda held: held[1] & -held[1]))
    for node_id in stored.node_states:
        if node_id in row_of:
            free[row_of[node_id]] = 0
    return FleetHoldings(
        fleet, free, holders, stored.node_states, stored.clusters, stored.taken_out_by
    )
