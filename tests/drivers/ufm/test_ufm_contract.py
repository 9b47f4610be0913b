"""The contract of a driver, held against UFM's REST API.

Goal: a fabric under UFM does what every plane's device does.
Method: ``contract.DriverContract`` on our emulator of UFM, once with nothing behind it, so that
its record is believed, and once over a real OpenSM, whose ports confirm it.
"""

from collections.abc import Iterator

import pytest
from contract import DriverContract, Subject

from gigawatt.boundary.plane import Plane
from gigawatt.fleet.builder import BlockSpec, build_fleet
from gigawatt.fleet.demo import HGX_H100
from gigawatt.lab.fabric import missing_tools
from gigawatt.units import PIB
from running_fabric import RunningFabric
from running_ufm import driver_of, emulator_of, file_only, settings_of

FLEET = build_fleet(
    "ufm",
    [
        BlockSpec(
            site_id="s",
            country="US",
            hall_id="h",
            node_type=HGX_H100,
            node_count=8,
            node_prefix="h",
            fabric_id="ib0",
            storage_bytes=PIB,
            nodes_per_leaf_group=4,
            leaf_groups_per_pod=1,
        )
    ],
)


class TestOnRecord(DriverContract):
    kinds = ("partition_member",)

    def test_the_fabric_says_where_each_nic_is(self) -> None:
        pytest.skip("where NICs are is read from the subnet, and here is none")

    @pytest.fixture
    def subject(self, tmp_path) -> Iterator[Subject]:
        emulator = emulator_of(file_only(FLEET, tmp_path))
        emulator.start()
        driver = driver_of(FLEET, settings_of(emulator), tmp_path / "driver")
        yield Subject(FLEET, {Plane.FABRIC: driver})
        driver.close()
        emulator.stop()


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
    def subject(self, running, tmp_path) -> Iterator[Subject]:
        running.emptied()
        emulator = emulator_of(running.lab.fabric)
        emulator.start()
        driver = driver_of(FLEET, settings_of(emulator), tmp_path / "driver")
        yield Subject(FLEET, {Plane.FABRIC: driver})
        driver.close()
        emulator.stop()
