"""The bare-metal driver over machines of a running lab.

Goal: a tenant gets a node that is on, known by its name and opened by its key alone; a node that is
given back is clean, or quarantined in the eyes of the driver, whatever its BMC says.
Method: the in-band network, the BMCs and the machines of a lab of four nodes; ``ssh`` judges from
within the tenant's network. The contract of all drivers is held on the same machines.
"""

import asyncio
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from contract import DriverContract, Subject, empty
from running_machines import make_key, run
from running_metal import KeptReceipts, NoSecrets

from gigawatt.app.clock import SystemClock
from gigawatt.boundary.entries import HostSlice
from gigawatt.boundary.plane import Plane
from gigawatt.drivers.metal.opening import open_metal
from gigawatt.drivers.metal.settings import MetalSettings
from gigawatt.drivers.opening import Opening
from gigawatt.errors import DriverPermanentError
from gigawatt.ids import ClusterId, DeviceId, NodeId
from gigawatt.interfaces.driver import OPERATOR, Fence
from gigawatt.lab.fleet import lab_fleet
from gigawatt.lab.layout import LabSpec, Layout
from gigawatt.lab.machine.part import POWER_COMMAND, MachinesPart, machines_of
from gigawatt.lab.machine.processes import first_process
from gigawatt.lab.network.part import NetworkPart
from gigawatt.lab.oob import OobPart, control_of
from gigawatt.lab.redfish.faults import Faults
from gigawatt.lab.running import Running

pytestmark = pytest.mark.lab

A, B = ClusterId("clu_a"), ClusterId("clu_b")
VNI = 900


class RunningLab:
    """A lab with bare metal only; node ``n`` has 10.0.0.1n in network ``VNI``, set by hand."""

    def __init__(self, folder, node_count=4):
        spec = LabSpec(node_count=node_count, leaf_count=1, spine_count=1, hypervisor_count=0)
        fleet = lab_fleet(spec)
        self.lab = Running(fleet, Layout(spec, fleet), folder)
        for part in (NetworkPart(), OobPart(POWER_COMMAND), MachinesPart()):
            part.start(self.lab)
        self.fleet, self.folder = fleet, folder
        self.receipts = KeptReceipts()
        (declared,) = self.lab.settings[Plane.HOST]
        self.settings = MetalSettings.model_validate(declared)
        self.number = 0

    def new_driver(self, folder=None, **changed):
        opening = Opening(
            self.fleet, SystemClock(), NoSecrets(), self.receipts, folder or self.folder / "driver"
        )
        return open_metal(self.settings.model_copy(update=changed), opening)

    def node_id(self, node):
        return NodeId(self.fleet.nodes.ids[node])

    def first(self, node):
        return first_process(Path(f"/run/netns/node{node}"))

    def entry(self, node, hostname, key, power="on"):
        return HostSlice(self.node_id(node), 0xFF, False, hostname, "debian", (key,), power)

    def ssh(self, node, key, command, check=False):
        """As root of the lab one may enter the machine's own network, where it surely answers."""
        words = ["ssh", "-i", str(key), "-o", "StrictHostKeyChecking=no", "-o", "LogLevel=ERROR"]
        words += ["-o", "UserKnownHostsFile=/dev/null", "-o", "IdentitiesOnly=yes"]
        words += ["-o", "BatchMode=yes", "-o", "ConnectionAttempts=15"]
        return run(*words, "tenant@127.0.0.1", command, namespace=f"node{node}", check=check)


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    started = RunningLab(tmp_path_factory.mktemp("lab"))
    yield started
    for node in range(len(started.fleet.nodes)):
        first = started.first(node)
        if first is not None:
            os.kill(first, signal.SIGKILL)
    started.lab.stop()


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    return {name: make_key(folder, name) for name in "ab"}


@pytest.fixture
def driver(lab):
    lab.receipts.all.clear()
    driver = lab.new_driver()
    empty(Subject(lab.fleet, {Plane.HOST: driver}))
    lab.number += 1
    return lab.new_driver(lab.folder / f"driver{lab.number}")


class TestContract(DriverContract):
    kinds = ("whole_slice",)

    @pytest.fixture
    def subject(self, lab, keys):
        subject = Subject(
            lab.fleet,
            {Plane.HOST: lab.new_driver()},
            guest_nodes=(),
            ssh_public_keys=(keys["a"][1],),
            probed=(Plane.HOST,),
        )
        empty(subject)
        return subject


def test_a_node_goes_from_tenant_to_tenant_and_nothing_comes_along(lab, driver, keys):
    ours, theirs = lab.entry(0, "a-0", keys["a"][1]), lab.entry(0, "b-0", keys["b"][1])
    asyncio.run(driver.ensure(ours.device, [ours], Fence(A, 1)))
    said = lab.ssh(0, keys["a"][0], "hostname; sudo -n touch /home/planted /planted", check=True)
    assert said.stdout == "a-0\n"
    assert lab.ssh(0, keys["b"][0], "true").returncode == 255
    asyncio.run(driver.remove(ours.device, [ours], Fence(A, 1)))
    assert lab.first(0) is None
    by_name = {step.name: step.detail for step in lab.receipts.all[-1].steps}
    assert lab.receipts.all[-1].is_passed
    assert by_name["prove power off"] == "the kernel has no process of it"
    assert by_name["sample disk"] == "found 0 files and folders, 0 bytes"
    assert by_name["power cycle"] == "on and off again"
    assert not machines_of(lab.lab).hosts[lab.node_id(0)].disk.exists(), "also after the last cycle"

    asyncio.run(driver.ensure(theirs.device, [theirs], Fence(B, 1)))
    assert lab.ssh(0, keys["a"][0], "true").returncode == 255
    seen = lab.ssh(
        0, keys["b"][0], "hostname; ls -d /planted /home/* 2>/dev/null; true", check=True
    )
    assert seen.stdout.split() == ["b-0", "/home/tenant"]


def test_a_machine_that_is_killed_is_seen_off_and_booted_again(lab, driver, keys):
    entry = lab.entry(1, "a-1", keys["a"][1])
    asyncio.run(driver.ensure(entry.device, [entry], Fence(A, 1)))
    os.kill(lab.first(1), signal.SIGKILL)
    lab.lab.until(lambda: lab.first(1) is None, "the machine to be off")
    seen = asyncio.run(driver.observe([entry.device])).entries[entry.device]
    assert seen == {replace(entry, power="off")}
    asyncio.run(driver.ensure(entry.device, [entry], Fence(A, 1)))
    assert lab.ssh(1, keys["a"][0], "hostname", check=True).stdout == "a-1\n"


def test_a_planted_account_fails_the_cleaning_and_the_node_stays_with_its_tenant(lab, driver, keys):
    entry = lab.entry(2, "a-2", keys["a"][1])
    control = control_of(lab.lab)
    asyncio.run(driver.ensure(entry.device, [entry], Fence(A, 1)))
    control.plant_account(lab.node_id(2), "evil", "Planted-1234", "Administrator")
    with pytest.raises(DriverPermanentError, match="BMC accounts"):
        asyncio.run(driver.remove(entry.device, [entry], Fence(A, 1)))
    assert not lab.receipts.all[-1].is_passed
    assert lab.first(2) is None


def test_a_bmc_that_lies_is_not_believed(lab, driver, keys):
    entry = lab.entry(3, "a-3", keys["a"][1])
    control = control_of(lab.lab)
    asyncio.run(driver.ensure(entry.device, [entry], Fence(A, 1)))
    hasty = lab.new_driver(lab.folder / f"driver{lab.number}", off_s_max=2.0)
    control.set_faults(lab.node_id(3), Faults(lies=True))
    try:
        with pytest.raises(DriverPermanentError, match="power off"):
            asyncio.run(hasty.remove(entry.device, [entry], Fence(A, 1)))
        assert lab.first(3) is not None
    finally:
        control.set_faults(lab.node_id(3), Faults())
    asyncio.run(driver.remove(entry.device, [entry], Fence(OPERATOR, 9)))
    assert lab.receipts.all[-1].is_passed


def test_all_nodes_boot_at_once(lab, driver, keys):
    nodes = (0, 1, 3)
    entries = [lab.entry(n, f"a-{n}", keys["a"][1]) for n in nodes]

    async def boot():
        calls = (driver.ensure(e.device, [e], Fence(A, 1)) for e in entries)
        await asyncio.gather(*calls)

    asyncio.run(boot())
    with ThreadPoolExecutor() as pool:
        said = list(pool.map(lambda n: lab.ssh(n, keys["a"][0], "hostname").stdout, nodes))
    assert said == [f"a-{n}\n" for n in nodes]
    assert set(machines_of(lab.lab).hosts) == {lab.node_id(n) for n in range(4)}
    devices = [DeviceId(f"host/{lab.node_id(n)}") for n in nodes]
    assert set(asyncio.run(driver.observe(devices)).entries) == set(devices)
