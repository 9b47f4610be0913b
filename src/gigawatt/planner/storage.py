"""Where storage goes: room in storage pools, and the file systems that a request wants to mount."""

from collections.abc import Iterable

from gigawatt.boundary.target import ClusterTarget, Mount
from gigawatt.errors import ConflictError, InputError, NoCapacityError
from gigawatt.ids import FileSystemId, SiteId, StoragePoolId, TenantId
from gigawatt.intent.file_system import (
    OWN_MOUNT_POINT,
    MountWish,
    default_mount_point,
    mount_point_complaint,
)
from gigawatt.planner.snapshot import Snapshot


def promised_bytes(targets: Iterable[ClusterTarget], pool_id: StoragePoolId) -> int:
    """Sum of the quotas that targets have in a storage pool."""
    return sum(target.storage_bytes for target in targets if target.pool_id == pool_id)


def pool_for(
    snapshot: Snapshot, site_id: SiteId, wanted_bytes: int, pool_id: StoragePoolId | None = None
) -> StoragePoolId:
    """The storage pool of a site with most room for a quota; the first of equals.

    Args:
        snapshot: what is promised already.
        site_id: where it shall be.
        wanted_bytes: the quota.
        pool_id: the one storage pool to use, None for any.

    Raises:
        InputError: no such storage pool there, or none that could ever hold as much.
        NoCapacityError: as much is not free now.
    """
    storage_pools = snapshot.fleet.storage_pools
    site = snapshot.fleet.sites.index_of.get(site_id, -1)
    rooms: dict[StoragePoolId, tuple[int, int]] = {}
    for row, name in enumerate(storage_pools.ids):
        found = StoragePoolId(name)
        if int(storage_pools.site[row]) == site and pool_id in {None, found}:
            size_bytes = int(storage_pools.capacity_bytes[row])
            free_bytes = size_bytes - promised_bytes(snapshot.targets.values(), found)
            rooms[found] = (free_bytes, size_bytes)
    which = "storage pool" if pool_id is None else f"storage pool {pool_id!r}"
    largest_bytes = max((size_bytes for _, size_bytes in rooms.values()), default=0)
    if largest_bytes < wanted_bytes:
        raise InputError(
            f"site {site_id!r} has no {which} of {wanted_bytes:,} bytes, "
            f"its largest has {largest_bytes:,}",
            next_step="Ask for less storage, or for another site.",
        )
    best = max(rooms, key=lambda name: rooms[name][0])
    if rooms[best][0] < wanted_bytes:
        raise NoCapacityError(
            f"{wanted_bytes:,} bytes of storage are not free at site {site_id!r} now",
            reasons=(f"storage pool {best!r} has {max(rooms[best][0], 0):,} bytes free",),
            would_fit=(f"at most {max(rooms[best][0], 0):,} bytes at site {site_id!r}",),
        )
    return best


def own_file_system(
    snapshot: Snapshot, tenant_id: TenantId, file_system_id: FileSystemId
) -> ClusterTarget:
    """The target of a file system of a tenant; a foreign one is as absent as none.

    Raises:
        InputError: the tenant has none of this id.
    """
    found = snapshot.targets.get(file_system_id)
    if found is None or not found.is_file_system or found.tenant_id != tenant_id:
        raise InputError(
            f"tenant {tenant_id!r} has no file system {file_system_id!r}",
            next_step="List the file systems of the project, and take an id.",
        )
    return found


def resolve_mounts(
    snapshot: Snapshot, tenant_id: TenantId, wishes: Iterable[MountWish]
) -> tuple[Mount, ...]:
    """What a cluster of a tenant shall mount, with storage pool and key of each; in their order.

    Raises:
        ConflictError: a file system is not there yet, or not any more.
        InputError: no such file system, or two at one mount point.
    """
    mounts = []
    for wish in wishes:
        found = own_file_system(snapshot, tenant_id, wish.file_system_id)
        unready = snapshot.unready.get(found.cluster_id)
        if unready is not None:
            raise ConflictError(
                f"file system {found.name!r} is {unready} and cannot be mounted",
                next_step="Wait until it is active, or name another one.",
            )
        assert found.pool_id is not None, f"{found.cluster_id} is in a storage pool"
        assert found.keys.filesystem is not None, f"{found.cluster_id} has a key"
        mount_point = wish.mount_point or default_mount_point(found.name)
        if complaint := mount_point_complaint(mount_point):
            raise InputError(complaint)
        mounts.append(Mount(wish.file_system_id, found.pool_id, found.keys.filesystem, mount_point))
    _refuse_doubles(mounts)
    return tuple(mounts)


def _refuse_doubles(mounts: Iterable[Mount]) -> None:
    """Refuse one file system twice, and mount points at, above or below each other."""
    seen = [OWN_MOUNT_POINT]
    ids: set[FileSystemId] = set()
    for mount in mounts:
        if mount.file_system_id in ids:
            raise InputError(f"file system {mount.file_system_id!r} is to be mounted twice")
        ids.add(mount.file_system_id)
        here = mount.mount_point + "/"
        for other in seen:
            if here.startswith(other + "/") or (other + "/").startswith(here):
                raise InputError(
                    f"mount points {other!r} and {mount.mount_point!r} are not apart",
                    next_step="Give each file system a mount point of its own.",
                )
        seen.append(mount.mount_point)


def sites_for(
    snapshot: Snapshot, wanted: tuple[SiteId, ...], mounts: Iterable[Mount]
) -> tuple[SiteId, ...]:
    """The sites at which a cluster that mounts these may be; those wanted if it mounts nothing.

    Raises:
        InputError: the file systems lie at several sites, or at one that is not wanted.
    """
    there = sorted({snapshot.targets[mount.file_system_id].site_id for mount in mounts})
    if not there:
        return wanted
    if len(there) > 1:
        raise InputError(f"the file systems to mount lie at several sites: {', '.join(there)}")
    if wanted and there[0] not in wanted:
        raise InputError(
            f"the file systems to mount lie at site {there[0]!r}, which is not one of "
            f"{', '.join(wanted)}",
            next_step=f"Allow site {there[0]!r}, or mount other file systems.",
        )
    return (there[0],)
