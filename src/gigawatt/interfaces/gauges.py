"""What a store can tell of itself in numbers, cheap enough to ask every few seconds."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from gigawatt.ids import KeyPoolId, NodeId
from gigawatt.planner.phases import Phase


@dataclass(frozen=True, slots=True)
class StoreGauges:
    """One consistent reading; no tenant's words are in it.

    Fields:
        live_clusters: phase, and since when in Unix seconds, of each cluster that has not ended.
        live_file_systems: the same of file systems.
        ended_cluster_count: clusters ever released or failed, by phase.
        node_states: nodes that are not "available".
        gpu_counts: GPUs that are not free, by node and state ("held", "tombstone").
        key_counts: keys that are not free, by pool and state.
        tombstone_count: absences not yet observed.
        open_operation_counts: operations that have not ended, by kind and state.
        waiting_operation_count: those of them, not stuck, that no living worker holds.
        gpu_seconds: GPU-seconds that clusters ever held, by GPU type.
        event_counts: lines of the trail by kind, of those behind the one that was asked for.
        newest_event: sequence number of the newest line, 0 if there is none.
        audit_count: rows of the audit of calls.
    """

    live_clusters: tuple[tuple[Phase, float], ...]
    live_file_systems: tuple[tuple[Phase, float], ...]
    ended_cluster_count: Mapping[str, int]
    node_states: Mapping[NodeId, str]
    gpu_counts: Mapping[tuple[NodeId, str], int]
    key_counts: Mapping[tuple[KeyPoolId, str], int]
    tombstone_count: int
    open_operation_counts: Mapping[tuple[str, str], int]
    waiting_operation_count: int
    gpu_seconds: Mapping[str, float]
    event_counts: Mapping[str, int]
    newest_event: int
    audit_count: int


class Gauges(Protocol):
    """Reads a store in numbers."""

    def read(self, now_s: float, after_event: int) -> StoreGauges:
        """The numbers at ``now_s``; events are counted behind the line ``after_event``.

        Raises:
            DataError: the database is damaged or out of reach.
        """
        ...
