"""The reconciler: finds drift of the whole fleet and puts it right, again and again.

A saga ends; devices go on living. They reboot, come back with an old state, lose an entry to a
hand. The reconciler reads everything back, compares it with the union of all targets, and
repairs under the fence of the cluster concerned. What no target names is removed by the
operator's own hand, after nodes that nobody holds were quarantined so that nobody takes them
meanwhile. What belongs to an operation under way is left to it.
"""

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from gigawatt.boundary.entries import Entry, HostSlice
from gigawatt.boundary.plane import Plane
from gigawatt.errors import ConflictError, DriverError, StaleGenerationError
from gigawatt.executor.call import Caller
from gigawatt.executor.chase import Chase, place_of
from gigawatt.executor.drift import (
    FleetDrift,
    Place,
    drift_of_fleet,
    is_unchanged,
    nodes_named,
    without_changed,
)
from gigawatt.executor.executor import Executor, Surroundings
from gigawatt.executor.policy import ExecutorPolicy
from gigawatt.executor.readback import read_back
from gigawatt.executor.together import together
from gigawatt.fleet.model import Fleet
from gigawatt.ids import ClusterId, DeviceId, OperationId
from gigawatt.interfaces.driver import OPERATOR, Fence
from gigawatt.interfaces.store import StoreSnapshot
from gigawatt.planner.plan import Action, make_step


@dataclass(slots=True)
class Reconciliation:
    """What one pass found and did, as sentences.

    Fields: resumed operations; drift found; repaired of it; remaining, with what is stuck or
    under a tombstone; silent devices.
    """

    resumed: list[OperationId] = field(default_factory=list)
    drift: list[str] = field(default_factory=list)
    repaired: list[str] = field(default_factory=list)
    remaining: list[str] = field(default_factory=list)
    silent: list[DeviceId] = field(default_factory=list)

    @property
    def is_converged(self) -> bool:
        """Whether the fleet was, or now is, as the targets say."""
        return not (self.remaining or self.silent)


def devices_of(fleet: Fleet) -> tuple[tuple[Plane, DeviceId], ...]:
    """Every device of a fleet with its plane."""
    own = tuple(
        (plane, DeviceId(f"{owner}/{node}"))
        for plane, owner in (
            (Plane.IN_BAND, "port"),
            (Plane.OUT_OF_BAND, "bmc"),
            (Plane.HOST, "host"),
        )
        for node in fleet.nodes.ids
    )
    sites = tuple(
        (plane, DeviceId(f"{owner}/{site}"))
        for plane, owner in ((Plane.IN_BAND, "gateway"), (Plane.OUT_OF_BAND, "oob"))
        for site in fleet.sites.ids
    )
    fabrics = tuple((Plane.FABRIC, DeviceId(f"fabric/{name}")) for name in fleet.fabrics.ids)
    pools = tuple((Plane.STORAGE, DeviceId(f"pool/{name}")) for name in fleet.storage_pools.ids)
    return (*fabrics, *own, *sites, *pools)


class Reconciler:
    """Runs passes over one fleet."""

    def __init__(
        self, around: Surroundings, worker: str, policy: ExecutorPolicy | None = None
    ) -> None:
        """Keep what a pass needs; ``worker`` names it on leases."""
        self._around = around
        self._worker = worker
        self._policy = policy or ExecutorPolicy()
        self._caller = Caller(
            around.drivers, around.clock, self._policy, self._policy.pass_tries_s_max
        )

    async def run(self, *, only_stuck: bool = False) -> Reconciliation:
        """One pass: resume what was left open, then chase tombstones and repair drift.

        Both go on side by side: a device that does not let go of what is buried on it may take a
        quarter of an hour, and what drifted elsewhere does not wait for it.

        Args:
            only_stuck: resume what is stuck and leave the rest to its workers.

        Raises:
            DataError: a row is damaged, so that it is not known what devices shall hold.
        """
        report = Reconciliation()
        await self._resume(report, only_stuck=only_stuck)
        self._snapshot()  # Nothing is chased either while a row is damaged.
        chase = Chase(self._around, self._caller)
        await together([chase.run(), self._mend(report)])
        await self._take_by_hand(report, chase)
        self._tell_unfinished(report, chase)
        return report

    async def _mend(self, report: Reconciliation) -> None:
        """Repair what is not as the targets say, and read again."""
        snapshot = self._snapshot()
        drift, silent = await self._look(snapshot, devices_of(self._around.fleet))
        report.silent.extend(silent)
        report.drift.extend(drift.sentences.values())
        self._around.watch.drifted(drift)
        if report.drift:
            await self._repair(snapshot, drift)
            left, _ = await self._look(self._snapshot(), devices_of(self._around.fleet))
            self._tell(report, drift, left)

    async def _take_by_hand(self, report: Reconciliation, chase: Chase) -> None:
        """Remove what is buried, was not refused, and is held still: by the operator's hand."""
        left, snapshot = chase.unexplained(), self._snapshot()
        if not left:
            return
        devices, chased = {(t.entry.plane, t.entry.device) for t in left}, set(map(place_of, left))
        seen, _ = await self._look(snapshot, devices, chased)
        drift = FleetDrift({}, {p: e for p, e in seen.strange.items() if p in chased})
        report.drift.extend(drift.sentences.values())
        await self._remove_strange(snapshot, drift.strange)
        await chase.observe(left)
        if drift.strange:
            now, _ = await self._look(self._snapshot(), devices, chased)
            self._tell(report, drift, now)

    def _snapshot(self) -> StoreSnapshot:
        """What is true now; while a row is damaged its entries would look like nobody's."""
        found = self._around.store.snapshot(self._around.clock.now_s())
        found.refuse_damaged()
        return found

    async def _look(
        self,
        snapshot: StoreSnapshot,
        devices: Iterable[tuple[Plane, DeviceId]],
        chased: Collection[Place] = (),
    ) -> tuple[FleetDrift, list[DeviceId]]:
        """Drift against a snapshot taken before, and the devices that did not answer."""
        fleet, store = self._around.fleet, self._around.store
        under_way = {one.operation_id: one for one in store.open_operations()}
        seen = await read_back(self._around.drivers, devices)
        # An operation that ended while devices were read was under way when some of them answered.
        under_way |= {one.operation_id: one for one in store.open_operations()}
        drift = drift_of_fleet(fleet, snapshot, tuple(under_way.values()), seen, chased)
        return without_changed(fleet, drift, snapshot, self._snapshot()), sorted(seen.silent)

    async def _resume(self, report: Reconciliation, *, only_stuck: bool) -> None:
        executor = Executor(self._around, self._worker, self._policy)
        for operation in self._around.store.open_operations():
            if only_stuck and operation.state != "stuck":
                continue
            try:
                await executor.run(operation.operation_id)
            except (ConflictError, DriverError):
                continue
            report.resumed.append(operation.operation_id)

    async def _act(self, action: Action, entries: Sequence[Entry], fence: Fence) -> bool:
        """Call the driver for entries of one device; whether it was done."""
        step = make_step(action, entries[0].plane, entries[0].device, entries, None)
        try:
            outcome = await self._caller.call(step, fence)
        except StaleGenerationError:
            return False
        self._around.watch.call_ended(None, outcome)
        return outcome.state == "done"

    async def _repair(self, snapshot: StoreSnapshot, drift: FleetDrift) -> None:
        await self._remove_strange(snapshot, drift.strange)
        fences = {owner: self._fence(snapshot, owner) for owner in drift.missing}
        # File systems first: what is not there cannot be exported.
        for is_file_system in (True, False):
            await asyncio.gather(
                *(
                    self._restore(entries, fence)
                    for owner, entries in drift.missing.items()
                    if snapshot.clusters[owner].is_file_system is is_file_system
                    and (fence := fences[owner]) is not None
                )
            )

    async def _remove_strange(
        self, snapshot: StoreSnapshot, strange: Mapping[Place, Entry]
    ) -> None:
        """Remove what no target names, its nodes out of service first if nobody holds them."""
        # A commit since the first look may have named what looked strange: look once more. Who
        # holds nothing any more names nothing.
        now = self._snapshot().clusters
        if not strange or any(snapshot.clusters.get(name) != row for name, row in now.items()):
            return
        self._quarantine_free(snapshot, list(strange.values()))
        fence = Fence(OPERATOR, snapshot.generation)
        await asyncio.gather(
            *(self._act("remove", group, fence) for group in _by_device(strange.values()))
        )

    def _quarantine_free(self, snapshot: StoreSnapshot, strange: Sequence[Entry]) -> None:
        held = {node_id for node_id, _ in snapshot.allocations}
        for node_id, entry in sorted(nodes_named(self._around.fleet, strange).items()):
            if node_id not in held and node_id not in snapshot.node_states:
                self._around.store.set_node_state(
                    node_id,
                    "quarantined",
                    f"{entry.device} held {entry.key}, which no target names",
                    self._around.clock.now_s(),
                )

    def _fence(self, snapshot: StoreSnapshot, cluster_id: ClusterId) -> Fence | None:
        """The fence of a cluster's last operation; None if another one began since the look.

        A repair under the fence of a later operation could put back what that one removed.
        """
        last = self._around.store.operations_of(cluster_id)[-1]
        is_same = is_unchanged(snapshot, self._snapshot(), cluster_id)
        has_ended = last.state in {"done", "unwound"}
        return Fence(cluster_id, last.generation) if is_same and has_ended else None

    async def _restore(self, entries: Sequence[Entry], fence: Fence) -> None:
        """Set entries of one cluster again; a host runs only when its planes are closed again."""
        hosts = [entry for entry in entries if isinstance(entry, HostSlice)]
        others = [entry for entry in entries if not isinstance(entry, HostSlice)]
        groups = tuple(_by_device(others))
        done = await asyncio.gather(*(self._act("ensure", group, fence) for group in groups))
        unsafe = {
            node_id
            for group, is_done in zip(groups, done, strict=True)
            if not is_done
            for node_id in nodes_named(self._around.fleet, group)
        }
        await asyncio.gather(
            *(self._act("ensure", [host], fence) for host in hosts if host.node_id not in unsafe)
        )

    def _tell(self, report: Reconciliation, found: FleetDrift, left: FleetDrift) -> None:
        now_s = self._around.clock.now_s()
        still = left.sentences
        report.remaining.extend(sorted(f"{device}:{key}" for device, key in still))
        for place, sentence in found.sentences.items():
            is_repaired = place not in still
            if is_repaired:
                report.repaired.append(sentence)
            self._around.store.add_event("drift", sentence, now_s, data={"repaired": is_repaired})

    def _tell_unfinished(self, report: Reconciliation, chase: Chase) -> None:
        """What is stuck or under a tombstone still is not as the targets say."""
        for operation in self._around.store.open_operations():
            if operation.state == "stuck":
                report.remaining.append(f"{operation.operation_id} is stuck: {operation.error}")
        for buried in self._snapshot().tombstones:
            why = chase.refused.get(place_of(buried))
            said = f"{buried.entry.device}:{buried.entry.key} is under a tombstone"
            report.remaining.append(said if why is None else f"{said}: {why}")


def _by_device(entries: Iterable[Entry]) -> list[list[Entry]]:
    groups: dict[DeviceId, list[Entry]] = {}
    for entry in entries:
        groups.setdefault(entry.device, []).append(entry)
    return list(groups.values())
