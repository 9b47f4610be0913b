"""Proofs of isolation over the whole fleet."""

from typing import Annotated

from fastapi import Query

from gigawatt.api.access import Allowed
from gigawatt.api.routing import new_router, operation
from gigawatt.api.views import at
from gigawatt.app.passes import FleetPass
from gigawatt.app.proving import FleetProof, prove_fleet
from gigawatt.sdk import documents as doc

router = new_router("passes")

SHOWN_MAX = 500
"""Lines of one kind that a result holds; the counts are of all. Ours."""

Wait = Annotated[float, Query(ge=0.0, le=20.0, description="Seconds to wait for its end.")]


def _proof_result(found: FleetProof) -> doc.ProofResult:
    proof, violations = found.proof, found.violations
    silent = sorted(found.seen.silent) if found.seen else []
    return doc.ProofResult(
        is_proven=not violations and not silent,
        cluster_count=len(proof.node_pair_count),
        entry_count=proof.entry_count,
        device_count=len(found.seen.held) if found.seen else 0,
        cluster_pairs={plane.value: count for plane, count in proof.cluster_pair_count.items()},
        tenant_pairs={plane.value: count for plane, count in proof.tenant_pair_count.items()},
        node_pair_count=sum(proof.node_pair_count.values()),
        busy_operation_count=len(found.busy),
        violation_count=len(violations),
        violations=[
            doc.Violation(
                rule=v.rule,
                plane=v.plane.value,
                breaks=v.breaks,
                cluster_ids=list(v.cluster_ids),
                cluster_names=[found.names[c][0] for c in v.cluster_ids if c in found.names],
                project_ids=list(v.tenant_ids),
                devices=list(v.devices[:SHOWN_MAX]),
                node_ids=list(v.node_ids[:SHOWN_MAX]),
                finding_count=v.finding_count,
                sentence=v.sentence,
            )
            for v in violations[:SHOWN_MAX]
        ],
        silent_device_count=len(silent),
        silent_devices=list(silent[:SHOWN_MAX]),
    )


def _proof(found: FleetPass[FleetProof]) -> doc.Proof:
    return doc.Proof(
        id=found.pass_id,
        scope="read_back" if found.scope == "read_back" else "targets",
        state=found.state,
        state_reason=found.error,
        started_at=at(found.started_s),
        result=None if found.outcome is None else _proof_result(found.outcome),
    )


@operation(router, "POST", "/proofs", 202)
def create_proof(body: doc.CreateProof, access: Allowed) -> doc.Proof:
    """Begin to prove that no cluster reaches another on any plane; one of a scope at a time."""
    access.permit()
    service, asks = access.service, body.scope == "read_back"
    begun = service.proofs.begin(
        body.scope, service.now_s(), lambda: prove_fleet(service.control, asks_devices=asks)
    )
    return _proof(begun)


@operation(router, "GET", "/proofs/{proof_id}")
async def get_proof(proof_id: str, access: Allowed, wait_s: Wait = 0.0) -> doc.Proof:
    """A proof; answers when it is done, or after ``wait_s``."""
    access.permit()
    found = access.service.proofs.get(proof_id)
    await found.wait(wait_s)
    return _proof(found)
