"""What a history of the fleet must offer: who held which GPUs from when to when, and outages.

It is read from what the store keeps anyway: operations with their plans, and the audit trail. Times
are Unix milliseconds and intervals are half open.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from gigawatt.ids import ClusterId, NodeId

HoldKind = Literal["held", "leaving"]


@dataclass(frozen=True, slots=True)
class Holding:
    """GPUs of one node that one cluster held; "leaving" from when they were to be given back."""

    cluster_id: ClusterId
    node_id: NodeId
    gpu_mask: int
    kind: HoldKind
    from_ms: int
    to_ms: int


@dataclass(frozen=True, slots=True)
class Outage:
    """A node that was drained or in quarantine."""

    node_id: NodeId
    from_ms: int
    to_ms: int


class FleetHistory(Protocol):
    """What happened to the GPUs of a fleet."""

    def holdings(self, from_ms: int, to_ms: int) -> Sequence[Holding]:
        """Holdings that touch a stretch of time, clipped to it; those under way end at its end."""
        ...

    def outages(self, from_ms: int, to_ms: int) -> Sequence[Outage]:
        """Outages that touch a stretch of time, clipped to it."""
        ...
