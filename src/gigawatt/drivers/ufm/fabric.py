"""One InfiniBand fabric under UFM (ADR-0039): told by REST, believed by its ports."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence

from gigawatt.boundary.entries import (
    DEFAULT_P_KEY,
    Entry,
    Membership,
    PartitionMember,
    PortLocation,
)
from gigawatt.boundary.plane import Plane
from gigawatt.drivers.fenced import Entries, HasNoFiles
from gigawatt.drivers.opensm.fabric_ports import FabricPorts
from gigawatt.drivers.opensm.partitions_conf import IbPartition, IbPartitions
from gigawatt.drivers.opensm.probing import Paths, reaches
from gigawatt.drivers.opensm.rules import P_KEYS_PER_PORT_MAX, refuses_entries
from gigawatt.drivers.opensm.sweeping import wrong_ports
from gigawatt.drivers.ufm.client import UfmClient
from gigawatt.errors import DriverError, DriverPermanentError, DriverRetryableError
from gigawatt.fleet.model import Fleet
from gigawatt.ids import ClusterId, DeviceId, FabricId
from gigawatt.interfaces.clock import Clock
from gigawatt.interfaces.driver import Endpoint

POLL_S = 0.05

Listing = dict[int, dict[int, Membership]]
"""Memberships by P_Key and port GUID, as UFM lists them."""

Change = tuple[Listing, Listing, set[int]]
"""What UFM listed before, what it shall list, and the ports of which that is told."""


class UfmFabric(HasNoFiles):
    """``Component`` of one fabric under UFM."""

    def __init__(
        self,
        fleet: Fleet,
        fabric_id: FabricId,
        client: UfmClient,
        ports: FabricPorts,
        clock: Clock,
        change_s_max: float,
    ) -> None:
        """Serve ``fabric_id``; without subnets in ``ports`` UFM's own record is believed."""
        self._fleet = fleet
        self._fabric_id = fabric_id
        self._device = DeviceId(f"fabric/{fabric_id}")
        self._client = client
        self._ports = ports
        self._clock = clock
        self._change_s_max = change_s_max
        row = fleet.fabrics.index_of[fabric_id]
        on_it = fleet.fabric_of_node[fleet.nics.node] == row
        self._guids = frozenset(fleet.nics.guid[on_it].tolist())

    @property
    def plane(self) -> Plane:
        """The compute fabric."""
        return Plane.FABRIC

    def close(self) -> None:
        """End the processes that read the subnets."""
        self._ports.close()

    def knows(self, device: DeviceId) -> bool:
        """Whether the device is this fabric."""
        return device == self._device

    def refuses(
        self, device: DeviceId, held: Entries, wanted: Entries, owners: Mapping[str, ClusterId]
    ) -> str | None:
        """Why the fabric cannot come to hold ``wanted``; None if it can."""
        reason = refuses_entries(device, tuple(wanted.values()))
        if reason is not None:
            return reason
        owner_of_p_key = {
            entry.p_key: (owners[key], key)
            for key, entry in held.items()
            if isinstance(entry, PartitionMember) and key in owners and key not in wanted
        }
        counts: dict[int, int] = {}
        for entry in {**held, **wanted}.values():
            if isinstance(entry, PartitionMember) and entry.p_key != DEFAULT_P_KEY:
                counts[entry.guid] = counts.get(entry.guid, 1) + 1
        for key, entry in wanted.items():
            assert isinstance(entry, PartitionMember), "refused above"
            if not 1 <= entry.p_key < DEFAULT_P_KEY:
                return f"{key}: P_Key is {entry.p_key:#06x}, wanted 0x0001 to 0x7ffe"
            if entry.guid not in self._guids:
                return f"{key}: {entry.fabric_id} has no NIC {entry.guid:#018x}"
            owner, _ = owner_of_p_key.get(entry.p_key, (owners[key], key))
            if owner != owners[key]:
                return f"{key}: partition {entry.p_key:#06x} is held by {owner}"
            if key not in held and counts[entry.guid] > P_KEYS_PER_PORT_MAX:
                return f"P_Key table of {entry.guid:#018x} is full ({P_KEYS_PER_PORT_MAX})"
        return None

    def refuses_removal(self, device: DeviceId, held: Entries, leaving: Entries) -> str | None:
        """Never: a port can always leave a partition."""
        return None

    async def put(
        self,
        device: DeviceId,
        held: Entries,
        wanted: Entries,
        cluster_id: ClusterId,
    ) -> None:
        """See ``Component.put``; one list of ports for each P_Key.

        Raises:
            DriverRetryableError: may or may not have happened.
            DriverPermanentError: refused; the fabric is as it was.
        """
        await self._refuse_absent({e.guid for e in _members_of(wanted)})
        before = await self._client.ib_partitions()
        after = {p_key: dict(members) for p_key, members in before.items()}
        fresh: Listing = {}
        for entry in _members_of(wanted):
            after.setdefault(entry.p_key, {})[entry.guid] = entry.membership
            fresh.setdefault(entry.p_key, {})[entry.guid] = entry.membership
        guids = {entry.guid for entry in _members_of(wanted)}
        await self._change((before, after, guids), fresh, self._client.add)

    async def take(self, device: DeviceId, leaving: Entries) -> None:
        """See ``Component.take``.

        Raises:
            DriverRetryableError: may or may not have happened.
            DriverPermanentError: refused.
        """
        before = await self._client.ib_partitions()
        after = {p_key: dict(members) for p_key, members in before.items()}
        for entry in _members_of(leaving):
            after.get(entry.p_key, {}).pop(entry.guid, None)
        touched = {entry.p_key: after.get(entry.p_key, {}) for entry in _members_of(leaving)}
        guids = {entry.guid for entry in _members_of(leaving)}
        await self._change((before, after, guids), touched, self._client.set)

    async def look(self, device: DeviceId, noted: Entries) -> Collection[Entry]:
        """What ports hold, or UFM lists.

        Where ports are read, they are the truth. What UFM lists and a port does not show yet is
        told with the other membership, so that it is taken neither for right nor for absent.

        Raises:
            DriverError: UFM or a manager does not answer.
        """
        listing = await self._client.ib_partitions()
        listed = {
            (p_key, guid): how
            for p_key, members in listing.items()
            for guid, how in members.items()
            if p_key != DEFAULT_P_KEY or (how == "full" and guid in self._guids)
        }
        if not self._ports.readers:
            return [self._entry(*place, how) for place, how in listed.items()]
        port_tables = await self._ports.scan()
        seen = {port.guid for port in port_tables}
        found = {e.key: e for e in self._ports.entries(port_tables)}
        for (p_key, guid), how in listed.items():
            entry = self._entry(p_key, guid, how)
            if guid in seen:
                entry = self._entry(p_key, guid, "limited" if how == "full" else "full")
            found.setdefault(entry.key, entry)
        return list(found.values())

    async def port_locations(self, devices: Collection[DeviceId]) -> tuple[PortLocation, ...]:
        """Where NICs are seen; nothing where no subnet is read.

        Raises:
            DriverRetryableError: a subnet cannot be read.
        """
        if not devices or not self._ports.readers:
            return ()
        return tuple(self._ports.locations(await self._ports.scan()))

    async def probe(self, pairs: Sequence[tuple[Endpoint, Endpoint]]) -> tuple[bool, ...]:
        """See ``Driver.probe``: PathRecords; UFM's record where no subnet is read.

        Raises:
            DriverRetryableError: the probe could not be run.
            DriverPermanentError: a node does not exist.
        """
        if not pairs:
            return ()
        for node_id in {end.node_id for pair in pairs for end in pair}:
            if node_id not in self._fleet.nodes.index_of:
                raise DriverPermanentError(f"fleet {self._fleet.name!r} has no node {node_id!r}")
        ib_partitions = self._as_partitions(await self._client.ib_partitions())
        ask = self._ports.paths if self._ports.readers else _by_record(ib_partitions)
        return tuple(
            [
                self._is_here(a)
                and self._is_here(b)
                and await reaches(self._fleet, ib_partitions, (a, b), ask)
                for a, b in pairs
            ]
        )

    def _is_here(self, endpoint: Endpoint) -> bool:
        row = self._fleet.nodes.index_of[endpoint.node_id]
        fabric = int(self._fleet.fabric_of_node[row])
        return self._fleet.fabrics.ids[fabric] == self._fabric_id

    def _entry(self, p_key: int, guid: int, how: Membership) -> PartitionMember:
        return PartitionMember(self._fabric_id, p_key, guid, how)

    def _as_partitions(self, listing: Listing) -> IbPartitions:
        """The listing as partitions; UFM knows no owners, so each P_Key stands for its own."""
        return IbPartitions(
            self._fabric_id,
            {
                p_key: IbPartition(ClusterId(f"{p_key:#06x}"), members)
                for p_key, members in listing.items()
                if p_key != DEFAULT_P_KEY and members
            },
        )

    async def _refuse_absent(self, guids: set[int]) -> None:
        if not self._ports.readers:
            return
        absent = guids - await self._ports.present(guids)
        if absent:
            raise DriverRetryableError(
                f"{self._device} does not see port {min(absent):#018x}"
                + (f" and {len(absent) - 1} more" if len(absent) > 1 else ""),
                device=self._device,
                next_step="Look at the cable and at 'iblinkinfo'; quarantine the node.",
            )

    async def _change(
        self,
        change: Change,
        told: Listing,
        tell: Callable[[int, dict[int, Membership]], Awaitable[None]],
    ) -> None:
        """Tell UFM, P_Key by P_Key, and believe what is read back; else put all back."""
        before, after, guids = change
        error: DriverError | None = None
        try:
            for p_key, members in told.items():
                await tell(p_key, members)
        except DriverError as caught:
            error = caught
        # An answer that was lost says nothing of what happened; what is read back does.
        try:
            if not isinstance(error, DriverPermanentError):
                wait_s_max = self._change_s_max if error is None else 0.0
                await self._confirm(_of(after, told), guids, wait_s_max)
                return
        except DriverError as caught:
            error = error or caught
        await self._go_back(_of(before, told), guids, error)

    async def _go_back(self, former: Listing, guids: set[int], error: DriverError) -> None:
        kind = type(error)
        try:
            listing = await self._client.ib_partitions()
            for p_key, members in former.items():
                if listing.get(p_key, {}) != members:
                    await self._client.set(p_key, members)
            await self._confirm(former, guids, self._change_s_max)
        except DriverError as second:
            raise DriverRetryableError(
                f"{self._device}: {error}; nor is what was before back: {second}",
                device=self._device,
                next_step=error.next_step,
            ) from error
        raise kind(
            f"{self._device}: {error}; what was before is back",
            device=self._device,
            next_step=error.next_step,
        ) from error

    async def _confirm(self, wanted: Listing, guids: set[int], wait_s_max: float) -> None:
        """Read UFM and the ports ``guids`` until both say ``wanted``.

        Raises:
            DriverRetryableError: they do not in time.
        """
        until_s = self._clock.now_s() + wait_s_max
        while True:
            reason = await self._disagreement(wanted, guids)
            if reason is None:
                return
            if self._clock.now_s() >= until_s:
                raise DriverRetryableError(
                    f"after {wait_s_max:g} s {reason}",
                    device=self._device,
                    next_step="Look at UFM's log, and whether its OpenSM sweeps.",
                )
            await self._clock.sleep(POLL_S)

    async def _disagreement(self, wanted: Listing, guids: set[int]) -> str | None:
        listing = await self._client.ib_partitions()
        for p_key, members in wanted.items():
            if listing.get(p_key, {}) != members:
                return f"UFM lists other members of partition {p_key:#06x} than it was told"
        if not self._ports.readers:
            return None
        partitions = self._as_partitions(listing)
        wrong = wrong_ports(await self._ports.tables(guids), partitions)
        if not wrong:
            return None
        port = wrong[0]
        return (
            f"port {port.guid:#018x} at switch {port.switch_guid:#018x} port {port.switch_port}"
            " does not hold what UFM lists"
        )


def _of(listing: Listing, p_keys: Collection[int]) -> Listing:
    return {p_key: listing.get(p_key, {}) for p_key in p_keys}


def _members_of(entries: Entries) -> list[PartitionMember]:
    return [entry for entry in entries.values() if isinstance(entry, PartitionMember)]


def _by_record(ib_partitions: IbPartitions) -> Callable[[Paths], Awaitable[Paths]]:
    """Paths as they follow from memberships alone: one of two in a partition is full."""
    tables = ib_partitions.tables()

    async def ask(pairs: Paths) -> Paths:
        return {(a, b) for a, b in pairs if _share(tables.get(a, ()), tables.get(b, ()))}

    return ask


def _share(a: Collection[int], b: Collection[int]) -> bool:
    return any(
        value & 0x7FFF in {other & 0x7FFF for other in b if (other | value) & 0x8000} for value in a
    )
