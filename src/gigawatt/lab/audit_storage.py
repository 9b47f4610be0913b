"""File systems and exports that are left in a lab, by ``btrfs``, ``findmnt`` and ``ps``."""

import re
from collections.abc import Iterator
from pathlib import Path

from gigawatt.boundary.plane import Plane
from gigawatt.errors import InputError
from gigawatt.lab.audit_scene import AuditScene, Leftover

OWN_QGROUPS = frozenset({"0/5"})
"""The disk's own top level."""
_SUBVOLUME = re.compile(r"^ID \d+ .* path (.*)$")


def audit_storage(scene: AuditScene) -> Iterator[Leftover]:
    """Subvolumes, quota groups, folders, exports, mounts and their servers.

    Raises:
        InputError: a pool does not answer, or is of a kind that cannot be audited.
    """
    if scene.spec.storage != "btrfs":
        raise InputError(
            f"storage on {scene.spec.storage} is not audited",
            next_step="Start the lab with --storage btrfs.",
        )
    for pool_id in scene.layout.fleet.storage_pools.ids:
        yield from _of_pool(scene, scene.folder.path / "storage" / str(pool_id))
    for line in scene.processes():
        if line.startswith("bindfs "):
            yield Leftover(Plane.STORAGE, "export server", line)


def _of_pool(scene: AuditScene, folder: Path) -> Iterator[Leftover]:
    disk = folder / "disk"
    for line in scene.said(["btrfs", "subvolume", "list", str(disk)]).splitlines():
        found = _SUBVOLUME.match(line)
        yield Leftover(Plane.STORAGE, "subvolume", f"{folder.name} {found[1] if found else line}")
    for line in scene.said(["btrfs", "qgroup", "show", "--raw", str(disk)]).splitlines()[2:]:
        number = line.split()[0]
        if number not in OWN_QGROUPS:
            yield Leftover(Plane.STORAGE, "quota group", f"{folder.name} {number}")
    for path in sorted((disk / "tree").rglob("*")):
        yield Leftover(Plane.STORAGE, "file or folder", f"{folder.name} {path.relative_to(disk)}")
    exports = folder / "exports"
    for line in scene.said(["findmnt", "--raw", "--noheadings", "--output", "TARGET"]).splitlines():
        if line.startswith(f"{exports}/"):
            yield Leftover(Plane.STORAGE, "mount", line)
    # A network's own folder may stay: hosts are attached to it before anything is exported to it.
    for path in sorted(exports.glob("*/*")):
        yield Leftover(Plane.STORAGE, "export", str(path))
