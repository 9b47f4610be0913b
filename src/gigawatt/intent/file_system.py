"""What a tenant asks for when it wants a file system, or wants a cluster to mount one."""

import re
from dataclasses import dataclass

from gigawatt.errors import InputError
from gigawatt.ids import FileSystemId, SiteId, StoragePoolId, TenantId
from gigawatt.units import PIB

MOUNT_POINT = re.compile(r"/(home|data|lambda/nfs)(/[A-Za-z0-9-]+)+")
"""Where a file system may be mounted. No letter of it needs quoting in a file; the three places
are those of the Lambda Cloud API 1.10.0 (``file_system_mounts``)."""
MOUNT_POINT_LENGTH_MAX = 256
"""Source: Lambda Cloud API 1.10.0."""

OWN_MOUNT_POINT = "/data/cluster"
"""Where a cluster mounts the file system of its own, which goes with it."""

MOUNTS_PER_CLUSTER_MAX = 16
"""File systems that one cluster mounts. Ours."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,62}")


@dataclass(frozen=True, slots=True)
class MountWish:
    """A wish to mount one file system; ``mount_point`` None takes ``/data/NAME``."""

    file_system_id: FileSystemId
    mount_point: str | None = None


@dataclass(frozen=True, slots=True)
class FileSystemRequest:
    """One tenant's wish for one file system that outlives clusters.

    Fields:
        tenant_id: whose it is.
        name: letters, digits and hyphens, at most 63; unique among the tenant's file systems.
        quota_bytes: most bytes it may hold, 1 to 1 PiB.
        site_id: where it lies; None where the fleet has one site with storage.
        pool_id: storage pool of the site; None for the one with most room.
    """

    tenant_id: TenantId
    name: str
    quota_bytes: int
    site_id: SiteId | None = None
    pool_id: StoragePoolId | None = None


def check_file_system(request: FileSystemRequest) -> None:
    """Refuse a wish that is wrong whatever the fleet looks like.

    Raises:
        InputError: names every field that is wrong.
    """
    bad = []
    if _NAME.fullmatch(request.name) is None:
        bad.append(f"name {request.name!r} is not 1 to 63 letters, digits and hyphens")
    if not request.tenant_id:
        bad.append("tenant is empty")
    if (complaint := quota_complaint(request.quota_bytes)) is not None:
        bad.append(complaint)
    if bad:
        raise InputError(f"file system {request.name!r}: " + "; ".join(bad))


def quota_complaint(quota_bytes: int) -> str | None:
    """What is wrong with a quota whatever is free, None if nothing is."""
    if 1 <= quota_bytes <= PIB:
        return None
    return f"quota is {quota_bytes} bytes, wanted 1 to {PIB}"


def default_mount_point(name: str) -> str:
    """Where a file system of this name is mounted by who names no other place."""
    return f"/data/{name}"


def mount_point_complaint(mount_point: str) -> str | None:
    """What is wrong with a mount point by itself, None if nothing is."""
    if len(mount_point) <= MOUNT_POINT_LENGTH_MAX and MOUNT_POINT.fullmatch(mount_point):
        return None
    return (
        f"mount point {mount_point[:80]!r} is not a path of letters, digits and hyphens under "
        f"/home, /data or /lambda/nfs of at most {MOUNT_POINT_LENGTH_MAX} characters"
    )
