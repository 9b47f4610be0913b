"""What is in the small guest's initrd: busybox, dropbear, some kernel modules and one script.

Everything comes from Debian packages of the machine that builds it; the same parts give the same
bytes. The archive is cpio's "newc" format.

Source: Linux, Documentation/driver-api/early-userspace/buffer-format.rst.
"""

import gzip
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from gigawatt.errors import InputError
from gigawatt.lab.running import tool_environment

BUSYBOX, DROPBEAR = Path("/bin/busybox"), Path("/usr/sbin/dropbear")
NAME_SERVICE = Path("/lib/x86_64-linux-gnu/libnss_files.so.2")
PACKAGE_OF_FILE = {BUSYBOX: "busybox-static", DROPBEAR: "dropbear-bin"}
MODULES = (
    "drivers/virtio/virtio_ring.ko",
    "drivers/virtio/virtio.ko",
    "drivers/virtio/virtio_pci_legacy_dev.ko",
    "drivers/virtio/virtio_pci_modern_dev.ko",
    "drivers/virtio/virtio_pci.ko",
    "drivers/char/hw_random/virtio-rng.ko",
    "net/core/failover.ko",
    "drivers/net/net_failover.ko",
    "drivers/net/virtio_net.ko",
    "drivers/block/virtio_blk.ko",
    "drivers/cdrom/cdrom.ko",
    "fs/isofs/isofs.ko",
    "drivers/input/evdev.ko",
    "drivers/acpi/button.ko",
    "fs/fuse/fuse.ko",
    "fs/fuse/virtiofs.ko",
)
"""Kernel modules in the order in which they are loaded."""

UDHCPC = """#!/bin/sh
[ "$1" = bound ] || [ "$1" = renew ] || exit 0
ip addr flush dev "$interface"
ip addr add "$ip/${mask:-24}" dev "$interface"
[ -n "$mtu" ] && ip link set "$interface" mtu "$mtu"
for hop in $router; do ip route replace default via "$hop" dev "$interface"; break; done
: >/etc/resolv.conf
for server in $dns; do echo "nameserver $server" >>/etc/resolv.conf; done
exit 0
"""
"""What busybox's DHCP client does with a lease; ``mask`` is the length of the prefix."""

TEXTS = {
    "etc/passwd": "root:*:0:0:root:/root:/bin/sh\n",
    "etc/group": "root:x:0:\n",
    "etc/shells": "/bin/sh\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
    "etc/acpi/PWRF/00000080": "#!/bin/sh\nsync; poweroff -f\n",
    "etc/udhcpc": UDHCPC,
}
"""Small files by path; all may be run."""

MOUNT_POINTS = frozenset({"dev", "proc", "sys", "run", "tmp", "seed"})


@dataclass(frozen=True, slots=True)
class Member:
    """One file of an archive: its mode (with type) and content."""

    mode: int
    content: bytes


def common_members() -> dict[str, Member]:
    """Everything but the kernel's modules, by path.

    Raises:
        InputError: a part is not on this machine.
    """
    members = {path: Member(0o100755, text.encode()) for path, text in TEXTS.items()}
    members["init"] = Member(0o100755, Path(__file__).with_name("init.sh").read_bytes())
    members["bin/busybox"] = Member(0o100755, _content(BUSYBOX))
    members["usr/sbin/dropbear"] = Member(0o100755, _content(DROPBEAR))
    for path in (*_libraries(DROPBEAR), NAME_SERVICE):
        members[str(path).lstrip("/")] = Member(0o100755, _content(path))
    return members


def small_initrd(modules: Path) -> bytes:
    """The small guest's initrd, gzipped; ``modules`` is the ``kernel`` folder of its modules.

    Raises:
        InputError: a part is not on this machine.
    """
    members = common_members()
    for number, name in enumerate(MODULES):
        file = f"modules/{number:02d}-{Path(name).name}"
        members[file] = Member(0o100644, _content(modules / name))
    return gzip.compress(archive(members), 6, mtime=0)


def archive(members: Mapping[str, Member]) -> bytes:
    """A cpio archive of these files and of the folders that they lie in."""
    folders = {str(up) for path in members for up in Path(path).parents} - {"."}
    every = dict.fromkeys(sorted(folders | MOUNT_POINTS), Member(0o040755, b"")) | dict(members)
    return b"".join(_records(every)) + _record(0, "TRAILER!!!", Member(0, b""))


def _records(members: Mapping[str, Member]) -> Iterator[bytes]:
    for number, (path, member) in enumerate(members.items(), 1):
        yield _record(number, path, member)


def _record(number: int, path: str, member: Member) -> bytes:
    name = path.encode() + b"\0"
    fields = (number, member.mode, 0, 0, 1, 0, len(member.content), 0, 0, 0, 0, len(name), 0)
    head = b"070701" + b"".join(b"%08X" % field for field in fields) + name
    return _padded(head) + _padded(member.content)


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        package = PACKAGE_OF_FILE.get(path, "the kernel's package")
        raise InputError(
            f"the small guest needs {path}: {error.strerror}",
            next_step=f"Install {package}.",
        ) from error


def _libraries(program: Path) -> list[Path]:
    """Shared libraries of a program and its loader, as the loader lists them."""
    done = subprocess.run(  # noqa: S603 - fixed words
        ["ldd", str(program)],  # noqa: S607 - Debian's folders come first in the environment
        capture_output=True,
        text=True,
        env=tool_environment(),
        check=False,
    )
    words = [word for line in done.stdout.splitlines() for word in line.split()]
    return sorted({Path(word) for word in words if word.startswith("/")})
