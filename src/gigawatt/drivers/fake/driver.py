"""The driver of one plane over a ``DeviceWorld``."""

import asyncio
from collections import Counter
from collections.abc import Collection, Sequence
from contextlib import suppress

from gigawatt.boundary.entries import Entry, FileUsage, HostSlice, PortLocation
from gigawatt.boundary.plane import PLANES, Plane
from gigawatt.drivers.fake.faults import CallKind, FaultKind, FaultRule, Faults
from gigawatt.drivers.fake.latency import NO_LATENCY, Latency, LatencyCall
from gigawatt.drivers.fake.places import PLANE_OF_CLASS
from gigawatt.drivers.fake.probe import Pair, probe
from gigawatt.drivers.fake.world import DeviceWorld
from gigawatt.errors import DriverError, DriverPermanentError, DriverRetryableError
from gigawatt.ids import ClusterId, DeviceId, FabricId, StoragePoolId
from gigawatt.interfaces.clock import Clock
from gigawatt.interfaces.driver import Driver, Fence, Observation

_NO_EFFECT = {FaultKind.BUSY, FaultKind.TIMEOUT, FaultKind.UNREACHABLE}
_NEVER = {FaultKind.REFUSED, FaultKind.DEAD}


class FakeDriver:
    """``Driver`` of one plane whose devices are a world's; goes wrong where ``faults`` says."""

    def __init__(
        self,
        plane: Plane,
        world: DeviceWorld,
        faults: Faults,
        clock: Clock,
        latency: Latency = NO_LATENCY,
    ) -> None:
        """Serve ``plane`` of ``world``; calls take as long as ``latency`` says, by ``clock``."""
        self._plane = plane
        self._world = world
        self._faults = faults
        self._clock = clock
        self._latency = latency
        self._call_count: Counter[tuple[LatencyCall, DeviceId]] = Counter()

    @property
    def plane(self) -> Plane:
        """The plane that this driver serves."""
        return self._plane

    def owner_of(self, device: DeviceId, key: str) -> ClusterId | None:
        """Whose a key is; None: nobody's."""
        held = self._world.look([device])[device].held.get(key)
        return None if held is None else held.owner

    async def ensure(self, device: DeviceId, entries: Sequence[Entry], fence: Fence) -> None:
        """See ``Driver.ensure``.

        Raises:
            DriverRetryableError: may or may not have happened.
            DriverPermanentError: refused.
            StaleGenerationError: the fence is older than one seen before.
        """
        await self._write("ensure", device, entries, fence)

    async def remove(self, device: DeviceId, entries: Sequence[Entry], fence: Fence) -> None:
        """See ``Driver.remove``.

        Raises:
            DriverRetryableError: may or may not have happened.
            DriverPermanentError: refused.
            StaleGenerationError: the fence is older than one seen before.
        """
        await self._write("remove", device, entries, fence)

    async def observe(self, devices: Collection[DeviceId]) -> Observation:
        """See ``Driver.observe``. A device that does not exist does not answer."""
        await self._wait("observe", devices)
        silent = frozenset([d for d in devices if not await self._does_answer(d)])
        answering = [device for device in devices if device not in silent]
        states = self._world.look(answering)
        entries = {
            device: self._faults.seen(device, states[device].entries) for device in answering
        }
        locations: tuple[PortLocation, ...] = ()
        if self._plane is Plane.FABRIC:
            fabrics = [FabricId(device.partition("/")[2]) for device in answering]
            locations = tuple(at for f in fabrics for at in self._world.port_locations(f))
        usage: tuple[FileUsage, ...] = ()
        if self._plane is Plane.STORAGE:
            names = [StoragePoolId(device.partition("/")[2]) for device in answering]
            usage = tuple(found for name in names for found in self._world.file_usage(name))
        return Observation(entries, silent, locations, usage)

    async def probe(self, pairs: Sequence[Pair]) -> tuple[bool, ...]:
        """See ``Driver.probe``; what it says follows from the true state.

        Raises:
            DriverRetryableError: the probe could not be run.
            DriverPermanentError: a node does not exist, or probing is broken for good.
        """
        name = DeviceId(f"probe/{self._plane}")
        rule = self._faults.draw("probe", name)
        await self._wait("probe", [name])
        if rule is not None:
            await self._slow_down(rule)
            _raise_fault(rule, "probe", name)
            if rule.kind is FaultKind.LOST_REPLY:
                raise DriverRetryableError(f"{name}: the answer is lost", device=name)
        return probe(self._world, self._plane, pairs)

    async def _write(
        self, call: CallKind, device: DeviceId, entries: Sequence[Entry], fence: Fence
    ) -> None:
        rule = self._faults.draw(call, device)
        await self._wait("boot" if self._boots(call, device, entries) else call, [device])
        if not self._is_ours(device):
            raise DriverPermanentError(f"{device} is no device of plane {self._plane}")
        if rule is None:
            self._do(call, device, entries, fence)
            return
        _raise_fault(rule, call, device)
        if rule.kind is FaultKind.LIE:
            self._faults.lie(call, device, entries)
            return
        try:
            await self._slow_down(rule)
        except asyncio.CancelledError:
            with suppress(DriverError):
                self._do(call, device, entries, fence)
            raise
        self._do(call, device, entries, fence)
        if rule.kind is FaultKind.LOST_REPLY:
            raise DriverRetryableError(f"{device} did {call}, but its reply is lost", device=device)
        self._upset(device, rule)

    def _do(self, call: CallKind, device: DeviceId, entries: Sequence[Entry], fence: Fence) -> None:
        if call == "ensure":
            self._world.ensure(device, entries, fence)
        else:
            self._world.remove(device, entries, fence)
        self._faults.tell_truth(device, entries)

    def _is_ours(self, device: DeviceId) -> bool:
        kind = device.partition("/")[0]
        return (
            PLANE_OF_CLASS.get(kind) is self._plane and self._world.places.row(device) is not None
        )

    async def _does_answer(self, device: DeviceId) -> bool:
        if not self._is_ours(device):
            return False
        rule = self._faults.draw("observe", device)
        if rule is None:
            return True
        await self._slow_down(rule)
        self._upset(device, rule)
        return rule.kind not in _NO_EFFECT | _NEVER | {FaultKind.LOST_REPLY}

    def _upset(self, device: DeviceId, rule: FaultRule) -> None:
        if rule.kind is FaultKind.REBOOT:
            self._world.reboot(device)
        if rule.kind is FaultKind.OLD_STATE:
            self._world.rewind(device, rule.write_count)

    def _boots(self, call: CallKind, device: DeviceId, entries: Sequence[Entry]) -> bool:
        """Whether the call starts a host that does not run yet: the longest wait of a launch."""
        on = {e for e in entries if isinstance(e, HostSlice) and e.power == "on"}
        is_start = call == "ensure" and bool(on) and self._is_ours(device)
        return is_start and not on <= self._world.entries(device)

    async def _wait(self, call: LatencyCall, devices: Collection[DeviceId]) -> None:
        if self._latency.median_s:
            duration_s = 0.0
            for device in devices:
                number = self._call_count[call, device]
                self._call_count[call, device] += 1
                duration_s = max(duration_s, self._latency.draw_s(call, device, number))
            if duration_s > 0.0:
                await self._clock.sleep(duration_s)

    async def _slow_down(self, rule: FaultRule) -> None:
        if rule.kind is FaultKind.SLOW:
            await self._clock.sleep(rule.delay_s)


def _raise_fault(rule: FaultRule, call: CallKind, device: DeviceId) -> None:
    if rule.kind in _NO_EFFECT:
        raise DriverRetryableError(f"{device} did not answer {call}: {rule.kind}", device=device)
    if rule.kind in _NEVER:
        raise DriverPermanentError(f"{device} refuses {call}: {rule.kind}", device=device)


def fake_drivers(
    world: DeviceWorld, faults: Faults, clock: Clock, latency: Latency = NO_LATENCY
) -> dict[Plane, Driver]:
    """A fake driver for each plane, all over one world and one fault plan."""
    return {plane: FakeDriver(plane, world, faults, clock, latency) for plane in PLANES}
