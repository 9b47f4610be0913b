"""Proof and repair: is every cluster fenced, and do devices hold what they shall hold?"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.text import Text

from gigawatt.app.control import Control
from gigawatt.app.home import Home
from gigawatt.app.wiring import open_control, worker_name
from gigawatt.boundary.plane import PLANES
from gigawatt.boundary.proof import Proof, Violation
from gigawatt.cli.options import Format
from gigawatt.cli.output import console, count_of, pairs, write
from gigawatt.cli.work.planview import PLANE_WORDS
from gigawatt.errors import DriftError
from gigawatt.executor.readback import ReadBack
from gigawatt.executor.reconcile import Reconciliation
from gigawatt.ids import ClusterId

VIOLATIONS_SHOWN_MAX = 20


def _counting(violations: Sequence[Violation], busy: frozenset[ClusterId]) -> list[Violation]:
    """Violations without those that an operation under way explains: what is not there yet."""
    return [v for v in violations if v.breaks == "isolation" or not set(v.cluster_ids) <= busy]


def _summary(proof: Proof, seen: ReadBack | None, busy: int) -> list[tuple[str, str]]:
    pair_count = max(proof.cluster_pair_count.values(), default=0)
    decided = sum(proof.cluster_pair_count.values())
    node_pairs = sum(proof.node_pair_count.values())
    tenant_pairs = max(proof.tenant_pair_count.values(), default=0)
    entries = count_of(proof.entry_count, "entry", "entries")
    lines = [
        (
            "read",
            f"{entries} on {count_of(len(seen.held), 'device')}, just now"
            if seen
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
        ("inside", f"{count_of(node_pairs, 'pair')} of nodes inside clusters decided"),
    ]
    if busy:
        lines.append(
            ("under way", f"{count_of(busy, 'operation')}; their clusters are not whole yet")
        )
    return lines


def _document(
    proof: Proof, violations: Sequence[Violation], silent: Sequence[str]
) -> dict[str, Any]:
    return {
        "is_proven": not violations and not silent,
        "scope": proof.scope,
        "entries": proof.entry_count,
        "cluster_pairs": {p.value: n for p, n in proof.cluster_pair_count.items()},
        "node_pairs": dict(proof.node_pair_count),
        "silent_devices": list(silent),
        "violations": [
            {
                "rule": v.rule,
                "plane": v.plane.value,
                "breaks": v.breaks,
                "clusters": list(v.cluster_ids),
                "tenants": list(v.tenant_ids),
                "devices": list(v.devices),
                "nodes": list(v.node_ids),
                "findings": v.finding_count,
                "sentence": v.sentence,
            }
            for v in violations
        ],
    }


def show_proof(
    proof: Proof, seen: ReadBack | None, names: Mapping[ClusterId, str], busy: frozenset[ClusterId]
) -> list[str]:
    """Write a proof for people; sentences of what disproves it."""
    violations = _counting(proof.violations, busy)
    silent = sorted(seen.silent) if seen else []
    whole = not violations and not silent
    cluster_count = len(proof.node_pair_count)
    head = f"No cluster of {cluster_count:,} reaches another on any plane."
    if cluster_count < 2:
        head = f"{count_of(cluster_count, 'cluster')}: nobody to be fenced from."
    title = Text(f"Proven. {head}", style="bold green")
    console.print(title if whole else Text("NOT PROVEN.", style="bold red"))
    pairs("", _summary(proof, seen, len(busy)))
    sentences = []
    for v in violations:
        whose = ", ".join(names.get(c, c) for c in v.cluster_ids)
        plane = PLANE_WORDS[v.plane]
        sentences.append(f"{plane} ({v.rule}{', ' + whose if whose else ''}): {v.sentence}")
    if silent:
        sentences.append(
            f"{count_of(len(silent), 'device')} did not answer, e.g. {silent[0]}; "
            "nothing is known about them"
        )
    return sentences


def prove(form: Format, *, targets: bool) -> None:
    """Prove isolation of all clusters.

    Raises:
        DriftError: it cannot be proven.
    """
    with open_control(Home.default()) as control:
        prove_with(control, form, targets=targets)


def prove_with(control: Control, form: Format, *, targets: bool = False) -> None:
    """Prove isolation of all clusters of one control plane.

    Raises:
        DriftError: it cannot be proven.
    """
    seen: ReadBack | None = None
    if targets:
        proof = control.prove_targets()
    else:
        proof, seen = asyncio.run(control.prove_devices())
    store = control.around.store
    busy = frozenset(operation.cluster_id for operation in store.open_operations())
    names = {c.cluster_id: f"{c.name} of {c.tenant_id}" for c in store.clusters()}
    if form is Format.TABLE:
        sentences = show_proof(proof, seen, names, busy)
    else:
        violations = _counting(proof.violations, busy)
        silent = sorted(seen.silent) if seen else []
        write(_document(proof, violations, silent), form)
        sentences = [v.sentence for v in violations] + [f"{d} is silent" for d in silent]
    if sentences:
        raise DriftError("isolation is not proven", notes=sentences)


def show_reconciliation(report: Reconciliation) -> None:
    """Write what a pass of the reconciler found and did."""
    if report.is_converged and not report.drift and not report.resumed:
        console.print("Every device holds what it shall hold; nothing to repair.")
    for operation_id in report.resumed:
        console.print(f"  finished  operation {operation_id}, which had been left open")
    repaired = set(report.repaired)
    for sentence in report.drift[:VIOLATIONS_SHOWN_MAX]:
        console.print(f"  {'repaired' if sentence in repaired else 'found':<8}  {sentence}")
    if len(report.drift) > VIOLATIONS_SHOWN_MAX:
        rest = len(report.drift) - VIOLATIONS_SHOWN_MAX
        console.print(f"  and {rest:,} more; see 'gw events'")
    if report.drift and report.is_converged:
        console.print(f"{count_of(len(report.drift), 'difference')} found, all repaired.")


def reconcile(form: Format) -> None:
    """One pass of the reconciler.

    Raises:
        DriftError: something is still not as it shall be.
    """
    with open_control(Home.default()) as control:
        report = asyncio.run(control.reconcile(worker_name()))
    if form is Format.TABLE:
        show_reconciliation(report)
    else:
        write({"is_converged": report.is_converged, **asdict(report)}, form)
    notes = [*report.remaining, *(f"{device} does not answer" for device in report.silent)]
    if notes:
        raise DriftError(
            "not everything could be repaired",
            notes=notes,
            next_step="Mend the devices named here and run 'gw reconcile' again.",
        )
