"""``fstab``: what every host of a cluster mounts.

Source: fstab(5), nfs(5), systemd.mount(5). What is assumed of the site: its name service answers
``STORAGE_POOL.storage.gigawatt.internal`` in every in-band network (``internal`` is the name that
ICANN keeps for private use, resolution 2024.07.29.06), and its storage pools speak NFS 4.2.
"""

from gigawatt.artefacts.names import safe_word
from gigawatt.boundary.names import filesystem_path_of
from gigawatt.boundary.target import ClusterTarget
from gigawatt.intent.file_system import OWN_MOUNT_POINT

STORAGE_DOMAIN_NAME = "storage.gigawatt.internal"
"""Where the names of storage pools live."""

OPTIONS = "vers=4.2,proto=tcp,hard,nconnect=8,_netdev,nofail,x-systemd.automount"
"""Boot without storage that is away, and wait for it where it is used. Eight connections a host,
half of the 16 that nfs(5) allows. Ours."""


def fstab(target: ClusterTarget) -> str:
    """Lines for ``/etc/fstab``: the cluster's own file system first, then those it mounts."""
    lines = [f"# Cluster {target.name}: the same on every host.\n"]
    if target.storage_bytes:
        path = filesystem_path_of(target.tenant_id, target.cluster_id)
        lines.append(_line(f"{target.pool_id}", path, OWN_MOUNT_POINT))
    for mount in target.mounts:
        path = filesystem_path_of(target.tenant_id, mount.file_system_id)
        lines.append(_line(mount.pool_id, path, mount.mount_point))
    return "".join(lines)


def _line(pool_id: str, path: str, mount_point: str) -> str:
    server = f"{safe_word(pool_id)}.{STORAGE_DOMAIN_NAME}"
    return f"{server}:{path}\t{mount_point}\tnfs\t{OPTIONS}\t0\t0\n"
