"""Pool folders of a lab: where each storage pool has its exports, whatever its engine."""

from pathlib import Path

from gigawatt.drivers.storage.exports import exports_folder
from gigawatt.lab.running import Running


def storage_folder(lab: Running) -> Path:
    """The folder of all pool folders of a lab."""
    return lab.folder / "storage"


def pool_folder(lab: Running, pool_id: str) -> Path:
    """The pool folder of a pool in a lab."""
    return storage_folder(lab) / pool_id


def share_exports(lab: Running, folder: Path) -> None:
    """Make the export tree in a pool folder: a mount whose changes reach its slaves.

    Raises:
        InputError: it cannot be mounted.
    """
    exports = exports_folder(folder)
    exports.mkdir(parents=True, exist_ok=True)
    options = "size=16m,mode=0755,nosuid,nodev"
    lab.run(["mount", "-t", "tmpfs", "-o", options, "gigawatt-exports", str(exports)])
    lab.run(["mount", "--make-shared", str(exports)])
