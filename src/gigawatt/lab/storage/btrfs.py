"""A btrfs storage server: for each pool of the fleet a sparse file as its disk."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gigawatt.lab.running import Running
from gigawatt.lab.storage.pool_folders import pool_folder, share_exports

DISK_BYTES_MAX = 15 * 2**40
"""Largest disk of a pool: ext4, on which the file lies, has files of 16 TiB at most."""

PACKAGE_OF_TOOL: Mapping[str, str] = {
    "mkfs.btrfs": "btrfs-progs",
    "bindfs": "bindfs",
    "setfattr": "attr",
    "losetup": "mount",
}


METADATA_BYTES_MIN = 512 * 2**20
"""What btrfs keeps for itself: that, and a tenth. Ours, so that quotas can be filled."""


def disk_bytes_of(capacity_bytes: int) -> int:
    """Size of the disk of a pool that promises ``capacity_bytes``."""
    return min(capacity_bytes + capacity_bytes // 10 + METADATA_BYTES_MIN, DISK_BYTES_MAX)


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
        declared: list[dict[str, Any]] = []
        for row, pool_id in enumerate(pools.ids):
            folder, capacity_bytes = pool_folder(lab, pool_id), int(pools.capacity_bytes[row])
            start_pool(lab, folder, capacity_bytes)
            is_thin = disk_bytes_of(capacity_bytes) < capacity_bytes
            declared.append({"pool_id": pool_id, "folder": str(folder), "is_thin": is_thin})
        lab.declare("storage", "btrfs", {"storage_pools": declared})

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
    disk, image = folder / "disk", folder / "pool.img"
    disk.mkdir(parents=True, exist_ok=True)
    if not image.exists():
        fresh = folder / "pool.new"
        lab.run(["truncate", f"--size={disk_bytes_of(capacity_bytes)}", str(fresh)])
        lab.run(["mkfs.btrfs", "--quiet", "--force", "--nodiscard", str(fresh)])
        fresh.replace(image)
    lab.run(["mount", "-o", "loop,nosuid,nodev,noatime", "-t", "btrfs", str(image), str(disk)])
    lab.run(["btrfs", "quota", "enable", str(disk)])
    # The driver takes a disk without this folder for another disk, not for an empty pool.
    (disk / "tree").mkdir(exist_ok=True)
    share_exports(lab, folder)
