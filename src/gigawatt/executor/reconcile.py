"""The reconciler: finds drift of the whole fleet and puts it right, again and again.

A saga ends; devices go on living. They reboot, come back with an old state, lose an entry to a
hand. The reconciler reads everything back, compares it with the union of all targets, and
repairs under the fence of the cluster concerned. What no target names is removed by the
operator's own hand, after nodes that nobody holds were quarantined so that nobody takes them
meanwhile. What belongs to an operation under way is left to it.
"""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from gigawatt.boundary.entries import Entry
from gigawatt.boundary.plane import Plane
from gigawatt.boundary.render import render
from gigawatt.errors import ConflictError, DriverError
from gigawatt.executor.call import Caller
from gigawatt.executor.executor import Executor, Surroundings
from gigawatt.executor.policy import ExecutorPolicy
from gigawatt.executor.readback import ReadBack, read_back
from gigawatt.fleet.model import Fleet
from gigawatt.ids import ClusterId, DeviceId, NodeId, OperationId
from gigawatt.interfaces.driver import OPERATOR, Fence
from gigawatt.interfaces.store import StoreSnapshot
from gigawatt.planner.plan import Action, make_step

Place = tuple[DeviceId, str]


@dataclass(slots=True)
class Reconciliation:
    """What one pass found and did, as sentences.

    Fields: resumed operations; drift found; repaired of it; remaining; silent devices.
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
        self._caller = Caller(around.drivers, around.clock, self._policy)

    async def run(self) -> Reconciliation:
        """One pass: resume what was left open, chase tombstones, repair drift, read again."""
        report = Reconciliation()
        await self._resume(report)
        await self._chase_tombstones()
        snapshot = self._snapshot()
        seen = await read_back(self._around.drivers, devices_of(self._around.fleet))
        report.silent.extend(sorted(seen.silent))
        missing, strange = self._drift(snapshot, seen)
        for (device, key), _ in sorted(missing.items()):
            report.drift.append(f"{device} lacks {key}, or holds it with another value")
        for device, key in sorted(strange):
            report.drift.append(f"{device} holds {key}, which no target names")
        if missing or strange:
            await self._repair(snapshot, missing, strange)
            await self._look_again(report)
        return report

    def _snapshot(self) -> StoreSnapshot:
        return self._around.store.snapshot(self._around.clock.now_s())

    async def _resume(self, report: Reconciliation) -> None:
        executor = Executor(self._around, self._worker, self._policy)
        for operation in self._around.store.open_operations():
            try:
                await executor.run(operation.operation_id)
            except ConflictError:
                continue
            except DriverError:
                continue
            report.resumed.append(operation.operation_id)

    async def _chase_tombstones(self) -> None:
        """Remove what should be gone since operations that have ended, and say what is."""
        store = self._around.store
        busy = {operation.cluster_id for operation in store.open_operations()}
        buried = [t for t in self._snapshot().tombstones if t.cluster_id not in busy]
        # Together: a host takes a quarter of an hour to clean, and a hundred may wait.
        await asyncio.gather(
            *(self._act("remove", t.entry, Fence(t.cluster_id, t.generation)) for t in buried)
        )
        seen = await read_back(
            self._around.drivers, {(t.entry.plane, t.entry.device) for t in buried}
        )
        gone = [
            (t.entry.device, t.entry.key)
            for t in buried
            if t.entry.device in seen.held and t.entry.key not in seen.held[t.entry.device]
        ]
        if gone:
            store.observe_absent(gone, self._around.clock.now_s())

    async def _act(self, action: Action, entry: Entry, fence: Fence) -> bool:
        step = make_step(action, entry.plane, entry.device, [entry], None)
        outcome = await self._caller.call(step, fence)
        return outcome.state == "done"

    def _drift(
        self, snapshot: StoreSnapshot, seen: ReadBack
    ) -> tuple[dict[Place, tuple[ClusterId, Entry]], dict[Place, Entry]]:
        """Entries to set again, with their cluster; entries that nobody's target names."""
        open_operations = self._around.store.open_operations()
        busy = {operation.cluster_id for operation in open_operations}
        wanted: dict[Place, tuple[ClusterId, Entry]] = {}
        for record in snapshot.clusters.values():
            if record.target is not None:
                for entry in render(self._around.fleet, record.target):
                    wanted[entry.device, entry.key] = (record.cluster_id, entry)
        moving = {
            (entry.device, entry.key)
            for operation in open_operations
            for step in operation.plan.steps
            for entry in step.entries
        }
        buried = {(t.entry.device, t.entry.key) for t in snapshot.tombstones}
        missing = {
            place: (cluster_id, entry)
            for place, (cluster_id, entry) in wanted.items()
            if cluster_id not in busy
            and place[0] in seen.held
            and seen.held[place[0]].get(place[1]) != entry
        }
        strange = {
            (device, key): entry
            for device, held in seen.held.items()
            for key, entry in held.items()
            if (device, key) not in wanted
            and (device, key) not in moving
            and (device, key) not in buried
        }
        return missing, strange

    async def _repair(
        self,
        snapshot: StoreSnapshot,
        missing: Mapping[Place, tuple[ClusterId, Entry]],
        strange: Mapping[Place, Entry],
    ) -> None:
        self._quarantine_free(snapshot, strange)
        # A commit since the first look may have named what looked strange: look once more.
        if self._around.store.snapshot(self._around.clock.now_s()).clusters == snapshot.clusters:
            fence = Fence(OPERATOR, snapshot.generation)
            await asyncio.gather(
                *(self._act("remove", strange[place], fence) for place in sorted(strange))
            )
        owners = sorted({cluster_id for cluster_id, _ in missing.values()})
        operations = {owner: self._around.store.operations_of(owner)[-1] for owner in owners}
        await asyncio.gather(
            *(
                self._act("ensure", entry, Fence(owner, operations[owner].generation))
                for _, (owner, entry) in sorted(missing.items())
            )
        )

    def _quarantine_free(self, snapshot: StoreSnapshot, strange: Iterable[Place]) -> None:
        """Take nodes that nobody holds and that hold strange entries out of service first."""
        held = {node_id for node_id, _ in snapshot.allocations}
        for device, key in sorted(strange):
            owner, _, name = device.partition("/")
            node_id = NodeId(name)
            is_own = owner in {"port", "bmc", "host"}
            if is_own and node_id not in held and node_id not in snapshot.node_states:
                self._around.store.set_node_state(
                    node_id,
                    "quarantined",
                    f"{device} held {key}, which no target names",
                    self._around.clock.now_s(),
                )

    async def _look_again(self, report: Reconciliation) -> None:
        seen = await read_back(self._around.drivers, devices_of(self._around.fleet))
        missing, strange = self._drift(self._snapshot(), seen)
        left = {f"{device}:{key}" for device, key in (*missing, *strange)}
        report.remaining.extend(sorted(left))
        now_s = self._around.clock.now_s()
        for sentence in report.drift:
            device, _, rest = sentence.partition(" ")
            is_left = any(
                place.startswith(f"{device}:") and place.split(":", 1)[1] in rest for place in left
            )
            if not is_left:
                report.repaired.append(sentence)
            self._around.store.add_event("drift", sentence, now_s, data={"repaired": not is_left})
