"""Waits until the ports of a fabric hold what they shall, in the wake of its managers' sweep.

OpenSM says nothing when it is done, so ports are read. To read all of them again and again would
take the managers' time, on a small machine more than the sweep itself: so of each subnet one port
is looked at, the last in the order in which its manager goes; when that is right, all are read.
Partitions are but a part of a sweep, so this is done while managers still see to routes.
"""

from collections.abc import Collection, Mapping, Sequence

from gigawatt.drivers.opensm.fabric_ports import FabricPorts
from gigawatt.drivers.opensm.partitions_conf import DEFAULT_TABLE, IbPartitions
from gigawatt.drivers.opensm.questions import PortTables, Wake

LOOK_S_MAX = 0.25
"""How long one look waits; others may ask a reader in between. Ours."""


class Sweep:
    """What is still to be seen of one change."""

    def __init__(self, fabric: FabricPorts, wanted: IbPartitions, guids: Collection[int]) -> None:
        """Wait for ``wanted`` on the ports ``guids``."""
        self._fabric = fabric
        self._tables = wanted.tables()
        self._waiting = fabric.in_sweep_order(guids)

    async def look(self, *, is_told: bool, wait_s_max: float = LOOK_S_MAX) -> PortTables | None:
        """Wait for a while; a port that is not right yet, or None when all are.

        A subnet is done when one reading of all its ports shows each of them right. Ports that have
        gone from the fabric hold nothing.

        Args:
            is_told: the managers were told to sweep just now.
            wait_s_max: how long to wait.

        Raises:
            DriverRetryableError: a subnet cannot be read.
        """
        wakes = {
            name: Wake(guids, self._tables.get(guids[-1], DEFAULT_TABLE), is_told, wait_s_max)
            for name, guids in self._waiting.items()
        }
        found = await self._fabric.follow(wakes)
        wrong = {
            name: [port for port in ports if not _is_right(port, self._tables)]
            for name, ports in found.items()
        }
        self._waiting = {
            name: [*(guid for guid in self._waiting[name] if guid != last), last]
            for name, ports in wrong.items()
            if ports
            for last in [ports[-1].guid]
        }
        return next((port for ports in wrong.values() for port in ports), None)


def wrong_ports(port_tables: Sequence[PortTables], wanted: IbPartitions) -> list[PortTables]:
    """The ports of which a table is not what the partitions say."""
    tables = wanted.tables()
    return [port for port in port_tables if not _is_right(port, tables)]


def _is_right(port: PortTables, tables: Mapping[int, frozenset[int]]) -> bool:
    return port.host == port.leaf == tables.get(port.guid, DEFAULT_TABLE)
