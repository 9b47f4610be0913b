"""Read-back: what devices really hold, compared with what they shall hold."""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from gigawatt.boundary.entries import Entry, PortLocation
from gigawatt.boundary.plane import Plane
from gigawatt.errors import DriverError
from gigawatt.ids import DeviceId, NodeId
from gigawatt.interfaces.driver import Driver, Observation
from gigawatt.planner.plan import Step


@dataclass(frozen=True, slots=True)
class Drift:
    """One difference: the device, the key, what is wrong, and the node it concerns if one."""

    plane: Plane
    device: DeviceId
    key: str
    sentence: str
    node_id: NodeId | None


@dataclass(frozen=True, slots=True)
class ReadBack:
    """Entries of every device that answered, by key; the silent devices; where NICs are."""

    held: Mapping[DeviceId, Mapping[str, Entry]]
    silent: frozenset[DeviceId]
    port_locations: tuple[PortLocation, ...]

    def entries(self) -> Iterable[Entry]:
        """All entries read."""
        for by_key in self.held.values():
            yield from by_key.values()


async def _observe(driver: Driver, devices: Collection[DeviceId]) -> Observation:
    try:
        return await driver.observe(devices)
    except DriverError:
        return Observation(unreachable=frozenset(devices))


async def read_back(
    drivers: Mapping[Plane, Driver], places: Iterable[tuple[Plane, DeviceId]]
) -> ReadBack:
    """A fresh read of ``places``; a driver that fails leaves its devices silent."""
    by_plane: dict[Plane, set[DeviceId]] = defaultdict(set)
    for plane, device in places:
        by_plane[plane].add(device)
    answers = await asyncio.gather(
        *(_observe(drivers[plane], sorted(devices)) for plane, devices in by_plane.items())
    )
    held: dict[DeviceId, Mapping[str, Entry]] = {}
    for answer in answers:
        for device, entries in answer.entries.items():
            held[device] = {entry.key: entry for entry in entries}
    asked = frozenset(device for devices in by_plane.values() for device in devices)
    return ReadBack(
        held=held,
        silent=asked - held.keys(),
        port_locations=tuple(place for answer in answers for place in answer.port_locations),
    )


def wrong_entry(device: DeviceId, wanted: Entry, found: Entry | None) -> str:
    """What is wrong with what a device was found to hold under the key of ``wanted``, or ""."""
    if found is None:
        return f"{device} does not hold {wanted.key}"
    return "" if found == wanted else f"{device} holds {wanted.key} with another value"


def _wrong(step: Step, entry: Entry, found: Entry | None) -> str:
    if step.action == "ensure":
        return wrong_entry(step.device, entry, found)
    return "" if found is None else f"{step.device} still holds {entry.key}"


def drift_of_steps(steps: Iterable[Step], seen: ReadBack) -> dict[Step, list[Drift]]:
    """Steps whose effect is not what was read, each with its differences."""
    drifts: dict[Step, list[Drift]] = {}
    for step in steps:
        if step.device in seen.silent:
            silence = f"{step.device} did not answer the read-back"
            drifts[step] = [Drift(step.plane, step.device, "", silence, step.node_id)]
            continue
        held = seen.held[step.device]
        for entry in step.entries:
            wrong = _wrong(step, entry, held.get(entry.key))
            if wrong:
                found = Drift(step.plane, step.device, entry.key, wrong, step.node_id)
                drifts.setdefault(step, []).append(found)
    return drifts


def strangers(
    seen: ReadBack, known: Mapping[DeviceId, Collection[str]], planes: Mapping[DeviceId, Plane]
) -> list[Drift]:
    """Entries on a node's own devices that nobody's target names, e.g. a planted BMC account."""
    return [
        Drift(
            planes[device],
            device,
            key,
            f"{device} holds {key}, which no target names",
            NodeId(device.partition("/")[2]),
        )
        for device, held in sorted(seen.held.items())
        if device in known
        for key in sorted(held.keys() - set(known[device]))
    ]
