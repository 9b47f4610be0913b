"""A whole Debian as a guest: systemd, OpenSSH and cloud-init itself, built once and kept.

``python -m gigawatt.lab.guests.debian`` bootstraps it from the Debian mirror, outside a room. It
takes the place of the small image where a lab is told so, and shows that the seeds of the guests'
driver are what cloud-init reads. The kernel is booted directly, as that of the small image is.
"""

import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from tempfile import TemporaryDirectory

from gigawatt.errors import InputError
from gigawatt.lab.guests.image import READY_LINE, cache_folder, run_tool

SUITE = "bookworm"
PACKAGES = (
    *("linux-image-cloud-amd64", "systemd-sysv", "systemd-resolved", "udev", "dbus"),
    *("cloud-init", "openssh-server", "iproute2", "iputils-ping", "ca-certificates"),
)
CLOUD_SETTINGS = f"""datasource_list: [NoCloud, None]
disable_root: false
users: []
locale: C.UTF-8
system_info:
  network: {{renderers: [networkd]}}
final_message: "{READY_LINE}"
"""
"""Keys of a seed are root's, as on every machine of a lab. Source: cloud-init, cc_final_message."""
FILE_TABLE = "LABEL=root / ext4 errors=remount-ro 0 1\n"
COMMAND_LINE = "console=ttyS0 root=LABEL=root ro quiet no_timer_check panic=1 net.ifnames=0"
DISK_MIB = 2048
"""What the guest's disk holds; half of it is Debian. MEASURED: 473 MB"""
MEMORY_MIB = 512
BOOT_S_MAX = 400.0
"""MEASURED: 152 s until cloud-init was done, processor emulated, load 10."""
PACKAGE_OF_TOOL: Mapping[str, str] = {"mmdebstrap": "mmdebstrap", "mke2fs": "e2fsprogs"}

_SET_UP = (
    "systemctl --root=$1 --quiet enable systemd-networkd systemd-resolved ssh",
    "systemctl --root=$1 --quiet mask apt-daily.timer apt-daily-upgrade.timer",
    "rm -f $1/etc/ssh/ssh_host_* && : > $1/etc/machine-id",
    "rm -rf $1/var/cache/apt/archives $1/var/lib/apt/lists",
)
"""Said in the new root ``$1``: networks come up, and no two guests share an identity."""


@dataclass(frozen=True, slots=True)
class DebianImage:
    """Where the image lies."""

    kernel: Path
    initrd: Path
    disk: Path


def recipe_digest() -> str:
    """What tells one way to build it from another."""
    said = repr((SUITE, PACKAGES, CLOUD_SETTINGS, FILE_TABLE, DISK_MIB, _SET_UP))
    return blake2b(said.encode(), digest_size=8).hexdigest()


def debian_image(cache: Path) -> DebianImage:
    """The image that was built by this recipe.

    Raises:
        InputError: it was not built.
    """
    image = _image(_folder(cache))
    if not image.disk.exists():
        raise InputError(
            f"there is no Debian image for guests in {cache}",
            next_step="Run 'python -m gigawatt.lab.guests.debian' where the mirror is reached.",
        )
    return image


def build_debian_image(cache: Path) -> DebianImage:
    """Build it, unless it is there; needs root and the Debian mirror, and takes minutes.

    Raises:
        InputError: a tool is missing or failed.
    """
    folder = _folder(cache)
    if _image(folder).disk.exists():
        return _image(folder)
    cache.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=cache) as scratch:
        root, fresh = Path(scratch) / "root", Path(scratch) / "image"
        fresh.mkdir()
        _bootstrap(root, cache)
        for name, link in (("vmlinuz", "vmlinuz"), ("initrd.img", "initrd.img")):
            shutil.copyfile(root / link, fresh / name)
        _lay_disk(root, Path(scratch) / "disk.raw", fresh / "disk.qcow2")
        fresh.rename(folder)
    return _image(folder)


def _folder(cache: Path) -> Path:
    return cache / f"debian-{SUITE}-{recipe_digest()}"


def _image(folder: Path) -> DebianImage:
    return DebianImage(folder / "vmlinuz", folder / "initrd.img", folder / "disk.qcow2")


def _bootstrap(root: Path, cache: Path) -> None:
    words = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={','.join(PACKAGES)}"]
    settings = root.parent / "99-gigawatt.cfg"
    settings.write_text(CLOUD_SETTINGS)
    table = root.parent / "fstab"
    table.write_text(FILE_TABLE)
    words += [
        f"--customize-hook=upload {settings} /etc/cloud/cloud.cfg.d/99-gigawatt.cfg",
        f"--customize-hook=upload {table} /etc/fstab",
        *(f"--customize-hook={line}" for line in _SET_UP),
    ]
    run_tool([*words, SUITE, str(root)], cache)


def _lay_disk(root: Path, raw: Path, disk: Path) -> None:
    """Lay a root out as an ext4 file system without mounting anything."""
    with raw.open("wb") as file:
        file.truncate(DISK_MIB << 20)
    run_tool(["mke2fs", "-q", "-t", "ext4", "-L", "root", "-d", str(root), str(raw)], raw.parent)
    run_tool(["qemu-img", "convert", "-c", "-O", "qcow2", str(raw), str(disk)], raw.parent)


if __name__ == "__main__":
    sys.stdout.write(f"{build_debian_image(cache_folder()).disk.parent}\n")
