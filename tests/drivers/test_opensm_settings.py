"""Goal: a site file names its fabrics under OpenSM completely, and a wrong one says what is wrong.

Method: fabrics are written as settings, through YAML, and opened again; settings that contradict
themselves or the fleet are refused with their place.
"""

from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from gigawatt.app.clock import SystemClock
from gigawatt.boundary.plane import Plane
from gigawatt.drivers.opening import Opening
from gigawatt.drivers.opensm.opening import managed_fabric, open_opensm, settings_of
from gigawatt.drivers.opensm.settings import FabricSettings, OpensmSettings
from gigawatt.drivers.opensm.subnet import ManagedFabric, Subnet
from gigawatt.errors import InputError
from gigawatt.fleet.demo import hgx_fleet, mixed_fleet
from gigawatt.ids import FabricId
from gigawatt.lab.fabric import subnets_of

FLEET = hgx_fleet(512)
ADAPTER = {"pid_files": ["/run/opensm.pid"], "adapter": "mlx5_0"}


def fabric(**changes):
    return {"fabric": "ib0", "partitions_conf": "/etc/p.conf", "subnets": [ADAPTER]} | changes


def opened(settings, fleet=FLEET):
    return managed_fabric(fleet, FabricSettings.model_validate(settings))


def test_a_fabric_is_opened_as_it_was_written():
    guids = FLEET.nics.guid
    subnets = []
    for number, rows in enumerate(subnets_of(FLEET, 0)):
        own = frozenset(
            int(guid)
            for guid, leaf in zip(guids.tolist(), FLEET.nics.leaf.tolist(), strict=True)
            if leaf in rows
        )
        subnets.append(
            Subnet(f"s{number}", (Path(f"/run/{number}.pid"),), "mlx5_0", 1, own, {"A": "b"})
        )
    wanted = ManagedFabric(
        FabricId("ib0"), Path("/etc/p.conf"), tuple(subnets), frozenset({0x0002C90300FFFE01})
    )
    text = yaml.safe_dump(settings_of(FLEET, wanted).model_dump(mode="json"))
    assert opened(yaml.safe_load(text)) == wanted


def test_a_driver_serves_the_fabrics_of_its_settings():
    # Nothing of secrets and receipts is asked for.
    opening = Opening(FLEET, SystemClock(), None, None, Path("/nowhere"))
    driver = open_opensm(OpensmSettings.model_validate({"fabrics": [fabric()]}), opening)
    assert driver.plane is Plane.FABRIC
    driver.close()


def test_one_subnet_without_leaves_is_the_whole_fabric_and_no_other():
    fleet = mixed_fleet()
    (subnet,) = opened(fabric(fabric="ib1"), fleet).subnets
    row = fleet.fabrics.ids.index("ib1")
    on_it = fleet.switches.fabric[fleet.nics.leaf] == row
    assert subnet.guids == set(fleet.nics.guid[on_it].tolist())
    assert (subnet.adapter_port, subnet.environment) == (1, {})


LEAF = FLEET.switches.ids[0]


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        (fabric(fabric="ib9"), "no InfiniBand fabric 'ib9'"),
        (fabric(subnets=[ADAPTER | {"leaves": ["nope"]}]), "no switch 'nope'"),
        (fabric(subnets=[ADAPTER | {"leaves": [FLEET.switches.ids[-1]]}]), "has no NIC"),
        (
            fabric(
                subnets=[
                    ADAPTER | {"name": "a", "leaves": [LEAF]},
                    ADAPTER | {"name": "b", "leaves": [LEAF]},
                ]
            ),
            "in two subnets",
        ),
    ],
)
def test_settings_that_contradict_the_fleet_are_refused(settings, wanted):
    with pytest.raises(InputError, match=wanted):
        opened(settings)


def test_a_roce_fabric_has_no_subnet_manager():
    with pytest.raises(InputError, match="no InfiniBand fabric 'eth0'"):
        opened(fabric(fabric="eth0"), mixed_fleet())


@pytest.mark.parametrize(
    "settings",
    [
        fabric(subnets=[]),
        fabric(colour="red"),
        fabric(manager_guids=["2c903"]),
        fabric(subnets=[ADAPTER | {"pid_files": []}]),
        fabric(subnets=[ADAPTER | {"leaves": [LEAF]}, ADAPTER | {"leaves": [LEAF]}]),
        fabric(subnets=[ADAPTER | {"name": "a"}, ADAPTER | {"name": "b"}]),
        fabric(subnets=[ADAPTER | {"adapter_port": 255}]),
    ],
)
def test_settings_that_contradict_themselves_are_refused(settings):
    with pytest.raises(ValidationError):
        OpensmSettings.model_validate({"fabrics": [settings]})
