"""What the planner sees: the fleet, and everything that is taken, at one generation."""

from collections.abc import Mapping
from dataclasses import dataclass

from gigawatt.boundary.target import ClusterTarget
from gigawatt.fleet.model import U16, Fleet
from gigawatt.ids import ClusterId, KeyPoolId, NodeId


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """One consistent view.

    Fields:
        fleet: what exists.
        generation: parent generation of plans made from this snapshot.
        free_gpu_mask: uint16[N]: free GPUs of every node; 0 on drained and quarantined nodes.
        targets: targets of all clusters that hold anything.
        taken_keys: keys that are not free (held, under a tombstone, or cooling), by pool.
        blocked_nodes: nodes not to be used, with the reason.
    """

    fleet: Fleet
    generation: int
    free_gpu_mask: U16
    targets: Mapping[ClusterId, ClusterTarget]
    taken_keys: Mapping[KeyPoolId, frozenset[int]]
    blocked_nodes: Mapping[NodeId, str]
