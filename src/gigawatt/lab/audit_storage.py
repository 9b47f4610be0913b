"""File systems and exports left in a lab, by ``btrfs``, ``ceph``, ``findmnt`` and ``ps``."""

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from gigawatt.boundary.plane import Plane
from gigawatt.lab.audit_cephfs import audit_cephfs
from gigawatt.lab.audit_scene import AuditScene, Leftover

OWN_QGROUPS = frozenset({"0/5"})
"""The disk's own top level."""
SERVERS = ("bindfs ", "ceph-fuse ")
"""Programs that serve exports begin so."""
_SUBVOLUME = re.compile(r"^ID \d+ .* path (.*)$")


def audit_storage(scene: AuditScene) -> Iterator[Leftover]:
    """What the engine holds for tenants; exports, mounts and their servers, whatever the engine.

    Raises:
        InputError: the engine does not answer.
    """
    yield from ENGINES[scene.spec.storage](scene)
    for pool_id in scene.layout.fleet.storage_pools.ids:
        yield from _exports(scene, scene.folder.path / "storage" / str(pool_id) / "exports")
    for line in scene.processes():
        if line.startswith(SERVERS):
            yield Leftover(Plane.STORAGE, "export server", line)


def _btrfs(scene: AuditScene) -> Iterator[Leftover]:
    for pool_id in scene.layout.fleet.storage_pools.ids:
        yield from _btrfs_pool(scene, scene.folder.path / "storage" / str(pool_id))


def _btrfs_pool(scene: AuditScene, folder: Path) -> Iterator[Leftover]:
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


def _exports(scene: AuditScene, exports: Path) -> Iterator[Leftover]:
    for line in scene.said(["findmnt", "--raw", "--noheadings", "--output", "TARGET"]).splitlines():
        if line.startswith(f"{exports}/"):
            yield Leftover(Plane.STORAGE, "mount", line)
    # A network's own folder may stay: hosts are attached to it before anything is exported to it.
    for path in sorted(exports.glob("*/*")):
        yield Leftover(Plane.STORAGE, "export", str(path))


ENGINES: Mapping[str, Callable[[AuditScene], Iterator[Leftover]]] = {
    "btrfs": _btrfs,
    "cephfs": audit_cephfs,
}
"""What each engine of a lab's storage holds."""
