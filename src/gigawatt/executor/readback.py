"""Read-back: what devices really hold, compared with what they shall hold."""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from typing_extensions import override

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


class HeldEntries(Mapping[str, Entry]):
    """What one device holds, by key; the index of keys is made when it is first needed."""

    def __init__(self, entries: frozenset[Entry]) -> None:
        """Show ``entries``, whose keys differ."""
        self.entries = entries

    @cached_property
    def _by_key(self) -> dict[str, Entry]:
        return {entry.key: entry for entry in self.entries}

    @override
    def __getitem__(self, key: str) -> Entry:
        return self._by_key[key]

    @override
    def __iter__(self) -> Iterator[str]:
        return iter(self._by_key)

    @override
    def __len__(self) -> int:
        return len(self.entries)


@dataclass(frozen=True, slots=True)
class ReadBack:
    """Entries of every device that answered, by key; the silent devices; where NICs are."""

    held: Mapping[DeviceId, HeldEntries]
    silent: frozenset[DeviceId]
    port_locations: tuple[PortLocation, ...]

    def entries(self) -> Iterable[Entry]:
        """All entries read."""
        for held in self.held.values():
            yield from held.entries


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
    held: dict[DeviceId, HeldEntries] = {}
    for answer in answers:
        for device, entries in answer.entries.items():
            held[device] = HeldEntries(entries)
    asked = frozenset(device for devices in by_plane.values() for device in devices)
    return ReadBack(
        held=held,
        silent=asked - held.keys(),
        port_locations=tuple(place for answer in answers for place in answer.port_locations),
    )


def wrong_entry(device: DeviceId, wanted: Entry, held: HeldEntries) -> str:
    """What is wrong with what a device was found to hold under the key of ``wanted``, or ""."""
    # Most often all is well, and on a fabric of 10,000 NICs that is known without its index.
    if wanted in held.entries:
        return ""
    if held.get(wanted.key) is None:
        return f"{device} does not hold {wanted.key}"
    return f"{device} holds {wanted.key} with another value"


def _wrong(step: Step, entry: Entry, held: HeldEntries) -> str:
    if step.action == "ensure":
        return wrong_entry(step.device, entry, held)
    return "" if held.get(entry.key) is None else f"{step.device} still holds {entry.key}"


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
            wrong = _wrong(step, entry, held)
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
