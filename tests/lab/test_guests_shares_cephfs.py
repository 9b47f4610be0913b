"""Goal: guests have file systems of CephFS as those of btrfs, and nothing of Ceph beside them.

Method: the lab's Ceph, libvirt and a small guest; its root tries by ssh what its tenant would, and
what comes of it is read at the storage server.
"""

from collections.abc import Iterator

import pytest
from sharing_guests import MIB, VNI, A, B, Sharing, sharing_guests

from gigawatt.lab.running import missing_packages
from gigawatt.lab.storage.cephfs import CephfsPart

LOST = missing_packages(CephfsPart().package_of_tool)
# Each word to Ceph starts an interpreter, and where processors are busy that takes seconds.
pytestmark = [
    pytest.mark.lab,
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(bool(LOST), reason=f"not installed: {', '.join(LOST)}"),
]

AHEAD_BYTES = 4 * MIB
"""What a client of CephFS may write ahead of its quota, see docs/lab/storage.md."""


@pytest.fixture(scope="module")
def sharing(tmp_path_factory) -> Iterator[Sharing]:
    with sharing_guests(tmp_path_factory.mktemp("guests"), "cephfs") as sharing:
        yield sharing
        sharing.empty()


def test_a_guest_has_its_networks_file_systems_of_cephfs_and_no_more(sharing):
    sharing.give(A, 1)
    sharing.give(B, 2)
    sharing.start(A)
    assert sharing.said(A, "ls") == "1"
    sharing.said(A, "echo of-a > 1/weights")
    mount = sharing.folder / f"exports/{VNI[A]}/1"
    assert (mount / "weights").read_text() == "of-a\n"
    done = sharing.sh(A, "dd if=/dev/zero of=1/fill bs=64k count=640 conv=fsync")
    assert "Disk quota exceeded" in done.stderr
    assert int(sharing.said(A, "stat -c %s 1/fill")) <= 20 * MIB + AHEAD_BYTES
    sharing.said(A, "rm 1/fill")
    # No key and no address of Ceph came along with them.
    look = "cat /proc/mounts /proc/cmdline /etc/fstab; ls -R 1"
    assert "ceph" not in sharing.said(A, look)

    sharing.said(
        A, "(setsid sh -c 'exec 6>>1/log; while echo x >&6; do sleep 0.1; done' &) ; sleep 1"
    )
    sharing.cut(A, 1)
    sharing.until(A, "ls", "")
    sharing.until(A, "pgrep -f 'exec 6' >/dev/null || echo ended", "ended")
    assert sharing.sh(A, "cat 1/weights").returncode != 0
    sharing.give(A, 1)
    sharing.until(A, "cat 1/weights", "of-a")
