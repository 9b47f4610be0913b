"""Room over time: which nodes can be promised from one moment to another."""

from collections.abc import Mapping

import numpy as np

from gigawatt.fleet.model import U16, Fleet
from gigawatt.ids import NodeId
from gigawatt.interfaces.holders import free_at_s
from gigawatt.interfaces.store import StoreSnapshot
from gigawatt.market.notice import NoticePolicy


class Room:
    """What can be promised, read from one consistent snapshot.

    A node can be promised when nobody else was promised it in that time, it is neither drained nor
    quarantined, and who is on it now will be gone: nobody says when a cluster on demand ends.
    """

    def __init__(
        self, fleet: Fleet, stored: StoreSnapshot, policy: NoticePolicy, now_s: float
    ) -> None:
        """Read what is held."""
        self.fleet, self.now_s = fleet, now_s
        self._policy = policy
        self.promises = stored.promises
        self.generation = stored.generation
        self.blocked = frozenset(stored.node_states)
        self.free_s: Mapping[NodeId, float] = _free_times(stored, policy, now_s)

    def mask(self, from_s: float, to_s: float, promised_from_s: float | None = None) -> U16:
        """uint16[N]: GPUs of whole nodes that can be promised from then to then, 0 elsewhere.

        ``promised_from_s`` is since when they must be promised to nobody; None for ``from_s``.
        """
        fleet = self.fleet
        found: U16 = fleet.full_gpu_mask_of_node.astype(np.uint16)
        until_s = to_s + self._policy.clear_s
        taken = [node_id for node_id, free_s in self.free_s.items() if free_s > from_s]
        taken.extend(self.blocked)
        promised = self.promises.nodes()
        since_s = from_s if promised_from_s is None else promised_from_s
        free = self.promises.calendar.free_nodes(promised, since_s, until_s)
        taken.extend(node_id for node_id in promised if node_id not in free)
        rows = [fleet.nodes.index_of[n] for n in taken if n in fleet.nodes.index_of]
        found[rows] = 0
        return found

    def turns_s(self) -> tuple[float, ...]:
        """Moments from now on at which something becomes free, in order; the first is now."""
        times = {free_s for free_s in self.free_s.values() if self.now_s < free_s < float("inf")}
        times |= {
            reservation.to_s
            for reservation in self.promises.calendar.by_id.values()
            if reservation.to_s > self.now_s
        }
        return (self.now_s, *sorted(times))


def _free_times(stored: StoreSnapshot, policy: NoticePolicy, now_s: float) -> dict[NodeId, float]:
    ends = {
        cluster_id: free_at_s(record.target, record.phase, stored.promises, policy, now_s)
        for cluster_id, record in stored.clusters.items()
    }
    found: dict[NodeId, float] = {}
    for node_id, cluster_id in stored.allocations:
        free_s = ends.get(cluster_id, float("inf"))
        found[node_id] = max(found.get(node_id, 0.0), free_s)
    return found
