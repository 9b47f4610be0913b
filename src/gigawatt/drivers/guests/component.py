"""Slices of hypervisors as guests: what ``drivers.fenced`` needs to drive them.

A slice that is held and off is a definition without devices and has no files. Its definition is
the last thing that goes: until the slice was cleaned it says whose tenant ran there, so nothing
that dies in between gives a slice away that is not clean.
"""

from collections.abc import Collection, Mapping, Sequence

from gigawatt.boundary.entries import Entry, HostSlice
from gigawatt.boundary.plane import Plane
from gigawatt.drivers.fenced import Entries, HasNoFiles, SeesNoNics
from gigawatt.drivers.guests.rules import refuses_slices
from gigawatt.drivers.guests.shares import Attachment
from gigawatt.drivers.guests.slots import Slots
from gigawatt.drivers.guests.virtual_machines import owner_of
from gigawatt.drivers.storage.networks import Networks
from gigawatt.errors import DriverError, DriverPermanentError, DriverRetryableError
from gigawatt.fleet.model import Fleet
from gigawatt.ids import ClusterId, DeviceId, NodeId
from gigawatt.interfaces.driver import Endpoint


class Guests(HasNoFiles, SeesNoNics):
    """``drivers.fenced.Component`` over hypervisors."""

    def __init__(
        self, fleet: Fleet, slots_of: Mapping[DeviceId, Slots], *, has_whole_nodes: bool
    ) -> None:
        """Serve the hypervisors of ``slots_of``, by device."""
        self._fleet = fleet
        self._slots_of = slots_of
        self._has_whole_nodes = has_whole_nodes
        self.networks: Networks | None = None

    @property
    def plane(self) -> Plane:
        """The host plane."""
        return Plane.HOST

    def knows(self, device: DeviceId) -> bool:
        """Whether it is one of the hypervisors."""
        return device in self._slots_of

    def refuses(
        self, device: DeviceId, held: Entries, wanted: Entries, owners: Mapping[str, ClusterId]
    ) -> str | None:
        """See ``drivers.fenced.Component``: GPUs twice, images and hosts that are not there."""
        del owners
        hypervisor = self._slots_of[device].hypervisor
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
        slots = self._slots_of[device]
        tried: list[HostSlice] = []
        try:
            for entry in wanted.values():
                assert isinstance(entry, HostSlice), "a host holds slices only"
                attachment = await self._attachment(device, entry)
                tried.append(entry)
                await slots.make(entry, cluster_id, attachment)
        except DriverPermanentError as error:
            try:
                for entry in reversed(tried):
                    await _undo(slots, entry, held.get(entry.key), cluster_id)
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
        slots = self._slots_of[device]
        for entry in leaving.values():
            assert isinstance(entry, HostSlice), "a host holds slices only"
            await slots.clear(entry.slot)

    async def look(self, device: DeviceId, noted: Entries) -> Collection[Entry]:
        """See ``drivers.fenced.Component``; all of it from libvirt."""
        del noted
        slots = self._slots_of[device]
        return [slots.entry_of(vm) for vm in (await slots.read()).values()]

    async def probe(self, pairs: Sequence[tuple[Endpoint, Endpoint]]) -> tuple[bool, ...]:
        """For each pair whether b runs and a and b are slices of one cluster.

        Raises:
            DriverRetryableError: libvirt does not answer.
            DriverPermanentError: a node does not exist.
        """
        seen = {}
        for node_id in {endpoint.node_id for pair in pairs for endpoint in pair}:
            slots = self._slots_of.get(self._device(node_id))
            seen[node_id] = {} if slots is None else await slots.read()

        def reaches(a: Endpoint, b: Endpoint) -> bool:
            owner = owner_of(seen[a.node_id].values(), a.slot)
            runs = any(slot == b.slot and vm.power == "on" for slot, vm in seen[b.node_id].items())
            return (
                runs and owner is not None and owner == owner_of(seen[b.node_id].values(), b.slot)
            )

        return tuple(reaches(a, b) for a, b in pairs)

    async def _attachment(self, device: DeviceId, entry: HostSlice) -> Attachment | None:
        """What a guest for ``entry`` may mount now, by the network that its port is in.

        Raises:
            DriverRetryableError: the port does not answer, or is in no network yet.
        """
        pools = self._slots_of[device].hypervisor.settings.storage_pools
        if entry.power == "off" or not pools:
            return None
        assert self.networks is not None, "who has storage pools is told of networks"
        vni = await self.networks.vni_of(Endpoint(entry.node_id, entry.slot))
        if vni is None:
            raise DriverRetryableError(
                f"{device}: slot {entry.slot} is in no in-band network, so nobody knows what its"
                " guest may mount",
                device=device,
                next_step="Connect its port first; then try again.",
            )
        return Attachment(vni, tuple(sorted(pools)))

    def _device(self, node_id: NodeId) -> DeviceId:
        if node_id not in self._fleet.nodes.index_of:
            raise DriverPermanentError(f"fleet {self._fleet.name!r} has no node {node_id!r}")
        return DeviceId(f"host/{node_id}")


async def _undo(
    slots: Slots, entry: HostSlice, before: Entry | None, cluster_id: ClusterId
) -> None:
    """Put back what a slot held; what it came to hold meanwhile is cleaned away.

    A guest that ran is not started again: its disk is gone. Its slice is held, and off.
    """
    if isinstance(before, HostSlice) and before.image:
        await slots.make_idle(before, cluster_id)
    else:
        await slots.clear(entry.slot)
