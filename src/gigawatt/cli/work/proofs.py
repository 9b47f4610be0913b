"""Proof and repair: is every cluster fenced, and do devices hold what they shall hold?"""

from rich.text import Text

from gigawatt.boundary.plane import PLANES
from gigawatt.cli.options import Format
from gigawatt.cli.output import console, count_of, pairs, write
from gigawatt.cli.work.connect import Connection, connected
from gigawatt.cli.work.planview import PLANE_WORDS
from gigawatt.errors import DriftError, GigawattError
from gigawatt.sdk import documents as doc

VIOLATIONS_SHOWN_MAX = 20
WAIT_S = 10.0
"""How long one question for a pass waits for its end."""


def _summary(scope: str, result: doc.ProofResult) -> list[tuple[str, str]]:
    pair_count = max(result.cluster_pairs.values(), default=0)
    decided = sum(result.cluster_pairs.values())
    tenant_pairs = max(result.tenant_pairs.values(), default=0)
    entries = count_of(result.entry_count, "entry", "entries")
    lines = [
        (
            "read",
            f"{entries} on {count_of(result.device_count, 'device')}, just now"
            if scope == "read_back"
            else f"{entries} that the records ask for; no device was asked",
        ),
        (
            "across",
            (
                f"{count_of(pair_count, 'pair')} of clusters "
                f"({count_of(tenant_pairs, 'pair')} of tenants) on {len(PLANES)} planes: "
                f"{decided:,} decided"
            ),
        ),
        ("inside", f"{count_of(result.node_pair_count, 'pair')} of nodes inside clusters decided"),
    ]
    if busy := result.busy_operation_count:
        lines.append(
            ("under way", f"{count_of(busy, 'operation')}; their clusters are not whole yet")
        )
    return lines


def _whose(connection: Connection, violation: doc.Violation) -> str:
    owners = [connection.project_name(project_id) for project_id in violation.project_ids]
    names = violation.cluster_names
    if len(names) != len(owners):
        # Two clusters of one tenant: it is named once.
        owners = [*owners, *owners[-1:] * len(names)][: len(names)]
    found = [f"{name} of {owner}" for name, owner in zip(names, owners, strict=True)]
    return ", ".join(found)


def show_proof(connection: Connection, scope: str, result: doc.ProofResult) -> list[str]:
    """Write a proof for people; sentences of what disproves it."""
    head = f"No cluster of {result.cluster_count:,} reaches another on any plane."
    if result.cluster_count < 2:
        head = f"{count_of(result.cluster_count, 'cluster')}: nobody to be fenced from."
    title = Text(f"Proven. {head}", style="bold green")
    console.print(title if result.is_proven else Text("NOT PROVEN.", style="bold red"))
    pairs("", _summary(scope, result))
    sentences = []
    for v in result.violations:
        whose = _whose(connection, v)
        plane = PLANE_WORDS[v.plane]
        sentences.append(f"{plane} ({v.rule}{', ' + whose if whose else ''}): {v.sentence}")
    if result.silent_device_count:
        sentences.append(
            f"{count_of(result.silent_device_count, 'device')} did not answer, "
            f"e.g. {result.silent_devices[0]}; nothing is known about them"
        )
    return sentences


def proof_of(connection: Connection, scope: str) -> doc.ProofResult:
    """A proof of all clusters, made now.

    Raises:
        GigawattError: it broke off.
    """
    client = connection.client
    proof = client.create_proof(doc.CreateProof.model_validate({"scope": scope}))
    while proof.state == "running":
        proof = client.get_proof(proof.id, wait_s=WAIT_S)
    if proof.result is None:
        raise GigawattError(f"the proof broke off: {proof.state_reason}")
    return proof.result


def prove(form: Format, *, targets: bool) -> None:
    """Prove isolation of all clusters.

    Raises:
        DriftError: it cannot be proven.
    """
    scope = "targets" if targets else "read_back"
    with connected() as connection:
        result = proof_of(connection, scope)
        if form is Format.TABLE:
            sentences = show_proof(connection, scope, result)
        else:
            write(result.model_dump(mode="json"), form)
            sentences = [v.sentence for v in result.violations]
            sentences += [f"{device} is silent" for device in result.silent_devices]
    if sentences:
        raise DriftError("isolation is not proven", notes=sentences)


def show_reconciliation(report: doc.ReconciliationResult) -> None:
    """Write what a pass of the reconciler found and did."""
    if report.is_converged and not report.drift_count and not report.resumed_operation_ids:
        console.print("Every device holds what it shall hold; nothing to repair.")
    for operation_id in report.resumed_operation_ids:
        console.print(f"  finished  operation {operation_id}, which had been left open")
    repaired = set(report.repaired)
    for sentence in report.drift[:VIOLATIONS_SHOWN_MAX]:
        console.print(f"  {'repaired' if sentence in repaired else 'found':<8}  {sentence}")
    if report.drift_count > VIOLATIONS_SHOWN_MAX:
        rest = report.drift_count - VIOLATIONS_SHOWN_MAX
        console.print(f"  and {rest:,} more; see 'gw events'")
    if report.drift_count and report.is_converged:
        console.print(f"{count_of(report.drift_count, 'difference')} found, all repaired.")


def reconciliation_of(connection: Connection) -> doc.ReconciliationResult:
    """What one pass of the reconciler found and did, made now.

    Raises:
        GigawattError: it broke off.
    """
    client = connection.client
    found = client.create_reconciliation()
    while found.state == "running":
        found = client.get_reconciliation(found.id, wait_s=WAIT_S)
    if found.result is None:
        raise GigawattError(
            f"the pass broke off: {found.state_reason}",
            next_step="Run 'gw reconcile' again; what was repaired stays repaired.",
        )
    return found.result


def reconcile(form: Format) -> None:
    """One pass of the reconciler.

    Raises:
        DriftError: something is still not as it shall be.
    """
    with connected() as connection:
        report = reconciliation_of(connection)
    if form is Format.TABLE:
        show_reconciliation(report)
    else:
        write(report.model_dump(mode="json"), form)
    notes = [*report.remaining, *(f"{d} does not answer" for d in report.silent_devices)]
    if notes:
        raise DriftError(
            "not everything could be repaired",
            notes=notes,
            next_step="Mend the devices named here and run 'gw reconcile' again.",
        )
