"""Calls of passes over the whole fleet: proofs and reconciliations."""

from gigawatt.sdk import documents as doc
from gigawatt.sdk.calls.call import Call, path_of, query_of


def create_proof(proof: doc.CreateProof | None = None) -> Call[doc.Proof]:
    """Begin to prove that all clusters are isolated."""
    return Call("POST", path_of("proofs"), doc.Proof, body=proof or doc.CreateProof())


def get_proof(proof_id: str, *, wait_s: float | None = None) -> Call[doc.Proof]:
    """A proof; answers when it is done or after ``wait_s``."""
    return Call("GET", path_of("proofs", proof_id), doc.Proof, query_of(wait_s=wait_s))


def create_reconciliation() -> Call[doc.Reconciliation]:
    """Begin a pass of the reconciler, or join the one that runs."""
    return Call("POST", path_of("reconciliations"), doc.Reconciliation)


def list_reconciliations(
    *, cursor: str | None = None, limit: int | None = None
) -> Call[doc.Page[doc.ReconciliationRecord]]:
    """Passes that found something, broke off, or were asked for; the newest first."""
    query = query_of(cursor=cursor, limit=limit)
    return Call("GET", path_of("reconciliations"), doc.Page[doc.ReconciliationRecord], query)


def get_reconciler() -> Call[doc.Reconciler]:
    """How the reconciler stands, and what is owed to devices now."""
    return Call("GET", path_of("reconciler"), doc.Reconciler)


def get_reconciliation(
    reconciliation_id: str, *, wait_s: float | None = None
) -> Call[doc.Reconciliation]:
    """A pass; answers when it is done or after ``wait_s``."""
    path = path_of("reconciliations", reconciliation_id)
    return Call("GET", path, doc.Reconciliation, query_of(wait_s=wait_s))
