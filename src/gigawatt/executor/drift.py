"""Drift of the whole fleet: what was read from the devices against the union of all targets."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from gigawatt.boundary.entries import BmcRoute, ComputePort, Entry, PartitionMember
from gigawatt.boundary.render import render
from gigawatt.executor.readback import ReadBack
from gigawatt.fleet.model import Fleet
from gigawatt.ids import ClusterId, DeviceId, NodeId
from gigawatt.interfaces.store import ClusterRecord, OperationRecord, StoreSnapshot

Place = tuple[DeviceId, str]


@dataclass(frozen=True, slots=True)
class FleetDrift:
    """Differences between devices and targets.

    Fields:
        missing: entries that a device lacks or holds with another value, by cluster.
        strange: entries that no target, no operation under way and no tombstone names.
    """

    missing: Mapping[ClusterId, tuple[Entry, ...]]
    strange: Mapping[Place, Entry]

    @property
    def sentences(self) -> dict[Place, str]:
        """One sentence for each difference, missing entries first."""
        lacking = sorted((e.device, e.key) for entries in self.missing.values() for e in entries)
        return {
            **{(d, k): f"{d} lacks {k}, or holds it with another value" for d, k in lacking},
            **{(d, k): f"{d} holds {k}, which no target names" for d, k in sorted(self.strange)},
        }


def drift_of_fleet(
    fleet: Fleet,
    snapshot: StoreSnapshot,
    open_operations: Sequence[OperationRecord],
    seen: ReadBack,
    chased: Collection[Place] = (),
) -> FleetDrift:
    """What differs on devices that answered.

    Args:
        fleet: what exists.
        snapshot: taken before the devices were read.
        open_operations: under way; clusters that have one are left to it.
        seen: what was read.
        chased: places under a tombstone that were chased before; what stands there still is
            strange. What is under another one is left to whoever chases it.
    """
    busy = {operation.cluster_id for operation in open_operations}
    buried = {(t.entry.device, t.entry.key) for t in snapshot.tombstones}
    spoken_for = buried.difference(chased) | {
        (entry.device, entry.key)
        for operation in open_operations
        for step in operation.plan.steps
        for entry in step.entries
    }
    missing: dict[ClusterId, tuple[Entry, ...]] = {}
    for cluster_id, record in snapshot.clusters.items():
        wanted = render(fleet, record.target) if record.target is not None else ()
        spoken_for |= {(entry.device, entry.key) for entry in wanted}
        lacking = tuple(
            entry
            for entry in wanted
            if entry.device in seen.held and seen.held[entry.device].get(entry.key) != entry
        )
        if lacking and cluster_id not in busy:
            missing[cluster_id] = lacking
    strange = {
        (device, key): entry
        for device, held in seen.held.items()
        for key, entry in held.items()
        if (device, key) not in spoken_for
    }
    return FleetDrift(missing, strange)


def nodes_named(fleet: Fleet, entries: Sequence[Entry]) -> dict[NodeId, Entry]:
    """Nodes that entries concern, each with the first entry that names it.

    A device of its own, a NIC or a BMC names a node; what a site or a pool has once names none.
    """
    nics = fleet.nics
    node_of_guid: dict[int, int] = {}
    if any(isinstance(entry, PartitionMember | ComputePort) for entry in entries):
        node_of_guid = dict(zip(nics.guid.tolist(), nics.node.tolist(), strict=True))
    named: dict[NodeId, Entry] = {}
    for entry in entries:
        owner, _, name = entry.device.partition("/")
        if owner in {"port", "bmc", "host"}:
            named.setdefault(NodeId(name), entry)
        elif isinstance(entry, BmcRoute):
            named.setdefault(entry.node_id, entry)
        elif isinstance(entry, PartitionMember | ComputePort) and entry.guid in node_of_guid:
            named.setdefault(fleet.node_id(node_of_guid[entry.guid]), entry)
    return named


def is_unchanged(before: StoreSnapshot, now: StoreSnapshot, cluster_id: ClusterId) -> bool:
    """Whether a cluster's row is as it was."""

    def version(snapshot: StoreSnapshot) -> int | None:
        record: ClusterRecord | None = snapshot.clusters.get(cluster_id)
        return None if record is None else record.version

    return version(before) == version(now)


def without_changed(
    fleet: Fleet, drift: FleetDrift, before: StoreSnapshot, now: StoreSnapshot
) -> FleetDrift:
    """The drift without what concerns clusters whose rows changed while devices were read."""
    changed = {
        cluster_id
        for cluster_id in {**before.clusters, **now.clusters}
        if before.clusters.get(cluster_id) != now.clusters.get(cluster_id)
    }
    records = [now.clusters[cluster_id] for cluster_id in changed if cluster_id in now.clusters]
    named = {
        (entry.device, entry.key)
        for record in records
        if record.target is not None
        for entry in render(fleet, record.target)
    }
    missing = {owner: found for owner, found in drift.missing.items() if owner not in changed}
    strange = {place: entry for place, entry in drift.strange.items() if place not in named}
    return FleetDrift(missing, strange)
