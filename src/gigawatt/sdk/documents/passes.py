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


class ReconciliationRecord(Answer):
    """A pass that the trail remembers: it found something, broke off, or was asked for.

    ``by`` is the server or the account that began it. The counts are of all, the lists hold the
    first lines; those of passes before this was kept are empty. ``reason`` says why it failed.
    """

    sequence: int
    at: datetime
    state: Literal["done", "failed"]
    by: str
    reason: str
    resumed_count: int
    drift_count: int
    repaired_count: int
    remaining_count: int
    silent_device_count: int
    resumed_operation_ids: list[str]
    drift: list[str]
    repaired: list[str]
    remaining: list[str]
    silent_devices: list[str]


class StuckOperation(Answer):
    """An operation whose undo or removal failed; all that it held stays held."""

    operation_id: str
    cluster_id: str
    cluster_name: str
    kind: str
    error: str
    started_at: datetime


class OwedAbsence(Answer):
    """An entry that shall be gone from a device and was not yet seen gone."""

    cluster_id: str
    device: str
    key: str


class Reconciler(Answer):
    """How the reconciler stands, and what is owed to devices now.

    ``period_s`` is the time from one pass by itself to the next, 0 for never. ``counts_from`` is
    when the last one ended or, before the first, when a server first waited for it; nobody waits
    where it is null. ``running_on`` is the server that is at it now. ``asked_pass_id`` is of the
    pass that somebody asked this server for and that still runs.
    """

    period_s: float
    counts_from: datetime | None
    next_at: datetime | None
    running_on: str | None
    asked_pass_id: str | None
    stuck_operations: list[StuckOperation]
    absence_count: int
    absences: list[OwedAbsence]
