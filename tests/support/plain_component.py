"""A component that only holds what it is told, for ``FencedDriver``: no owners, no generations.

What it refuses is asked of the rules of the fake devices; it fails when a test says so.
"""

from collections.abc import Collection, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field

from gigawatt.boundary.entries import Entry, FileUsage, PortLocation
from gigawatt.boundary.plane import Plane
from gigawatt.drivers.fake.places import PLANE_OF_CLASS, Places
from gigawatt.drivers.fake.rules import refuses_ensure, refuses_remove
from gigawatt.drivers.fake.state import DeviceState, Held
from gigawatt.drivers.fenced import Entries
from gigawatt.errors import DriverError, DriverPermanentError
from gigawatt.fleet.model import Fleet
from gigawatt.ids import ClusterId, DeviceId, FabricId
from gigawatt.interfaces.driver import Endpoint


@dataclass
class Trouble:
    """What goes wrong at the next changes.

    Fields: errors are raised one by one, None for none; is_done_first tells whether the change
    was made when the error comes (an answer that was lost).
    """

    errors: list[Exception | None] = field(default_factory=list)
    is_done_first: bool = False

    def next(self) -> Exception | None:
        return self.errors.pop(0) if self.errors else None


class PlainComponent:
    """All devices of one plane of a fleet, by key; ``content`` outlives its drivers."""

    def __init__(
        self, plane: Plane, fleet: Fleet, content: dict[DeviceId, dict[str, Entry]] | None = None
    ) -> None:
        self.plane = plane
        self.places = Places(fleet)
        self.content = {} if content is None else content
        self.trouble = Trouble()
        self.unreachable: set[DeviceId] = set()
        self.changes: list[tuple[str, DeviceId, tuple[str, ...]]] = []

    def knows(self, device: DeviceId) -> bool:
        kind = device.partition("/")[0]
        return PLANE_OF_CLASS.get(kind) is self.plane and self.places.row(device) is not None

    def refuses(
        self, device: DeviceId, held: Entries, wanted: Entries, owners: Mapping[str, ClusterId]
    ) -> str | None:
        state = DeviceState()
        for key, entry in held.items():
            state._put(key, Held(entry, owners.get(key)))
        cluster_id = owners[next(iter(wanted))] if wanted else ClusterId("nobody")
        return refuses_ensure(self.places, device, state, dict(wanted), cluster_id)

    def refuses_removal(self, device: DeviceId, held: Entries, leaving: Entries) -> str | None:
        del device
        state = DeviceState({key: Held(entry, None) for key, entry in held.items()})
        return refuses_remove(state, frozenset(leaving))

    async def put(
        self, device: DeviceId, held: Entries, wanted: Entries, cluster_id: ClusterId
    ) -> None:
        del held, cluster_id
        self._change("put", device, wanted, {**self.content.get(device, {}), **wanted})

    async def take(self, device: DeviceId, leaving: Entries) -> None:
        now = self.content.get(device, {})
        kept = {key: entry for key, entry in now.items() if key not in leaving}
        self._change("take", device, leaving, kept)

    def _change(self, word: str, device: DeviceId, some: Entries, after: dict[str, Entry]) -> None:
        error = self.trouble.next()
        is_done = error is None or self.trouble.is_done_first
        if is_done and not isinstance(error, DriverPermanentError):
            self.changes.append((word, device, tuple(some)))
            self.content[device] = after
        if error is not None:
            raise error

    async def look(self, device: DeviceId, noted: Entries) -> Collection[Entry]:
        del noted
        if device in self.unreachable:
            raise DriverError(f"{device} does not answer", device=device)
        return tuple(deepcopy(self.content.get(device, {})).values())

    async def file_usage(self, devices: Collection[DeviceId]) -> tuple[FileUsage, ...]:
        del devices
        return ()

    async def port_locations(self, devices: Collection[DeviceId]) -> tuple[PortLocation, ...]:
        kinds = [device.partition("/") for device in devices]
        return tuple(
            at
            for kind, _, name in kinds
            if kind == "fabric"
            for at in self.places.locations(FabricId(name)).values()
        )

    async def probe(self, pairs: Sequence[tuple[Endpoint, Endpoint]]) -> tuple[bool, ...]:
        return (False,) * len(pairs)
