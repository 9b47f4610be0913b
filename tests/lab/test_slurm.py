"""Goal: the files of a cluster make a Slurm of its hosts by one command, which obeys the wiring.

Method: a lab of two leaf groups; a tenant's cluster lies across both, a rival has a node beside it.
``slurm.sh`` is run as its comment says; real slurmctld, slurmd, munged, srun, scontrol and
OpenSSH in the machines are the judges. Controls: the rival's own Slurm works, and without the
topology file Slurm does what it must not do with it.
"""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from select import select

import pytest
from running_machines import make_key

from gigawatt.lab.fleet import lab_fleet
from gigawatt.lab.layout import LabSpec

pytestmark = [
    pytest.mark.lab,
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(
        any(shutil.which(tool, path="/usr/sbin:/usr/bin") is None for tool in ("slurmd", "munged")),
        reason="slurmctld, slurmd, slurm-client or munge is not installed",
    ),
]

SPEC = LabSpec(node_count=10, hypervisor_count=0)
HOSTS = [f"train-{rank:04d}" for rank in range(5)]
HELD_BACK = [f"h-su000-n{number:02d}" for number in range(3, 8)]
RIVAL = "h-su000-n03"
CLIENT = ("-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", "-o", "BatchMode=yes")


class Site:
    """A lab with two clusters, and what its people type."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.keys = {name: make_key(folder, f"key-{name}") for name in ("train", "rival")}
        self.environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            "GIGAWATT_HOME": str(folder / "home"),
            "GIGAWATT_CONFIG": str(folder / "profiles.toml"),
        }
        self.started, self.first_job_s = "", 0.0

    def run(self, *words, ok=True, timeout=200):
        done = subprocess.run(
            [sys.executable, "-m", "gigawatt.cli", *words], env=self.environment, timeout=timeout,
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert not ok or done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        return done

    def start(self):
        self.run("lab", "up", "--nodes", str(SPEC.node_count), "--hypervisors", "0")
        self.run("project", "create", "rival")
        self.run("project", "quota", "rival", "--gpus", "8")
        others = [node for node in lab_fleet(SPEC).nodes.ids if node != RIVAL]
        for name, project, gpus, out in (
            ("train", "tenant", "40", HELD_BACK),
            ("rival", "rival", "8", others),
        ):
            words = ["--project", project, "--ssh-key", f"{self.keys[name][0]}.pub", "--yes"]
            words += [word for node in out for word in ("--exclude", node)]
            self.run("cluster", "create", name, "--gpus", gpus, *words)
            self.run("cluster", "files", name, "--project", project, "--to", str(self.files(name)))

    def files(self, name: str) -> Path:
        return self.folder / name

    def inside(self, name, *words, ok=True):
        """Run a command within the network of a cluster, beside its first host."""
        node = {"train": "h-su000-n00", "rival": RIVAL}[name]
        return self.run("lab", "shell", node, "--", *words, ok=ok)

    def start_slurm(self, name: str) -> str:
        """What ``slurm.sh`` says, as the tenant runs it."""
        script = str(self.files(name) / "slurm.sh")
        words = ["bash", script, "--trial", "-i", str(self.keys[name][0]), *CLIENT]
        return self.inside(name, *words).stdout

    def on(self, host: str, command: str, *, ok=True):
        name = host.partition("-")[0]
        config = str(self.files(name) / "ssh_config")
        words = ["ssh", "-F", config, "-i", str(self.keys[name][0]), *CLIENT, host, command]
        return self.inside(name, *words, ok=ok)

    def srun(self, words: str, *, ok=True):
        return self.on(HOSTS[0], f"timeout 30 srun {words}", ok=ok)

    def is_so(self, command: str, wanted: str, tries: int = 60) -> bool:
        for _ in range(tries):
            if re.search(wanted, self.on(HOSTS[0], command).stdout):
                return True
            select([], [], [], 0.5)
        return False


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    site = Site(tmp_path_factory.mktemp("slurm"))
    try:
        site.start()
        conf = site.files("train") / "slurm.conf"
        conf.write_text(conf.read_text() + "SlurmdTimeout=10\nKillWait=5\n")
        began = time.monotonic()
        site.started = site.start_slurm("train")
        site.srun("-N5 hostname")
        site.first_job_s = time.monotonic() - began
        yield site
    finally:
        site.run("lab", "down", ok=False)


def leaf_groups():
    """Host names of each leaf group, by the fleet's wiring alone."""
    fleet = lab_fleet(SPEC)
    nodes = [node for node in fleet.nodes.ids if node not in HELD_BACK]
    groups: dict[str, set[str]] = {}
    for host, node in zip(HOSTS, nodes, strict=True):
        row = int(fleet.nodes.leaf_group[fleet.nodes.index_of[node]])
        groups.setdefault(fleet.leaf_groups.ids[row], set()).add(host)
    return groups


def test_one_command_gives_a_slurm_with_every_host_idle(site, record_property):
    record_property("from_files_to_first_job_s", round(site.first_job_s, 1))
    assert re.search(r"gpu\*\s+up\s+infinite\s+5\s+idle\s+train-\[0000-0004\]", site.started)
    assert sorted(site.srun("-N5 hostname").stdout.split()) == HOSTS
    shown = site.on(HOSTS[0], "sinfo -N -h -o '%N %G'").stdout.splitlines()
    assert [line.split("(")[0] for line in shown] == [f"{host} gpu:h100:8" for host in HOSTS]
    key = site.files("train") / "munge.key"
    assert key.stat().st_mode & 0o077 == 0


def test_every_host_resolves_every_name_to_the_address_that_others_reach(site):
    said = site.srun(f"-N5 getent ahostsv4 {HOSTS[3]}").stdout
    assert {line.split()[0] for line in said.splitlines()} == {"10.0.0.13"}
    own = site.srun("-N5 bash -c 'getent ahostsv4 $(hostname)'").stdout
    assert {line.split()[0] for line in own.splitlines()} == {f"10.0.0.{n}" for n in range(10, 15)}


def test_slurm_shows_the_wiring_of_the_fleet(site):
    lines = site.on(HOSTS[0], "scontrol show topology").stdout.splitlines()
    rows = [dict(pair.split("=", 1) for pair in line.split()) for line in lines]
    shown = {
        row["SwitchName"]: set(
            site.on(HOSTS[0], f"scontrol show hostnames '{row['Nodes']}'").stdout.split()
        )
        for row in rows
        if row["Level"] == "0"
    }
    assert shown == leaf_groups()
    assert len(shown) == 2


def test_a_job_that_asks_for_one_switch_gets_it_or_waits(site):
    groups = list(leaf_groups().values())
    for count in (2, 3):
        placed = set(site.srun(f"-N{count} --switches=1 hostname").stdout.split())
        assert len(placed) == count
        assert any(placed <= group for group in groups)
    left = [sorted(group)[0] for group in groups]
    busy = ",".join(host for host in HOSTS if host not in left)
    site.on(HOSTS[0], f"sbatch -J hold -o /dev/null -N3 -w {busy} --wrap 'srun sleep 600'")
    try:
        assert site.is_so("squeue -h -n hold -o %T", "RUNNING")
        refused = site.srun("--immediate=5 -N2 --switches=1 hostname", ok=False)
        assert refused.returncode != 0
        assert refused.stdout == ""
        # Control: two hosts are free, on two switches.
        assert sorted(site.srun("--immediate=5 -N2 hostname").stdout.split()) == sorted(left)
    finally:
        site.on(HOSTS[0], "scancel -n hold")


def test_the_rival_reaches_no_daemon_and_its_credentials_are_worth_nothing(site):
    assert "rival-0000" in site.start_slurm("rival")
    head = site.on(HOSTS[0], "hostname -I").stdout.split()[0]
    for tcp_port in (6817, 6818):
        knock = f"nc -z -w 3 {head} {tcp_port}"
        assert site.on(HOSTS[4], knock).returncode == 0
        assert site.on("rival-0000", knock, ok=False).returncode != 0
    own = site.on(HOSTS[4], "munge -n").stdout.strip()
    foreign = site.on("rival-0000", "munge -n").stdout.strip()
    assert foreign.startswith("MUNGE:")
    assert "Success" in site.on(HOSTS[0], f"unmunge <<< {own}").stdout
    assert "Invalid credential" in site.on(HOSTS[0], f"unmunge <<< {foreign}", ok=False).stderr
    # The rival's Slurm has the rival's host, and the tenant's its own.
    assert site.on("rival-0000", "srun -N1 hostname").stdout.split() == ["rival-0000"]
    assert sorted(site.srun("-N5 hostname").stdout.split()) == HOSTS


def test_a_host_that_dies_is_seen_and_gets_no_job(site):
    site.on(HOSTS[4], "sudo -n /bin/busybox poweroff", ok=False)
    assert site.is_so(f"sinfo -N -h -n {HOSTS[4]} -o %t", r"down\*"), "SlurmdTimeout is 10 s"
    assert sorted(site.srun("-N4 hostname").stdout.split()) == HOSTS[:4]
    site.on(HOSTS[0], "sudo -n scontrol update NodeName=train-0001 State=DRAIN Reason=xid79")
    assert "xid79" in site.on(HOSTS[0], "sinfo -R").stdout
    placed = set(site.srun("-N2 hostname").stdout.split())
    assert "train-0001" not in placed
    site.on(HOSTS[0], "sudo -n scontrol update NodeName=train-0001 State=RESUME")


def test_without_the_topology_file_slurm_would_not_keep_to_one_switch(site):
    """Control of the test on switches; runs on the four hosts that are left."""
    plain = (
        "sudo -n sed -i 's|^TopologyPlugin=.*|TopologyPlugin=topology/none|' /etc/slurm/slurm.conf"
    )
    for host in HOSTS[:4]:
        site.on(host, f"{plain}; sudo -n rm /etc/slurm/topology.conf")
    site.on(HOSTS[0], "sudo -n scontrol reconfigure; sudo -n pkill -x slurmctld; sleep 3;"
            " sudo -n slurmctld < /dev/null > /dev/null 2>&1")  # fmt: skip
    assert site.is_so("sinfo -h -t idle -o %D", "4")
    placed = site.srun("--immediate=20 -N4 --switches=1 hostname").stdout.split()
    assert sorted(placed) == HOSTS[:4]
