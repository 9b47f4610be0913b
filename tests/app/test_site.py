"""The site file: which drivers serve the planes.

Goal: what is written is what is opened, each device has exactly one driver, and whoever writes it
wrongly is told the line and what to do.
Method: site files as text; small fleets; a driver package of this test put where drivers are looked
for. With OpenSM over ibsim one cluster is made and released through the API on a half-real site.
"""

import asyncio
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import ClassVar, Literal

import httpx
import pytest
import yaml
from plain_component import PlainComponent
from pydantic import BaseModel, ConfigDict

from gigawatt.api.application import build_application
from gigawatt.app import site_file
from gigawatt.app.clock import ManualClock
from gigawatt.app.home import Home
from gigawatt.app.secrets_key import open_secrets
from gigawatt.app.service import make_first_key, open_service
from gigawatt.app.site import drivers_in_use
from gigawatt.app.site_file import parse_site
from gigawatt.app.wiring import FakeSite, open_control
from gigawatt.boundary.entries import BmcAccount, HostSlice
from gigawatt.boundary.plane import PLANES, Plane
from gigawatt.drivers.fake.latency import Latency
from gigawatt.drivers.fenced import FencedDriver
from gigawatt.drivers.ledger import Ledger
from gigawatt.drivers.opening import Opening
from gigawatt.drivers.opensm.opening import settings_of
from gigawatt.errors import DataError, DriverPermanentError, InputError
from gigawatt.fleet.demo import hgx_fleet
from gigawatt.fleet.yaml_dump import dump_fleet
from gigawatt.ids import ClusterId, DeviceId, NodeId
from gigawatt.interfaces.driver import Endpoint, Fence
from gigawatt.lab.fabric import missing_tools
from running_fabric import RunningFabric

FLEET = hgx_fleet(64, name="site")
NODES = FLEET.nodes.ids
ALL_FAKE = {str(plane): [{"driver": "fake"}] for plane in PLANES}
A = ClusterId("clu_a")


class PlainSettings(BaseModel):
    """Settings of the driver that this test brings: which nodes are its own."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    driver: Literal["metal"] = "metal"
    nodes: tuple[str, ...]


class SomeNodes(PlainComponent):
    def __init__(self, nodes, fleet) -> None:
        super().__init__(Plane.HOST, fleet)
        self.nodes = nodes

    def knows(self, device) -> bool:
        return super().knows(device) and device.partition("/")[2] in self.nodes


class PlainDriver(FencedDriver):
    closed: ClassVar[list[str]] = []

    def close(self) -> None:
        self.closed.append("closed")


def open_plain(settings: PlainSettings, opening: Opening) -> PlainDriver:
    if not settings.nodes:
        raise InputError("no nodes", next_step="Name some.")
    opening.secrets.make("made by a driver")
    component = SomeNodes(settings.nodes, opening.fleet)
    return PlainDriver(component, Ledger(opening.folder / "notes", opening.clock))


@pytest.fixture
def home(tmp_path) -> Home:
    found = Home(tmp_path / "home", None)
    found.make()
    found.fleet_path.write_text(dump_fleet(FLEET), encoding="utf-8")
    return found


@pytest.fixture
def plain(monkeypatch) -> None:
    """A driver package called ``metal`` that needs no metal."""
    for name, attributes in {
        "": {},
        ".settings": {"PlainSettings": PlainSettings},
        ".opening": {"open_metal": open_plain},
    }.items():
        module = ModuleType("gigawatt.drivers.metal" + name)
        vars(module).update(attributes)
        monkeypatch.setitem(sys.modules, module.__name__, module)
    PlainDriver.closed.clear()


def write(home: Home, **planes) -> None:
    home.site_path.write_text(yaml.safe_dump(ALL_FAKE | planes, sort_keys=False), encoding="utf-8")


OPENSM_WITHOUT_PID = """fabric:
- driver: opensm
  fabrics:
  - fabric: ib0
    partitions_conf: /a
    subnets:
    - adapter: x
"""

# --- what is written ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "empty"),
        ("- fabric", "wanted a mapping of fabric, in_band"),
        ("fabrics: []", "line 1: fabrics: no such plane"),
        ("fabric:\n- driver: fake\n", "plane in_band has no driver; 'driver: fake'"),
        ("fabric: []", "line 1: fabric: wanted a list of one driver"),
        ("fabric: {driver: fake}", "wanted a list of one driver"),
        ("fabric:\n- fake\n", "line 2: fabric[0]: wanted a mapping with 'driver'"),
        ("fabric:\n- driver: guests\n", "line 2: fabric[0].driver: no driver 'guests'"),
        ("fabric:\n- driver: nonsense\n", "wanted opensm, ufm, evpn, fake"),
        ("fabric:\n- driver: fake\n  speed: 9\n", "line 3: fabric[0].speed: Extra inputs"),
        ("fabric:\n- driver: fake\n- driver: fake\n", "line 3: fabric[1]: a second 'fake'"),
        (
            OPENSM_WITHOUT_PID,
            "line 7: fabric[0].fabrics[0].subnets[0].pid_files: Field required",
        ),
        ("fabric:\n- driver: opensm\n  driver: opensm\n", "key 'driver' is there twice"),
        ("fabric: &a []", "anchor"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(text, said):
    with pytest.raises(InputError) as caught:
        parse_site(text)
    assert "site.yaml line" in str(caught.value)
    assert said in str(caught.value)


def test_a_driver_that_is_not_installed_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "gigawatt.drivers.cephfs", None)
    monkeypatch.setitem(sys.modules, "gigawatt.drivers.cephfs.settings", None)
    text = yaml.safe_dump(ALL_FAKE | {"storage": [{"driver": "cephfs"}]})
    with pytest.raises(InputError, match="driver 'cephfs' cannot be loaded here"):
        parse_site(text)


def test_every_driver_that_is_here_has_settings_that_name_it():
    """Packages that are not installed are left out; those that are have to fit."""
    found = []
    for name in site_file.DRIVERS:
        try:
            found.append(site_file.settings_model(name).model_fields["driver"].annotation)
        except ModuleNotFoundError:
            continue
    assert Literal["opensm"] in found


# --- what is opened -----------------------------------------------------------------------------


def test_without_a_site_file_all_is_fake(home):
    with open_control(home) as control:
        used = drivers_in_use(FLEET, control.around.drivers)
    assert [(one.plane, one.driver, one.device_count) for one in used] == [
        (Plane.FABRIC, "fake", 1),
        (Plane.IN_BAND, "fake", 9),
        (Plane.OUT_OF_BAND, "fake", 9),
        (Plane.STORAGE, "fake", 1),
        (Plane.HOST, "fake", 8),
    ]


@pytest.mark.usefixtures("plain")
def test_each_device_goes_to_its_own_driver_and_the_rest_to_the_fake_one(home):
    write(
        home,
        host=[
            {"driver": "metal", "nodes": [NODES[0]]},
            {"driver": "fake"},
            {"driver": "metal", "nodes": [NODES[2], NODES[1]]},
        ],
    )
    with open_control(home) as control:
        driver = control.around.drivers[Plane.HOST]
        used = drivers_in_use(FLEET, control.around.drivers)
        assert [(one.driver, one.device_count) for one in used if one.plane is Plane.HOST] == [
            ("metal", 1),
            ("metal", 2),
            ("fake", 5),
        ]
        assert driver.plane is Plane.HOST
        slices = [
            HostSlice(NodeId(node), 0xFF, False, "h", "debian-12-gpu", (), "on")
            for node in NODES[:4]
        ]
        devices = [one.device for one in slices]

        async def run():
            for one in slices:
                await driver.ensure(one.device, [one], Fence(A, 1))
            seen = await driver.observe([*devices, DeviceId("host/nowhere")])
            assert seen.entries == {one.device: {one} for one in slices}
            assert seen.unreachable == {DeviceId("host/nowhere")}
            with pytest.raises(DriverPermanentError, match="no device of plane host"):
                await driver.ensure(DeviceId("host/nowhere"), [], Fence(A, 1))
            ends = [Endpoint(NodeId(node), 0) for node in NODES[:5]]
            # The fake driver knows of the slices that the other drivers have.
            fake_pairs = [(ends[0], ends[3]), (ends[3], ends[4])]
            assert await driver.probe(fake_pairs) == (True, False)
            with pytest.raises(DriverPermanentError, match="no node"):
                await driver.probe([(ends[0], Endpoint(NodeId("nowhere"), 0))])
            for one in slices:
                await driver.remove(one.device, [one], Fence(A, 1))
            assert await driver.probe(fake_pairs) == (False, False)

        asyncio.run(run())
        assert not PlainDriver.closed
        folders = {path.name for path in home.drivers_path.iterdir()}
        assert folders == {"host-0", "host-2"}
    assert PlainDriver.closed == ["closed", "closed"]


@pytest.mark.usefixtures("plain")
@pytest.mark.parametrize(
    ("host", "said"),
    [
        ([["h00001"]], "no driver of plane host has"),
        ([list(NODES), [NODES[3]]], f"host/{NODES[3]} is a device of host-0 already"),
        ([list(NODES), ["nowhere"]], "has no device of the fleet"),
        ([list(NODES), []], "no nodes"),
        ([list(NODES), "fake"], "'fake' has nothing to do"),
    ],
)
def test_a_device_without_or_with_two_drivers_is_refused_and_all_are_closed(home, host, said):
    own = [list(NODES[:1]) if nodes == ["h00001"] else nodes for nodes in host]
    write(
        home,
        host=[
            {"driver": "fake"} if nodes == "fake" else {"driver": "metal", "nodes": nodes}
            for nodes in own
        ],
    )
    with pytest.raises(InputError) as caught, open_control(home):
        pass
    assert said in str(caught.value)
    assert "site.yaml line" in str(caught.value)
    assert PlainDriver.closed


@pytest.mark.usefixtures("plain")
def test_a_driver_does_not_take_anothers_notes_for_its_own(home):
    write(home, host=[{"driver": "metal", "nodes": list(NODES)}])
    with open_control(home):
        pass
    (home.drivers_path / "host-0" / "driver").write_text("guests\n")
    with pytest.raises(InputError, match="here was driver 'guests'"), open_control(home):
        pass


@pytest.mark.usefixtures("plain")
def test_drivers_share_the_stores_secrets(home):
    write(home, host=[{"driver": "metal", "nodes": list(NODES)}])
    with open_control(home) as control:
        kept = open_secrets(home, control.around.store, ManualClock())
        assert len(kept.read("made by a driver")) == 16


@pytest.mark.usefixtures("plain")
def test_a_lost_store_beside_notes_of_drivers_is_refused(home):
    write(home, host=[{"driver": "metal", "nodes": list(NODES)}])
    one = HostSlice(NodeId(NODES[0]), 0xFF, False, "h", "debian-12-gpu", (), "on")
    with open_control(home) as control:
        asyncio.run(control.around.drivers[Plane.HOST].ensure(one.device, [one], Fence(A, 1)))
    for path in home.path.glob("*.sqlite*"):
        path.unlink()
    with pytest.raises(DataError, match="the devices remember"), open_control(home):
        pass


def test_faults_are_of_fake_devices_only(home):
    write(home)
    with (
        pytest.raises(InputError, match="faults and delays are of fake devices"),
        open_control(home, FakeSite(latency=Latency({}))),
    ):
        pass


def test_a_driver_of_another_plane_is_refused(home, plain, monkeypatch):
    del plain
    component = PlainComponent(Plane.STORAGE, FLEET)
    opening = sys.modules["gigawatt.drivers.metal.opening"]
    made = FencedDriver(component, Ledger(home.path / "x", ManualClock()))
    monkeypatch.setattr(opening, "open_metal", lambda *_: made)
    write(home, host=[{"driver": "metal", "nodes": list(NODES)}])
    with pytest.raises(InputError, match="serve plane storage"), open_control(home):
        pass


def test_an_all_fake_site_is_shown_as_such(home):
    write(home)
    with open_service(home, reconcile_s=0) as service:
        used = drivers_in_use(FLEET, service.control.around.drivers)
        assert {one.driver for one in used} == {"fake"}
        driver = service.control.around.drivers[Plane.OUT_OF_BAND]
        account = BmcAccount(NodeId(NODES[0]), "x", "s")
        asyncio.run(driver.ensure(account.device, [account], Fence(A, 1)))
        seen = asyncio.run(driver.observe([account.device]))
        assert seen.entries == {account.device: {account}}


# --- on a real subnet manager -------------------------------------------------------------------


@pytest.fixture(scope="module")
def running() -> Iterator[RunningFabric]:
    fabric = RunningFabric(FLEET)
    yield fabric
    fabric.close()


@pytest.mark.ibsim
@pytest.mark.skipif(bool(missing_tools()), reason=missing_tools() or "installed")
def test_a_cluster_is_made_and_released_on_opensm_and_fakes(home, running):
    running.emptied()
    settings = settings_of(FLEET, running.lab.fabric).model_dump(mode="json")
    write(home, fabric=[{"driver": "opensm", "fabrics": [settings]}])
    made = asyncio.run(_create_and_release(home, running))
    assert len(made) == 16
    assert running.entries() == frozenset()


async def _create_and_release(home, running):
    with open_service(home, reconcile_s=0) as service:
        key = make_first_key(service, "operator")
        (project,) = service.directory.projects(None, "", 10)
        service.worker.start()
        try:
            transport = httpx.ASGITransport(build_application(service))
            async with httpx.AsyncClient(
                transport=transport,
                base_url="http://gigawatt/gw/v1",
                headers={"Authorization": f"Bearer {key}"},
                timeout=60.0,
            ) as client:
                body = {"project_id": project.project_id, "name": "real", "gpu_count": 16}
                made = (await client.post("/clusters", json=body)).json()
                await _ended(client, made["operation_id"])
                held = (await running.driver.observe([running.device])).entries[running.device]
                gone = await client.post(f"/clusters/{made['id']}:release")
                await _ended(client, gone.json()["operation_id"])
                return held
        finally:
            service.worker.stop(10.0)


async def _ended(client, operation_id):
    """Look until an operation is over, half a minute at most."""
    for _ in range(1_500):
        found = (await client.get(f"/operations/{operation_id}")).json()
        if found["finished_at"] is not None:
            assert found["state"] == "done", found
            return
        await asyncio.sleep(0.02)
    raise AssertionError("the operation did not end")
