"""Goal: one command starts a lab, one ends it, and nothing of it is left however it ends.

Method: ``gw`` itself is run in a process of its own, as a person would. What a lab could leave on
the machine is compared before and after: processes, mounts, interfaces, namespaces, loop devices.
"""

import json
import os
import re
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from select import select

import pytest

from gigawatt.errors import GigawattError
from gigawatt.fleet.demo import HGX_H100
from gigawatt.fleet.discovery.ibnetdiscover import fleet_from_ibnetdiscover
from gigawatt.lab.fabric import subnets_of
from gigawatt.lab.fleet import lab_fleet
from gigawatt.lab.layout import LabSpec
from gigawatt.lab.processes import first_of_room, pids_of
from gigawatt.sdk import Client

pytestmark = pytest.mark.lab

SMALL = ("--fabric-only", "--nodes", "4")
LOOPS = ("losetup", "--list", "--noheadings", "--output", "BACK-FILE")
LEFT_BEHIND = (
    ("ip", "-br", "link"),
    ("ip", "netns"),
    ("cat", "/proc/mounts"),
    ("ls", "/run/netns", "/run/libvirt", "/run/frr", "/etc/frr"),
)


class Machine:
    """A home of a test's own, and what a person would type."""

    def __init__(self, home: Path):
        self.home = home
        self.environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            "GIGAWATT_HOME": str(home),
            "GIGAWATT_CONFIG": str(home / "profiles.toml"),
        }
        self.before = self.left_behind()

    def left_behind(self):
        """What a lab could leave; loop devices are the machine's, so only those of this home."""
        seen = [
            subprocess.run(w, capture_output=True, text=True, check=False).stdout
            for w in LEFT_BEHIND
        ]
        words = subprocess.run(LOOPS, capture_output=True, check=False).stdout.splitlines()
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with suppress(OSError):
                words.append(path.read_bytes())
        return [*seen, [line for line in words if str(self.home).encode() in line]]

    def gw(self, *words: str, status: int = 0) -> str:
        """What ``gw`` printed; its exit status is ``status``."""
        done = self.process(*words)
        out, err = done.communicate()
        assert done.returncode == status, f"{words}: {out}{err}"
        return out if status == 0 else err

    def process(self, *words: str):
        return subprocess.Popen(
            [sys.executable, "-m", "gigawatt.cli", *words],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def folder(self, name: str = "lab") -> Path:
        return self.home / "labs" / name

    def until(self, is_so, what):
        for _ in range(1_500):
            if is_so():
                return
            select([], [], [], 0.02)
        pytest.fail(f"waited in vain: {what() if callable(what) else what}")

    def nothing_is_left(self):
        def difference():
            pairs = zip(self.before, self.left_behind(), strict=True)
            return [pair for pair in pairs if pair[0] != pair[1]]

        self.until(lambda: not difference(), lambda: f"left: {difference()}")


@pytest.fixture
def machine(tmp_path):
    machine = Machine(tmp_path)
    yield machine
    for folder in (tmp_path / "labs").glob("[a-z]*"):
        machine.gw("lab", "down", folder.name)
    machine.nothing_is_left()


def test_a_lab_comes_up_serves_and_goes(machine):
    lab = json.loads(machine.gw("lab", "up", "-o", "json"))
    assert lab["state"] == "up"
    assert {part["state"] for part in lab["parts"]} == {"up"}
    assert lab["drivers"]["fabric"] == ["opensm"]
    assert set(lab["drivers"]) == {"fabric", "in_band", "out_of_band", "storage", "host"}
    with Client(lab["url"], lab["keys"]["tenant"]) as tenant:
        assert [project.name for project in tenant.list_projects().items] == ["tenant"]
    # The profile makes every other command talk to the lab.
    assert "h-su001-n07" in machine.gw("fleet", "show", "--nodes")
    assert "tenant" in machine.gw("whoami", "--profile", "lab:tenant")

    again = json.loads(machine.gw("lab", "up", "-o", "json"))
    assert (again["url"], again["started_s"]) == (lab["url"], lab["started_s"])
    assert "other settings" in machine.gw("lab", "up", "--nodes", "8", status=4)
    assert " up " in machine.gw("lab", "status")

    assert "SUBNET UP" in machine.gw("lab", "logs", "fabric")
    assert "control | " in machine.gw("lab", "logs")
    assert machine.gw("lab", "shell", "management", "--", "cat", "/proc/1/comm").strip()
    assert machine.gw("lab", "shell", "fabric/subnet3", "--", "ibhosts").count("hca3") == 16
    assert "has no place 'spine99'" in machine.gw("lab", "shell", "spine99", status=2)

    machine.gw("lab", "down")
    assert not machine.folder().exists()
    assert "lab" not in (machine.home / "profiles.toml").read_text()
    machine.nothing_is_left()


def test_clusters_are_carved_on_all_planes_proven_and_given_back(machine):
    lab = json.loads(machine.gw("lab", "up", "--nodes", "6", "-o", "json"))
    assert "fake" not in {name for names in lab["drivers"].values() for name in names}
    as_tenant = ("--profile", "lab:tenant")
    guests = ("--exclude", "h-su000-n00", "--exclude", "h-su000-n01")
    machine.gw(*as_tenant, "cluster", "create", "slice", "--gpus", "2", "--yes")
    machine.gw(*as_tenant, "cluster", "create", "whole", "--gpus", "16", *guests, "--yes")
    assert "Proven" in machine.gw("prove")
    assert "nothing to repair" in machine.gw("reconcile")
    conf = machine.folder() / "ib0" / "partitions.conf"
    assert len(re.findall(r"^clu_\w+=0x", conf.read_text(), re.M)) == 2
    for name in ("slice", "whole"):
        machine.gw(*as_tenant, "cluster", "release", name, "--yes")
    assert not re.findall(r"^clu_\w+=0x", conf.read_text(), re.M)


@pytest.mark.slow
def test_what_is_discovered_is_the_fleet_of_the_lab(machine):
    machine.gw("lab", "up", "--fabric-only", "--nodes", "10")
    fleet = lab_fleet(LabSpec(node_count=10, is_fabric_only=True))
    count = len(subnets_of(fleet, 0))
    text = "".join(
        machine.gw("lab", "shell", f"fabric/subnet{number}", "--", "ibnetdiscover")
        for number in range(count)
    )
    found = fleet_from_ibnetdiscover(
        text, name="found", site_id="lab", country="US", node_type_of=lambda *_: HGX_H100
    )

    def nics(of):
        rows = zip(of.nics.node.tolist(), of.nics.leaf.tolist(), strict=True)
        places = [(of.nodes.ids[node], int(of.switches.guid[leaf])) for node, leaf in rows]
        ends = zip(of.nics.guid.tolist(), of.nics.leaf_switch_port.tolist(), strict=True)
        return set(zip(places, ends, of.nics.rail.tolist(), strict=True))

    def links(of):
        lower, upper = of.switches.guid[of.links.lower], of.switches.guid[of.links.upper]
        ports = (of.links.lower_switch_port, of.links.upper_switch_port)
        return set(zip(*(column.tolist() for column in (lower, upper, *ports)), strict=True))

    assert nics(found) == nics(fleet)
    assert links(found) == links(fleet)
    assert set(found.switches.guid.tolist()) == set(fleet.switches.guid.tolist())


@pytest.mark.parametrize(
    "victim",
    [
        pytest.param("unshare", marks=pytest.mark.slow),
        pytest.param("first", marks=pytest.mark.slow),
        "supervisor",
    ],
)
def test_whoever_is_killed_nothing_is_left_and_it_starts_again(machine, victim):
    machine.gw("lab", "up", *SMALL)
    folder = machine.folder()
    first = first_of_room(folder)
    by_name = dict(zip(("unshare", "first", "supervisor"), pids_of(folder), strict=True))
    assert by_name["first"] == first
    os.kill(by_name[victim], signal.SIGKILL)
    machine.nothing_is_left()
    assert "killed" in machine.gw("lab", "status")
    assert "does not run" in machine.gw("lab", "shell", status=2)
    machine.gw("lab", "up", *SMALL)
    assert machine.gw("fleet", "show")


def test_labs_run_side_by_side_and_end_apart(machine):
    machine.gw("lab", "up", "one", *SMALL)
    machine.gw("lab", "up", "two", *SMALL, "--standby")
    labs = json.loads(machine.gw("lab", "status", "-o", "json"))
    assert [(lab["name"], lab["state"]) for lab in labs] == [("one", "up"), ("two", "up")]
    assert len({lab["url"] for lab in labs}) == 2
    machine.gw("lab", "down", "one", "--keep-logs")
    assert [path.name for path in machine.folder("one").iterdir()] == ["logs"]
    assert machine.gw("fleet", "show", "--profile", "lab-two")
    assert machine.gw("lab", "shell", "fabric", "--lab", "two", "--", "ibswitches")


def test_an_up_that_is_killed_is_carried_on_or_taken_down(machine):
    up = machine.process("lab", "up", *SMALL)
    machine.until(lambda: pids_of(machine.folder()), "the lab starts")
    up.kill()
    up.communicate()
    machine.gw("lab", "up", *SMALL)
    up = machine.process("lab", "up", "two", *SMALL)
    machine.until(lambda: pids_of(machine.folder("two")), "the lab starts")
    machine.gw("lab", "down", "two")
    assert up.wait() == 2
    assert "taken down" in up.communicate()[1] or "ended" in up.communicate()[1]


def test_a_part_that_dies_is_named(machine):
    machine.gw("lab", "up", *SMALL)
    machine.gw("lab", "shell", "management", "--", "pkill", "-9", "-x", "opensm")
    machine.until(lambda: "no OpenSM of" in machine.gw("lab", "status"), "the ailment is shown")


def test_a_part_that_does_not_come_up_is_named_with_what_to_do(machine):
    machine.environment["GIGAWATT_LOG_FORMAT"] = "verse"
    said = machine.gw("lab", "up", *SMALL, status=2)
    assert "did not come up: the control plane does not start" in said
    assert "verse" in said
    assert "gw lab logs" in said
    assert "failed" in machine.gw("lab", "status")
    del machine.environment["GIGAWATT_LOG_FORMAT"]
    machine.gw("lab", "up", *SMALL)


def test_logs_are_followed_until_the_lab_ends(machine):
    machine.gw("lab", "up", *SMALL)
    logs = machine.process("lab", "logs", "control", "-f")
    while "GET" not in logs.stdout.readline():
        machine.gw("fleet", "show")
    machine.gw("lab", "down")
    assert logs.wait() == 0
    logs.communicate()


@pytest.mark.slow
def test_ten_thousand_ports_come_up(machine):
    machine.gw("lab", "up", "--fabric-only", "--nodes", "1250")
    status = json.loads(machine.gw("lab", "status", "lab", "-o", "json"))
    assert status["state"] == "up"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_cluster_is_created_and_released_through_ufm(machine):
    """Our emulator of UFM over the real OpenSM; OpenSM's own tools say what the ports hold."""
    words = ["--nodes", "2", "--hypervisors", "0", "--storage-size", "256MiB"]
    lab = json.loads(machine.gw("lab", "up", "--fabric", "ufm", *words, "-o", "json"))
    assert lab["drivers"]["fabric"] == ["ufm"]
    assert not (machine.folder() / "ufm.password").exists()

    def held() -> set[tuple[str, str]]:
        found = json.loads(machine.gw("lab", "audit", "--json"))
        return {(one["what"], one["where"]) for one in found if one["plane"] == "fabric"}

    assert held() == set()
    machine.gw("cluster", "create", "train", "--gpus", "8", "--profile", "lab:tenant", "--yes")
    assert len(held()) == 2 * 8, "each of eight ports and its switch port"
    machine.gw("cluster", "release", "train", "--profile", "lab:tenant", "--yes")
    assert held() == set()
    machine.gw("lab", "audit", "--expect-empty")


def test_a_control_plane_that_was_killed_is_started_again_with_the_same_keys(machine):
    lab = json.loads(machine.gw("lab", "up", *SMALL, "-o", "json"))

    def servers() -> list[int]:
        return [
            int(path.parent.name)
            for path in Path("/proc").glob("[0-9]*/cmdline")
            if is_server_of(path, machine.folder())
        ]

    def control() -> dict:
        (lab,) = json.loads(machine.gw("lab", "status", "-o", "json"))
        return next(part for part in lab["parts"] if part["name"] == "control")

    for number in (1, 2):
        (pid,) = servers()
        os.kill(pid, signal.SIGKILL)
        machine.until(lambda pid=pid: servers() not in ([], [pid]), "another server")
        with Client(lab["url"], lab["keys"]["operator"]) as operator:
            machine.until(lambda operator=operator: serves(operator), "its answer")
        said = control()
        assert said["state"] == "up"
        assert said["said"].startswith(f"started again, the {number}. time")


def is_server_of(path: Path, folder: Path) -> bool:
    try:
        words = path.read_bytes().split(b"\0")
    except OSError:
        return False
    return b"gigawatt.lab.control_plane" in words and str(folder).encode() in words


def serves(client: Client) -> bool:
    try:
        return client.who_am_i() is not None
    except GigawattError:
        return False
