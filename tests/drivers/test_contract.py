"""The contract of a driver, held against the sets that need no lab.

Goal: the fake devices in memory and on file, and OpenSM over a simulated fabric, do the same.
Method: ``contract.DriverContract`` with a fixture for each set; what a running lab serves is held
to the same in ``tests/lab``.
"""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from contract import DriverContract, Subject

from gigawatt.app.clock import ManualClock
from gigawatt.boundary.plane import Plane
from gigawatt.drivers.fake import DeviceWorld, Faults, FileStates, fake_drivers
from gigawatt.fleet.builder import BlockSpec, build_fleet
from gigawatt.fleet.demo import HGX_H100
from gigawatt.fleet.model import FabricKind
from gigawatt.lab.fabric import missing_tools
from gigawatt.units import TIB
from running_fabric import RunningFabric

BLOCK = BlockSpec(
    site_id="site-a",
    country="US",
    hall_id="hall-1",
    node_type=HGX_H100,
    node_count=8,
    node_prefix="h",
    fabric_id="ib0",
    storage_bytes=100 * TIB,
    racks_per_row=4,
    nodes_per_leaf_group=4,
    leaf_groups_per_pod=1,
)
FLEET = build_fleet(
    "contract",
    [
        BLOCK,
        replace(
            BLOCK,
            site_id="site-b",
            hall_id="hall-2",
            node_prefix="r",
            fabric_id="eth0",
            fabric_kind=FabricKind.ROCE,
        ),
    ],
)


class TestInMemory(DriverContract):
    @pytest.fixture
    def subject(self) -> Subject:
        return Subject(FLEET, fake_drivers(DeviceWorld(FLEET), Faults(), ManualClock()))


class TestOnFile(DriverContract):
    @pytest.fixture
    def subject(self, tmp_path) -> Iterator[Subject]:
        world = DeviceWorld(FLEET, FileStates(tmp_path / "devices.sqlite"))
        yield Subject(FLEET, fake_drivers(world, Faults(), ManualClock()))
        world.close()


@pytest.fixture(scope="module")
def running() -> Iterator[RunningFabric]:
    fabric = RunningFabric(FLEET)
    yield fabric
    fabric.close()


@pytest.mark.ibsim
@pytest.mark.skipif(bool(missing_tools()), reason=missing_tools() or "installed")
class TestOnOpensm(DriverContract):
    kinds = ("partition_member",)

    @pytest.fixture
    def subject(self, running) -> Subject:
        return Subject(FLEET, {Plane.FABRIC: running.emptied()})
