"""A real OpenSM over ibsim for tests: started when first asked for, emptied for each test."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from select import select
from tempfile import TemporaryDirectory

from gigawatt.app.clock import SystemClock
from gigawatt.boundary.entries import Entry
from gigawatt.drivers.opensm.conf_file import ConfFile
from gigawatt.drivers.opensm.driver import OpensmDriver, Patience
from gigawatt.drivers.opensm.fabric_reader import FabricReader
from gigawatt.drivers.opensm.partitions_conf import IbPartitions
from gigawatt.drivers.opensm.questions import PortTables
from gigawatt.drivers.opensm.subnet import hang_up
from gigawatt.fleet.builder import BlockSpec, build_fleet
from gigawatt.fleet.demo import HGX_H100
from gigawatt.fleet.model import Fleet
from gigawatt.ids import FabricId
from gigawatt.lab.fabric import FabricLab, fabric_lab, reader_guids
from gigawatt.units import PIB

LOOKS_MAX, LOOK_S = 1_500, 0.02
PATIENCE = Patience(change_s=20.0, turn_s=20.0)


def one_subnet_fleet(name: str, node_count: int) -> Fleet:
    """HGX H100 nodes, four to a group of leaves, on a fabric whose rails meet in its spines."""
    block = BlockSpec(
        site_id="s",
        country="US",
        hall_id="h",
        node_type=HGX_H100,
        node_count=node_count,
        node_prefix="h",
        fabric_id="ib0",
        storage_bytes=PIB,
        nodes_per_leaf_group=4,
        leaf_groups_per_pod=1,
    )
    return build_fleet(name, [block])


class RunningFabric:
    """Fabric 0 of a fleet under OpenSM, and a driver of it."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.fabric_id = FabricId(fleet.fabrics.ids[0])
        self._stack = ExitStack()
        self._is_started = False

    def start(self) -> None:
        folder = Path(self._stack.enter_context(TemporaryDirectory(prefix="gigawatt-lab-")))
        readers = reader_guids(self.fleet, 0)
        self.empty = IbPartitions(self.fabric_id, managers=frozenset(readers))
        ConfFile(folder / "partitions.conf", self.fabric_id).lay_down(readers)
        self.lab: FabricLab = self._stack.enter_context(fabric_lab(self.fleet, 0, folder))
        self.file = ConfFile(self.lab.fabric.conf_path, self.fabric_id)
        self.device = self.lab.fabric.device
        self.driver = OpensmDriver(self.fleet, [self.lab.fabric], SystemClock(), PATIENCE)
        self._stack.callback(self.driver.close)
        self.readers = [FabricReader(subnet.subnet) for subnet in self.lab.subnets]
        for reader in self.readers:
            self._stack.callback(reader.close)
        self._is_started = True

    def emptied(self) -> OpensmDriver:
        """The driver of a fabric that holds nothing and has seen no fence."""
        if not self._is_started:
            self.start()
        self.file.write(self.empty)
        if self.tables() != {frozenset({0x7FFF})}:
            self.reread()
            self.until(lambda: self.tables() == {frozenset({0x7FFF})})
        return self.driver

    def reread(self) -> None:
        """Let every manager read the file as it is."""
        for subnet in self.lab.subnets:
            hang_up(subnet.subnet)

    def until(self, is_so: Callable[[], bool]) -> None:
        """Look until it is so, half a minute at most."""
        for look in count():
            if is_so():
                return
            assert look < LOOKS_MAX, "the subnet managers did not get there"
            select([], [], [], LOOK_S)

    def ports(self) -> list[PortTables]:
        return [port for reader in self.readers for port in reader.scan()]

    def tables(self) -> set[frozenset[int]]:
        """Every different table of a host or of a leaf."""
        return {table for port in self.ports() for table in (port.host, port.leaf)}

    def paths(self, pairs: Sequence[tuple[int, int]]) -> list[bool]:
        """Which pairs have a path, by the first subnet manager that knows both."""
        found: dict[tuple[int, int], bool] = {}
        for reader, subnet in zip(self.readers, self.lab.fabric.subnets, strict=True):
            own = [(a, b) for a, b in pairs if a in subnet.guids and b in subnet.guids]
            found |= dict(zip(own, reader.paths(own), strict=True))
        return [found.get(pair, False) for pair in pairs]

    def entries(self) -> frozenset[Entry] | None:
        """What the driver says that the fabric holds; None when it cannot be relied on."""
        return asyncio.run(self.driver.observe([self.device])).entries.get(self.device)

    def close(self) -> None:
        self._stack.close()
