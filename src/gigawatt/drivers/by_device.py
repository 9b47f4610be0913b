"""One plane that several drivers share: each call goes to the driver of its device."""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from gigawatt.boundary.entries import Entry
from gigawatt.boundary.plane import Plane
from gigawatt.errors import DriverPermanentError
from gigawatt.fleet.model import Fleet
from gigawatt.ids import ClusterId, DeviceId
from gigawatt.interfaces.driver import Driver, Endpoint, Fence, Observation


@runtime_checkable
class TellsOwners(Protocol):
    """A driver that can say whose a key of a device is."""

    def owner_of(self, device: DeviceId, key: str) -> ClusterId | None:
        """Whose it is; None: nobody's."""
        ...


@dataclass(frozen=True)
class DriverShare:
    """One driver, the name that the site file gives it, and the devices that are its own."""

    name: str
    driver: Driver
    devices: frozenset[DeviceId]


class DriverByDevice:
    """``Driver`` of a plane over the drivers of its devices."""

    def __init__(self, plane: Plane, fleet: Fleet, shares: Sequence[DriverShare]) -> None:
        """Serve ``plane``; no device is in two ``shares``."""
        self._plane = plane
        self._fleet = fleet
        self.shares = tuple(shares)
        self._driver_of: Mapping[DeviceId, Driver] = {
            device: share.driver for share in shares for device in share.devices
        }
        device_count = sum(len(share.devices) for share in shares)
        assert len(self._driver_of) == device_count, "two drivers have one device"

    @property
    def plane(self) -> Plane:
        """The plane that this driver serves."""
        return self._plane

    def knows(self, device: DeviceId) -> bool:
        """Whether one of the drivers has this device."""
        return device in self._driver_of

    def driver_of(self, device: DeviceId) -> Driver:
        """The driver that has a device.

        Raises:
            DriverPermanentError: nobody's device.
        """
        return self._of(device)

    async def ensure(self, device: DeviceId, entries: Sequence[Entry], fence: Fence) -> None:
        """See ``Driver.ensure``.

        Raises:
            DriverRetryableError: may or may not have happened.
            DriverPermanentError: refused, or nobody's device.
            StaleGenerationError: the fence is older than one seen before.
        """
        await self._of(device).ensure(device, entries, fence)

    async def remove(self, device: DeviceId, entries: Sequence[Entry], fence: Fence) -> None:
        """See ``Driver.remove``.

        Raises:
            DriverRetryableError: may or may not have happened.
            DriverPermanentError: refused, or nobody's device.
            StaleGenerationError: the fence is older than one seen before.
        """
        await self._of(device).remove(device, entries, fence)

    async def observe(self, devices: Collection[DeviceId]) -> Observation:
        """See ``Driver.observe``; what the drivers say, together."""
        own: defaultdict[Driver, list[DeviceId]] = defaultdict(list)
        for device in devices:
            if device in self._driver_of:
                own[self._driver_of[device]].append(device)
        seen = await asyncio.gather(*(driver.observe(some) for driver, some in own.items()))
        entries = {device: held for one in seen for device, held in one.entries.items()}
        return Observation(
            entries=entries,
            unreachable=frozenset(devices) - entries.keys(),
            port_locations=tuple(at for one in seen for at in one.port_locations),
            file_usage=tuple(usage for one in seen for usage in one.file_usage),
        )

    async def probe(self, pairs: Sequence[tuple[Endpoint, Endpoint]]) -> tuple[bool, ...]:
        """See ``Driver.probe``; each pair goes to the drivers that can tell.

        On the storage plane these may be several: one that lets a in is enough.

        Raises:
            DriverRetryableError: the probe could not be run.
            DriverPermanentError: a node does not exist.
        """
        asked: defaultdict[Driver, list[int]] = defaultdict(list)
        apart = [pair for pair in pairs if self._is_apart(*pair)]
        one_cluster = {pair for pair in apart if self._is_one_cluster(*pair)}
        for number, (a, b) in enumerate(pairs):
            if (a, b) in apart and (a, b) not in one_cluster:
                continue
            for driver in dict.fromkeys(self._of(device) for device in self._told_by(a, b)):
                asked[driver].append(number)
        # Of two hosts of one cluster with different drivers, b's tells whether b is on.
        put = [(b, b) if (a, b) in one_cluster else (a, b) for a, b in pairs]
        answers = await asyncio.gather(
            *(driver.probe([put[n] for n in numbers]) for driver, numbers in asked.items())
        )
        reached = [False] * len(pairs)
        for numbers, said in zip(asked.values(), answers, strict=True):
            for number, does_reach in zip(numbers, said, strict=True):
                reached[number] = reached[number] or does_reach
        return tuple(reached)

    def _is_apart(self, a: Endpoint, b: Endpoint) -> bool:
        """Whether no single driver knows both hosts, so that none can tell whose both are."""
        if self._plane is not Plane.HOST:
            return False
        for end in (a, b):
            self._row(end)
        return self._of(_host(a)) is not self._of(_host(b))

    def _is_one_cluster(self, a: Endpoint, b: Endpoint) -> bool:
        """Whether both slices are one cluster's, by the notes of the drivers."""
        owners = []
        for end in (a, b):
            driver = self._of(_host(end))
            key = f"slot/{end.slot}"
            owners.append(
                driver.owner_of(_host(end), key) if isinstance(driver, TellsOwners) else None
            )
        return owners[0] is not None and owners[0] == owners[1]

    def _told_by(self, a: Endpoint, b: Endpoint) -> Sequence[DeviceId]:
        """Devices whose drivers can tell whether a reaches b."""
        fleet, row_a, row_b = self._fleet, self._row(a), self._row(b)
        match self._plane:
            case Plane.FABRIC:
                names = [f"fabric/{fleet.fabrics.ids[int(fleet.fabric_of_node[row_a])]}"]
            case Plane.IN_BAND:
                names = [f"port/{a.node_id}"]
            case Plane.OUT_OF_BAND:
                names = [f"bmc/{b.node_id}"]
            case Plane.HOST:
                names = [f"host/{b.node_id}"]
            case _:
                site = int(fleet.site_of_node[row_b])
                pools = zip(fleet.storage_pools.ids, fleet.storage_pools.site, strict=True)
                names = [f"pool/{name}" for name, at in pools if int(at) == site]
        return [DeviceId(name) for name in names]

    def _row(self, endpoint: Endpoint) -> int:
        row = self._fleet.nodes.index_of.get(endpoint.node_id)
        if row is None:
            raise DriverPermanentError(
                f"fleet {self._fleet.name!r} has no node {endpoint.node_id!r}"
            )
        return row

    def _of(self, device: DeviceId) -> Driver:
        driver = self._driver_of.get(device)
        if driver is None:
            raise DriverPermanentError(
                f"{device} is no device of plane {self._plane}", device=device
            )
        return driver


def _host(end: Endpoint) -> DeviceId:
    return DeviceId(f"host/{end.node_id}")
