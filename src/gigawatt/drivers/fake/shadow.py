"""A real driver whose doings the fake devices learn too.

The fake planes of a half-real site answer probes from what their world holds, e.g. which cluster
has a host. What a real plane does is therefore repeated there; nobody reads the real plane's
entries back from it.
"""

from collections.abc import Collection, Sequence

from gigawatt.boundary.entries import Entry
from gigawatt.boundary.plane import Plane
from gigawatt.drivers.fake.world import DeviceWorld
from gigawatt.ids import ClusterId, DeviceId
from gigawatt.interfaces.driver import OPERATOR, Driver, Endpoint, Fence, Observation


class ShadowedDriver:
    """``Driver`` over another one, repeated in a world of fake devices."""

    def __init__(self, driver: Driver, world: DeviceWorld) -> None:
        """Do all with ``driver`` and let ``world`` know."""
        self._driver = driver
        self._world = world

    @property
    def real(self) -> Driver:
        """The driver that does it."""
        return self._driver

    @property
    def plane(self) -> Plane:
        """The plane that this driver serves."""
        return self._driver.plane

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
        await self._driver.ensure(device, entries, fence)
        for entry in entries:
            self._world.plant(entry, owner=fence.cluster_id)

    async def remove(self, device: DeviceId, entries: Sequence[Entry], fence: Fence) -> None:
        """See ``Driver.remove``.

        Raises:
            DriverRetryableError: may or may not have happened.
            DriverPermanentError: refused.
            StaleGenerationError: the fence is older than one seen before.
        """
        await self._driver.remove(device, entries, fence)
        held = self._world.look([device])[device].held
        for entry in entries:
            owner = held[entry.key].owner if entry.key in held else None
            if fence.cluster_id == OPERATOR or owner in {None, fence.cluster_id}:
                self._world.uproot(entry)

    async def observe(self, devices: Collection[DeviceId]) -> Observation:
        """See ``Driver.observe``."""
        return await self._driver.observe(devices)

    async def probe(self, pairs: Sequence[tuple[Endpoint, Endpoint]]) -> tuple[bool, ...]:
        """See ``Driver.probe``.

        Raises:
            DriverRetryableError: the probe could not be run.
            DriverPermanentError: a node does not exist.
        """
        return await self._driver.probe(pairs)
