"""How fabrics are kept, and nodes whose links err.

Goal: a node is quarantined for its own cable alone, with the counter as the reason, never for what
was before, for congestion or for a whole switch; and what is wrong with a real fabric's keys, files
and ports is told with what to do.
Method: readings as recorded, changed in one thing each; then OpenSM over ibsim, whose console sets
counters and moves cables, and its files as they are and as they are written wrongly.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import replace

import httpx
import pytest
import yaml

from gigawatt.api.application import build_application
from gigawatt.app.clock import ManualClock
from gigawatt.app.fabric_care import PortWatch
from gigawatt.app.home import Home
from gigawatt.app.service import make_first_key, open_service
from gigawatt.boundary.plane import PLANES, Plane
from gigawatt.drivers.opensm.hygiene import SubnetKeys, render_options
from gigawatt.drivers.opensm.opening import settings_of
from gigawatt.executor.executor import Surroundings
from gigawatt.fleet.demo import hgx_fleet
from gigawatt.fleet.discovery.port_health import COUNTERS, LINK_RULES, PortReading
from gigawatt.fleet.yaml_dump import dump_fleet
from gigawatt.lab.fabric import missing_tools
from gigawatt.store.sqlite import open_store
from running_fabric import RunningFabric

FLEET = hgx_fleet(128, name="care")
NIC = 11
NODE = FLEET.node_id(int(FLEET.nics.node[NIC]))
GUID = int(FLEET.nics.guid[NIC])
LEAF = int(FLEET.switches.guid[int(FLEET.nics.leaf[NIC])])
LEAF_PORT = int(FLEET.nics.leaf_switch_port[NIC])
UPLINK = LEAF, 64
"""A port of a leaf at which no NIC is."""


class RecordedFabric:
    """A driver that tells what was recorded."""

    plane = Plane.FABRIC

    def __init__(self) -> None:
        leaves = FLEET.switches.guid[FLEET.nics.leaf].tolist()
        at = FLEET.nics.leaf_switch_port.tolist()
        ports = [(int(guid), 1) for guid in FLEET.nics.guid] + list(zip(leaves, at, strict=True))
        self.ports = {
            port: PortReading(*port, True, 4, 4, 53.125, 53.125, dict.fromkeys(COUNTERS, 7))
            for port in [*ports, UPLINK]
        }

    async def health(self, device) -> list[PortReading]:
        return list(self.ports.values())

    async def lint(self, device) -> list:
        return []

    def count(self, port: tuple[int, int], name: str, more: int) -> None:
        one = self.ports[port]
        self.ports[port] = replace(one, counters={**one.counters, name: one.counters[name] + more})


@pytest.fixture
def recorded(tmp_path) -> Iterator[tuple[RecordedFabric, PortWatch, Surroundings]]:
    store = open_store(tmp_path / "store.sqlite")
    fabric = RecordedFabric()
    around = Surroundings(FLEET, store, {Plane.FABRIC: fabric}, ManualClock(1_000.0))
    yield fabric, PortWatch(around), around
    store.close()


def look(watch: PortWatch) -> tuple[str, ...]:
    return asyncio.run(watch.look())


def states(around: Surroundings):
    return around.store.snapshot(around.clock.now_s()).node_states


@pytest.mark.parametrize("port", [(GUID, 1), (LEAF, LEAF_PORT)], ids=["host", "leaf"])
@pytest.mark.parametrize("rule", sorted(LINK_RULES - {"flapping"}))
def test_a_port_that_errs_has_its_node_quarantined_with_the_counter_as_reason(recorded, port, rule):
    fabric, watch, around = recorded
    assert look(watch) == ()
    fabric.count(port, rule, 11)
    assert look(watch) == (NODE,)
    state, reason = states(around)[NODE]
    assert state == "quarantined"
    assert f"{rule} 11 since the last reading" in reason
    assert look(watch) == (), "it is counted once"


def test_what_was_before_the_first_look_counts_for_nobody(recorded):
    fabric, watch, around = recorded
    fabric.count((GUID, 1), "SymbolErrorCounter", 60_000)
    assert look(watch) == ()
    assert look(watch) == ()
    fabric.count((GUID, 1), "SymbolErrorCounter", 10)
    assert look(watch) == (), "sound up to ten"
    assert states(around) == {}


def test_what_a_tenant_or_congestion_can_do_quarantines_nobody(recorded):
    fabric, watch, around = recorded
    look(watch)
    for name in set(COUNTERS) - LINK_RULES:
        fabric.count((GUID, 1), name, 60_000)
    assert look(watch) == ()
    assert states(around) == {}


def test_a_link_that_flaps_has_its_node_quarantined(recorded):
    fabric, watch, _ = recorded
    look(watch)
    fabric.count((LEAF, LEAF_PORT), "LinkDownedCounter", 2)
    assert look(watch) == (), "a host that starts anew"
    fabric.count((LEAF, LEAF_PORT), "LinkDownedCounter", 3)
    assert look(watch) == (NODE,)


def test_a_cable_between_switches_is_told_and_is_no_nodes(recorded):
    fabric, watch, around = recorded
    look(watch)
    fabric.count(UPLINK, "SymbolErrorCounter", 100)
    assert look(watch) == ()
    (event,) = around.store.events(None)[-1:]
    assert "SymbolErrorCounter 100" in event.message


def test_very_many_nodes_at_once_are_no_bad_cables(recorded):
    fabric, watch, around = recorded
    look(watch)
    for guid in FLEET.nics.guid[::8].tolist():
        fabric.count((int(guid), 1), "SymbolErrorCounter", 100)
    assert look(watch) == ()
    assert states(around) == {}
    (event,) = around.store.events(None)[-1:]
    assert "none was quarantined" in event.message


def test_a_node_that_was_drained_stays_drained(recorded):
    fabric, watch, around = recorded
    look(watch)
    around.store.set_node_state(NODE, "drained", "a fan", 1_000.0)
    fabric.count((GUID, 1), "SymbolErrorCounter", 100)
    assert look(watch) == ()
    assert states(around)[NODE] == ("drained", "a fan")


@pytest.fixture(scope="module")
def running() -> Iterator[RunningFabric]:
    fabric = RunningFabric(FLEET)
    yield fabric
    fabric.close()


@pytest.fixture
def home(tmp_path, running) -> Home:
    running.emptied()
    found = Home(tmp_path / "home", None)
    found.make()
    found.fleet_path.write_text(dump_fleet(FLEET), encoding="utf-8")
    fabric = settings_of(FLEET, running.lab.fabric).model_dump(mode="json")
    planes = {str(plane): [{"driver": "fake"}] for plane in PLANES}
    planes["fabric"] = [{"driver": "opensm", "fabrics": [fabric]}]
    found.site_path.write_text(yaml.safe_dump(planes), encoding="utf-8")
    return found


async def linted(service, key: str) -> dict[str, list[dict[str, str]]]:
    """What the API says of the fabric, by rule."""
    headers = {"Authorization": f"Bearer {key}"}
    transport = httpx.ASGITransport(build_application(service))
    async with httpx.AsyncClient(
        transport=transport, base_url="http://gigawatt/gw/v1", headers=headers, timeout=60.0
    ) as client:
        said = (await client.get("/site/fabrics")).json()
    (fabric,) = said["fabrics"]
    assert fabric["is_judged"]
    found: dict[str, list[dict[str, str]]] = {}
    for finding in fabric["findings"]:
        assert finding["next_step"]
        found.setdefault(finding["rule"], []).append(finding)
    return found


@pytest.mark.ibsim
@pytest.mark.skipif(bool(missing_tools()), reason=missing_tools() or "installed")
class TestRealFabric:
    def test_a_manager_without_keys_is_told_and_one_with_keys_is_not(self, home, running):
        paths = [subnet.subnet.options_paths[0] for subnet in running.lab.subnets]
        before = [path.read_text() for path in paths]
        keys = SubnetKeys(0x1122334455667788, 0x2233445566778899, 0x33445566778899AA)
        with open_service(home, reconcile_s=0) as service:
            key = make_first_key(service, "operator")
            found = asyncio.run(linted(service, key))
            assert {"m_key", "m_key_protection", "m_key_lease", "sm_key", "sa_key"} == set(found)
            assert {finding["where"] for finding in found["m_key"]} == set(map(str, paths))
            for path in paths:
                path.write_text(render_options(keys, running.file.path, [GUID]))
            try:
                assert asyncio.run(linted(service, key)) == {}
            finally:
                for path, text in zip(paths, before, strict=True):
                    path.write_text(text)

    def test_an_open_fabric_and_a_port_that_is_gone_are_told(self, home, running):
        subnet = next(s for s in running.lab.subnets if GUID in s.subnet.guids)
        name = f"H-{GUID - 1:016x}"
        text = running.file.path.read_text()
        with open_service(home, reconcile_s=0) as service:
            subnet.console(f'Unlink "{name}"')
            running.file.path.write_text("Default=0x7fff : ALL=full, SELF=full ;\n")
            running.reread()
            try:
                running.until(lambda: any(port.is_open for port in running.ports()))
                running.until(lambda: GUID not in {port.guid for port in running.ports()})
                found = asyncio.run(linted(service, make_first_key(service, "operator")))
            finally:
                running.file.path.write_text(text)
                subnet.console(f'ReLink "{name}"')
                running.reread()
        assert {"open_default", "open_port", "missing_port"} <= set(found)
        assert f"{GUID:#018x}" in found["missing_port"][0]["where"]
        assert NODE in found["missing_port"][0]["reason"]

    def test_counters_of_a_real_port_quarantine_its_node_through_the_upkeep(self, home, running):
        subnet = next(s for s in running.lab.subnets if GUID in s.subnet.guids)
        line = f'PerformanceSet "S-{LEAF:016x}"[{LEAF_PORT}] PortCounters.SymbolErrorCounter='
        with open_service(home, reconcile_s=0.05) as service:
            upkeep, around = service.upkeep, service.control.around
            subnet.console(f"{line}70")
            upkeep.start()
            try:
                running.until(lambda: upkeep.pass_count > 1)
                assert states(around) == {}, "it was so before"
                subnet.console(f"{line}87")
                running.until(lambda: bool(states(around)))
            finally:
                upkeep.stop()
                subnet.console(f"{line}0")
            state, reason = states(around)[NODE]
            assert state == "quarantined"
            assert "SymbolErrorCounter 17 since the last reading" in reason
