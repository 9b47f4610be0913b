"""Goal: on a real CephFS a key opens one file system, holds its quota, and ends when it shall.

Method: the lab's Ceph, and the real driver. A host mounts with ceph-fuse and the key that the
driver put among the secrets. The RADOS tool tries the way past the metadata server. Every refusal
has the case beside it that is let through.
"""

import asyncio
import os
import signal
import subprocess
from contextlib import contextmanager
from pathlib import Path

import pytest
from contract import DriverContract, Subject
from running_cephfs import (
    AHEAD_BYTES,
    DEVICE,
    FLEET,
    MIB,
    POOL,
    A,
    B,
    emptied,
    files,
    give,
    held,
    marks,
    opened,
    running_cephfs,
    seen,
    settings_of,
    withdraw,
)

from gigawatt.app.clock import ManualClock, SystemClock
from gigawatt.boundary.entries import Export, NetworkPort
from gigawatt.boundary.plane import Plane
from gigawatt.drivers.cephfs.engine import CephfsEngine
from gigawatt.drivers.cephfs.reading import entity_of, secret_ref_of
from gigawatt.drivers.fake import DeviceWorld, Faults, fake_drivers
from gigawatt.drivers.storage.commands import Commands
from gigawatt.drivers.storage.networks import PortNetworks
from gigawatt.errors import DriverPermanentError, DriverRetryableError, UnknownIdError
from gigawatt.interfaces.driver import Endpoint, Fence
from gigawatt.lab.running import Running
from gigawatt.lab.storage.cephfs import CephfsPart, ceph, ceph_folder
from memory_secrets import MemorySecrets

pytestmark = marks(CephfsPart().package_of_tool)

SECRETS = MemorySecrets()


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    with running_cephfs(tmp_path_factory.mktemp("lab")) as made:
        yield made


@pytest.fixture
def driver(lab, tmp_path):
    return emptied(opened(lab, tmp_path / "driver", SECRETS))


@pytest.fixture
def engine(lab, driver):
    return CephfsEngine(POOL, settings_of(lab), Commands(DEVICE), SECRETS, SystemClock())


class TestContract(DriverContract):
    kinds = ("filesystem",)

    @pytest.fixture
    def subject(self, driver) -> Subject:
        drivers = fake_drivers(DeviceWorld(FLEET), Faults(), ManualClock())
        driver.know_networks(PortNetworks(drivers[Plane.IN_BAND]))
        return Subject(
            FLEET, {**drivers, Plane.STORAGE: driver}, probed=(Plane.STORAGE,), guest_nodes=()
        )


def run(*words: str):
    return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)


def keyring(folder: Path, number: int, vni: int) -> Path:
    key = SECRETS.read(secret_ref_of(POOL, number, vni))
    path = folder / f"{number}-{vni}.keyring"
    path.write_text(f"[client.{entity_of(POOL, number, vni)}]\n\tkey = {key}\n")
    path.chmod(0o600)
    return path


def client_words(lab: Running, tool: str, path: Path):
    entity = path.read_text().partition("]")[0].removeprefix("[")
    conf = str(ceph_folder(lab) / "ceph.conf")
    return [tool, "--conf", conf, "--name", entity, "--keyring", str(path)]


def folder_of(lab: Running, number: int) -> str:
    name = f"{POOL}-{number}"
    return ceph(lab, "fs", "subvolume", "getpath", "gigawatt", name, POOL).strip()


def mount(lab: Running, path: Path, folder: str, target: Path):
    target.mkdir(exist_ok=True)
    words = [*client_words(lab, "ceph-fuse", path), "--admin-socket=", "--log-file=", "-r", folder]
    return subprocess.run([*words, str(target)], timeout=60, check=False).returncode


@contextmanager
def mounted(lab: Running, path: Path, number: int, target: Path):
    assert mount(lab, path, folder_of(lab, number), target) == 0
    try:
        yield target
    finally:
        run("umount", "-l", str(target))


def write(path: Path, mib: int):
    return run("dd", "if=/dev/urandom", f"of={path}", "bs=1M", f"count={mib}", "conv=fsync")


def test_a_quota_stops_a_writer_within_one_object_and_follows_its_changes(lab, driver, tmp_path):
    give(driver, [files(1, "a"), Export(POOL, 1, 900)])
    with mounted(lab, keyring(tmp_path, 1, 900), 1, tmp_path / "mnt") as mine:
        assert "Disk quota exceeded" in write(mine / "full", 100).stderr
        size = (mine / "full").stat().st_size
        assert 50 * MIB <= size <= 50 * MIB + AHEAD_BYTES
        assert "Disk quota exceeded" in write(mine / "more", 1).stderr
        assert {u.filesystem: u.used_bytes for u in seen(driver).file_usage} == {1: size}
        give(driver, [files(1, "a", 80 * MIB)])
        with pytest.raises(DriverPermanentError, match="holds"):
            give(driver, [files(1, "a", 40 * MIB)])
        assert files(1, "a", 80 * MIB) in held(driver)


def test_a_key_opens_one_file_system_for_the_servers_and_their_disks_alike(lab, driver, tmp_path):
    give(driver, [files(1, "a"), Export(POOL, 1, 900)])
    give(driver, [files(2, "b"), Export(POOL, 2, 901)], B)
    ours, theirs = keyring(tmp_path, 1, 900), keyring(tmp_path, 2, 901)
    with mounted(lab, theirs, 2, tmp_path / "b") as other:
        assert write(other / "secret", 1).returncode == 0
    for folder in (folder_of(lab, 2), "/", f"/volumes/{POOL}", "/volumes/_deleting"):
        assert mount(lab, ours, folder, tmp_path / "no") != 0
    with mounted(lab, ours, 1, tmp_path / "a") as mine:
        assert run("ls", f"{mine}/../..").returncode == 0
        assert not (mine / "secret").exists()
    for path, number, works in ((ours, 1, True), (ours, 2, False), (theirs, 2, True)):
        space = ["--pool", "data", "--namespace", f"fsvolumens_{POOL}-{number}", "ls"]
        assert (run(*client_words(lab, "rados", path), *space).returncode == 0) is works
    assert run(*client_words(lab, "rados", ours), "--pool", "data", "ls").returncode != 0
    assert run(*client_words(lab, "ceph", ours), "auth", "ls").returncode != 0


def _write_through(file, content: bytes) -> None:
    file.write(content)
    os.fsync(file.fileno())


def test_a_revoked_export_cuts_a_mount_with_an_open_file_and_only_that(lab, driver, tmp_path):
    give(driver, [files(1, "a"), Export(POOL, 1, 900), Export(POOL, 1, 901)])
    ours, others = keyring(tmp_path, 1, 900), keyring(tmp_path, 1, 901)
    with (
        mounted(lab, ours, 1, tmp_path / "a") as mine,
        mounted(lab, others, 1, tmp_path / "b") as theirs,
        (mine / "f").open("wb", buffering=0) as file,
    ):
        file.write(b"before")
        os.fsync(file.fileno())
        withdraw(driver, [Export(POOL, 1, 900)])
        with pytest.raises(OSError, match=r"Cannot send after transport endpoint shutdown|stale"):
            _write_through(file, b"after")
        assert run("cat", str(mine / "f")).returncode != 0
        assert run("cat", str(theirs / "f")).stdout == "before"
    assert mount(lab, ours, folder_of(lab, 1), tmp_path / "no") != 0
    with pytest.raises(UnknownIdError):
        SECRETS.read(secret_ref_of(POOL, 1, 900))
    assert held(driver) == {files(1, "a"), Export(POOL, 1, 901)}


def test_deletion_leaves_no_object_no_key_and_no_snapshot(lab, driver, engine, tmp_path):
    give(driver, [files(1, "a"), Export(POOL, 1, 900)])
    space = ["rados", "--conf", str(ceph_folder(lab) / "ceph.conf"), "--pool", "data"]
    space += ["--namespace", f"fsvolumens_{POOL}-1", "ls"]
    with mounted(lab, keyring(tmp_path, 1, 900), 1, tmp_path / "mnt") as mine:
        assert write(mine / "f", 20).returncode == 0
        asyncio.run(engine.take_snapshot(1, "one"))
        assert asyncio.run(engine.snapshot_names(1)) == ("one",)
        (mine / "f").unlink()
        (snapshot,) = (mine / ".snap").iterdir()
        assert (snapshot / "f").stat().st_size == 20 * MIB
    assert run(*space).stdout.split()
    withdraw(driver, [files(1, "a"), Export(POOL, 1, 900)])
    assert run(*space).stdout.split() == []
    assert "gw-900" not in ceph(lab, "auth", "ls")
    assert held(driver) == frozenset()


def test_a_key_that_opens_more_than_its_file_system_is_noticed(lab, driver):
    give(driver, [files(1, "a"), Export(POOL, 1, 900)])
    entity = f"client.{entity_of(POOL, 1, 900)}"
    caps = ("mon", "allow r", "mds", "allow rw", "osd", "allow rw pool=data")
    ceph(lab, "auth", "caps", entity, *caps)
    assert asyncio.run(driver.observe([DEVICE])).unreachable == {DEVICE}
    with pytest.raises(DriverRetryableError, match="wanted"):
        give(driver, [files(1, "a")])
    ceph(lab, "auth", "rm", entity)
    # The mount that was made with it is there still, until it is taken away.
    assert held(driver) == {files(1, "a"), Export(POOL, 1, 900)}
    withdraw(driver, [Export(POOL, 1, 900)])
    assert held(driver) == {files(1, "a")}


def test_what_a_killed_call_left_without_its_mark_is_finished(lab, driver):
    """Killed between the subvolume, which has its quota from birth, and the mark."""
    made = ["--size", str(50 * MIB), "--namespace-isolated", "--group_name", POOL]
    ceph(lab, "fs", "subvolume", "create", "gigawatt", f"{POOL}-1", *made)
    assert held(driver) == frozenset()
    give(driver, [files(1, "a", 60 * MIB)])
    assert held(driver) == {files(1, "a", 60 * MIB)}


@pytest.mark.parametrize("kind", ["mds", "osd", "mon"])
def test_a_part_of_ceph_that_stops_is_named_in_time_and_nothing_is_half_done(
    lab, driver, tmp_path, kind
):
    give(driver, [files(1, "a")])
    impatient = opened(lab, tmp_path / "driver", SECRETS, command_s_max=4.0)
    process = lab.programs[f"ceph-{kind}"]
    process.send_signal(signal.SIGSTOP)
    try:
        with pytest.raises(DriverRetryableError, match="did not end in 4 s"):
            give(impatient, [files(2, "b"), Export(POOL, 2, 900)])
    finally:
        process.send_signal(signal.SIGCONT)
    give(driver, [files(2, "b"), Export(POOL, 2, 900)])
    entries = {files(1, "a"), files(2, "b"), Export(POOL, 2, 900)}
    assert held(driver) == entries


def test_probes_say_who_can_mount_what(driver):
    drivers = fake_drivers(DeviceWorld(FLEET), Faults(), ManualClock())
    ports = drivers[Plane.IN_BAND]
    nodes = FLEET.nodes.ids
    a0, a1, b0, free = (Endpoint(nodes[n], 0) for n in range(4))

    async def run_probes():
        driver.know_networks(PortNetworks(ports))
        for end, cluster, vni in ((a0, A, 900), (a1, A, 900), (b0, B, 901)):
            port = NetworkPort(end.node_id, 0, vni, "10.0.0.2/20")
            await ports.ensure(port.device, [port], Fence(cluster, 1))
        mine, theirs = [files(1, "a"), Export(POOL, 1, 900)], [files(2, "b"), Export(POOL, 2, 901)]
        await driver.ensure(DEVICE, mine, Fence(A, 1))
        await driver.ensure(DEVICE, theirs, Fence(B, 1))
        assert await driver.probe([(a0, a1), (b0, b0)]) == (True, True)
        assert await driver.probe([(a0, b0), (b0, a0), (a0, free), (free, a0)]) == (False,) * 4

    asyncio.run(run_probes())
