"""What a trail must offer: events by what they are about, and evidence, both in pages.

Every method is one transaction, like those of ``Store``, and raises ``DataError`` as they do.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from gigawatt.ids import ClusterId, NodeId, OperationId
from gigawatt.interfaces.directory import Reach
from gigawatt.interfaces.store import Event


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events are wanted; what is None lets all pass.

    Fields: node_id wants events whose message or data name the node.
    """

    cluster_id: ClusterId | None = None
    operation_id: OperationId | None = None
    node_id: NodeId | None = None
    kind: str | None = None
    kinds: frozenset[str] | None = None


class Trail(Protocol):
    """The audit trail and the evidence, for readers."""

    def events(
        self, reach: Reach, wanted: EventFilter, place: int, limit: int, *, newest_first: bool
    ) -> tuple[Event, ...]:
        """Events after the sequence number ``place``, or before it when newest come first."""
        ...

    def evidence(
        self, cluster_id: ClusterId, after: int, limit: int
    ) -> tuple[tuple[int, Mapping[str, Any]], ...]:
        """Evidence of a cluster after a sequence number, oldest first, each with its own."""
        ...
