"""Rules of storage: exports, mounts, paths, quotas.

A file system belongs to the one target that holds its key. It may be exported to the network of
that target, or of a cluster of the same tenant whose target mounts it, and to nobody else.
"""

from collections.abc import Iterator

from gigawatt.boundary.entries import Export
from gigawatt.boundary.names import filesystem_path_of
from gigawatt.boundary.plane import Plane
from gigawatt.boundary.rules.case import Case, Finding, Rule
from gigawatt.boundary.target import ClusterTarget, Mount
from gigawatt.ids import DeviceId, StoragePoolId


def _vni_holders(case: Case, pool_id: StoragePoolId, vni: int) -> list[int]:
    site_id = case.holdings.site_of_storage_pool(pool_id)
    return [] if site_id is None else case.holdings.of_vni(site_id, vni)


def _strays(case: Case, export: Export) -> tuple[list[int], list[int], list[int]]:
    """Owners of what is exported, clients let in, and those of them who are no owner."""
    owners = case.holdings.of_filesystem(export.pool_id, export.filesystem)
    clients = _vni_holders(case, export.pool_id, export.vni)
    return owners, clients, [client for client in clients if client not in owners] if owners else []


def may_mount(client: ClusterTarget, owner: ClusterTarget) -> bool:
    """Whether a cluster could ever mount a file system: both of one tenant and at one site."""
    same_place = (client.tenant_id, client.site_id) == (owner.tenant_id, owner.site_id)
    return owner.is_file_system and same_place


def mounts_of(client: ClusterTarget, owner: ClusterTarget) -> tuple[Mount, ...]:
    """The mounts of a cluster that name a file system rightly: holder, storage pool and key."""
    return tuple(
        mount
        for mount in client.mounts
        if (mount.file_system_id, mount.pool_id, mount.filesystem)
        == (owner.cluster_id, owner.pool_id, owner.keys.filesystem)
    )


def find_foreign_export(case: Case) -> Iterator[Finding]:
    """File systems exported to the network of a cluster that could never mount them."""
    targets = case.holdings.targets
    for export in case.exports:
        owners, clients, strays = _strays(case, export)
        if any(not may_mount(targets[c], targets[o]) for c in strays for o in owners):
            yield Finding(
                tuple(dict.fromkeys(owners + clients)),
                export.device,
                None,
                f"file system {export.filesystem} of pool {export.pool_id} "
                f"({case.names(owners)}) is exported to VNI {export.vni} of {case.names(clients)}",
            )


def find_export_without_mount(case: Case) -> Iterator[Finding]:
    """File systems exported to a cluster of their tenant that does not mount them."""
    targets = case.holdings.targets
    for export in case.exports:
        owners, _, strays = _strays(case, export)
        for client in strays:
            if any(
                may_mount(targets[client], targets[owner])
                and not mounts_of(targets[client], targets[owner])
                for owner in owners
            ):
                yield Finding(
                    tuple(dict.fromkeys([*owners, client])),
                    export.device,
                    None,
                    f"file system {export.filesystem} of pool {export.pool_id} "
                    f"({case.names(owners)}) is exported to VNI {export.vni} of "
                    f"{case.name(client)}, which does not mount it",
                )


def find_foreign_mount(case: Case) -> Iterator[Finding]:
    """Targets that mount what they never could, or what no target holds."""
    targets = case.holdings.targets
    for cluster, target in enumerate(targets):
        for mount in target.mounts:
            owners = case.holdings.of_filesystem(mount.pool_id, mount.filesystem)
            rightful = [
                owner
                for owner in owners
                if may_mount(target, targets[owner]) and mount in mounts_of(target, targets[owner])
            ]
            if owners != rightful or not owners:
                yield Finding(
                    tuple(dict.fromkeys([cluster, *owners])),
                    DeviceId(f"pool/{mount.pool_id}"),
                    None,
                    f"{case.name(cluster)} mounts {mount.file_system_id}, file system "
                    f"{mount.filesystem} of pool {mount.pool_id}, which {case.names(owners)} holds",
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
    """Targets with storage that is not there, and clusters that cannot mount theirs."""
    there = {(e.pool_id, e.filesystem) for e in case.filesystems}
    exports = {(e.pool_id, e.filesystem, e.vni) for e in case.exports}
    for cluster, target in enumerate(case.holdings.targets):
        pool_id, keys = target.pool_id, target.keys
        lacks: list[tuple[StoragePoolId | None, str]] = []
        if target.storage_bytes == 0:
            pass
        elif pool_id is None or keys.filesystem is None:
            lacks.append((pool_id, "no storage pool or file system key"))
        elif (pool_id, keys.filesystem) not in there:
            lacks.append((pool_id, f"no file system {keys.filesystem}"))
        elif not target.is_file_system and (pool_id, keys.filesystem, keys.vni) not in exports:
            lacks.append((pool_id, f"no export of file system {keys.filesystem} to its network"))
        lacks.extend(
            (mount.pool_id, f"no export of {mount.file_system_id} to its network")
            for mount in target.mounts
            if (mount.pool_id, mount.filesystem, keys.vni) not in exports
        )
        for where, lack in lacks:
            yield Finding(
                (cluster,),
                DeviceId(f"pool/{where}"),
                None,
                f"{case.name(cluster)} has {lack} in pool {where}",
            )


def find_wrong_quota(case: Case) -> Iterator[Finding]:
    """File systems with another quota than their target's."""
    for entry in case.filesystems:
        owners = case.holdings.of_filesystem(entry.pool_id, entry.filesystem)
        wanted = {case.holdings.targets[owner].storage_bytes for owner in owners}
        if owners and entry.quota_bytes not in wanted:
            yield Finding(
                tuple(owners),
                entry.device,
                None,
                f"file system {entry.filesystem} of pool {entry.pool_id} ({case.names(owners)}) "
                f"has a quota of {entry.quota_bytes} bytes, wanted {max(wanted)}",
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
        "export_without_mount",
        _STORAGE,
        "isolation",
        "A cluster of the same tenant that was never given the data: one careless job away.",
        find_export_without_mount,
    ),
    Rule(
        "foreign_mount",
        _STORAGE,
        "isolation",
        "A wish that names another tenant's file system by its key: confused deputy.",
        find_foreign_mount,
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
        "A cluster that cannot mount what it pays for.",
        find_missing_storage_entry,
    ),
    Rule(
        "wrong_quota",
        _STORAGE,
        "connection",
        "A tenant that can fill more than it pays for takes the room of the others.",
        find_wrong_quota,
    ),
)
