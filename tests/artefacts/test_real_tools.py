"""Goal: ssh and bash understand the files, and the launcher starts the right rank everywhere.

Method: OpenSSH's own client prints what it made of every host of ssh_config; bash parses and
runs torchrun.sh with a stub named torchrun on the path that prints its arguments and settings,
once per host, with a made-up P_Key table where that matters.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from gigawatt.artefacts.render import render_artefacts
from gigawatt.boundary.target import ClusterTarget, Keys, Member
from gigawatt.fleet.demo import hgx_fleet
from gigawatt.ids import ClusterId, FabricId, SiteId, TenantId

FLEET = hgx_fleet(64)
RANKS = (3, 0, 2)
P_KEY = 0x42

needs_ssh = pytest.mark.skipif(
    shutil.which("ssh") is None, reason="ssh (Debian: openssh-client) is not installed"
)
needs_bash = pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")


def make_target(mask: int = 0xFF) -> ClusterTarget:
    members = tuple(Member(FLEET.node_id(n), mask, "member", i) for i, n in enumerate(RANKS))
    return ClusterTarget(ClusterId("clu_9"), TenantId("ten_1"), "train", SiteId("site-a"),
                         FabricId("ib0"), None, members, Keys(P_KEY, None, 5000, 1, None), 0,
                         "image", (), ())  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in render_artefacts(FLEET, make_target()).items():
        (tmp_path / name).write_text(text)
    stub = tmp_path / "bin" / "torchrun"
    stub.parent.mkdir()
    stub.write_text(
        "#!/usr/bin/env bash\n"
        'printf "%s\\n" "$@"\n'
        "env | grep -E '^(NCCL|UCX)_' | sort\n"
    )  # fmt: skip
    stub.chmod(0o755)
    return tmp_path


@needs_ssh
def test_ssh_resolves_every_host(folder: Path) -> None:
    for rank in range(len(RANKS)):
        result = subprocess.run(
            ["ssh", "-G", "-F", str(folder / "ssh_config"), f"train-{rank:04d}"],
            capture_output=True, text=True, check=True, timeout=20,
        )  # fmt: skip
        said = dict(line.split(" ", 1) for line in result.stdout.splitlines() if " " in line)
        assert said["hostname"] == f"10.0.16.{10 + rank}"
        assert said["user"] == "tenant"
        assert said["stricthostkeychecking"] == "accept-new"
        assert said["userknownhostsfile"].endswith(".ssh/known_hosts.clu_9")


def launch(folder: Path, *words: str, **settings: str) -> subprocess.CompletedProcess[str]:
    env = {
        "PATH": f"{folder}/bin:{os.environ['PATH']}",
        "GW_SYSFS": str(folder / "sys"),
        **settings,
    }
    return subprocess.run(
        ["bash", str(folder / "torchrun.sh"), *words],
        env=env, capture_output=True, text=True, check=False, timeout=20,
    )  # fmt: skip


def write_p_keys(folder: Path, table: dict[int, list[int]]) -> None:
    for nic, keys in table.items():
        pkeys = folder / "sys" / "class" / "infiniband" / f"mlx5_{nic}" / "ports" / "1" / "pkeys"
        pkeys.mkdir(parents=True)
        for index, key in enumerate(keys):
            (pkeys / str(index)).write_text(f"{key:#06x}\n")


@needs_bash
def test_the_script_parses() -> None:
    text = render_artefacts(FLEET, make_target())["torchrun.sh"]
    subprocess.run(["bash", "-n"], input=text, text=True, check=True, timeout=20)


@needs_bash
@pytest.mark.parametrize("rank", range(len(RANKS)))
def test_every_host_starts_its_own_rank(folder: Path, rank: int) -> None:
    result = launch(folder, "train.py", "--name", "two words", GW_HOSTNAME=f"train-{rank:04d}")
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[:9] == [
        "--nnodes=3", "--nproc-per-node=8", f"--node-rank={rank}", "--rdzv-backend=static",
        "--rdzv-endpoint=10.0.16.10:29500", "--rdzv-id=clu_9", "train.py", "--name", "two words",
    ]  # fmt: skip
    assert "NCCL_SOCKET_IFNAME==eth0" in lines
    assert f"UCX_IB_PKEY={P_KEY:#06x}" in lines
    assert "NCCL_IB_PKEY=1" in lines


@needs_bash
@pytest.mark.parametrize("given", [{"GW_HOSTNAME": "laptop"}, {"GW_NODE_RANK": "3"},
                                   {"GW_NODE_RANK": "x"}])  # fmt: skip
def test_a_stranger_is_told_so(folder: Path, given: dict[str, str]) -> None:
    result = launch(folder, "train.py", **given)
    assert result.returncode == 2
    assert "is not one of the 3 hosts of train" in result.stderr
    assert result.stdout == ""


@needs_bash
def test_the_p_key_is_looked_up_where_it_really_is(folder: Path) -> None:
    write_p_keys(folder, {nic: [0x7FFF, P_KEY, 0x8000 | P_KEY, 0] for nic in range(8)})
    result = launch(folder, "train.py", GW_NODE_RANK="0")
    assert result.returncode == 0, result.stderr
    assert "NCCL_IB_PKEY=2" in result.stdout.splitlines()


@needs_bash
@pytest.mark.parametrize(
    "odd",
    [[0x7FFF], [0x7FFF, P_KEY], [0x7FFF, 0, 0x8000 | P_KEY]],
    ids=["no key", "limited", "moved"],
)
def test_a_nic_without_the_key_at_that_index_stops_the_job(folder: Path, odd: list[int]) -> None:
    write_p_keys(folder, {n: [0x7FFF, 0x8000 | P_KEY] for n in range(7)} | {7: odd})
    result = launch(folder, "train.py", GW_NODE_RANK="0")
    assert result.returncode == 3
    assert "mlx5_7" in result.stderr
    assert result.stdout == ""


@needs_bash
def test_a_guest_gets_its_topology_file_from_beside_the_script(folder: Path) -> None:
    for name, text in render_artefacts(FLEET, make_target(0xF0)).items():
        (folder / name).write_text(text)
    result = launch(folder, "train.py", GW_NODE_RANK="1")
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert f"NCCL_TOPO_FILE={folder}/nccl-topo.xml" in lines
    assert "--nproc-per-node=4" in lines
