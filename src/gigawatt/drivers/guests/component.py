"""Slices of hypervisors as guests: what ``drivers.fenced`` needs to drive them.

A slice that is held and off is a definition without devices and has no files. Its definition is
the last thing that goes: until the slice was cleaned it says whose tenant ran there, so nothing
that dies in between gives a slice away that is not clean.
"""

from collections.abc import Collection, Mapping, Sequence

from gigawatt.boundary.entries import Entry, FileUsage, HostSlice, PortLocation
from gigawatt.boundary.plane import Plane
from gigawatt.drivers.fenced import Entries
from gigawatt.drivers.guests.domains import owner_of
from gigawatt.drivers.guests.machine import Machines
from gigawatt.drivers.guests.rules import refuses_slices
from gigawatt.errors import DriverError, DriverPermanentError, DriverRetryableError
from gigawatt.fleet.model import Fleet
from gigawatt.ids import ClusterId, DeviceId, NodeId
from gigawatt.interfaces.driver import Endpoint


class Guests:
    """``drivers.fenced.Component`` over hypervisors."""

    def __init__(
        self, fleet: Fleet, machines_of: Mapping[DeviceId, Machines], *, has_whole_nodes: bool
    ) -> None:
        """Serve the hypervisors of ``machines_of``, by device."""
        self._fleet = fleet
        self._machines_of = machines_of
        self._has_whole_nodes = has_whole_nodes

    @property
    def plane(self) -> Plane:
        """The host plane."""
        return Plane.HOST

    def knows(self, device: DeviceId) -> bool:
        """Whether it is one of the hypervisors."""
        return device in self._machines_of

    def refuses(
        self, device: DeviceId, held: Entries, wanted: Entries, owners: Mapping[str, ClusterId]
    ) -> str | None:
        """See ``drivers.fenced.Component``: GPUs twice, images and hosts that are not there."""
        del owners
        hypervisor = self._machines_of[device].hypervisor
        return refuses_slices(hypervisor, held, wanted, has_whole_nodes=self._has_whole_nodes)

    def refuses_removal(self, device: DeviceId, held: Entries, leaving: Entries) -> str | None:
        """Nothing: any slice may go."""
        del device, held, leaving
        return None

    async def put(
        self, device: DeviceId, held: Entries, wanted: Entries, cluster_id: ClusterId
    ) -> None:
        """See ``drivers.fenced.Component``.

        Raises:
            DriverRetryableError: libvirt did not answer, or the undo failed too.
            DriverPermanentError: refused; what was there is there again.
        """
        machines = self._machines_of[device]
        tried: list[HostSlice] = []
        try:
            for entry in wanted.values():
                assert isinstance(entry, HostSlice), "a host holds slices only"
                tried.append(entry)
                await machines.make(entry, cluster_id)
        except DriverPermanentError as error:
            try:
                for entry in reversed(tried):
                    await _undo(machines, entry, held.get(entry.key), cluster_id)
            except DriverError as second:
                raise DriverRetryableError(
                    f"{device}: {error}; and it could not be undone: {second}",
                    device=device,
                    next_step=error.next_step,
                ) from error
            raise

    async def take(self, device: DeviceId, leaving: Entries) -> None:
        """See ``drivers.fenced.Component``.

        Raises:
            DriverRetryableError: libvirt did not answer.
            DriverPermanentError: a slice was not cleaned; it stays held.
        """
        machines = self._machines_of[device]
        for entry in leaving.values():
            assert isinstance(entry, HostSlice), "a host holds slices only"
            await machines.clear(entry.slot)

    async def look(self, device: DeviceId, noted: Entries) -> Collection[Entry]:
        """See ``drivers.fenced.Component``; all of it from libvirt."""
        del noted
        machines = self._machines_of[device]
        return [machines.entry_of(domain) for domain in (await machines.read()).values()]

    async def file_usage(self, devices: Collection[DeviceId]) -> tuple[FileUsage, ...]:
        """None: hosts have no file systems of clusters."""
        del devices
        return ()

    async def port_locations(self, devices: Collection[DeviceId]) -> tuple[PortLocation, ...]:
        """None: hosts see no fabric."""
        del devices
        return ()

    async def probe(self, pairs: Sequence[tuple[Endpoint, Endpoint]]) -> tuple[bool, ...]:
        """For each pair whether b runs and a and b are slices of one cluster.

        Raises:
            DriverRetryableError: libvirt does not answer.
            DriverPermanentError: a node does not exist.
        """
        seen = {}
        for node_id in {endpoint.node_id for pair in pairs for endpoint in pair}:
            machines = self._machines_of.get(self._device(node_id))
            seen[node_id] = {} if machines is None else await machines.read()

        def reaches(a: Endpoint, b: Endpoint) -> bool:
            owner = owner_of(seen[a.node_id].values(), a.slot)
            runs = any(
                slot == b.slot and domain.power == "on" for slot, domain in seen[b.node_id].items()
            )
            return (
                runs and owner is not None and owner == owner_of(seen[b.node_id].values(), b.slot)
            )

        return tuple(reaches(a, b) for a, b in pairs)

    def _device(self, node_id: NodeId) -> DeviceId:
        if node_id not in self._fleet.nodes.index_of:
            raise DriverPermanentError(f"fleet {self._fleet.name!r} has no node {node_id!r}")
        return DeviceId(f"host/{node_id}")


async def _undo(
    machines: Machines, entry: HostSlice, before: Entry | None, cluster_id: ClusterId
) -> None:
    """Put back what a slot held; what it came to hold meanwhile is cleaned away.

    A guest that ran is not started again: its disk is gone. Its slice is held, and off.
    """
    if isinstance(before, HostSlice) and before.image:
        await machines.make_idle(before, cluster_id)
    else:
        await machines.clear(entry.slot)
