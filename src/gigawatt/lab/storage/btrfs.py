"""A btrfs storage server: for each pool of the fleet a sparse file as its disk."""

from collections.abc import Mapping
from pathlib import Path

from gigawatt.drivers.btrfs.exports import exports_folder
from gigawatt.lab.running import Running

DISK_BYTES_MAX = 15 * 2**40
"""Largest disk of a pool: ext4, on which the file lies, has files of 16 TiB at most."""

PACKAGE_OF_TOOL: Mapping[str, str] = {
    "mkfs.btrfs": "btrfs-progs",
    "bindfs": "bindfs",
    "setfattr": "attr",
    "losetup": "mount",
}


def pool_folder(lab: Running, pool_id: str) -> Path:
    """The pool folder of a pool in a lab."""
    return lab.folder / "storage" / pool_id


class BtrfsPart:
    """The storage plane of a lab on btrfs. What is in a pool outlives the lab, in its file."""

    @property
    def name(self) -> str:
        """What people call it."""
        return "storage (btrfs)"

    @property
    def package_of_tool(self) -> Mapping[str, str]:
        """Debian package of each program that it needs."""
        return PACKAGE_OF_TOOL

    def start(self, lab: Running) -> None:
        """Mount every pool, and declare the driver.

        Raises:
            InputError: a pool cannot be mounted.
        """
        pools = lab.fleet.storage_pools
        for row, pool_id in enumerate(pools.ids):
            start_pool(lab, pool_folder(lab, pool_id), int(pools.capacity_bytes[row]))
        lab.declare(
            "storage",
            "btrfs",
            {
                "pools": [
                    {"pool_id": i, "folder": str(pool_folder(lab, i)), "is_thin": True}
                    for i in pools.ids
                ]
            },
        )

    def ailment(self, lab: Running) -> str:
        """What is wrong with it now."""
        mounts = Path("/proc/self/mounts").read_text(encoding="utf-8")
        for pool_id in lab.fleet.storage_pools.ids:
            disk = pool_folder(lab, pool_id) / "disk"
            line = next((x for x in mounts.splitlines() if f" {disk} btrfs " in x), "")
            if not line:
                return f"{disk} is not mounted"
            if " ro," in line:
                return f"{disk} is read-only, look at 'dmesg'"
        return ""


def start_pool(lab: Running, folder: Path, capacity_bytes: int) -> None:
    """Mount one pool; its disk is made if it is not there yet.

    The loop device is let go by the kernel when the mount goes, and the mount with the room.

    Raises:
        InputError: it cannot be mounted.
    """
    disk, image, exports = folder / "disk", folder / "pool.img", exports_folder(folder)
    for path in (disk, exports):
        path.mkdir(parents=True, exist_ok=True)
    if not image.exists():
        fresh = folder / "pool.new"
        lab.run(["truncate", f"--size={min(capacity_bytes, DISK_BYTES_MAX)}", str(fresh)])
        lab.run(["mkfs.btrfs", "--quiet", "--force", "--nodiscard", str(fresh)])
        fresh.replace(image)
    lab.run(["mount", "-o", "loop,nosuid,nodev,noatime", "-t", "btrfs", str(image), str(disk)])
    lab.run(["btrfs", "quota", "enable", str(disk)])
    options = "size=16m,mode=0755,nosuid,nodev"
    lab.run(["mount", "-t", "tmpfs", "-o", options, "gigawatt-exports", str(exports)])
    lab.run(["mount", "--make-shared", str(exports)])
