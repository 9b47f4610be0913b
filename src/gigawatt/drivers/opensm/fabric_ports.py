"""What the ports of one InfiniBand fabric say: the readers of its subnets, taken together."""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import TypeVar

from gigawatt.boundary.entries import (
    DEFAULT_P_KEY,
    Entry,
    Membership,
    PartitionMember,
    PortLocation,
)
from gigawatt.drivers.opensm import questions
from gigawatt.drivers.opensm.fabric_reader import FabricReader, side_by_side
from gigawatt.drivers.opensm.probing import Paths
from gigawatt.drivers.opensm.questions import PortTables, Question, Wake
from gigawatt.drivers.opensm.subnet import Subnet
from gigawatt.fleet.discovery.port_health import PortReading
from gigawatt.fleet.model import Fleet
from gigawatt.ids import FabricId, SwitchId

_Found = TypeVar("_Found")


class FabricPorts:
    """The ports of one fabric, whoever manages it.

    Attributes:
        readers: by name of subnet.
        guids: port GUIDs of the fleet's NICs on it.
    """

    def __init__(
        self,
        fleet: Fleet,
        fabric_id: FabricId,
        subnets: Sequence[Subnet],
        manager_guids: Collection[int],
    ) -> None:
        """Open ``subnets`` of a fabric of ``fleet``; nothing is read yet."""
        self._fabric_id = fabric_id
        self._subnets = tuple(subnets)
        self._manager_guids = frozenset(manager_guids)
        self.readers = {subnet.name: FabricReader(subnet) for subnet in subnets}
        # OpenSM goes through ports by their GUID, as a little-endian machine reads what came from
        # the network: the last byte counts most.
        in_order = sorted(
            ((guid, s) for s in subnets for guid in s.guids),
            key=lambda each: each[0].to_bytes(8, "little"),
        )
        self._subnet_of_guid = dict(in_order)
        self._rank_of_guid = {guid: rank for rank, (guid, _) in enumerate(in_order)}
        self.guids = self._subnet_of_guid.keys()
        self._switch_ids = dict(zip(fleet.switches.guid.tolist(), fleet.switches.ids, strict=True))

    def close(self) -> None:
        """End the processes that read the subnets."""
        for reader in self.readers.values():
            reader.close()

    def subnets_of(self, guids: Collection[int]) -> list[Subnet]:
        """Subnets on which some of ``guids`` hang."""
        names = {self._subnet_of_guid[g].name for g in guids if g in self._subnet_of_guid}
        return [subnet for subnet in self._subnets if subnet.name in names]

    async def health(self) -> list[PortReading]:
        """Link and counters of every port of the fabric.

        Raises:
            DriverRetryableError: a subnet cannot be read.
        """
        found = await self._ask({name: questions.health() for name in self.readers})
        return [port for ports in found for port in ports]

    def in_sweep_order(self, guids: Collection[int]) -> dict[str, list[int]]:
        """By subnet those of ``guids`` that hang on it, as its manager comes to them."""
        found: dict[str, list[int]] = {}
        known = [guid for guid in guids if guid in self._rank_of_guid]
        for guid in sorted(known, key=self._rank_of_guid.__getitem__):
            found.setdefault(self._subnet_of_guid[guid].name, []).append(guid)
        return found

    async def scan(self) -> list[PortTables]:
        """Every host port, once each manager has answered.

        Raises:
            DriverRetryableError: a manager does not answer, or a subnet cannot be read.
        """
        own = {subnet.name: (min(subnet.guids),) * 2 for subnet in self._subnets}
        await self._ask({name: questions.paths([pair]) for name, pair in own.items()})
        found = await self._ask({name: questions.scan() for name in self.readers})
        return [port for ports in found for port in ports]

    async def tables(self, guids: Collection[int]) -> list[PortTables]:
        """Those of ``guids`` that are on the fabric.

        Raises:
            DriverRetryableError: a subnet cannot be read.
        """
        by_subnet = self.in_sweep_order(guids)
        found = await self._ask({n: questions.tables(some) for n, some in by_subnet.items()})
        return [port for ports in found for port in ports]

    async def follow(self, wakes: Mapping[str, Wake]) -> dict[str, list[PortTables]]:
        """By subnet what the ports of its ``Wake`` hold, or its last one alone.

        Raises:
            DriverRetryableError: a subnet cannot be read.
        """
        found = await self._ask({name: questions.follow(wake) for name, wake in wakes.items()})
        return dict(zip(wakes, found, strict=True))

    async def present(self, guids: Collection[int]) -> set[int]:
        """Those of ``guids`` that are on the fabric.

        Raises:
            DriverRetryableError: a subnet cannot be read.
        """
        by_subnet = self.in_sweep_order(guids)
        found = await self._ask({n: questions.present(some) for n, some in by_subnet.items()})
        return set[int]().union(*found)

    async def paths(self, pairs: Collection[tuple[int, int]]) -> Paths:
        """Which pairs of GUIDs have a path; never two of different subnets.

        Raises:
            DriverRetryableError: a manager does not answer.
        """
        by_subnet: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
        for a, b in pairs:
            if self._subnet_of_guid[a] is self._subnet_of_guid[b]:
                by_subnet[self._subnet_of_guid[a].name].append((a, b))
        answers = await self._ask({n: questions.paths(some) for n, some in by_subnet.items()})
        asked = [pair for some in by_subnet.values() for pair in some]
        given = [is_path for answer in answers for is_path in answer]
        return {pair for pair, is_path in zip(asked, given, strict=True) if is_path}

    async def _ask(self, asked: Mapping[str, Question[_Found]]) -> list[_Found]:
        """What comes of one question to each of some subnets, in their order."""
        work = [(self.readers[name], question) for name, question in asked.items()]
        return await asyncio.to_thread(side_by_side, work)

    def entries(self, port_tables: Sequence[PortTables]) -> frozenset[Entry]:
        """What hosts or leaves hold, full where either says full; limited default apart."""
        found: set[Entry] = set()
        for port in port_tables:
            if port.guid in self._manager_guids:
                continue
            both = port.host | port.leaf
            for p_key in {value & 0x7FFF for value in both}:
                is_full = p_key | 0x8000 in both
                if is_full or p_key != DEFAULT_P_KEY:
                    how: Membership = "full" if is_full else "limited"
                    found.add(PartitionMember(self._fabric_id, p_key, port.guid, how))
        return frozenset(found)

    def locations(self, port_tables: Sequence[PortTables]) -> list[PortLocation]:
        """Where ports are; switches that the fleet does not know by their GUID."""
        return [
            PortLocation(
                self._fabric_id,
                port.guid,
                SwitchId(self._switch_ids.get(port.switch_guid, f"S-{port.switch_guid:016x}")),
                port.switch_port,
            )
            for port in port_tables
            if port.guid not in self._manager_guids
        ]
