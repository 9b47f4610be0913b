"""Receipts of cleaning: what was done to a slice of a host between two tenants, and what it said.

A node whose cleaning did not pass is quarantined; the receipt says why.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from gigawatt.ids import ClusterId, NodeId


@dataclass(frozen=True, slots=True)
class CleaningStep:
    """One step.

    Fields: name in the words of the procedure ("power off", "sanitise disk 0"); began_s and
    ended_s are Unix seconds; detail is what was measured or why it did not pass.
    """

    name: str
    began_s: float
    ended_s: float
    is_passed: bool
    detail: str


@dataclass(frozen=True, slots=True)
class CleaningReceipt:
    """One cleaning of one slice.

    Fields: receipt_id is ``rcp_...``; cluster_id is whose tenant ran on the slice.
    """

    receipt_id: str
    node_id: NodeId
    gpu_mask: int
    cluster_id: ClusterId
    steps: tuple[CleaningStep, ...]

    @property
    def is_passed(self) -> bool:
        """Whether the slice may be given to somebody else."""
        return bool(self.steps) and all(step.is_passed for step in self.steps)


class Receipts(Protocol):
    """Receipts, kept for good."""

    def keep(self, receipt: CleaningReceipt) -> None:
        """Keep one; the same id twice is the same receipt."""
        ...

    def of_node(self, node_id: NodeId, limit: int = 100) -> Sequence[CleaningReceipt]:
        """The newest receipts of a node, the last one first; at most ``limit``."""
        ...
