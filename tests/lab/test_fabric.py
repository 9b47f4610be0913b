"""Goal: a lab is the fleet's fabric, and leaves no process behind, however its owner ends.

Method: subnets are counted on fleets whose rails meet or do not; a lab is started in a process
that is then killed without a word, and its processes are looked for.
"""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from select import select

import pytest

from gigawatt.boundary.entries import PartitionMember
from gigawatt.drivers.opensm.conf_file import ConfFile
from gigawatt.errors import DriverRetryableError, InputError
from gigawatt.fleet.demo import hgx_fleet
from gigawatt.ids import ClusterId, FabricId
from gigawatt.interfaces.driver import Fence
from gigawatt.lab.fabric import fabric_lab, missing_tools, reader_row, subnets_of
from gigawatt.lab.fleet import lab_fleet
from gigawatt.lab.layout import LabSpec
from running_fabric import RunningFabric

TWO_LEAVES = lab_fleet(LabSpec(node_count=9, is_fabric_only=True))

OWNER = """
import sys
from pathlib import Path
from gigawatt.drivers.opensm.conf_file import ConfFile
from gigawatt.fleet.demo import hgx_fleet
from gigawatt.ids import FabricId
from gigawatt.lab.fabric import fabric_lab, reader_guids

folder = Path(sys.argv[1])
ConfFile(folder / "partitions.conf", FabricId("ib0")).lay_down(reader_guids(hgx_fleet(8), 0))
with fabric_lab(hgx_fleet(8), 0, folder) as lab:
    for subnet in lab.subnets:
        print(subnet.ibsim.pid, subnet.managers[0].pid)
    print("up", flush=True)
    sys.stdin.read()
"""


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


@pytest.mark.parametrize(("gpu_count", "subnet_count"), [(8, 8), (512, 8), (10_000, 3)])
def test_every_switch_is_in_one_subnet_and_links_do_not_leave_it(gpu_count, subnet_count):
    fleet = hgx_fleet(gpu_count)
    groups = subnets_of(fleet, 0)
    assert len(groups) == subnet_count
    assert sorted(row for group in groups for row in group) == list(range(len(fleet.switches)))
    group_of = {row: number for number, group in enumerate(groups) for row in group}
    ends = zip(fleet.links.lower.tolist(), fleet.links.upper.tolist(), strict=True)
    assert all(group_of[a] == group_of[b] for a, b in ends)


@pytest.mark.parametrize("node_count", [9, 16, 24, 40])
def test_master_standby_and_reader_are_on_three_switches(node_count):
    fleet = lab_fleet(LabSpec(node_count=node_count, is_fabric_only=True))
    for rows in subnets_of(fleet, 0):
        leaves = sorted(set(rows).intersection(fleet.nics.leaf.tolist()))
        assert len(leaves) > 1
        reader = reader_row(fleet, rows)
        assert reader in rows
        assert reader not in leaves[:2], "managers run on the first two"


@pytest.mark.ibsim
@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.skipif(bool(missing_tools()), reason=missing_tools() or "installed")
@pytest.mark.parametrize("dying", [0, 1], ids=["first leaf", "second leaf"])
def test_a_leaf_of_two_that_dies_leaves_a_manager_and_the_reader(dying):
    """Its manager is killed and its cables are cut; the other leaf serves on."""
    fabric = RunningFabric(TWO_LEAVES)
    try:
        fabric.emptied()
        subnet = fabric.lab.subnets[0]
        assert len(subnet.leaf_guids) == 2
        subnet.start_manager(fabric.file.path, 1)
        fabric.until(lambda: "Entering STANDBY" in subnet.log(0) + subnet.log(1))
        fabric.until(lambda: fabric.entries() == set())
        subnet.managers[dying].kill()
        subnet.managers[dying].wait()
        subnet.console(f'Unlink "S-{subnet.leaf_guids[dying]:016x}"')
        alive = subnet.leaf_guids[1 - dying]
        nics, guids = TWO_LEAVES.nics, TWO_LEAVES.switches.guid.tolist()
        on_alive = nics.guid[nics.leaf == guids.index(alive)].tolist()
        member = PartitionMember("ib0", 0x10, on_alive[0], "full")

        def is_served() -> bool:
            fence = Fence(ClusterId("clu_a"), 1)
            try:
                asyncio.run(fabric.driver.ensure(fabric.device, [member], fence))
            except DriverRetryableError:
                return False
            return True

        fabric.until(is_served)
    finally:
        fabric.close()


@pytest.mark.ibsim
@pytest.mark.skipif(bool(missing_tools()), reason=missing_tools() or "installed")
@pytest.mark.parametrize("end", ["killed", "told"])
def test_nothing_is_left_running(tmp_path, end):
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    pids: list[int] = []
    for line in owner.stdout:
        if line == b"up\n":
            break
        pids += map(int, line.split())
    assert len(pids) == 16
    assert all(map(is_running, pids))
    if end == "killed":
        owner.send_signal(signal.SIGKILL)
    owner.communicate()
    for _ in range(500):
        if not any(map(is_running, pids)):
            break
        select([], [], [], 0.02)
    assert not any(map(is_running, pids))


@pytest.mark.ibsim
@pytest.mark.skipif(bool(missing_tools()), reason=missing_tools() or "installed")
def test_a_fabric_is_not_started_open(tmp_path):
    with (
        pytest.raises(InputError, match="would open the whole fabric"),
        fabric_lab(hgx_fleet(8), 0, tmp_path),
    ):
        pass
    assert ConfFile(tmp_path / "partitions.conf", FabricId("ib0")).lay_down()
