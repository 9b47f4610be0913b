"""The disk of a machine: the upper layer of its overlay, made, erased and looked at."""

import os
import shutil
from pathlib import Path

from gigawatt.errors import ConflictError
from gigawatt.lab.machine.config import MachineConfig
from gigawatt.lab.machine.processes import first_process

OPAQUE = "trusted.overlay.opaque"
"""A folder with this attribute hides what the layer below has (overlayfs, kernel documentation)."""

EMPTY_FOLDERS = ("home", "root", "etc/ssh", "mnt", "tmp", "run", "var/spool/cron", "var/mail")
"""Folders in which a fresh disk has nothing of the machine that the lab runs on."""

INITTAB = """\
::sysinit:/bin/sh /etc/gigawatt/start
::respawn:/bin/sh /etc/gigawatt/dhcp
::respawn:/usr/sbin/sshd -D -e -f /etc/ssh/sshd_config
"""
START = """\
key=/etc/ssh/ssh_host_ed25519_key
test -s $key || ssh-keygen -q -t ed25519 -N '' -f $key
mkdir -p -m 0755 /run/sshd /run/lock
"""
DHCP = """\
exec /bin/busybox udhcpc -f -S -i eth0 -x "hostname:$(hostname)" -t 5 -T 2 -A 2 \\
  -s /etc/gigawatt/lease
"""
LEASE = """\
#!/bin/sh
case "$1" in
  deconfig) ip -4 address flush dev "$interface"; ip link set "$interface" up ;;
  bound|renew)
    ip -4 address replace "$ip/${mask:-32}" dev "$interface"
    test -z "${mtu:-}" || ip link set "$interface" mtu "$mtu"
    for one in ${router:-}; do ip route replace default via "$one" dev "$interface"; done
    set -- ${staticroutes:-}
    while test $# -ge 2; do ip route replace "$1" via "$2" dev "$interface"; shift 2; done
    : > /etc/resolv.conf
    test -z "${domain:-}" || echo "search $domain" >> /etc/resolv.conf
    for one in ${dns:-}; do echo "nameserver $one" >> /etc/resolv.conf; done ;;
esac
"""
SSHD = """\
HostKey /etc/ssh/ssh_host_ed25519_key
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
AuthorizedKeysFile .ssh/authorized_keys
UsePAM no
UseDNS no
Subsystem sftp internal-sftp
"""


def furnish(host: MachineConfig, hidden: tuple[str, ...]) -> None:
    """Make the disk of a machine as it must be before it starts; what is there stays."""
    disk = host.disk
    disk.mkdir(mode=0o755, parents=True, exist_ok=True)
    for name in (*EMPTY_FOLDERS, *(folder.strip("/") for folder in hidden)):
        _make_opaque(disk, Path(name))
    if not (disk / "etc/hostname").exists():
        (disk / "etc/hostname").write_text("unseeded\n")
    ours = disk / "etc/gigawatt"
    ours.mkdir(parents=True, exist_ok=True)
    (ours / "start").write_text(START)
    (ours / "dhcp").write_text(DHCP)
    (ours / "lease").write_text(LEASE)
    (ours / "lease").chmod(0o755)
    (disk / "etc/inittab").write_text(INITTAB)
    (disk / "etc/ssh/sshd_config").write_text(SSHD)


def is_installed(host: MachineConfig) -> bool:
    """Whether a system was put on the disk since it was erased."""
    return (host.disk / "etc/inittab").exists()


def _make_opaque(disk: Path, name: Path) -> None:
    """A folder of the disk that hides the one below; those above it do not."""
    folder = disk / name
    if folder.exists():
        return
    folder.mkdir(parents=True)
    for part in (*reversed(name.parents), name):
        below = Path("/") / part
        if below.is_dir() and part != Path():
            status = below.stat()
            (disk / part).chmod(status.st_mode & 0o7777)
            os.chown(disk / part, status.st_uid, status.st_gid)
    os.setxattr(folder, OPAQUE, b"y")


def sanitise(host: MachineConfig) -> str:
    """Erase all that was ever written; what it was, in words.

    Raises:
        ConflictError: the machine is on.
    """
    if first_process(Path(host.netns)) is not None:
        raise ConflictError(f"{host.node_id} is on: its disk is not erased")
    count, size_bytes = _contents(host)
    for folder in (host.disk, Path(host.folder) / "work"):
        if folder.exists():
            shutil.rmtree(folder)
    host.console.unlink(missing_ok=True)
    return f"erased {count} files and folders, {size_bytes} bytes"


def sample(host: MachineConfig) -> tuple[bool, str]:
    """Whether nothing is on the disk, and what was found in words. Reads all of it."""
    count, size_bytes = _contents(host)
    return count == 0, f"found {count} files and folders, {size_bytes} bytes"


def _contents(host: MachineConfig) -> tuple[int, int]:
    count = size_bytes = 0
    for folder, _, names in os.walk(host.disk):
        count += 1 + len(names)
        size_bytes += sum(os.lstat(Path(folder) / name).st_size for name in names)
    return count, size_bytes
