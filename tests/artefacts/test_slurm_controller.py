"""Goal: Slurm itself reads the files and sees the hosts where the placement put them.

Method: the real slurmctld loads the rendered slurm.conf, topology.conf, gres.conf and cgroup.conf
with every node in State=CLOUD, which needs no node daemon; scontrol, sinfo and sbatch are asked.
Only what ties a file to the machine it runs on is replaced (paths, ports, user, authentication,
process tracking). Skipped where Debian's slurmctld is not installed; blocks need Slurm 23.11,
topology.yaml needs 25.05.
"""

import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gigawatt.artefacts.render import render_artefacts
from gigawatt.boundary.target import ClusterTarget, Keys, Member
from gigawatt.fleet.builder import BlockSpec, build_fleet
from gigawatt.fleet.demo import HGX_H100, nvl72_fleet
from gigawatt.fleet.model import Fleet
from gigawatt.ids import ClusterId, FabricId, SiteId, TenantId

pytestmark = [
    pytest.mark.slurm,
    pytest.mark.skipif(
        shutil.which("slurmctld") is None or shutil.which("scontrol") is None,
        reason="slurmctld and scontrol (Debian: slurmctld, slurm-client) are not installed",
    ),
]

# Rank order: three hosts of group 0, two of group 1 (same pod), two of group 3 (next pod).
NODES = (0, 2, 3, 4, 6, 13, 12)
GROUPS = ({"0000", "0001", "0002"}, {"0003", "0004"}, {"0005", "0006"})


def small_fleet() -> Fleet:
    spec = BlockSpec("s", "US", "hall", HGX_H100, 16, "n", "ib", nodes_per_leaf_group=4,
                     leaf_groups_per_pod=2)  # fmt: skip
    return build_fleet("small", [spec])


def small_target(fleet: Fleet) -> ClusterTarget:
    members = [Member(fleet.node_id(n), 0xFF, "member", i) for i, n in enumerate(NODES)]
    spare = Member(fleet.node_id(15), 0xFF, "spare", len(NODES))
    return ClusterTarget(ClusterId("clu_1"), TenantId("ten_1"), "train", SiteId("s"),
                         FabricId("ib"), None, (*members, spare),
                         Keys(0x12, None, 4096, 3, None), 0, "image", (), ())  # fmt: skip


def free_tcp_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def fitted(text: str, folder: Path) -> str:
    """The rendered slurm.conf with only the machine's own circumstances replaced."""
    own = {
        "SlurmctldHost": f"{socket.gethostname()}(127.0.0.1)",
        "SlurmUser": "root",
        "AuthType": "auth/none",
        "StateSaveLocation": str(folder / "state"),
        "SlurmdSpoolDir": str(folder / "spool"),
        "ProctrackType": "proctrack/pgid",
        "TaskPlugin": "task/none",
    }
    for name, value in own.items():
        text, count = re.subn(rf"(?m)^{name}=.*$", f"{name}={value}", text)
        assert count == 1, name
    text = text.replace(" State=UNKNOWN", " State=CLOUD")
    return text + (
        f"CredType=cred/none\nSlurmctldPort={free_tcp_port()}\nPrivateData=cloud\n"
        f"SlurmctldPidFile={folder}/pid\nSlurmctldLogFile={folder}/log\n"
        "SuspendProgram=/bin/true\nResumeProgram=/bin/true\nSuspendTime=600\n"
    )


@contextmanager
def controller(folder: Path, files: dict[str, str]) -> Iterator[Path]:
    """Path of the slurm.conf of a running controller; ``files`` are all that it has."""
    (folder / "state").mkdir()
    for name, text in files.items():
        (folder / name).write_text(fitted(text, folder) if name == "slurm.conf" else text)
    conf = folder / "slurm.conf"
    server = subprocess.Popen(
        ["slurmctld", "-D", "-c", "-f", str(conf)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(500):  # a ping takes about 10 ms, a start a few hundred
            if server.poll() is not None or "is UP" in ask(conf, "scontrol", "ping"):
                break
        assert server.poll() is None, (folder / "log").read_text()[-2000:]
        yield conf
    finally:
        server.terminate()
        server.wait(10)


def chosen(files: dict[str, str], *names: str) -> dict[str, str]:
    return {name: files[name] for name in ("slurm.conf", "gres.conf", "cgroup.conf", *names)}


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    fleet = small_fleet()
    files = render_artefacts(fleet, small_target(fleet))
    with controller(tmp_path_factory.mktemp("slurm"), chosen(files, "topology.conf")) as conf:
        yield conf


def need_version(wanted: tuple[int, int]) -> None:
    said = subprocess.run(["slurmctld", "-V"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"(\d+)\.(\d+)", said)
    assert found is not None
    if (int(found[1]), int(found[2])) < wanted:
        pytest.skip(f"{said.strip()} is older than {wanted[0]}.{wanted[1]:02d}")


def ask(conf: Path, *command: str) -> str:
    result = subprocess.run(
        command, env={**os.environ, "SLURM_CONF": str(conf)},
        capture_output=True, text=True, check=False, timeout=20,
    )  # fmt: skip
    return result.stdout + result.stderr


def expand(conf: Path, hostlist: str) -> list[str]:
    return ask(conf, "scontrol", "show", "hostnames", hostlist).split()


def test_slurm_sees_the_groups_of_the_placement(slurm: Path) -> None:
    shown = ask(slurm, "scontrol", "show", "topology")
    rows = [dict(pair.split("=", 1) for pair in line.split()) for line in shown.splitlines()]
    leaves = [set(expand(slurm, row["Nodes"])) for row in rows if row["Level"] == "0"]
    assert leaves == [{f"train-{number}" for number in group} for group in GROUPS]
    pods = {row["SwitchName"]: row["Switches"] for row in rows if row["Level"] == "1"}
    assert pods == {"ib-pod000": "n-su000,n-su001", "ib-pod001": "n-su003"}
    root = next(row for row in rows if row["Level"] == "2")
    assert len(expand(slurm, root["Nodes"])) == len(NODES)


def test_slurm_sees_every_host_with_its_gpus_and_address(slurm: Path) -> None:
    listed = ask(slurm, "sinfo", "-N", "-h", "-o", "%N %G %c %P")
    assert listed.split("\n")[:-1] == [
        f"train-{i:04d} gpu:h100:8(S:0-1) 112 gpu*" for i in range(len(NODES))
    ]
    one = ask(slurm, "scontrol", "show", "node", "train-0004")
    assert "NodeAddr=10.0.48.14" in one
    assert "Sockets=2" in one
    assert "CoresPerSocket" not in one or "CoresPerSocket=56" in one


def test_slurm_would_start_a_job_within_one_group(slurm: Path) -> None:
    said = ask(slurm, "sbatch", "--test-only", "-N3", "--gpus-per-node=8", "--switches=1",
               "--wrap", "true")  # fmt: skip
    nodes = re.search(r"on nodes? (\S+) in partition gpu", said)
    assert nodes is not None, said
    assert set(expand(slurm, nodes[1])) == {f"train-{number}" for number in GROUPS[0]}


def test_the_controller_complains_about_nothing(slurm: Path) -> None:
    log = (slurm.parent / "log").read_text()
    # auth/none and a missing job_submit history are the test's circumstances, not the files'.
    bad = [line for line in log.splitlines() if "error:" in line and "TRES" not in line]
    assert not [line for line in bad if re.search(r"gres|topology|node|partition|pars", line, re.I)]


BLOCKS = ({"0000", "0001", "0002"}, {"0003", "0004"}, {"0005"})


def nvl72_files() -> dict[str, str]:
    """Files of six hosts in three NVLink domains: 3, 2 and 1."""
    fleet = nvl72_fleet(3)
    members = [
        Member(fleet.node_id(n), 0xF, "member", i) for i, n in enumerate((0, 1, 17, 20, 18, 40))
    ]
    target = ClusterTarget(ClusterId("clu_2"), TenantId("ten_1"), "train", SiteId("site-b"),
                           FabricId("eth0"), None, tuple(members),
                           Keys(None, 0x800000, 4096, 3, None), 0, "image", (), ())  # fmt: skip
    return render_artefacts(fleet, target)


def groups_shown(conf: Path, marker: str) -> list[set[str]]:
    lines = ask(conf, "scontrol", "show", "topology").splitlines()
    rows = [dict(pair.split("=", 1) for pair in line.split()) for line in lines if marker in line]
    return [set(expand(conf, row["Nodes"])) for row in rows]


def test_slurm_sees_the_nvlink_domains_as_blocks(tmp_path: Path) -> None:
    need_version((23, 11))
    files = nvl72_files()
    files["topology.conf"] = files["topology-block.conf"]
    files["slurm.conf"] = files["slurm.conf"].replace("topology/tree", "topology/block")
    with controller(tmp_path, chosen(files, "topology.conf")) as conf:
        assert groups_shown(conf, "BlockName=") == [{f"train-{n}" for n in b} for b in BLOCKS]


def test_slurm_reads_tree_and_blocks_from_yaml(tmp_path: Path) -> None:
    need_version((25, 5))
    files = nvl72_files()
    # A partition may name a topology of the file; the controller refuses one that is not there.
    files["slurm.conf"] += "PartitionName=blocks Nodes=ALL Topology=block\n"
    with controller(tmp_path, chosen(files, "topology.yaml")) as conf:
        leaves = [BLOCKS[0] | BLOCKS[1], BLOCKS[2]]
        assert groups_shown(conf, "Level=0") == [{f"train-{n}" for n in leaf} for leaf in leaves]
        assert "Topology=block" in ask(conf, "scontrol", "show", "partition", "blocks")
