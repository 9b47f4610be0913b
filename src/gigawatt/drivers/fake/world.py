"""The true state of all devices of a fleet, and what happens to it.

The world is what a driver's component would be: it keeps what it was told, refuses what a device
would refuse, compares generations, forgets on a reboot, and can be tampered with behind
everybody's back. It is the embedded default and the device side of the digital twin.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from threading import RLock

from gigawatt.boundary.entries import Entry, FileSystem, FileUsage, HostSlice, PortLocation
from gigawatt.drivers.fake.places import Places
from gigawatt.drivers.fake.rules import refuses_ensure, refuses_remove
from gigawatt.drivers.fake.state import Delta, DeviceState, Facts, Held
from gigawatt.drivers.fake.states import DeviceStates, MemoryStates
from gigawatt.errors import DriverPermanentError, StaleGenerationError
from gigawatt.fleet.model import Fleet
from gigawatt.fleet.slices import gpus_in_mask
from gigawatt.ids import ClusterId, DeviceId, FabricId, NodeId, StoragePoolId, SwitchId
from gigawatt.interfaces.driver import OPERATOR, Fence


class DeviceWorld:
    """Every device of one fleet. Safe to use from several threads."""

    def __init__(self, fleet: Fleet, states: DeviceStates | None = None) -> None:
        """Put the devices of ``fleet`` on ``states``; in this process's memory when None."""
        self.places = Places(fleet)
        self._states = MemoryStates() if states is None else states
        self._lock = RLock()

    @property
    def fleet(self) -> Fleet:
        """The fleet whose devices these are."""
        return self.places.fleet

    def ensure(self, device: DeviceId, entries: Sequence[Entry], fence: Fence) -> None:
        """Make a device hold entries; see ``Driver.ensure``.

        Raises:
            DriverPermanentError: refused, with the reason; nothing changed.
            StaleGenerationError: the fence is older than one seen before.
        """
        wanted = {entry.key: entry for entry in entries}
        reason: str | None = None
        if len(wanted) < len(entries) and any(wanted[entry.key] != entry for entry in entries):
            reason = "one call names a key twice with different content"
        with self._lock, self._states.transaction():
            state = self._fenced(device, fence)
            reason = reason or refuses_ensure(self.places, device, state, wanted, fence.cluster_id)
            if reason is None:
                self._write(device, _ensured(state, wanted, fence))
            else:
                self._write(device, Delta(generations=_seen(state, fence, is_write=False)))
        if reason is not None:
            raise _refused(device, reason)

    def remove(self, device: DeviceId, entries: Sequence[Entry], fence: Fence) -> None:
        """Make a device hold none of the keys of ``entries``; see ``Driver.remove``.

        Raises:
            DriverPermanentError: refused, with the reason; nothing changed.
            StaleGenerationError: the fence is older than one seen before.
        """
        with self._lock, self._states.transaction():
            state = self._fenced(device, fence)
            leaving = frozenset(
                entry.key
                for entry in entries
                if (held := state.held.get(entry.key))
                and (fence.cluster_id == OPERATOR or held.owner in {None, fence.cluster_id})
            )
            reason = refuses_remove(state, leaving)
            if reason is None:
                self._write(device, _removed(state, leaving, fence))
            else:
                self._write(device, Delta(generations=_seen(state, fence, is_write=False)))
        if reason is not None:
            raise _refused(device, reason)

    def states(self, devices: Collection[DeviceId]) -> Mapping[DeviceId, DeviceState]:
        """True states of ``devices``, all of one moment; copies.

        Raises:
            DriverPermanentError: there is no such device.
        """
        for device in devices:
            self._check_exists(device)
        with self._lock, self._states.transaction():
            found = self._states.load(devices)
            return {device: state.copy() for device, state in found.items()}

    def entries(self, device: DeviceId) -> frozenset[Entry]:
        """What a device really holds.

        Raises:
            DriverPermanentError: there is no such device.
        """
        self._check_exists(device)
        return self.look([device])[device].entries

    def look(self, devices: Collection[DeviceId]) -> Mapping[DeviceId, DeviceState]:
        """True states of ``devices`` that exist, all of one moment; for reading at once only."""
        with self._lock, self._states.transaction():
            return self._states.load(devices)

    def everything(self) -> dict[DeviceId, frozenset[Entry]]:
        """What every device that holds something really holds."""
        with self._lock, self._states.transaction():
            states = self._states.load(self._states.written())
            return {device: state.entries for device, state in states.items() if state.held}

    def port_locations(self, fabric_id: FabricId) -> tuple[PortLocation, ...]:
        """Where a fabric really sees its NICs."""
        device = DeviceId(f"fabric/{fabric_id}")
        moved = self.look([device])[device].facts.moved_nics
        expected = self.places.locations(fabric_id)
        if not moved:
            return tuple(expected.values())
        return tuple(
            PortLocation(fabric_id, guid, *moved.get(guid, (at.switch_id, at.switch_port)))
            for guid, at in expected.items()
        )

    def cleaning_count(self, node_id: NodeId) -> int:
        """How often a slice of the node was cleaned."""
        return self._host_facts(node_id).cleaning_count

    def dirty_gpu_mask(self, node_id: NodeId) -> int:
        """GPUs of the node on which a tenant ran since they were last cleaned."""
        return sum(1 << gpu for gpu in self._host_facts(node_id).dirty)

    def fill(self, pool_id: StoragePoolId, filesystem: int, used_bytes: int) -> None:
        """Let a tenant's files take so many bytes of a file system."""
        device = self._checked(DeviceId(f"pool/{pool_id}"))
        with self._lock, self._states.transaction():
            facts = self._states.load([device])[device].facts
            used = {**facts.used_bytes, filesystem: used_bytes}
            self._states.apply(device, Delta(facts=replace(facts, used_bytes=used)))

    def file_usage(self, pool_id: StoragePoolId) -> tuple[FileUsage, ...]:
        """Bytes in every file system of a storage pool."""
        device = DeviceId(f"pool/{pool_id}")
        state = self.look([device])[device]
        return tuple(
            FileUsage(pool_id, entry.filesystem, state.facts.used_bytes.get(entry.filesystem, 0))
            for entry in state.entries
            if isinstance(entry, FileSystem)
        )

    def plant(self, entry: Entry, *, owner: ClusterId | None = None) -> None:
        """Put an entry on its device behind everybody's back; no rule is asked.

        Args:
            entry: what to plant, e.g. a BMC account or full membership of 0x7fff.
            owner: cluster to which the device shall ascribe it; None for nobody.
        """
        self._check_exists(entry.device)
        with self._lock, self._states.transaction():
            self._states.apply(entry.device, Delta({entry.key: Held(entry, owner)}))

    def uproot(self, entry: Entry) -> None:
        """Take what is under an entry's key off its device behind everybody's back."""
        self._check_exists(entry.device)
        with self._lock, self._states.transaction():
            self._states.apply(entry.device, Delta({entry.key: None}))

    def move_nic(self, guid: int, switch_id: SwitchId, switch_port: int) -> None:
        """Plug a NIC in elsewhere: from now on its fabric sees it at this switch port.

        Raises:
            DriverPermanentError: the fleet has no such NIC.
        """
        node = self.places.node_of_guid.get(guid)
        if node is None:
            raise DriverPermanentError(f"the fleet has no NIC {guid:#018x}")
        fabric_id = self.fleet.fabrics.ids[self.fleet.fabric_of_node[node]]
        device = DeviceId(f"fabric/{fabric_id}")
        with self._lock, self._states.transaction():
            facts = self._states.load([device])[device].facts
            moved = {**facts.moved_nics, guid: (switch_id, switch_port)}
            self._states.apply(device, Delta(facts=replace(facts, moved_nics=moved)))

    def stuck_dirty(self, node_id: NodeId, *, is_stuck: bool = True) -> None:
        """Make the node's cleaning claim success and clean nothing, or mend it."""
        device = self._checked(DeviceId(f"host/{node_id}"))
        with self._lock, self._states.transaction():
            facts = self._states.load([device])[device].facts
            self._states.apply(device, Delta(facts=replace(facts, is_stuck_dirty=is_stuck)))

    def reboot(self, device: DeviceId) -> None:
        """Restart a device: hosts come back powered off, in-band devices with nothing.

        Subnet managers, BMCs, out-of-band switches and pools keep their entries on disk.
        """
        kind = self._checked(device).partition("/")[0]
        with self._lock, self._states.transaction():
            held = self._states.load([device])[device].held
            lost: dict[str, Held | None] = {}
            if kind in {"port", "gateway"}:
                lost = dict.fromkeys(held)
            for key, old in held.items():
                if isinstance(old.entry, HostSlice) and old.entry.power == "on":
                    lost[key] = replace(old, entry=replace(old.entry, power="off"))
            if lost:
                self._states.apply(device, Delta(lost))

    def rewind(self, device: DeviceId, write_count: int) -> None:
        """Let a device come back as it was ``write_count`` writes ago, old generations too.

        It remembers its last 16 writes at least while it is not rewound.
        """
        with self._lock, self._states.transaction():
            self._states.rewind(self._checked(device), write_count)

    def close(self) -> None:
        """Release files and connections."""
        with self._lock:
            self._states.close()

    def _host_facts(self, node_id: NodeId) -> Facts:
        device = DeviceId(f"host/{node_id}")
        return self.states([device])[device].facts

    def _check_exists(self, device: DeviceId) -> None:
        if self.places.row(device) is None:
            raise _refused(device, f"fleet {self.fleet.name!r} has no such device")

    def _checked(self, device: DeviceId) -> DeviceId:
        self._check_exists(device)
        return device

    def _fenced(self, device: DeviceId, fence: Fence) -> DeviceState:
        self._check_exists(device)
        state = self._states.load([device])[device]
        newest = state.generations.get(fence.cluster_id)
        if newest is not None and fence.generation < newest:
            raise StaleGenerationError(
                f"{device} has seen generation {newest} of {fence.cluster_id},"
                f" the call has {fence.generation}",
                device=device,
            )
        return state

    def _write(self, device: DeviceId, delta: Delta) -> None:
        if delta.held or delta.generations or delta.facts is not None:
            self._states.apply(device, delta)


def _refused(device: DeviceId, reason: str) -> DriverPermanentError:
    return DriverPermanentError(f"{device} refuses: {reason}", device=device)


def _seen(state: DeviceState, fence: Fence, *, is_write: bool) -> dict[ClusterId, int | None]:
    is_known = state.generations.get(fence.cluster_id) == fence.generation
    return {fence.cluster_id: fence.generation} if is_write or not is_known else {}


def _ensured(state: DeviceState, wanted: Mapping[str, Entry], fence: Fence) -> Delta:
    changed: dict[str, Held | None] = {}
    for key, entry in wanted.items():
        new = Held(entry, fence.cluster_id)
        if state.held.get(key) != new:
            changed[key] = new
    running = {
        gpu: fence.cluster_id
        for entry in wanted.values()
        if isinstance(entry, HostSlice) and entry.power == "on"
        for gpu in gpus_in_mask(entry.gpu_mask)
    }
    dirty = {**state.facts.dirty, **running}
    facts = None if dirty == state.facts.dirty else replace(state.facts, dirty=dirty)
    return Delta(changed, _seen(state, fence, is_write=bool(changed)), facts)


def _removed(state: DeviceState, leaving: frozenset[str], fence: Fence) -> Delta:
    facts = state.facts
    for key in leaving:
        entry = state.held[key].entry
        if isinstance(entry, FileSystem) and entry.filesystem in facts.used_bytes:
            left = {n: used for n, used in facts.used_bytes.items() if n != entry.filesystem}
            facts = replace(facts, used_bytes=left)
        if not isinstance(entry, HostSlice):
            continue
        gpus = () if facts.is_stuck_dirty else gpus_in_mask(entry.gpu_mask)
        dirty = {gpu: last for gpu, last in facts.dirty.items() if gpu not in gpus}
        facts = replace(facts, dirty=dirty, cleaning_count=facts.cleaning_count + 1)
    seen = _seen(state, fence, is_write=bool(leaving))
    return Delta(dict.fromkeys(leaving), seen, None if facts is state.facts else facts)
