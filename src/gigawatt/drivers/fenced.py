"""The contract of a driver over any component: order, fences, owners, idempotence.

A component says only what it holds and changes it. Everything that is the same for all of them
is here, once: turns among processes, stale generations, keys of others, the operator's hand.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from gigawatt.boundary.entries import Entry, FileUsage, PortLocation
from gigawatt.boundary.plane import Plane
from gigawatt.drivers.ledger import DeviceNote, KeyNote, Ledger
from gigawatt.errors import DriverError, DriverPermanentError, StaleGenerationError
from gigawatt.ids import ClusterId, DeviceId
from gigawatt.interfaces.driver import OPERATOR, Endpoint, Fence, Observation

LOOKS_AT_ONCE_MAX = 16
"""Devices that are read at the same time. Ours: a read may be a process or a connection."""

Entries = Mapping[str, Entry]
"""Entries by key."""


class Component(Protocol):
    """What a plane's component must be able to do; calls on one device come one at a time."""

    @property
    def plane(self) -> Plane:
        """The plane that it belongs to."""
        ...

    def knows(self, device: DeviceId) -> bool:
        """Whether the device is one of its own."""
        ...

    def refuses(
        self, device: DeviceId, held: Entries, wanted: Entries, owners: Mapping[str, ClusterId]
    ) -> str | None:
        """Why ``device``, which holds ``held``, cannot come to hold ``wanted``; None if it can.

        ``owners`` says whose each key of ``held`` and of ``wanted`` is.
        """
        ...

    def refuses_removal(self, device: DeviceId, held: Entries, leaving: Entries) -> str | None:
        """Why ``device`` cannot let go of ``leaving``; None if it can."""
        ...

    async def put(
        self, device: DeviceId, held: Entries, wanted: Entries, cluster_id: ClusterId
    ) -> None:
        """Make the device hold ``wanted`` (what differs from ``held``), all or nothing.

        Raises:
            DriverRetryableError: may or may not have happened.
            DriverPermanentError: refused; the device is as it was.
        """
        ...

    async def take(self, device: DeviceId, leaving: Entries) -> None:
        """Make the device hold none of ``leaving``, which it holds now.

        Raises:
            DriverRetryableError: may or may not have happened.
            DriverPermanentError: refused.
        """
        ...

    async def look(self, device: DeviceId, noted: Entries) -> Collection[Entry]:
        """What the device holds, read now; ``noted`` has what no component can tell.

        A field that the component cannot keep (the name of a secret, the tenant's image) is
        taken from the noted entry of the same key; without a note it is left empty.

        Raises:
            DriverError: it does not answer.
        """
        ...

    async def file_usage(self, devices: Collection[DeviceId]) -> tuple[FileUsage, ...]:
        """Bytes in file systems; empty on other planes."""
        ...

    async def port_locations(self, devices: Collection[DeviceId]) -> tuple[PortLocation, ...]:
        """Where NICs are seen; empty on other planes."""
        ...

    async def probe(self, pairs: Sequence[tuple[Endpoint, Endpoint]]) -> tuple[bool, ...]:
        """See ``Driver.probe``."""
        ...


class FencedDriver:
    """``Driver`` over a component."""

    def __init__(self, component: Component, ledger: Ledger) -> None:
        """Serve ``component``; whose is what is noted in ``ledger``."""
        self._component = component
        self._ledger = ledger

    @property
    def plane(self) -> Plane:
        """The plane that this driver serves."""
        return self._component.plane

    async def ensure(self, device: DeviceId, entries: Sequence[Entry], fence: Fence) -> None:
        """See ``Driver.ensure``.

        Raises:
            DriverRetryableError: may or may not have happened.
            DriverPermanentError: refused.
            StaleGenerationError: the fence is older than one seen before.
        """
        wanted = self._checked(device, entries)
        async with self._ledger.turn(device):
            note = _seen(device, self._ledger.read(device), fence)
            held = await self._look(device, note)
            reason = self._refuses(device, note, held, wanted, fence.cluster_id)
            if reason is not None:
                self._ledger.write(device, note)
                raise _refused(device, reason)
            keys = {key: KeyNote(fence.cluster_id, entry) for key, entry in wanted.items()}
            self._ledger.write(device, replace(note, keys={**note.keys, **keys}))
            missing = {key: entry for key, entry in wanted.items() if held.get(key) != entry}
            if not missing:
                return
            try:
                await self._component.put(device, held, missing, fence.cluster_id)
            except DriverPermanentError:
                self._ledger.write(device, note)
                raise

    async def remove(self, device: DeviceId, entries: Sequence[Entry], fence: Fence) -> None:
        """See ``Driver.remove``.

        Raises:
            DriverRetryableError: may or may not have happened.
            DriverPermanentError: refused.
            StaleGenerationError: the fence is older than one seen before.
        """
        named = self._checked(device, entries)
        async with self._ledger.turn(device):
            note = _seen(device, self._ledger.read(device), fence)
            self._ledger.write(device, note)
            ours = {key for key in named if _may_take(device, note, key, fence)}
            held = await self._look(device, note)
            leaving = {key: entry for key, entry in held.items() if key in ours}
            if leaving:
                reason = self._component.refuses_removal(device, held, leaving)
                if reason is not None:
                    raise _refused(device, reason)
                await self._component.take(device, leaving)
            kept = {key: value for key, value in note.keys.items() if key not in ours}
            if len(kept) < len(note.keys):
                self._ledger.write(device, replace(note, keys=kept))

    async def observe(self, devices: Collection[DeviceId]) -> Observation:
        """See ``Driver.observe``."""
        room = asyncio.Semaphore(LOOKS_AT_ONCE_MAX)

        async def look(device: DeviceId) -> tuple[DeviceId, frozenset[Entry]] | None:
            async with room:
                try:
                    self._checked(device, ())
                    held = await self._look(device, self._ledger.read(device))
                except DriverError:
                    return None
                return device, frozenset(held.values())

        seen = await asyncio.gather(*(look(device) for device in dict.fromkeys(devices)))
        entries = dict(found for found in seen if found is not None)
        return Observation(
            entries,
            frozenset(devices) - entries.keys(),
            await self._component.port_locations(entries.keys()),
            await self._component.file_usage(entries.keys()),
        )

    async def probe(self, pairs: Sequence[tuple[Endpoint, Endpoint]]) -> tuple[bool, ...]:
        """See ``Driver.probe``.

        Raises:
            DriverRetryableError: the probe could not be run.
            DriverPermanentError: a node does not exist.
        """
        return await self._component.probe(pairs)

    def _checked(self, device: DeviceId, entries: Sequence[Entry]) -> dict[str, Entry]:
        if not self._component.knows(device):
            raise DriverPermanentError(
                f"{device} is no device of plane {self.plane}", device=device
            )
        wanted: dict[str, Entry] = {}
        for entry in entries:
            if entry.device != device:
                raise _refused(device, f"{entry.key}: belongs on {entry.device}")
            if wanted.setdefault(entry.key, entry) != entry:
                raise _refused(
                    device, f"{entry.key}: one call names it twice with different content"
                )
        return wanted

    async def _look(self, device: DeviceId, note: DeviceNote) -> dict[str, Entry]:
        noted = {key: kept.entry for key, kept in note.keys.items()}
        return {entry.key: entry for entry in await self._component.look(device, noted)}

    def _refuses(
        self,
        device: DeviceId,
        note: DeviceNote,
        held: Entries,
        wanted: Entries,
        cluster_id: ClusterId,
    ) -> str | None:
        owners = {key: note.keys[key].owner for key in held if key in note.keys}
        for key in wanted:
            if owners.get(key, cluster_id) != cluster_id:
                return f"{key} is held by {owners[key]}"
        owners |= dict.fromkeys(wanted, cluster_id)
        return self._component.refuses(device, held, wanted, owners)


def _seen(device: DeviceId, note: DeviceNote, fence: Fence) -> DeviceNote:
    """The note with this fence in it.

    Raises:
        StaleGenerationError: a newer one was seen.
    """
    newest = note.generations.get(fence.cluster_id)
    if newest is not None and fence.generation < newest:
        raise StaleGenerationError(
            f"{device} has seen generation {newest} of {fence.cluster_id},"
            f" the call has {fence.generation}",
            device=device,
        )
    return replace(note, generations={**note.generations, fence.cluster_id: fence.generation})


def _may_take(device: DeviceId, note: DeviceNote, key: str, fence: Fence) -> bool:
    """Whether the fence may take a key away: its own, nobody's, or, for the operator, any.

    Raises:
        StaleGenerationError: the operator's fence is older than the holder's.
    """
    kept = note.keys.get(key)
    if kept is None or kept.owner == fence.cluster_id:
        return True
    if fence.cluster_id != OPERATOR:
        return False
    newest = note.generations.get(kept.owner, 0)
    if newest > fence.generation:
        raise StaleGenerationError(
            f"{device} holds {key} of {kept.owner} since generation {newest},"
            f" the operator's call has {fence.generation}",
            device=device,
        )
    return True


def _refused(device: DeviceId, reason: str) -> DriverPermanentError:
    return DriverPermanentError(f"{device} refuses: {reason}", device=device)
