"""Documents of passes over the whole fleet: proofs of isolation, and reconciliations."""

from datetime import datetime
from typing import Literal

from gigawatt.sdk.documents.base import Answer, Request

PassState = Literal["running", "done", "failed"]
ProofScope = Literal["targets", "read_back"]


class CreateProof(Request):
    """What to prove from: what the records ask for, or what every device holds now."""

    scope: ProofScope = "read_back"


class Violation(Answer):
    """What disproves isolation or connection; findings of one rule about the same clusters."""

    rule: str
    plane: str
    breaks: str
    cluster_ids: list[str]
    cluster_names: list[str]
    project_ids: list[str]
    devices: list[str]
    node_ids: list[str]
    finding_count: int
    sentence: str


class ProofResult(Answer):
    """What was decided. Long lists hold their first lines; the counts are of all."""

    is_proven: bool
    cluster_count: int
    entry_count: int
    device_count: int
    cluster_pairs: dict[str, int]
    tenant_pairs: dict[str, int]
    node_pair_count: int
    busy_operation_count: int
    violation_count: int
    violations: list[Violation]
    silent_device_count: int
    silent_devices: list[str]


class Proof(Answer):
    """A proof of isolation of all clusters; ``result`` is there once it is done."""

    id: str
    scope: ProofScope
    state: PassState
    state_reason: str
    started_at: datetime
    result: ProofResult | None = None


class ReconciliationResult(Answer):
    """What one pass found and did. Long lists hold their first lines; the counts are of all."""

    is_converged: bool
    resumed_operation_ids: list[str]
    drift_count: int
    drift: list[str]
    repaired_count: int
    repaired: list[str]
    remaining_count: int
    remaining: list[str]
    silent_device_count: int
    silent_devices: list[str]


class Reconciliation(Answer):
    """One pass of the reconciler; ``result`` is there once it is done."""

    id: str
    state: PassState
    state_reason: str
    started_at: datetime
    result: ReconciliationResult | None = None
