"""The export tree of a storage pool, by which file systems come to the hosts of a network.

``<pool folder>/exports/<VNI>/<file system>`` is a mount that is there exactly as long as the
export is. Whoever stands between the pool and the hosts of one VNI (a DPU; in the lab the machine
of a node) attaches ``exports/<VNI>`` to the host as a slave tree: exports then come and go on the
running host without anybody calling it.
"""

from pathlib import Path

Commands = tuple[tuple[str, ...], ...]
"""Commands to be run one after the other; each must succeed."""


def exports_folder(pool_folder: Path) -> Path:
    """The export tree of a pool; a mount whose changes reach its slaves."""
    return pool_folder / "exports"


def network_folder(pool_folder: Path, vni: int) -> Path:
    """What the hosts of one network see of a pool: a folder for each file system by number."""
    return exports_folder(pool_folder) / str(vni)


def export_path(pool_folder: Path, vni: int, filesystem: int) -> Path:
    """Where one file system is mounted for one network."""
    return network_folder(pool_folder, vni) / str(filesystem)


def attach_commands(pool_folder: Path, vni: int, target: Path) -> Commands:
    """Commands that attach what ``vni`` may mount at ``target``, an absolute path.

    To be run in the host's own mount namespace, made from the storage server's with
    ``unshare --mount --propagation slave``. Works before anything is exported to ``vni``. The
    folder above the file systems is read-only there; they are as their users left them.
    """
    source = network_folder(pool_folder, vni)
    return (
        ("mkdir", "-p", str(source), str(target)),
        ("mount", "--rbind", str(source), str(target)),
        ("mount", "--make-rslave", str(target)),
        ("mount", "-o", "remount,bind,ro,nosuid,nodev", str(target)),
    )


def detach_commands(target: Path) -> Commands:
    """Commands that take ``target`` away again, open files or not, in the host's namespace."""
    return (("umount", "--lazy", "--recursive", str(target)),)


def hide_commands(pool_folder: Path) -> Commands:
    """Commands after which the host's namespace no longer shows the pool itself.

    To be run after ``attach_commands``: a namespace starts as a copy of the storage server's, with
    the trees of all networks in it.
    """
    hide = ("mount", "-t", "tmpfs", "-o", "ro,size=4k,mode=0", "gigawatt-hidden")
    return ((*hide, str(pool_folder)),)
