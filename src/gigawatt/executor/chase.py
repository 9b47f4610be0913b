"""The chase of tombstones: what should be gone since operations that have ended is removed again.

In one pass each entry is asked for once, and each device for itself: a BMC that says yes and still
lists the account, or a host that does not go off, takes its own time and nobody else's.
"""

import asyncio
from collections.abc import Collection, Sequence

from gigawatt.errors import StaleGenerationError
from gigawatt.executor.call import Caller
from gigawatt.executor.drift import Place
from gigawatt.executor.executor import Surroundings
from gigawatt.executor.readback import read_back
from gigawatt.executor.together import together
from gigawatt.ids import DeviceId
from gigawatt.interfaces.driver import Fence
from gigawatt.interfaces.store import Tombstone
from gigawatt.planner.plan import make_step

DEVICES_AT_ONCE_MAX = 64
"""Devices that are read back at once, each by itself. Ours: a read may be a process."""


class Chase:
    """The chase of one pass.

    Attributes:
        refused: why an entry was not removed, by its place; such a device is not believed, and not
            asked for it again in this pass.
    """

    def __init__(self, around: Surroundings, caller: Caller) -> None:
        """Nothing was asked for yet."""
        self._around = around
        self._caller = caller
        self._room = asyncio.Semaphore(DEVICES_AT_ONCE_MAX)
        self.refused: dict[Place, str] = {}

    async def run(self) -> None:
        """Remove what is buried, and note what is seen gone."""
        groups: dict[DeviceId, list[Tombstone]] = {}
        for buried in self.buried():
            groups.setdefault(buried.entry.device, []).append(buried)
        await together(self._clear(found) for found in groups.values())

    def buried(self) -> list[Tombstone]:
        """Tombstones of operations that have ended."""
        store = self._around.store
        stored = store.snapshot(self._around.clock.now_s())
        busy = {operation.cluster_id for operation in store.open_operations()}
        return [t for t in stored.tombstones if t.cluster_id not in busy]

    def unexplained(self) -> list[Tombstone]:
        """Those that are left though no device refused: a driver took them for another's."""
        return [t for t in self.buried() if place_of(t) not in self.refused]

    async def observe(self, buried: Collection[Tombstone]) -> None:
        """Read the devices of ``buried`` back, and say in the store what is gone."""
        async with self._room:
            seen = await read_back(
                self._around.drivers, {(t.entry.plane, t.entry.device) for t in buried}
            )
        gone = [
            place_of(t)
            for t in buried
            if t.entry.device in seen.held and t.entry.key not in seen.held[t.entry.device]
        ]
        if gone:
            self._around.store.observe_absent(gone, self._around.clock.now_s())

    async def _clear(self, buried: Sequence[Tombstone]) -> None:
        """Clear one device of what is buried on it."""
        await together(self._remove(one) for one in buried)
        await self.observe(buried)

    async def _remove(self, buried: Tombstone) -> None:
        entry = buried.entry
        step = make_step("remove", entry.plane, entry.device, [entry], None)
        try:
            outcome = await self._caller.call(step, Fence(buried.cluster_id, buried.generation))
        except StaleGenerationError:
            return
        self._around.watch.call_ended(None, outcome)
        if outcome.state == "failed":
            self.refused[place_of(buried)] = outcome.detail


def place_of(buried: Tombstone) -> Place:
    """Where the entry is that shall be gone."""
    return buried.entry.device, buried.entry.key
