"""Goal: a tenant's guest has the tenant's file systems, for as long as they are exported to it.

Method: the lab's btrfs, libvirt and small guests of two tenants on one hypervisor. What is tried in
a guest is tried as its root, by ssh; beside it stands a machine's view of the same network. What a
guest must not have is looked for with its own tools and at the storage server.
"""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from attached_host import attached_host
from sharing_guests import MIB, VNI, A, B, Sharing, servers, sharing_guests

from gigawatt.errors import DriverRetryableError
from gigawatt.interfaces.driver import Fence
from running_guests import guest_processes, put, seen, take

pytestmark = [pytest.mark.lab, pytest.mark.slow]


@pytest.fixture(scope="module")
def sharing(tmp_path_factory) -> Iterator[Sharing]:
    with sharing_guests(tmp_path_factory.mktemp("guests"), "btrfs") as sharing:
        yield sharing


@pytest.fixture(autouse=True)
def _emptied(sharing, request) -> Iterator[None]:
    sharing.guests.name = f"notes-{abs(hash(request.node.name))}"
    yield
    sharing.empty()


def test_two_tenants_of_one_hypervisor_each_have_their_own_file_systems(sharing):
    sharing.give(A, 1)
    sharing.give(B, 2)
    for whose in (A, B):
        sharing.start(whose)
    assert sharing.said(A, "ls") == "1"
    assert sharing.said(B, "ls") == "2"
    sharing.said(A, "echo of-a > 1/weights && chmod 600 1/weights && chown 7:8 1/weights")
    sharing.said(B, "echo of-b > 2/weights")
    assert sharing.said(A, "cat 1/weights; stat -c %u:%g:%a 1/weights").split() == [
        "of-a",
        "7:8:600",
    ]
    assert sharing.sh(A, "cat 2/weights").returncode != 0
    # A machine of the same network has the same files, and each sees what the other wrote.
    root = sharing.guests.lab.folder / "machine"
    with ExitStack() as stack:
        machine = stack.enter_context(attached_host(sharing.folder, VNI[A], root))
        assert machine.run("cat", "1/weights", user=()).stdout == "of-a\n"
        assert machine.run("sh", "-c", "echo hello > 1/from-machine").returncode == 0
        sharing.until(A, "cat 1/from-machine", "hello")


def test_a_quota_is_felt_in_a_guest(sharing):
    sharing.give(A, 1, quota_mib=20)
    sharing.start(A)
    done = sharing.sh(A, "dd if=/dev/zero of=1/fill bs=64k count=640 conv=fsync")
    assert done.returncode != 0
    assert "Disk quota exceeded" in done.stderr
    size = int(sharing.said(A, "stat -c %s 1/fill"))
    assert 0.9 * 20 * MIB <= size <= 20 * MIB
    sharing.said(A, "rm 1/fill && dd if=/dev/zero of=1/again bs=1M count=8 conv=fsync")


def test_file_systems_come_and_go_while_a_guest_runs_and_files_that_are_open_end(sharing):
    sharing.start(A)
    assert sharing.said(A, "ls") == ""
    sharing.give(A, 1)
    sharing.until(A, "ls", "1")
    sharing.said(A, "echo one > 1/kept")
    # It reads and writes for as long as it may, with both files open all the while. What the
    # guest's memory has of a file it believes for a second more.
    loop = (
        "exec 5<1/kept 6>>1/log 2>/tmp/why; "
        "while echo x >&6 && head -c 1 1/kept >/dev/null; do sleep 0.1; done; "
        "sleep 1.5; cat <&5; echo y >&6"
    )
    sharing.said(A, f"(setsid sh -c {loop!r} >/tmp/read 2>&1 &) ; sleep 1; test -s 1/log")
    sharing.cut(A, 1)
    sharing.until(A, "pgrep -f 'exec 5' >/dev/null || echo ended", "ended")
    assert sharing.said(A, "cat /tmp/read") == ""
    assert "not connected" in sharing.said(A, "cat /tmp/why")
    sharing.until(A, "ls", "")
    log = sharing.folder / f"disk/tree/tenants/{A}/1/files/log"
    before = log.read_text()
    assert before
    assert "y" not in before
    sharing.give(A, 1)
    sharing.until(A, "cat 1/kept", "one")
    assert log.read_text() == before


ESCAPES = (
    "cat up/{b}/2/weights",
    "cat 1/../../{b}/2/weights",
    "cat 1/deep/2/weights",
    "cat 1/absolute/2/weights",
    "ls 1/deep/disk",
)


def test_a_guests_root_does_not_get_out_of_its_share(sharing):
    sharing.give(A, 1)
    sharing.give(B, 2)
    sharing.start(A)
    theirs = sharing.folder / f"exports/{VNI[B]}"
    (theirs / "2/weights").write_text("of-b")
    # Not even by links that somebody laid at the server.
    inside = sharing.folder / f"disk/tree/tenants/{A}/1/files"
    (inside / "deep").symlink_to("../../..")
    (inside / "absolute").symlink_to(theirs)
    assert (inside / "absolute/2/weights").read_text() == "of-b"
    sharing.said(A, f"ln -s ../../exports/{VNI[B]} 1/own && ln -s {theirs} 1/own-absolute")
    for command in (*ESCAPES, "cat 1/own/2/weights", "cat 1/own-absolute/2/weights"):
        assert sharing.sh(A, command.format(b=VNI[B])).returncode != 0, command
    # What is above the file systems is nobody's to write, and no device is made or opened.
    for command in ("touch new", "mkdir new", "mv 1 new", "rmdir 1", "mknod 1/null c 1 3"):
        assert sharing.sh(A, command).returncode != 0, command
    assert sorted(path.name for path in (sharing.folder / "exports").iterdir()) == sorted(
        str(vni) for vni in VNI.values()
    )
    os.mknod(inside / "device", 0o600 | 0o020000, os.makedev(1, 3))
    for change in ("true", "mount -o remount,dev,suid,rw ."):
        sharing.sh(A, change)
        assert sharing.sh(A, "touch new").returncode != 0, change
    table = sharing.said(A, "cat /proc/mounts")
    assert f" /mnt/{sharing.pool_id} virtiofs " in table
    tag = "mkdir -p /tmp/else && mount -t virtiofs {} /tmp/else"
    assert sharing.sh(A, tag.format("fs1")).returncode != 0
    # It may mount its own share elsewhere, and finds the same there.
    assert sharing.said(A, f"{tag.format(sharing.pool_id)}; ls /tmp/else") == "1"


def test_a_guest_in_no_network_waits_and_one_that_is_released_leaves_nothing(sharing):
    entry = sharing.slice(B)
    driver = sharing.guests.open()
    with pytest.raises(DriverRetryableError, match="in no in-band network"):
        put(driver, entry, Fence(B, 1))
    assert seen(driver, entry) == frozenset()
    sharing.give(B, 2)
    sharing.start(B)
    assert len(servers()) == 2, "virtiofsd is two processes"
    sharing.said(B, "echo kept > 2/file; sync")
    take(driver, entry, Fence(B, 1))
    assert servers() == guest_processes() == sharing.guests.files() == []
    assert f"exports/{VNI[B]}/2" in Path("/proc/mounts").read_text(), "the export is storage's"
    sharing.cut(B, 2)
    assert not (sharing.folder / f"exports/{VNI[B]}").exists()
    kept = sharing.folder / f"disk/tree/tenants/{B}/2/files/file"
    assert kept.read_text() == "kept\n"


def test_a_guest_with_the_share_of_another_cluster_is_drift_and_mended(sharing):
    own = {"share of a guest", "server of a share"}
    assert sharing.audit() == set()
    sharing.switch(A)
    sharing.give(A, 1)
    sharing.give(B, 2)
    entry = sharing.start(A)
    assert sharing.audit() == own
    name = f"gw-{entry.node_id}-s0"
    xml = sharing.guests.virsh("dumpxml", "--inactive", name)
    ours, theirs = (f"exports/{VNI[whose]}'" for whose in (A, B))
    assert ours in xml
    program = Path(sharing.guests.settings.hypervisors[0].folder) / name
    program /= f"share-{sharing.pool_id}"
    text = program.read_text()
    program.write_text(text.replace(str(VNI[A]), str(VNI[B])))
    sharing.guests.virsh("destroy", name)
    moved = xml.replace(ours, theirs)
    sharing.guests.lab.run(["virsh", "--quiet", "define", "/dev/stdin"], stdin=moved)
    sharing.guests.virsh("start", name)
    sharing.until_up(A)
    assert sharing.said(A, "ls") == "2", "it does have what is not its own"
    driver = sharing.guests.open()
    assert sharing.audit() == {"share of another network", "server of a share"}
    (found,) = seen(driver, entry)
    assert (found.key, found.image) == (entry.key, "")
    put(driver, entry, Fence(A, 2))
    assert seen(driver, entry) == {entry}
    sharing.until_up(A)
    assert sharing.said(A, "ls") == "1"
    assert sharing.audit() == own


def test_a_guest_that_dies_takes_its_server_along_and_is_started_again_with_its_share(sharing):
    sharing.give(A, 1)
    entry = sharing.start(A)
    (pid,) = guest_processes()
    os.kill(pid, 9)
    sharing.guests.lab.until(lambda: servers() == [], "the server to end")
    put(sharing.guests.open(), entry, Fence(A, 1))
    sharing.until_up(A)
    assert sharing.said(A, "ls") == "1"
