"""What the planner sees: the fleet, and everything that is taken, at one generation."""

from collections.abc import Mapping
from dataclasses import dataclass, field

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
        targets: targets of all clusters and file systems that hold anything.
        taken_keys: keys that are not free (held, under a tombstone, or cooling), by pool.
        blocked_nodes: nodes not to be used, with the reason.
        unready: phase of those in ``targets`` that do not serve: on their way in or out, or stuck.
    """

    fleet: Fleet
    generation: int
    free_gpu_mask: U16
    targets: Mapping[ClusterId, ClusterTarget]
    taken_keys: Mapping[KeyPoolId, frozenset[int]]
    blocked_nodes: Mapping[NodeId, str]
    unready: Mapping[ClusterId, str] = field(default_factory=dict)
