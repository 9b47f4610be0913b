"""The contract of a driver over any component: order, fences, owners, idempotence.

A component says only what it holds and changes it. Everything that is the same for all of them
is here, once: turns among processes, stale generations, keys of others, the operator's hand.
"""

import asyncio
from collections.abc import Collection, Coroutine, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from gigawatt.boundary.entries import Entry, FileUsage, PortLocation
from gigawatt.boundary.plane import Plane
from gigawatt.drivers.ledger import DeviceNote, KeyNote, Ledger
from gigawatt.errors import (
    DriverError,
    DriverPermanentError,
    DriverRetryableError,
    StaleGenerationError,
)
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

        ``owners`` says whose each key of ``held`` and of ``wanted`` is; what is not in it is
        nobody's.
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


class HasNoFiles:
    """Of a component without file systems."""

    async def file_usage(self, devices: Collection[DeviceId]) -> tuple[FileUsage, ...]:
        """Nothing."""
        del devices
        return ()


class SeesNoNics:
    """Of a component that cannot tell where the fabric's NICs are."""

    async def port_locations(self, devices: Collection[DeviceId]) -> tuple[PortLocation, ...]:
        """Nothing."""
        del devices
        return ()


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

    def knows(self, device: DeviceId) -> bool:
        """Whether a device is one of the component's own."""
        return self._component.knows(device)

    def owner_of(self, device: DeviceId, key: str) -> ClusterId | None:
        """Whose a key is by our notes; None: nobody's.

        Raises:
            DriverRetryableError: the notes cannot be read.
        """
        kept = self._ledger.read(device).keys.get(key)
        return None if kept is None else kept.owner

    async def ensure(self, device: DeviceId, entries: Sequence[Entry], fence: Fence) -> None:
        """See ``Driver.ensure``.

        Raises:
            DriverRetryableError: may or may not have happened.
            DriverPermanentError: refused.
            StaleGenerationError: the fence is older than one seen before.
        """
        self._check(device, entries)
        wanted = {entry.key: entry for entry in entries}
        twice = next((entry.key for entry in entries if wanted[entry.key] != entry), None)
        async with self._ledger.turn(device):
            note = self._fenced(device, fence)
            held = await self._look_now(device, _surely(note))
            reason = self._refuses(device, note, held, wanted, fence.cluster_id)
            if twice is not None:
                reason = f"{twice}: one call names it twice with different content"
            if reason is not None:
                raise _refused(device, reason)
            keys = {key: KeyNote(fence.cluster_id, entry) for key, entry in wanted.items()}
            missing = {key: entry for key, entry in wanted.items() if held.get(key) != entry}
            sure = replace(note, keys={**note.keys, **keys}, unsure=note.unsure.difference(wanted))
            if missing:
                # Noted before it is done: a crash must not leave keys that are nobody's.
                unsure = note.unsure.union(missing)
                self._ledger.write(device, replace(sure, unsure=unsure))
                try:
                    await _to_the_end(self._component.put(device, held, missing, fence.cluster_id))
                except DriverPermanentError:
                    self._ledger.write(device, note)
                    raise
            if sure != note or missing:
                self._ledger.write(device, sure)

    async def remove(self, device: DeviceId, entries: Sequence[Entry], fence: Fence) -> None:
        """See ``Driver.remove``.

        Raises:
            DriverRetryableError: may or may not have happened.
            DriverPermanentError: refused.
            StaleGenerationError: the fence is older than one seen before.
        """
        self._check(device, entries)
        named = {entry.key for entry in entries}
        async with self._ledger.turn(device):
            note = self._fenced(device, fence)
            held = await self._look_now(device, _noted(note))
            leaving = {
                key: entry
                for key, entry in held.items()
                if key in named and _may_take(device, note, key, fence)
            }
            if leaving:
                reason = self._component.refuses_removal(device, held, leaving)
                if reason is not None:
                    raise _refused(device, reason)
                await _to_the_end(self._component.take(device, leaving))
            gone = leaving.keys() | {
                key
                for key in named & note.keys.keys() - held.keys()
                if fence.cluster_id in {OPERATOR, note.keys[key].owner}
            }
            kept = {key: value for key, value in note.keys.items() if key not in gone}
            after = replace(note, keys=kept, unsure=note.unsure.difference(gone))
            if after != note:
                self._ledger.write(device, after)

    async def observe(self, devices: Collection[DeviceId]) -> Observation:
        """See ``Driver.observe``."""
        room = asyncio.Semaphore(LOOKS_AT_ONCE_MAX)

        async def look(device: DeviceId) -> tuple[DeviceId, frozenset[Entry]] | None:
            async with room:
                try:
                    self._check(device, ())
                    note = self._ledger.read(device)
                    held = await self._component.look(device, _surely(note))
                except DriverError:
                    return None
                return device, frozenset(held)

        seen = await asyncio.gather(*(look(device) for device in dict.fromkeys(devices)))
        entries = dict(found for found in seen if found is not None)
        try:
            locations = await self._component.port_locations(entries.keys())
            usage = await self._component.file_usage(entries.keys())
        except DriverError:
            return Observation(unreachable=frozenset(devices))
        return Observation(entries, frozenset(devices) - entries.keys(), locations, usage)

    async def probe(self, pairs: Sequence[tuple[Endpoint, Endpoint]]) -> tuple[bool, ...]:
        """See ``Driver.probe``.

        Raises:
            DriverRetryableError: the probe could not be run.
            DriverPermanentError: a node does not exist.
        """
        return await self._component.probe(pairs)

    def _check(self, device: DeviceId, entries: Sequence[Entry]) -> None:
        if not self._component.knows(device):
            raise DriverPermanentError(
                f"{device} is no device of plane {self.plane}", device=device
            )
        for entry in entries:
            if entry.device != device:
                raise _refused(device, f"{entry.key}: belongs on {entry.device}")

    def _fenced(self, device: DeviceId, fence: Fence) -> DeviceNote:
        """The note, with this fence in it; it counts whatever becomes of the call."""
        before = self._ledger.read(device)
        note = _seen(device, before, fence)
        if note != before:
            self._ledger.write(device, note)
        return note

    async def _look_now(self, device: DeviceId, noted: Entries) -> dict[str, Entry]:
        try:
            return {entry.key: entry for entry in await self._component.look(device, noted)}
        except (DriverRetryableError, DriverPermanentError):
            raise
        except DriverError as error:
            raise DriverRetryableError(
                str(error), device=device, next_step=error.next_step
            ) from error

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


def _noted(note: DeviceNote) -> Entries:
    return {key: kept.entry for key, kept in note.keys.items()}


def _surely(note: DeviceNote) -> Entries:
    """What is noted of keys, but for those of which only a try is noted.

    What a component cannot tell of these is then empty and differs from all that is wanted.
    """
    return {key: entry for key, entry in _noted(note).items() if key not in note.unsure}


async def _to_the_end(change: Coroutine[Any, Any, None]) -> None:
    """Await a change, and if the caller is cancelled await it still: one's turn lasts as long.

    A thread or a process goes on when the task that waits for it is cancelled.
    """
    task = asyncio.ensure_future(change)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        if not task.cancelled():
            task.exception()
        raise


def _refused(device: DeviceId, reason: str) -> DriverPermanentError:
    return DriverPermanentError(f"{device} refuses: {reason}", device=device)
