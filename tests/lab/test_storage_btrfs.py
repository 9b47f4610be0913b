"""Goal: tenants get exactly the room and the files that are theirs, on a real btrfs.

Method: the lab's btrfs part and the real driver. A host is a process tree in a mount namespace of
its own that attached its network's folder, with a user who has no capabilities. Other programs
judge: dd, cat, stat, btrfs, losetup. Every refusal has the case beside it that is let through.
"""

import asyncio
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from attached_host import AS_TENANT, attached_host
from contract import DriverContract, Subject, empty

from gigawatt.app.clock import ManualClock
from gigawatt.boundary.entries import Export, FileSystem, NetworkPort
from gigawatt.boundary.plane import Plane
from gigawatt.drivers.btrfs.engine import BtrfsEngine
from gigawatt.drivers.btrfs.opening import open_btrfs
from gigawatt.drivers.btrfs.settings import BtrfsSettings
from gigawatt.drivers.btrfs.snapshots import delete_snapshot, snapshot_names, take_snapshot
from gigawatt.drivers.fake import DeviceWorld, Faults, fake_drivers
from gigawatt.drivers.opening import Opening
from gigawatt.drivers.storage.commands import Commands
from gigawatt.drivers.storage.exports import export_path
from gigawatt.drivers.storage.networks import PortNetworks
from gigawatt.errors import DriverError, DriverPermanentError, DriverRetryableError
from gigawatt.ids import ClusterId, DeviceId
from gigawatt.interfaces.driver import Endpoint, Fence
from gigawatt.lab.fleet import lab_fleet
from gigawatt.lab.layout import LabSpec, Layout
from gigawatt.lab.running import Running
from gigawatt.lab.storage.btrfs import BtrfsPart
from gigawatt.lab.storage.pool_folders import pool_folder

pytestmark = pytest.mark.lab

MIB = 2**20
SPEC = LabSpec(node_count=8, storage_bytes=2**30)
FLEET = lab_fleet(SPEC)
POOL = FLEET.storage_pools.ids[0]
DEVICE = DeviceId(f"pool/{POOL}")
A, B = ClusterId("clu_a"), ClusterId("clu_b")


def started(folder: Path) -> Running:
    lab = Running(FLEET, Layout(SPEC, FLEET), folder)
    BtrfsPart().start(lab)
    return lab


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    lab = started(tmp_path_factory.mktemp("lab"))
    yield lab
    folder = pool_folder(lab, POOL)
    subprocess.run(["umount", "-lR", str(folder / "exports"), str(folder / "disk")], check=False)


def opened(lab: Running, folder: Path, clock: ManualClock | None = None):
    (settings,) = lab.settings["storage"]
    opening = Opening(FLEET, clock or ManualClock(), None, None, folder)
    return open_btrfs(BtrfsSettings.model_validate(settings), opening)


@pytest.fixture
def driver(lab, tmp_path):
    driver = opened(lab, tmp_path / "driver")
    empty(Subject(FLEET, {Plane.STORAGE: driver}))
    return driver


@pytest.fixture
def engine(lab, driver):
    return BtrfsEngine(POOL, pool_folder(lab, POOL), Commands(DEVICE))


class TestContract(DriverContract):
    kinds = ("filesystem",)

    @pytest.fixture
    def subject(self, driver) -> Subject:
        drivers = fake_drivers(DeviceWorld(FLEET), Faults(), ManualClock())
        driver.know_networks(PortNetworks(drivers[Plane.IN_BAND]))
        return Subject(
            FLEET, {**drivers, Plane.STORAGE: driver}, probed=(Plane.STORAGE,), guest_nodes=()
        )


def host(lab: Running, vni: int, root: Path):
    return attached_host(pool_folder(lab, POOL), vni, root)


def files(number: int, name: str, quota_bytes: int = 50 * MIB) -> FileSystem:
    return FileSystem(POOL, number, f"/tenants/t/{name}", quota_bytes)


def give(driver, entries, cluster=A, generation=1):
    asyncio.run(driver.ensure(DEVICE, entries, Fence(cluster, generation)))


def withdraw(driver, entries, cluster=A, generation=1):
    asyncio.run(driver.remove(DEVICE, entries, Fence(cluster, generation)))


def seen(driver):
    observation = asyncio.run(driver.observe([DEVICE]))
    assert not observation.unreachable
    return observation


def used_bytes(driver, number: int) -> int:
    return {u.filesystem: u.used_bytes for u in seen(driver).file_usage}[number]


def test_a_quota_is_hit_exactly_and_follows_its_changes(lab, driver, tmp_path):
    give(driver, [files(1, "a"), Export(POOL, 1, 900)])
    with host(lab, 900, tmp_path / "mnt") as mine:
        done = mine.write(1, "full", 100)
        assert "Disk quota exceeded" in done.stderr
        size = (export_path(pool_folder(lab, POOL), 900, 1) / "full").stat().st_size
        assert 49 * MIB <= size <= 50 * MIB
        assert 49 * MIB <= used_bytes(driver, 1) <= 50 * MIB
        give(driver, [files(1, "a", 80 * MIB)])
        assert mine.write(1, "more", 25).returncode == 0
        with pytest.raises(DriverPermanentError, match="holds"):
            give(driver, [files(1, "a", 60 * MIB)])
        assert files(1, "a", 80 * MIB) in seen(driver).entries[DEVICE]
        assert mine.run("rm", "1/full").returncode == 0
        give(driver, [files(1, "a", 60 * MIB)])
        assert "Disk quota exceeded" in mine.write(1, "again", 60).stderr


def test_quotas_together_never_exceed_the_pool(driver):
    give(driver, [files(1, "a", 700 * MIB)])
    with pytest.raises(DriverPermanentError, match="quotas would be"):
        give(driver, [files(2, "b", 400 * MIB)], B)
    give(driver, [files(2, "b", 300 * MIB)], B)


def test_a_path_inside_another_or_out_of_the_pool_is_refused(driver):
    give(driver, [files(1, "a")])
    inside = ("/tenants/t/a/b", "/tenants/t", "/tenants/t/a")
    astray = ("/tenants/../../etc", "tenants", "/", "/a b", "/a\n", "/-rf", "/.hidden", "/a//b", "")
    for path in (*inside, *astray):
        with pytest.raises(DriverPermanentError, match="path"):
            give(driver, [replace(files(2, "b"), path=path)], B)
    give(driver, [files(2, "b")], B)


def test_a_revoked_export_is_cut_for_open_files_copies_and_mounts_on_top(lab, driver, tmp_path):
    entries = [files(1, "a"), Export(POOL, 1, 900), files(2, "a2"), Export(POOL, 2, 900)]
    give(driver, entries)
    copy = tmp_path / "copy"
    copy.mkdir()
    with host(lab, 900, tmp_path / "mnt") as mine:
        assert mine.run("sh", "-c", "echo kept > 1/f; mkdir 1/d; echo other > 2/f").returncode == 0
        # Even the host's root, who binds it elsewhere, and mounts on top so that it is busy.
        pin = f"mount --bind 1 {copy} && mount --make-private {copy} && mount -t tmpfs x 1/d"
        assert mine.run("sh", "-c", pin, user=()).returncode == 0
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
        assert "Transport endpoint is not connected" in said or "No such file" in said
        assert mine.run("ls", str(copy), user=()).returncode != 0
        assert mine.run("cat", "1/f", user=()).returncode != 0
        assert mine.run("cat", "2/f").stdout == "other\n"
        # It comes back to a host that runs, with what was in it.
        give(driver, [Export(POOL, 1, 901)])
    with host(lab, 901, tmp_path / "mnt2") as other:
        assert other.run("head", "-c1", "1/f").stdout == "x"


def test_an_export_reaches_a_host_that_runs_and_no_other(lab, driver, tmp_path):
    with host(lab, 900, tmp_path / "a") as mine, host(lab, 901, tmp_path / "b") as theirs:
        assert mine.run("ls").stdout == ""
        give(driver, [files(1, "a"), Export(POOL, 1, 900)])
        give(driver, [files(2, "b"), Export(POOL, 2, 901)], B)
        assert mine.run("ls").stdout == "1\n"
        assert theirs.run("ls").stdout == "2\n"
        assert theirs.run("sh", "-c", "echo secret > 2/f").returncode == 0
        ours = pool_folder(lab, POOL)
        for path in ("2/f", "../b/2/f", "1/../2/f", f"{ours}/disk/tree/tenants/t/b/files/f"):
            assert mine.run("cat", path).returncode != 0
            assert mine.run("cat", path, user=()).returncode != 0
        to = {"l": f"{ours}/disk/tree/tenants/t/b/files/f", "m": "../../2/f", "ok": "/etc/hostname"}
        for name, path in to.items():
            assert mine.run("ln", "-s", path, f"1/{name}").returncode == 0
        for name in ("l", "m"):
            assert mine.run("cat", f"1/{name}").returncode != 0
        # A link is followed by the host in its own files, never by the server in the pool.
        assert mine.run("cat", "1/ok").stdout == Path("/etc/hostname").read_text()
        assert mine.run("touch", "evil").returncode != 0
        assert theirs.run("cat", "2/f").stdout == "secret\n"


def test_the_folder_of_a_network_goes_with_its_last_export_but_not_from_under_a_host(
    lab, driver, tmp_path
):
    folder = pool_folder(lab, POOL) / "exports/900"
    export = Export(POOL, 1, 900)
    give(driver, [files(1, "a"), export])
    with host(lab, 900, tmp_path / "a") as mine:
        withdraw(driver, [export])
        assert mine.run("ls").stdout == ""
        give(driver, [export])
        assert mine.run("ls").stdout == "1\n", "it is still attached"
    withdraw(driver, [export])
    assert not folder.exists()


def test_no_tenant_makes_what_counts_for_nobody(lab, driver, engine, tmp_path):
    give(driver, [files(1, "a"), Export(POOL, 1, 900)])
    subvolume = engine.tree / "tenants/t/a"
    with host(lab, 900, tmp_path / "mnt") as mine:
        for user in (AS_TENANT, ()):
            for words in (("create", "1/sub"), ("snapshot", "1", "1/snap")):
                assert mine.run("btrfs", "subvolume", *words, user=user).returncode != 0
        # Not even the host's root takes the mark of its files off, or makes them another's.
        assert "gigawatt" not in mine.run("getfattr", "-d", "-m-", "1", user=()).stdout
        mine.run("setfattr", "-n", "trusted.gigawatt", "-v", "2:clu_b", "1", user=())
    assert seen(driver).entries[DEVICE] == {files(1, "a"), Export(POOL, 1, 900)}
    with pytest.raises(DriverPermanentError, match="clu_a"):
        give(driver, [Export(POOL, 1, 901)], B)
    # The same on the disk itself is what the server between them prevents.
    words = ["btrfs", "subvolume", "create", str(subvolume / "sub")]
    assert subprocess.run(words, capture_output=True, check=False).returncode == 0
    subprocess.run(["btrfs", "subvolume", "delete", str(subvolume / "sub")], check=True)


def test_deletion_frees_the_room_and_leaves_nothing(lab, driver, engine, tmp_path):
    def free():
        subprocess.run(["btrfs", "filesystem", "sync", str(engine.disk)], check=True)
        return os.statvfs(engine.disk).f_bfree * os.statvfs(engine.disk).f_frsize

    give(driver, [files(1, "a", 200 * MIB), Export(POOL, 1, 900)])
    before = free()
    with host(lab, 900, tmp_path / "mnt") as mine:
        assert mine.write(1, "big", 100, "conv=fsync").returncode == 0
    assert free() < before - 90 * MIB
    asyncio.run(take_snapshot(engine, 1, "one"))
    with pytest.raises(DriverPermanentError, match="still exported"):
        withdraw(driver, [files(1, "a")])
    withdraw(driver, [files(1, "a"), Export(POOL, 1, 900)])
    assert free() > before - 10 * MIB
    assert seen(driver).entries[DEVICE] == frozenset()
    shown = ["btrfs", "qgroup", "show", str(engine.disk)]
    said = subprocess.run(shown, capture_output=True, text=True, check=True).stdout
    assert "1/1 " not in said
    assert list(engine.tree.iterdir()) == []
    assert list(engine.snapshots.iterdir()) == []


def test_snapshots_keep_what_was_and_count_in_the_quota(lab, driver, engine, tmp_path):
    give(driver, [files(1, "a"), Export(POOL, 1, 900)])
    with host(lab, 900, tmp_path / "mnt") as mine:
        assert mine.write(1, "f", 20).returncode == 0
        asyncio.run(take_snapshot(engine, 1, "one"))
        assert used_bytes(driver, 1) < 21 * MIB
        assert mine.write(1, "f", 20, "conv=notrunc").returncode == 0
        assert used_bytes(driver, 1) > 40 * MIB
        assert "Disk quota exceeded" in mine.write(1, "g", 20).stderr
        assert asyncio.run(snapshot_names(engine, 1)) == ("one",)
        with pytest.raises(DriverPermanentError, match="has a snapshot"):
            asyncio.run(take_snapshot(engine, 1, "one"))
        asyncio.run(delete_snapshot(engine, 1, "one"))
        assert mine.write(1, "g", 20).returncode == 0
    assert asyncio.run(snapshot_names(engine, 1)) == ()


def test_a_server_that_died_is_no_export_and_is_put_back(lab, driver, tmp_path):
    entries = [files(1, "a"), Export(POOL, 1, 900)]
    give(driver, entries)
    target = export_path(pool_folder(lab, POOL), 900, 1)
    found = subprocess.run(["pgrep", "-f", f"bindfs .*{target}$"], capture_output=True, check=True)
    with host(lab, 900, tmp_path / "mnt") as mine:
        os.kill(int(found.stdout.split()[0]), signal.SIGKILL)
        mine.run("ls", "1")
        assert seen(driver).entries[DEVICE] == {entries[0]}
        give(driver, entries, generation=2)
        assert mine.run("touch", "1/f").returncode == 0
    assert seen(driver).entries[DEVICE] == set(entries)


def test_an_export_whose_server_died_is_given_back_all_the_same(lab, driver):
    entries = [files(1, "a"), Export(POOL, 1, 900)]
    give(driver, entries)
    target = export_path(pool_folder(lab, POOL), 900, 1)
    found = subprocess.run(["pgrep", "-f", f"bindfs .*{target}$"], capture_output=True, check=True)
    os.kill(int(found.stdout.split()[0]), signal.SIGKILL)
    for entry in reversed(entries):
        asyncio.run(driver.remove(DEVICE, [entry], Fence(A, 2)))
    assert seen(driver).entries[DEVICE] == frozenset()
    assert str(target) not in Path("/proc/self/mounts").read_text()


def test_files_of_an_owner_are_not_given_away_with_a_lost_ledger(lab, driver, tmp_path):
    give(driver, [files(1, "a")])
    fresh = opened(lab, tmp_path / "another")
    with pytest.raises(DriverPermanentError, match="clu_a"):
        give(fresh, [files(1, "a")], B)
    with pytest.raises(DriverPermanentError, match="clu_a"):
        give(fresh, [Export(POOL, 1, 901)], B)
    give(fresh, [files(1, "a"), Export(POOL, 1, 900)])


KILLED_AT = ("qgroup limit", "subvolume create", "setfattr", "--no-target-directory", "bindfs")


@pytest.mark.parametrize("words", KILLED_AT)
def test_a_driver_killed_in_the_middle_leaves_nothing_unlimited_and_resumes(
    lab, driver, engine, tmp_path, words
):
    """A wrapper before every command kills the driver right after one of them."""
    prefix = tmp_path / "prefix"
    prefix.write_text(f'#!/bin/sh\n"$@"\ncase "$*" in *"{words}"*) kill -9 $PPID;; esac\n')
    prefix.chmod(0o755)
    entries = [files(1, "a"), Export(POOL, 1, 900)]
    script = f"""
import asyncio
from pathlib import Path
from gigawatt.boundary.entries import *
from gigawatt.drivers.btrfs.engine import BtrfsEngine
from gigawatt.drivers.storage.commands import Commands
engine = BtrfsEngine("{POOL}", Path("{engine.folder}"), Commands("{DEVICE}", ("{prefix}",)))
async def run():
    await engine.make({entries[0]!r}, "clu_a")
    await engine.let_in(1, 900)
asyncio.run(run())
"""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run([sys.executable, "-c", script], env=env, check=False)
    assert done.returncode == -signal.SIGKILL
    for path in (*engine.tree.rglob("a"), *(engine.disk / "making").glob("*")):
        full = ["dd", "if=/dev/urandom", f"of={path}/x", "bs=1M", "count=60"]
        said = subprocess.run(full, capture_output=True, text=True, check=False).stderr
        assert "Disk quota exceeded" in said
        (path / "x").unlink()
    give(driver, entries)
    assert seen(driver).entries[DEVICE] == set(entries)
    assert list((engine.disk / "making").iterdir()) == []


def test_what_fails_half_way_is_taken_back(lab, driver, engine, tmp_path):
    prefix = tmp_path / "prefix"
    prefix.write_text('#!/bin/sh\ncase "$*" in bindfs*) echo broken >&2; exit 9;; esac\n"$@"\n')
    prefix.chmod(0o755)
    (settings,) = lab.settings["storage"]
    given = BtrfsSettings.model_validate({**settings, "command_prefix": [str(prefix)]})
    breaking = open_btrfs(given, Opening(FLEET, ManualClock(), None, None, tmp_path / "d2"))
    give(breaking, [files(1, "a")])
    with pytest.raises(DriverPermanentError, match=r"broken.*taken back"):
        give(breaking, [files(1, "a", 90 * MIB), files(2, "b"), Export(POOL, 2, 900)])
    assert seen(driver).entries[DEVICE] == {files(1, "a")}


def test_a_server_that_hangs_is_given_up_in_time(lab, driver, tmp_path):
    (settings,) = lab.settings["storage"]
    prefix = ["sh", "-c", "exec sleep 300", "hangs"]
    given = {**settings, "command_prefix": prefix, "command_s_max": 0.2}
    opening = Opening(FLEET, ManualClock(), None, None, tmp_path / "d2")
    hanging = open_btrfs(BtrfsSettings.model_validate(given), opening)
    with pytest.raises(DriverRetryableError, match="did not end in"):
        give(hanging, [files(1, "a")])
    assert asyncio.run(hanging.observe([DEVICE])).unreachable == {DEVICE}


def test_probes_say_who_can_mount_what(lab, driver):
    drivers = fake_drivers(DeviceWorld(FLEET), Faults(), ManualClock())
    ports = drivers[Plane.IN_BAND]
    nodes = FLEET.nodes.ids
    a0, a1, b0, free = (Endpoint(nodes[n], 0) for n in range(4))

    async def run():
        with pytest.raises(DriverRetryableError, match="in-band"):
            await driver.probe([(a0, a1)])
        driver.know_networks(PortNetworks(ports))
        for end, cluster, vni in ((a0, A, 900), (a1, A, 900), (b0, B, 901)):
            port = NetworkPort(end.node_id, 0, vni, "10.0.0.2/20")
            await ports.ensure(port.device, [port], Fence(cluster, 1))
        mine, theirs = [files(1, "a"), Export(POOL, 1, 900)], [files(2, "b"), Export(POOL, 2, 901)]
        await driver.ensure(DEVICE, mine, Fence(A, 1))
        await driver.ensure(DEVICE, theirs, Fence(B, 1))
        assert await driver.probe([(a0, a1), (b0, b0)]) == (True, True)
        assert await driver.probe([(a0, b0), (b0, a0), (a0, free), (free, a0)]) == (False,) * 4
        # Two file systems, one let in: not all of what the cluster has.
        await driver.ensure(DEVICE, [files(3, "a3")], Fence(A, 1))
        assert await driver.probe([(a0, a1)]) == (False,)

    asyncio.run(run())


@contextmanager
def own_lab(folder: Path, mib: int):
    """A lab whose disk lies on a machine's disk of ``mib``, less than the pool promises."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={mib}m", "small", str(folder)], check=True)
    lab = started(folder)
    try:
        yield lab
    finally:
        pool = pool_folder(lab, POOL)
        for path in (pool / "exports", pool / "disk", folder):
            subprocess.run(["umount", "-lR", str(path)], check=False)


def _give_many(driver) -> None:
    for number in range(2, 40):
        give(driver, [files(number, f"n{number}", MIB)])


def test_a_full_machine_makes_the_pool_silent_and_never_wrong(tmp_path):
    with own_lab(tmp_path / "lab", 160) as lab:
        driver = opened(lab, tmp_path / "driver")
        give(driver, [files(1, "a", 600 * MIB), Export(POOL, 1, 900)])
        with host(lab, 900, tmp_path / "mnt") as mine:
            mine.write(1, "big", 300, "conv=fsync")
        before = asyncio.run(driver.observe([DEVICE]))
        with pytest.raises(
            DriverError, match=r"read-only|quotas do not|failed with|cannot be read"
        ):
            _give_many(driver)
        after = asyncio.run(driver.observe([DEVICE]))
        assert after.unreachable == {DEVICE} or before.entries[DEVICE] <= after.entries[DEVICE]


def test_a_disk_that_is_cut_off_is_named_and_nothing_is_promised(tmp_path):
    with own_lab(tmp_path / "lab", 400) as lab:
        driver = opened(lab, tmp_path / "driver")
        give(driver, [files(1, "a"), Export(POOL, 1, 900)])
        image = pool_folder(lab, POOL) / "pool.img"
        os.truncate(image, MIB)
        listed = ["losetup", "--noheadings", "--output=NAME", "--associated", str(image)]
        device = subprocess.run(listed, capture_output=True, text=True, check=True).stdout.strip()
        subprocess.run(["losetup", "--set-capacity", device], check=True)
        with pytest.raises(
            DriverError, match=r"read-only|quotas do not|failed with|cannot be read"
        ):
            give(driver, [files(2, "b"), Export(POOL, 2, 900)])
        assert asyncio.run(driver.observe([DEVICE])).unreachable == {DEVICE}
