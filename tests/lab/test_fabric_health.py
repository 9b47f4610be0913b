"""Goal: a port that errs, flaps or runs slow is named, and so is a NIC at another switch port.

Method: ibsim's console sets counters and moves cables; the reader's figures are compared with
``perfquery``, which is not ours; the judge has one negative case for each rule.
"""

import asyncio
import re
import subprocess
from collections.abc import Iterator
from dataclasses import replace

import pytest

from gigawatt.boundary.plane import Plane
from gigawatt.boundary.proof import prove
from gigawatt.drivers.opensm.port_info import port_reading
from gigawatt.errors import InputError
from gigawatt.fleet.discovery.port_health import COUNTERS, ERRORS_MAX, PortReading, judge_ports
from gigawatt.lab.fabric import TOOL_PATH, missing_tools
from running_fabric import RunningFabric, one_subnet_fleet

FLEET = one_subnet_fleet("health", 7)
SOUND = PortReading(0x10, 1, True, 4, 4, 53.125, 53.125, dict.fromkeys(COUNTERS, 0))


def rules(now: PortReading, *before: PortReading) -> list[str]:
    return [finding.rule for finding in judge_ports([now], before)]


def counted(name: str, value: int) -> PortReading:
    return replace(SOUND, counters={**SOUND.counters, name: value})


def test_a_sound_port_has_no_finding():
    assert rules(SOUND) == rules(SOUND, SOUND) == []


@pytest.mark.parametrize("name", COUNTERS)
def test_each_counter_has_its_bound(name):
    assert rules(counted(name, ERRORS_MAX[name])) == []
    assert rules(counted(name, ERRORS_MAX[name] + 1)) == [name]
    long_ago = counted(name, 10_000)
    assert rules(long_ago, long_ago) == []
    assert rules(counted(name, ERRORS_MAX[name] + 10_001), long_ago) == [name]
    assert rules(counted(name, ERRORS_MAX[name] + 1), long_ago) == [name], "it was reset since"


def test_links_are_judged():
    assert rules(replace(SOUND, lanes=1)) == ["width"]
    assert rules(replace(SOUND, gbps_per_lane=25.78125)) == ["speed"]
    down = replace(SOUND, is_active=False, lanes=0, gbps_per_lane=0.0)
    assert rules(down, SOUND) == ["down"]
    assert rules(down) == [], "it may never have been up"
    assert rules(counted("LinkDownedCounter", 3), SOUND) == ["flapping"]
    assert rules(counted("LinkDownedCounter", 2), SOUND) == []


@pytest.mark.parametrize("counters", [{"Bogus": 1}, {"VL15Dropped": -1}])
def test_counters_that_there_are_not_are_refused(counters):
    with pytest.raises(InputError):
        replace(SOUND, counters=counters)


def test_a_link_is_what_both_ends_support_and_are_allowed():
    end = [0] * 64
    end[29] = end[30] = 0b11
    end[31] = 0b10
    end[32], end[35] = 0x74, 0x47
    end[62], end[63] = 0x47, 0x07
    port = port_reading(1, 2, end, end, [0] * 64)
    assert (port.lanes, port.lanes_max, port.is_active) == (4, 4, True)
    assert (port.gbps_per_lane, port.gbps_per_lane_max) == (53.125, 53.125)
    assert judge_ports([port]) == ()
    thin = list(end)
    thin[31] = 0b01
    assert rules(port_reading(1, 2, thin, end, None)) == ["width"]
    thin[29] = 0b01
    assert rules(port_reading(1, 2, thin, end, None)) == [], "more is not allowed"
    slow = list(end)
    slow[62] = 0x27
    assert rules(port_reading(1, 2, slow, end, None)) == ["speed"]
    slow[62] = 0x07
    assert rules(port_reading(1, 2, slow, end, None)) == ["speed"]


@pytest.fixture(scope="module")
def fabric() -> Iterator[RunningFabric]:
    running = RunningFabric(FLEET)
    try:
        running.emptied()
        yield running
    finally:
        running.close()


@pytest.mark.ibsim
@pytest.mark.skipif(bool(missing_tools()), reason=missing_tools() or "installed")
class TestRealFabric:
    def readings(self, fabric: RunningFabric) -> dict[tuple[int, int], PortReading]:
        found = asyncio.run(fabric.driver.health(fabric.device))
        return {(port.guid, port.switch_port): port for port in found}

    def test_every_port_is_read_and_errors_are_those_of_perfquery(self, fabric):
        before = self.readings(fabric)
        hosts = {int(guid) for guid in FLEET.nics.guid}
        assert hosts <= {guid for guid, _ in before}
        assert len(before) == 2 * len(hosts) + 2 * len(FLEET.links)
        assert {port.lanes for port in before.values()} == {4}
        nic = 3
        leaf = int(FLEET.switches.guid[int(FLEET.nics.leaf[nic])])
        at = int(FLEET.nics.leaf_switch_port[nic])
        subnet = next(s for s in fabric.lab.subnets if int(FLEET.nics.guid[nic]) in s.subnet.guids)
        for name, value in (("SymbolErrorCounter", 77), ("LinkDownedCounter", 12)):
            subnet.console(f'PerformanceSet "S-{leaf:016x}"[{at}] PortCounters.{name}={value}')
        fabric.until(lambda: self.readings(fabric)[leaf, at].counters["LinkDownedCounter"] == 12)
        now = self.readings(fabric)
        found = judge_ports(list(now.values()), list(before.values()))
        assert [(f.guid, f.switch_port, f.rule) for f in found] == [
            (leaf, at, "SymbolErrorCounter"),
            (leaf, at, "LinkDownedCounter"),
        ]
        said = subprocess.run(
            ["perfquery", "-C", "ibsim0", "-G", f"{leaf:#x}", str(at)],
            env={"PATH": TOOL_PATH, **subnet.subnet.environment},
            cwd=subnet.folder,
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        ).stdout
        told = {k: int(v) for k, v in re.findall(r"^(\w+):\.*(\d+)$", said, re.MULTILINE)}
        assert {n: told[n] for n in COUNTERS if n in told} == {
            n: v for n, v in now[leaf, at].counters.items() if n in told
        }
        assert told["SymbolErrorCounter"] == 77

    def test_a_nic_at_another_switch_port_is_found(self, fabric):
        nic = 0
        guid = int(FLEET.nics.guid[nic])
        subnet = next(s for s in fabric.lab.subnets if guid in s.subnet.guids)
        leaf = int(FLEET.nics.leaf[nic])
        used = {
            int(p)
            for p, on in zip(FLEET.nics.leaf_switch_port, FLEET.nics.leaf, strict=True)
            if on == leaf
        }
        used |= {int(link) for link in FLEET.links.lower_switch_port[FLEET.links.lower == leaf]}
        free = min(set(range(1, int(FLEET.switches.switch_port_count[leaf]) + 1)) - used)
        name, switch = f"H-{guid - 1:016x}", f"S-{int(FLEET.switches.guid[leaf]):016x}"

        def moved() -> list[str]:
            seen = asyncio.run(fabric.driver.observe([fabric.device]))
            proof = prove(FLEET, [], [], port_locations=seen.port_locations, scope="read_back")
            return [v.sentence for v in proof.violations if v.plane is Plane.FABRIC]

        assert moved() == []
        subnet.console(f'Unlink "{name}"')
        subnet.console(f'Link "{name}"[1] "{switch}"[{free}]')
        fabric.until(lambda: bool(moved()))
        assert f"{guid:#018x}" in moved()[0]
        assert f"switch port {free}, where no NIC of the fleet belongs" in moved()[0]
        subnet.console(f'Unlink "{name}"')
        subnet.console(f'ReLink "{name}"')
