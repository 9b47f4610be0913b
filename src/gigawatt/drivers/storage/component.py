"""The storage plane as a component: any engines, one for each pool, changed all or nothing."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence

from gigawatt.boundary.entries import Entry, Export, FileSystem, FileUsage
from gigawatt.boundary.plane import Plane
from gigawatt.drivers.fenced import Entries, SeesNoNics
from gigawatt.drivers.storage import rules
from gigawatt.drivers.storage.engine import Doors, HasDoors, PoolEngine, PoolState
from gigawatt.drivers.storage.networks import Networks
from gigawatt.drivers.storage.probing import Prober
from gigawatt.errors import DriverError, DriverPermanentError, DriverRetryableError
from gigawatt.fleet.model import Fleet
from gigawatt.ids import ClusterId, DeviceId, StoragePoolId
from gigawatt.interfaces.driver import Endpoint

Undo = Callable[[], Awaitable[None]]


class PoolComponent(SeesNoNics):
    """``Component`` of storage pools."""

    def __init__(self, fleet: Fleet, engines: Mapping[StoragePoolId, PoolEngine]) -> None:
        """Serve the pools of ``engines``, all of which the fleet has."""
        self._fleet = fleet
        self._engines = {DeviceId(f"pool/{pool_id}"): e for pool_id, e in engines.items()}
        self._seen: dict[DeviceId, PoolState] = {}
        self.networks: Networks | None = None

    @property
    def plane(self) -> Plane:
        """Storage."""
        return Plane.STORAGE

    def knows(self, device: DeviceId) -> bool:
        """See ``Component.knows``."""
        return device in self._engines

    def refuses(
        self, device: DeviceId, held: Entries, wanted: Entries, owners: Mapping[str, ClusterId]
    ) -> str | None:
        """See ``Component.refuses``; by the pool as the look before this call saw it."""
        del held
        pools = self._fleet.storage_pools
        row = pools.index_of[device.partition("/")[2]]
        return rules.refuses(self._seen[device], wanted, owners, int(pools.capacity_bytes[row]))

    def refuses_removal(self, device: DeviceId, held: Entries, leaving: Entries) -> str | None:
        """See ``Component.refuses_removal``."""
        del held
        return rules.refuses_removal(self._seen[device], leaving)

    async def look(self, device: DeviceId, noted: Entries) -> Collection[Entry]:
        """See ``Component.look``; all of it is read from the pool.

        Raises:
            DriverError: it does not answer.
        """
        del noted
        try:
            state = await self._engines[device].read()
        except DriverPermanentError as error:
            # A read that fails refuses nothing: it says that nothing is known.
            raise DriverRetryableError(
                str(error), device=device, next_step=error.next_step
            ) from error
        self._seen[device] = state
        return _entries(StoragePoolId(device.partition("/")[2]), state)

    async def put(
        self, device: DeviceId, held: Entries, wanted: Entries, cluster_id: ClusterId
    ) -> None:
        """See ``Component.put``: file systems first, exports last.

        Raises:
            DriverRetryableError: may or may not have happened.
            DriverPermanentError: refused; the pool is as it was.
        """
        engine, undo = self._engines[device], list[Undo]()
        try:
            for entry in sorted(wanted.values(), key=_files_first):
                await _put_one(engine, held.get(entry.key), entry, cluster_id, undo)
            await self._verify(device, wanted)
        except DriverError as error:
            raise await _undone(device, error, undo) from error

    async def take(self, device: DeviceId, leaving: Entries) -> None:
        """See ``Component.take``: exports first, then file systems with their data.

        Raises:
            DriverRetryableError: may or may not have happened.
            DriverPermanentError: refused.
        """
        engine = self._engines[device]
        for entry in sorted(leaving.values(), key=_files_first, reverse=True):
            if isinstance(entry, Export):
                await engine.shut_out(entry.filesystem, entry.vni)
            elif isinstance(entry, FileSystem):
                await engine.delete(entry.filesystem)
        still = {entry.key for entry in await self.look(device, {})} & leaving.keys()
        if still:
            raise DriverRetryableError(f"{device} still has {min(still)}", device=device)

    async def file_usage(self, devices: Collection[DeviceId]) -> tuple[FileUsage, ...]:
        """See ``Component.file_usage``: what the look of the same observation read."""
        return tuple(
            FileUsage(StoragePoolId(device.partition("/")[2]), number, there.used_bytes)
            for device in devices
            for number, there in sorted(self._seen[device].files.items())
        )

    async def probe(self, pairs: Sequence[tuple[Endpoint, Endpoint]]) -> tuple[bool, ...]:
        """See ``Driver.probe``; really mounts.

        Raises:
            DriverRetryableError: the probe could not be run.
            DriverPermanentError: a node does not exist.
        """
        if not pairs:
            return ()
        if self.networks is None:
            raise DriverRetryableError(
                "nobody said in which in-band network a host is, so no mount can be tried for it",
                next_step="Give the storage driver the in-band plane's driver.",
            )
        prober = Prober(self._fleet, self._engines, self.networks)
        return tuple([await prober.reaches(a, b) for a, b in pairs])

    def doors(self, device: DeviceId) -> Doors | None:
        """Doors for objects of a pool; None where its engine has none.

        Raises:
            DriverPermanentError: there is no such pool.
        """
        engine = self._engines.get(device)
        if engine is None:
            raise DriverPermanentError(f"{device} is no pool of this driver", device=device)
        return engine.objects if isinstance(engine, HasDoors) else None

    async def quota_of(self, device: DeviceId, filesystem: int, owner: ClusterId) -> int:
        """Quota of a file system in bytes, read now.

        Raises:
            DriverRetryableError: the pool does not answer.
            DriverPermanentError: the owner has no such file system.
        """
        await self.look(device, {})
        there = self._seen[device].files.get(filesystem)
        if there is None or there.owner != owner:
            raise DriverPermanentError(
                f"{device} has no filesystem {filesystem} of {owner}", device=device
            )
        return there.quota_bytes

    async def _verify(self, device: DeviceId, wanted: Entries) -> None:
        there = {entry.key: entry for entry in await self.look(device, {})}
        for key, entry in wanted.items():
            if there.get(key) != entry:
                raise DriverRetryableError(
                    f"{device}: {key} reads back as {there.get(key)}, wanted {entry}", device=device
                )


def _entries(pool_id: StoragePoolId, state: PoolState) -> tuple[Entry, ...]:
    files = [FileSystem(pool_id, n, f.path, f.quota_bytes) for n, f in state.files.items()]
    return (*files, *(Export(pool_id, number, vni) for number, vni in state.exports))


def _files_first(entry: Entry) -> bool:
    return isinstance(entry, Export)


async def _put_one(
    engine: PoolEngine, old: Entry | None, new: Entry, cluster_id: ClusterId, undo: list[Undo]
) -> None:
    """Bring one entry about, and note how it is taken back even if only half of it comes about."""
    match new:
        case Export():
            undo.append(lambda: engine.shut_out(new.filesystem, new.vni))
            await engine.let_in(new.filesystem, new.vni)
        case FileSystem() if isinstance(old, FileSystem):
            former_bytes = old.quota_bytes
            if former_bytes:
                undo.append(lambda: engine.resize(new.filesystem, former_bytes))
            await engine.resize(new.filesystem, new.quota_bytes)
        case FileSystem():
            undo.append(lambda: engine.delete(new.filesystem))
            await engine.make(new, cluster_id)
        case _:
            raise AssertionError(f"{new.key} was not refused")


async def _undone(device: DeviceId, error: DriverError, undo: list[Undo]) -> DriverError:
    """What to raise: of the same kind if all is as it was, else that nobody knows."""
    try:
        for step in reversed(undo):
            await step()
    except DriverError as second:
        return DriverRetryableError(
            f"{error}; nor was it taken back: {second}", device=device, next_step=error.next_step
        )
    return type(error)(f"{error}; all was taken back", device=device, next_step=error.next_step)
