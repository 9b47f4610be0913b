"""The storage plane's driver over any engines."""

from collections.abc import Mapping

from gigawatt.drivers.fenced import FencedDriver
from gigawatt.drivers.ledger import Ledger
from gigawatt.drivers.opening import Opening
from gigawatt.drivers.storage.component import PoolComponent
from gigawatt.drivers.storage.engine import PoolEngine
from gigawatt.drivers.storage.networks import Networks
from gigawatt.errors import InputError
from gigawatt.ids import ClusterId, DeviceId, StoragePoolId
from gigawatt.interfaces.object_doors import ObjectDoor, ObjectKey


class StorageDriver(FencedDriver):
    """``Driver`` of storage pools. Probes need ``know_networks`` first."""

    def __init__(self, pools: PoolComponent, ledger: Ledger) -> None:
        """Serve ``pools``; whose is what is noted in ``ledger``."""
        super().__init__(pools, ledger)
        self._pools = pools

    def know_networks(self, networks: Networks) -> None:
        """Say where to read in which in-band network a host is."""
        self._pools.networks = networks

    async def object_door(self, device: DeviceId, filesystem: int) -> ObjectDoor | None:
        """See ``ObjectDoors.object_door``.

        Raises:
            DriverRetryableError: the engine does not answer.
            DriverPermanentError: a command failed, or there is no such pool.
        """
        doors = self._pools.doors(device)
        return None if doors is None else await doors.door(filesystem)

    async def new_object_key(
        self, device: DeviceId, filesystem: int, owner: ClusterId
    ) -> ObjectKey | None:
        """See ``ObjectDoors.new_object_key``; in turn with all that changes the pool.

        Raises:
            DriverRetryableError: the engine does not answer.
            DriverPermanentError: there is no such file system of this owner.
        """
        doors = self._pools.doors(device)
        if doors is None:
            return None
        async with self._ledger.turn(device):
            quota_bytes = await self._pools.quota_of(device, filesystem, owner)
            return await doors.new_key(filesystem, quota_bytes)

    async def shut_object_door(self, device: DeviceId, filesystem: int, owner: ClusterId) -> None:
        """See ``ObjectDoors.shut_object_door``; in turn with all that changes the pool.

        Raises:
            DriverRetryableError: the engine does not answer, or not all is gone.
            DriverPermanentError: there is no such file system of this owner.
        """
        doors = self._pools.doors(device)
        if doors is None:
            return
        async with self._ledger.turn(device):
            await self._pools.quota_of(device, filesystem, owner)
            await doors.shut(filesystem)


def open_storage(engines: Mapping[StoragePoolId, PoolEngine], opening: Opening) -> StorageDriver:
    """A driver over ``engines``.

    Raises:
        InputError: the fleet has no such pool.
    """
    pools = opening.fleet.storage_pools
    for pool_id in engines:
        if pool_id not in pools.index_of:
            raise InputError(
                f"fleet {opening.fleet.name!r} has no storage pool {pool_id!r},"
                f" it has {', '.join(pools.ids)}",
                next_step="Correct the storage plane in the site file.",
            )
    ledger = Ledger(opening.folder, opening.clock)
    return StorageDriver(PoolComponent(opening.fleet, engines), ledger)
