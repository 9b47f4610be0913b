"""Documents of receipts of cleaning."""

from datetime import datetime

from gigawatt.sdk.documents.base import Answer


class CleaningStep(Answer):
    """One step; ``detail`` is what was measured, or why it did not pass."""

    name: str
    began_at: datetime
    ended_at: datetime
    is_passed: bool
    detail: str


class CleaningReceipt(Answer):
    """One cleaning of a slice of a node, after the cluster ``cluster_id`` ran on it."""

    id: str
    node_id: str
    gpu_mask: int
    cluster_id: str
    is_passed: bool
    steps: list[CleaningStep]
