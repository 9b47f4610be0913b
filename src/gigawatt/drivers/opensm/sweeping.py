"""Waits until the ports of a fabric hold what they shall, in the wake of its managers' sweep.

OpenSM says nothing when it is done, so ports are read. To read all of them again and again would
take the managers' time, on a small machine more than the sweep itself: so of each subnet one port
is looked at, the first that was not right yet in the order in which the manager goes; when it is
right, those behind it are read, and each port that was seen right is done with. A few ports are
read all at once.
"""

from collections.abc import Collection, Sequence

from gigawatt.drivers.opensm.fabric_ports import FabricPorts
from gigawatt.drivers.opensm.fabric_reader import PortTables
from gigawatt.drivers.opensm.partitions_conf import DEFAULT_TABLE, IbPartitions

FEW, CHUNK = 4, 256
"""Ports of a subnet that are read at once, and that are read behind one that is right. Ours."""
POLL_S_MIN, POLL_S_MAX = 0.005, 0.05
"""Pause between two looks: begins small, grows while nothing happens. Ours."""


class Sweep:
    """What is still to be seen of one change."""

    def __init__(self, fabric: FabricPorts, wanted: IbPartitions, guids: Collection[int]) -> None:
        """Wait for ``wanted`` on the ports ``guids``."""
        self._fabric = fabric
        self._tables = wanted.tables()
        self._guids = frozenset(guids)
        self._waiting = fabric.in_sweep_order(guids)
        self._is_open = {name: len(guids) <= FEW for name, guids in self._waiting.items()}
        self._are_few = all(self._is_open.values())
        self.pause_s = POLL_S_MIN

    async def look(self) -> PortTables | None:
        """Look once; a port that is not right yet, or None when all are.

        Raises:
            DriverRetryableError: a subnet cannot be read.
        """
        if self._are_few:
            port_tables = await self._fabric.tables(self._guids)
            self.pause_s = min(1.5 * self.pause_s, POLL_S_MAX)
            return next((port for port in port_tables if not self._is_right(port)), None)
        while self._waiting:
            asked = {
                guid
                for name, guids in self._waiting.items()
                for guid in guids[: CHUNK if self._is_open[name] else 1]
            }
            port_tables = await self._fabric.tables(asked)
            wrong = {port.guid: port for port in port_tables if not self._is_right(port)}
            right = {port.guid for port in port_tables} - wrong.keys()
            for name, guids in self._waiting.items():
                self._is_open[name] = not wrong.keys() & set(guids)
            left = {n: [g for g in guids if g not in right] for n, guids in self._waiting.items()}
            self._waiting = {name: guids for name, guids in left.items() if guids}
            self.pause_s = POLL_S_MIN if right else min(1.5 * self.pause_s, POLL_S_MAX)
            if wrong:
                return next(iter(wrong.values()))
            if not right:
                # Ports that have gone from the fabric hold nothing.
                return None
        # What was seen right early could have been swept over since: the ends are seen again.
        order = self._fabric.in_sweep_order(self._guids)
        ends = {
            end
            for guids in order.values()
            if len(guids) > CHUNK
            for end in guids[:: len(guids) - 1]
        }
        again = [port for port in await self._fabric.tables(ends) if not self._is_right(port)]
        if again:
            self._waiting = order
            return again[0]
        return None

    def _is_right(self, port: PortTables) -> bool:
        return port.host == port.leaf == self._tables.get(port.guid, DEFAULT_TABLE)


def wrong_ports(port_tables: Sequence[PortTables], wanted: IbPartitions) -> list[PortTables]:
    """The ports of which a table is not what the partitions say."""
    tables = wanted.tables()
    return [
        port
        for port in port_tables
        if not port.host == port.leaf == tables.get(port.guid, DEFAULT_TABLE)
    ]
