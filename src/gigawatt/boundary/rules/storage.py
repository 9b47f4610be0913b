"""Rules of storage: exports, paths, quotas."""

from collections.abc import Iterator

from gigawatt.boundary.names import filesystem_path_of
from gigawatt.boundary.plane import Plane
from gigawatt.boundary.rules.case import Case, Finding, Rule
from gigawatt.ids import DeviceId, StoragePoolId


def _vni_holders(case: Case, pool_id: StoragePoolId, vni: int) -> list[int]:
    site_id = case.holdings.site_of_storage_pool(pool_id)
    return [] if site_id is None else case.holdings.of_vni(site_id, vni)


def find_foreign_export(case: Case) -> Iterator[Finding]:
    """File systems exported to the network of another cluster."""
    for export in case.exports:
        owners = case.holdings.of_filesystem(export.pool_id, export.filesystem)
        clients = _vni_holders(case, export.pool_id, export.vni)
        if owners and clients and not set(clients) <= set(owners):
            yield Finding(
                tuple(dict.fromkeys(owners + clients)),
                export.device,
                None,
                f"file system {export.filesystem} of pool {export.pool_id} "
                f"({case.names(owners)}) is exported to VNI {export.vni} of {case.names(clients)}",
            )


def find_unknown_export(case: Case) -> Iterator[Finding]:
    """Exports of a file system, or to a network, that no target holds."""
    for export in case.exports:
        owners = case.holdings.of_filesystem(export.pool_id, export.filesystem)
        clients = _vni_holders(case, export.pool_id, export.vni)
        if (owners and clients) or (not owners and not clients and case.is_buried(export)):
            continue
        yield Finding(
            tuple(dict.fromkeys(owners + clients)),
            export.device,
            None,
            f"file system {export.filesystem} of pool {export.pool_id} ({case.names(owners)}) is "
            f"exported to VNI {export.vni} ({case.names(clients)}); no target says so",
        )


def _is_kin(path: str, other: str) -> bool:
    """Whether one path is the other, or lies above or below it."""
    one, two = (text.rstrip("/") + "/" for text in (path, other))
    return one.startswith(two) or two.startswith(one)


def find_foreign_path(case: Case) -> Iterator[Finding]:
    """File systems that lie elsewhere than at their cluster's path."""
    targets = case.holdings.targets
    for entry in case.filesystems:
        owners = case.holdings.of_filesystem(entry.pool_id, entry.filesystem)
        paths = [filesystem_path_of(targets[c].tenant_id, targets[c].cluster_id) for c in owners]
        if not owners or entry.path in paths:
            continue
        there = [
            cluster
            for cluster, target in enumerate(targets)
            if target.pool_id == entry.pool_id
            and _is_kin(entry.path, filesystem_path_of(target.tenant_id, target.cluster_id))
        ]
        yield Finding(
            tuple(dict.fromkeys([*owners, *there])),
            entry.device,
            None,
            f"file system {entry.filesystem} of pool {entry.pool_id} ({case.names(owners)}) lies "
            f"at {entry.path!r}, wanted {', '.join(paths)}",
        )


def find_storage_stranger(case: Case) -> Iterator[Finding]:
    """File systems that no target holds."""
    for entry in case.filesystems:
        owners = case.holdings.of_filesystem(entry.pool_id, entry.filesystem)
        if not owners and not case.is_buried(entry):
            yield Finding(
                (),
                entry.device,
                None,
                f"pool {entry.pool_id} has file system {entry.filesystem} at {entry.path!r}, "
                "which no target holds",
            )


def find_missing_storage_entry(case: Case) -> Iterator[Finding]:
    """Clusters with storage that cannot mount it, or have another quota than they pay for."""
    quotas = {(e.pool_id, e.filesystem): e.quota_bytes for e in case.filesystems}
    exports = {(e.pool_id, e.filesystem, e.vni) for e in case.exports}
    for cluster, target in enumerate(case.holdings.targets):
        if target.storage_bytes == 0:
            continue
        pool_id, keys = target.pool_id, target.keys
        if pool_id is None or keys.filesystem is None:
            lack = "no storage pool or file system key"
        elif (pool_id, keys.filesystem) not in quotas:
            lack = f"no file system {keys.filesystem}"
        elif quotas[pool_id, keys.filesystem] != target.storage_bytes:
            lack = (
                f"a quota of {quotas[pool_id, keys.filesystem]} bytes, "
                f"wanted {target.storage_bytes}"
            )
        elif (pool_id, keys.filesystem, keys.vni) not in exports:
            lack = f"no export of file system {keys.filesystem} to its VNI {keys.vni}"
        else:
            continue
        yield Finding(
            (cluster,),
            DeviceId(f"pool/{pool_id}"),
            None,
            f"{case.name(cluster)} has {lack} in pool {pool_id}",
        )


_STORAGE = Plane.STORAGE
STORAGE_RULES = (
    Rule(
        "foreign_export",
        _STORAGE,
        "isolation",
        "A file system exported to another tenant's network: UID 0 there reads it over NFS.",
        find_foreign_export,
    ),
    Rule(
        "unknown_export",
        _STORAGE,
        "isolation",
        "An export left over by a removal opens itself to whoever gets the VNI next.",
        find_unknown_export,
    ),
    Rule(
        "foreign_path",
        _STORAGE,
        "isolation",
        "Two file systems over one path, or one above the other, are one file system.",
        find_foreign_path,
    ),
    Rule(
        "storage_stranger",
        _STORAGE,
        "isolation",
        "A file system outside every target: data of an earlier tenant that was not erased.",
        find_storage_stranger,
    ),
    Rule(
        "missing_storage_entry",
        _STORAGE,
        "connection",
        "A cluster that cannot mount what it pays for, or can fill more than that.",
        find_missing_storage_entry,
    ),
)
