"""The checks of a replay: isolation proven, every entry owned, books and devices in agreement.

Four judges that share no code with planner and executor: the isolation proof over all targets,
the same proof over what devices hold, the leak auditor over the store's file read with SQL of its
own, and the audit of that file.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from gigawatt.app.audit import Auditor
from gigawatt.boundary.entries import Entry
from gigawatt.boundary.proof import Violation, prove
from gigawatt.ids import ClusterId, FabricId
from gigawatt.interfaces.store import StoreSnapshot
from gigawatt.store.audit import audit_database
from gigawatt.store.raw import read_facts
from gigawatt.twin.scene import Scene


@dataclass(frozen=True, slots=True)
class CheckReport:
    """One check: pairs of clusters decided on each plane, entries read, and what is wrong."""

    cluster_pair_count: int
    entry_count: int
    wrong: tuple[str, ...]


def true_entries(scene: Scene) -> list[Entry]:
    """What all devices really hold, in order of device and key."""
    held = scene.world.everything()
    return [entry for device in sorted(held) for entry in sorted(held[device], key=lambda e: e.key)]


def _overbooked(scene: Scene, snapshot: StoreSnapshot) -> Iterator[str]:
    """GPUs that two clusters hold, or that a node does not have."""
    taken: dict[str, int] = {}
    for (node_id, cluster_id), mask in sorted(snapshot.allocations.items()):
        row = scene.fleet.node_index(node_id)
        if mask & taken.get(node_id, 0) or mask & ~int(scene.fleet.full_gpu_mask_of_node[row]):
            beside = taken.get(node_id, 0)
            yield f"{cluster_id} holds GPUs {mask:#x} of {node_id} beside {beside:#x}"
        taken[node_id] = taken.get(node_id, 0) | mask


def check_books(scene: Scene) -> CheckReport:
    """Everything that holds at any moment, operations under way or not.

    Targets are isolated, no GPU is held twice, the store's file is sound, and every entry on a
    device has a living owner or a tombstone.
    """
    snapshot = scene.control.around.store.snapshot(scene.clock.now_s())
    proof = scene.control.prove_targets()
    entries = true_entries(scene)
    auditor = Auditor(scene.fleet, read_facts(scene.store_path))
    wrong = (
        *(f"targets: {violation.sentence}" for violation in proof.violations),
        *(f"books: {sentence}" for sentence in _overbooked(scene, snapshot)),
        *(f"store: {sentence}" for sentence in audit_database(scene.store_path)),
        *(f"leak: {sentence}" for sentence in auditor.leaks(entries)),
    )
    pairs = max(proof.cluster_pair_count.values())
    return CheckReport(pairs, len(entries), wrong)


def check_devices(scene: Scene) -> CheckReport:
    """The isolation proof on what devices really hold, for clusters that no operation changes.

    What an operation under way has still to take away (of a node it gave up, say) is excused like
    what is under a tombstone; the leak auditor judges it, because the books still name a holder.
    """
    store = scene.control.around.store
    snapshot = store.snapshot(scene.clock.now_s())
    operations = store.open_operations()
    leaving = [
        (entry.device, entry.key)
        for operation in operations
        for step in operation.plan.steps
        for entry in step.entries
    ]
    busy = {operation.cluster_id for operation in operations}
    leavers = {
        operation.cluster_id
        for operation in operations
        if operation.state == "unwinding" or not operation.kind.is_reversible
    }
    fleet, world = scene.fleet, scene.world
    proof = prove(
        fleet,
        [r.target for r in snapshot.clusters.values() if r.target is not None],
        true_entries(scene),
        port_locations=[
            location
            for fabric_id in fleet.fabrics.ids
            for location in world.port_locations(FabricId(fabric_id))
        ],
        buried={*leaving, *((t.entry.device, t.entry.key) for t in snapshot.tombstones)},
        scope="read_back",
    )
    wrong = tuple(
        f"devices: {violation.sentence}"
        for violation in proof.violations
        if not _is_under_way(violation, busy, leavers)
    )
    return CheckReport(max(proof.cluster_pair_count.values()), proof.entry_count, wrong)


def _is_under_way(
    violation: Violation, busy: Collection[ClusterId], leavers: Collection[ClusterId]
) -> bool:
    """Whether a finding is only what an operation under way has not done yet.

    A busy cluster is not complete. One that gives nodes back takes the planes from a host even
    when that host refused to stop: it runs half-closed, which concerns nobody else.
    """
    mine = set(violation.cluster_ids)
    if violation.breaks == "connection":
        return bool(mine) and mine <= set(busy)
    return len(mine) == 1 and mine <= set(leavers)
