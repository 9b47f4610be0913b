"""Confirmation: the last look before a cluster is handed over, and the evidence that is kept.

A fresh read-back of every device that the cluster touches must equal its target; the isolation
proof must hold on what was read; probes must pass inside and fail outside.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from gigawatt.boundary.entries import Entry
from gigawatt.boundary.plane import Plane
from gigawatt.boundary.proof import Proof, prove
from gigawatt.boundary.render import render
from gigawatt.boundary.target import ClusterTarget
from gigawatt.executor.policy import ExecutorPolicy
from gigawatt.executor.probing import ProbeReport, probe_all
from gigawatt.executor.readback import ReadBack, read_back, wrong_entry
from gigawatt.fleet.model import Fleet
from gigawatt.ids import ClusterId, DeviceId, NodeId
from gigawatt.interfaces.clock import Clock
from gigawatt.interfaces.driver import Driver
from gigawatt.interfaces.store import OperationRecord, Store, StoreSnapshot
from gigawatt.planner.change import node_of


@dataclass(slots=True)
class Confirmation:
    """The finding: nodes that must be replaced, why the whole fails, and the evidence."""

    lost: dict[NodeId, str] = field(default_factory=dict)
    broken: str = ""
    document: dict[str, Any] = field(default_factory=dict)

    def blame(self, nodes: Sequence[NodeId], sentence: str) -> None:
        """Blame nodes if there are any, the whole otherwise."""
        if not nodes:
            self.broken = self.broken or sentence
        for node_id in nodes:
            self.lost.setdefault(node_id, sentence)


def _digest(wanted: Sequence[Entry], seen: ReadBack) -> str:
    """Hash of the cluster's own entries as they were read; what others hold is not its business."""
    digest = blake2b(digest_size=16)
    for entry in sorted(wanted, key=lambda entry: (entry.device, entry.key)):
        held = seen.held.get(entry.device)
        found = entry if held and entry in held.entries else held and held.get(entry.key)
        digest.update(f"{entry.device} {entry.key} {found!r}\n".encode())
    return digest.hexdigest()


def _judge_entries(wanted: Sequence[Entry], seen: ReadBack, found: Confirmation) -> None:
    """Compare what the target wants with what was read."""
    silent: set[DeviceId] = set()
    for entry in wanted:
        node_id = node_of(entry)
        if entry.device in seen.silent:
            sentence = f"{entry.device} did not answer the read-back"
            is_told = entry.device in silent
            silent.add(entry.device)
        else:
            sentence = wrong_entry(entry.device, entry, seen.held[entry.device])
            is_told = not sentence
        if not is_told:
            found.blame([node_id] if node_id else [], sentence)


def _prove_read(
    fleet: Fleet, targets: Sequence[ClusterTarget], seen: ReadBack, snapshot: StoreSnapshot
) -> Proof:
    """The isolation proof on what was read of the devices."""
    return prove(
        fleet,
        targets,
        seen.entries(),
        port_locations=seen.port_locations,
        buried=[(t.entry.device, t.entry.key) for t in snapshot.tombstones],
        scope="read_back",
    )


def _judge_proof(
    proof: Proof, cluster_id: ClusterId, target: ClusterTarget, found: Confirmation
) -> list[str]:
    """Blame the members that violations name; returns the sentences that concern the cluster."""
    mine = {member.node_id for member in target.members}
    sentences = []
    for violation in proof.concerning(cluster_id):
        sentences.append(violation.sentence)
        found.blame([n for n in violation.node_ids if n in mine], violation.sentence)
    return sentences


def _judge_probes(reports: Sequence[ProbeReport], found: Confirmation) -> dict[str, Any]:
    for report in reports:
        for sentence in report.wrong[:1]:
            found.blame(report.suspects, sentence)
    return {
        report.plane.value: {
            "inside": report.positive_count,
            "outside": report.negative_count,
            "wrong": list(report.wrong[:20]),
        }
        for report in reports
    }


def _others(snapshot: StoreSnapshot, cluster_id: ClusterId) -> list[ClusterTarget]:
    return [
        record.target
        for record in snapshot.clusters.values()
        if record.target is not None and record.cluster_id != cluster_id
    ]


async def _patient_read_back(
    drivers: Mapping[Plane, Driver],
    places: Collection[tuple[Plane, DeviceId]],
    policy: ExecutorPolicy,
    clock: Clock,
) -> ReadBack:
    """Read places back; devices that do not answer are asked again, a bounded number of times."""
    seen = await read_back(drivers, places)
    for _ in range(policy.verify_round_count_max):
        if not seen.silent:
            break
        await clock.sleep(policy.backoff_s_first)
        silent = [place for place in places if place[1] in seen.silent]
        again = await read_back(drivers, silent)
        seen = ReadBack(
            held={**seen.held, **again.held},
            silent=again.silent,
            port_locations=seen.port_locations + again.port_locations,
        )
    return seen


async def confirm(
    fleet: Fleet,
    store: Store,
    drivers: Mapping[Plane, Driver],
    operation: OperationRecord,
    policy: ExecutorPolicy,
    clock: Clock,
) -> Confirmation:
    """Look once more at everything a launched or changed cluster is made of.

    Args:
        fleet: what exists.
        store: for the targets of the other clusters.
        drivers: one per plane.
        operation: the operation whose plan was applied; a release has nothing left to look at.
        policy: whether to prove isolation here, how many pairs to probe, how patient to be.
        clock: for the moment of the look, and for waiting before a second one.
    """
    found = Confirmation()
    target = operation.plan.after
    if target is None:
        removed = sum(len(step.entries) for step in operation.plan.steps if step.action == "remove")
        found.document = {"removed_entries": removed, "generation": operation.generation}
        return found
    wanted = render(fleet, target)
    places = {(entry.plane, entry.device) for entry in wanted}
    seen = await _patient_read_back(drivers, places, policy, clock)
    _judge_entries(wanted, seen, found)
    snapshot = store.snapshot(clock.now_s())
    others = _others(snapshot, operation.cluster_id)
    proof_lines: dict[str, Any] = {"ran": False}
    if policy.is_proving:
        proof = _prove_read(fleet, [*others, target], seen, snapshot)
        wrong = _judge_proof(proof, operation.cluster_id, target, found)
        proof_lines = {
            "ran": True,
            "entries_read": proof.entry_count,
            "cluster_pairs_decided": {p.value: n for p, n in proof.cluster_pair_count.items()},
            "wrong": wrong[:20],
        }
    before = operation.plan.before
    reports = await probe_all(drivers, target, others, policy, clock, before=before)
    found.document = {
        "generation": operation.generation,
        "read_back": {
            "devices": len(seen.held),
            "silent": sorted(seen.silent)[:20],
            "entries_compared": len(wanted),
            "digest": _digest(wanted, seen),
        },
        "proof": proof_lines,
        "probes": _judge_probes(reports, found),
    }
    return found
