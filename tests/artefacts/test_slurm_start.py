"""Goal: slurm.sh reaches every host with every file and one key, and says who failed.

Method: bash runs it with a stub named ssh on the path that unpacks what it is sent instead of
carrying it; a host that must fail is made to. Real hosts are in tests/lab/test_slurm.py.
"""

import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from gigawatt.artefacts.render import render_artefacts
from gigawatt.boundary.target import ClusterTarget, Keys, Member
from gigawatt.fleet.demo import hgx_fleet
from gigawatt.ids import ClusterId, FabricId, SiteId, TenantId

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")

FLEET = hgx_fleet(64)
HOSTS = [f"train-{rank:04d}" for rank in range(3)]
FILES = {"slurm.sh", "slurm.conf", "gres.conf", "cgroup.conf", "topology.conf", "hosts",
         "munge.key"}  # fmt: skip
STUB = """\
#!/usr/bin/env bash
for word in "$@"; do case "$word" in train-*) host="$word" ;; esac; done
echo "$host: $*" >> "$SAID/words"
case "${@: -1}" in *until-ready*) cat > /dev/null; exit ;; esac
mkdir -p "$SAID/$host"
tar -C "$SAID/$host" -xf -
[[ "$host" != "${BROKEN:-}" ]]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    members = tuple(Member(FLEET.node_id(n), 0xFF, "member", i) for i, n in enumerate((3, 0, 2)))
    target = ClusterTarget(ClusterId("clu_9"), TenantId("ten_1"), "train", SiteId("site-a"),
                           FabricId("ib0"), None, members, Keys(0x42, None, 5000, 1, None), 0,
                           "image", (), ())  # fmt: skip
    for name, text in render_artefacts(FLEET, target).items():
        (tmp_path / name).write_text(text)
    stub = tmp_path / "bin" / "ssh"
    stub.parent.mkdir()
    stub.write_text(STUB)
    stub.chmod(0o755)
    return tmp_path


def start(folder: Path, *words: str, **settings: str) -> subprocess.CompletedProcess[str]:
    said = folder / "said"
    said.mkdir(exist_ok=True)
    env = {"PATH": f"{folder}/bin:{os.environ['PATH']}", "SAID": str(said), **settings}
    return subprocess.run(
        ["bash", str(folder / "slurm.sh"), *words],
        env=env, capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip


def test_every_host_gets_every_file_and_the_same_key(folder: Path) -> None:
    done = start(folder, "--trial", "-i", "my key")
    assert done.returncode == 0, done.stderr
    key = folder / "munge.key"
    assert key.stat().st_size == 1024
    assert key.stat().st_mode & 0o777 == 0o600
    for host in HOSTS:
        got = folder / "said" / host
        assert {path.name for path in got.iterdir()} == FILES
        assert all((got / name).read_bytes() == (folder / name).read_bytes() for name in FILES)
    words = (folder / "said" / "words").read_text()
    assert words.count("-i my key train-") == len(HOSTS) + 1
    assert f"--on-host {HOSTS[0]} --trial" in words
    assert f"{HOSTS[0]} bash -s -- --until-ready" in words


def test_a_second_run_keeps_the_key(folder: Path) -> None:
    start(folder)
    before = (folder / "munge.key").read_bytes()
    assert start(folder).returncode == 0
    assert (folder / "munge.key").read_bytes() == before
    assert "--trial" not in (folder / "said" / "words").read_text()


def test_a_host_that_fails_is_named_and_nothing_is_waited_for(folder: Path) -> None:
    done = start(folder, BROKEN=HOSTS[1])
    assert done.returncode == 1
    assert f"{HOSTS[1]}: failed" in done.stderr
    assert "1 of 3 hosts failed" in done.stderr
    assert "until-ready" not in (folder / "said" / "words").read_text()


def test_a_host_that_is_another_refuses(folder: Path) -> None:
    done = start(folder, "--on-host", "train-0002")
    assert done.returncode == 1
    assert f"this is {socket.gethostname().partition('.')[0]}, wanted train-0002" in done.stderr
