"""Documents of file systems and storage quotas."""

from datetime import datetime
from typing import Annotated

from pydantic import Field, StringConstraints

from gigawatt.sdk.documents.base import Answer, Id, Request

QuotaBytes = Annotated[int, Field(ge=1, le=1 << 50)]
MountPoint = Annotated[
    str,
    StringConstraints(max_length=256, pattern=r"^/(home|data|lambda/nfs)(/[A-Za-z0-9-]+)+$"),
]


class FileSystemRequest(Request):
    """A wish for a file system that outlives clusters."""

    project_id: Id
    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9-]{0,62}$")]
    quota_bytes: QuotaBytes
    site_id: Id | None = None
    storage_pool_id: Id | None = None


class ChangeFileSystem(Request):
    """Another quota: more, or less if what is in it still fits."""

    quota_bytes: QuotaBytes


class FileSystemMount(Request):
    """A file system of the project to mount on every host; ``/data/NAME`` if no place is given."""

    file_system_id: Id
    mount_point: MountPoint | None = None


class Mount(Answer):
    """A file system that a cluster mounts."""

    file_system_id: str
    mount_point: str


class FileSystem(Answer):
    """A file system; ``used_bytes`` is null in lists, and where its storage pool cannot tell.

    ``mount_point`` is where clusters mount it that name no other place.
    """

    id: str
    project_id: str
    name: str
    site_id: str | None
    storage_pool_id: str | None
    quota_bytes: int | None
    used_bytes: int | None = None
    mount_point: str
    is_in_use: bool
    cluster_ids: list[str]
    state: str
    state_reason: str
    state_since: datetime
    version: int
    created_at: datetime
    operation_id: str | None = None


class S3Door(Answer):
    """The door for objects of a file system: a quota of its own, as large as the file system's.

    ``access_key_id`` is null while the door is shut; ``quota_bytes`` and ``used_bytes`` are then 0.
    """

    file_system_id: str
    endpoint: str
    is_open: bool
    access_key_id: str | None
    quota_bytes: int
    used_bytes: int


class S3Key(Answer):
    """A key for the objects of a file system; the secret is shown once, and null when repeated."""

    file_system_id: str
    endpoint: str
    access_key_id: str
    secret_access_key: str | None = None


class StorageQuota(Answer):
    """Storage of a project in bytes: granted, and promised to its file systems and clusters.

    What is granted to all projects together may be more than the storage pools hold: then the
    site is oversubscribed, and a file system may be refused for want of room.
    """

    project_id: str
    granted_bytes: int
    held_bytes: int
    granted_bytes_of_all: int
    held_bytes_of_all: int
    capacity_bytes_of_fleet: int
    is_oversubscribed: bool


class SetStorageQuota(Request):
    """Bytes that a project may have promised at once."""

    granted_bytes: Annotated[int, Field(ge=0, le=1 << 62)]
