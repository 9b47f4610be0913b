"""Goal: exports of a CephFS come to the hosts of their network, hold their quota, and end at once.

Method: the lab's Ceph, the real driver with mounts of its own, and hosts to which the exports are
attached as machines have them. What a host does is done as a tenant or as the host's root.
"""

import subprocess
from pathlib import Path
from select import select

import pytest
from attached_host import attached_host
from running_cephfs import (
    AHEAD_BYTES,
    MIB,
    POOL,
    B,
    emptied,
    files,
    give,
    held,
    marks,
    opened,
    running_cephfs,
    withdraw,
)

from gigawatt.boundary.entries import Export
from gigawatt.drivers.cephfs.reading import secret_ref_of
from gigawatt.lab.storage.cephfs import CephfsPart, ceph, ceph_folder
from gigawatt.lab.storage.pool_folders import pool_folder
from memory_secrets import MemorySecrets

pytestmark = marks(CephfsPart().package_of_tool)

SECRETS = MemorySecrets()


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    with running_cephfs(tmp_path_factory.mktemp("lab")) as made:
        yield made


@pytest.fixture
def driver(lab, tmp_path):
    driver = emptied(opened(lab, tmp_path / "driver", SECRETS))
    yield driver
    emptied(driver)
    assert servers() == [], "a client outlives its export"


def host(lab, vni: int, root: Path):
    return attached_host(pool_folder(lab, POOL), vni, root)


def pids(pattern: str) -> list[str]:
    words = ["pgrep", "-f", pattern]
    return subprocess.run(words, capture_output=True, text=True, check=False).stdout.split()


def servers() -> list[str]:
    return pids("^ceph-fuse ")


def until(is_so, what: str) -> None:
    for _ in range(300):
        if is_so():
            return
        select([], [], [], 0.1)
    pytest.fail(f"waited in vain: {what}")


def test_an_export_reaches_a_host_that_runs_and_no_other(lab, driver, tmp_path):
    with host(lab, 900, tmp_path / "a") as mine, host(lab, 901, tmp_path / "b") as theirs:
        assert mine.run("ls").stdout == ""
        give(driver, [files(1, "a"), Export(POOL, 1, 900)])
        give(driver, [files(2, "b"), Export(POOL, 2, 901)], B)
        assert mine.run("ls").stdout == "1\n"
        assert theirs.run("ls").stdout == "2\n"
        assert theirs.run("sh", "-c", "echo secret > 2/f").returncode == 0
        assert mine.run("sh", "-c", "echo own > 1/f && cat 1/f").stdout == "own\n"
        ours = pool_folder(lab, POOL)
        for path in ("2/f", "../b/2/f", "1/../2/f", f"{ours}/exports/901/2/f"):
            assert mine.run("cat", path).returncode != 0
            assert mine.run("cat", path, user=()).returncode != 0
        assert mine.run("touch", "evil").returncode != 0
        assert theirs.run("cat", "2/f").stdout == "secret\n"
        assert "nosuid,nodev" in mine.run("cat", "/proc/self/mountinfo").stdout.split("/1 ")[1]


def test_no_host_has_a_key_and_none_is_in_a_file_or_on_a_command_line(lab, driver, tmp_path):
    give(driver, [files(1, "a"), Export(POOL, 1, 900)])
    key = SECRETS.read(secret_ref_of(POOL, 1, 900))
    with host(lab, 900, tmp_path / "a") as mine:
        for folder in ("/mnt", "/run", str(tmp_path), "1"):
            found = mine.run("grep", "--recursive", "--fixed-strings", "-l", key, folder, user=())
            assert found.stdout == "", folder
    # Ceph's own store has it, and the memory of the client.
    apart = ["--exclude-dir=mon", "--exclude-dir=osd"]
    words = ["grep", "-rFl", *apart, key, str(ceph_folder(lab)), str(pool_folder(lab, POOL))]
    assert subprocess.run(words, capture_output=True, text=True, check=False).stdout == ""
    for path in Path("/proc").glob("[0-9]*"):
        for name in ("cmdline", "environ"):
            try:
                assert key.encode() not in (path / name).read_bytes(), path
            except OSError:
                continue


def test_no_daemon_listens_where_a_host_could_ask_it(lab):
    listed = subprocess.run(["ss", "-ltnpH"], capture_output=True, text=True, check=True).stdout
    ours = [line.split() for line in listed.splitlines() if "ceph-" in line]
    assert {program for program in ("mon", "mgr", "osd", "mds") if program in listed} == {
        "mon", "mgr", "osd", "mds",
    }  # fmt: skip
    assert {words[3].rpartition(":")[0] for words in ours} == {"127.0.0.1"}


@pytest.mark.parametrize("folder", [".", "a/b/c"])
def test_a_host_writes_its_quota_and_one_object_more_at_most(lab, driver, tmp_path, folder):
    give(driver, [files(1, "a"), Export(POOL, 1, 900)])
    with host(lab, 900, tmp_path / "a") as mine:
        assert mine.run("mkdir", "-p", f"1/{folder}").returncode == 0
        assert "Disk quota exceeded" in mine.write(1, f"{folder}/full", 100).stderr
        size = int(mine.run("stat", "-c", "%s", f"1/{folder}/full").stdout)
        assert 50 * MIB <= size <= 50 * MIB + AHEAD_BYTES
        assert "Disk quota exceeded" in mine.write(1, "more", 1).stderr
        give(driver, [files(1, "a", 60 * MIB)])
        until(lambda: mine.write(1, "more", 1).returncode == 0, "the larger quota")


def test_a_revoked_export_is_cut_with_files_open_and_only_that(lab, driver, tmp_path):
    give(driver, [files(1, "a"), Export(POOL, 1, 900), Export(POOL, 1, 901)])
    with host(lab, 900, tmp_path / "a") as mine, host(lab, 901, tmp_path / "b") as theirs:
        assert mine.run("sh", "-c", "echo kept > 1/f").returncode == 0
        loop = "exec 3<>1/f; echo open; while read _; do cat 1/f; echo x >&3 && echo wrote; done"
        with subprocess.Popen(
            mine.words(["sh", "-c", loop]),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as user:
            assert user.stdout.readline() == "open\n"
            user.stdin.write("\n")
            user.stdin.flush()
            assert [user.stdout.readline() for _ in range(2)] == ["kept\n", "wrote\n"]
            withdraw(driver, [Export(POOL, 1, 900)])
            said, _ = user.communicate("\n")
        assert "wrote" not in said
        assert "kept" not in said
        assert mine.run("ls").stdout == ""
        assert theirs.run("head", "-c1", "1/f").stdout == "x"
        assert "gw-900" not in ceph(lab, "auth", "ls")
        assert "gw-900" not in ceph(lab, "tell", "mds.gigawatt:0", "session", "ls")
        assert held(driver) == {files(1, "a"), Export(POOL, 1, 901)}


def test_a_client_that_dies_is_back_without_anybody_and_so_is_one_nobody_watches(
    lab, driver, tmp_path
):
    give(driver, [files(1, "a"), Export(POOL, 1, 900)])
    with host(lab, 900, tmp_path / "a") as mine:
        assert mine.run("sh", "-c", "echo kept > 1/f && sync 1/f").returncode == 0
        (pid,) = servers()
        subprocess.run(["kill", "-KILL", pid], check=True)
        until(lambda: mine.run("cat", "1/f").stdout == "kept\n", "the mount")
        # Its watcher and it at once, as when the machine that mounts starts anew.
        subprocess.run(["kill", "-KILL", *pids(r"^sh -c .*flock"), *servers()], check=True)
        mount = pool_folder(lab, POOL) / "exports/900/1"
        subprocess.run(["umount", "--lazy", str(mount)], check=True)
        assert mine.run("cat", "1/f").returncode != 0
        assert held(driver) == {files(1, "a"), Export(POOL, 1, 900)}
        assert mine.run("cat", "1/f").stdout == "kept\n"
