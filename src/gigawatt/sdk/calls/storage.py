"""Calls of file systems and storage quotas."""

from gigawatt.sdk import documents as doc
from gigawatt.sdk.calls.call import Call, path_of, query_of


def list_file_systems(
    *,
    name: str | None = None,
    with_ended: bool | None = None,
    cursor: str | None = None,
    limit: int | None = None,
) -> Call[doc.Page[doc.FileSystem]]:
    """File systems that the caller sees, newest first."""
    query = query_of(name=name, with_ended=with_ended, cursor=cursor, limit=limit)
    return Call("GET", path_of("file-systems"), doc.Page[doc.FileSystem], query)


def create_file_system(request: doc.FileSystemRequest) -> Call[doc.FileSystem]:
    """Make a file system that outlives clusters."""
    return Call("POST", path_of("file-systems"), doc.FileSystem, body=request)


def get_file_system(file_system_id: str) -> Call[doc.FileSystem]:
    """One file system, with the bytes that it holds."""
    return Call("GET", path_of("file-systems", file_system_id), doc.FileSystem)


def resize_file_system(
    file_system_id: str, quota_bytes: int, *, version: int | None = None
) -> Call[doc.FileSystem]:
    """Give a file system another quota."""
    path = path_of("file-systems", file_system_id, verb="resize")
    body = doc.ChangeFileSystem(quota_bytes=quota_bytes)
    return Call("POST", path, doc.FileSystem, body=body, if_match=version)


def delete_file_system(file_system_id: str, *, version: int | None = None) -> Call[doc.FileSystem]:
    """Delete a file system that no cluster mounts, with all its data."""
    path = path_of("file-systems", file_system_id)
    return Call("DELETE", path, doc.FileSystem, if_match=version)


def get_s3_door(file_system_id: str) -> Call[doc.S3Door]:
    """Where and with which key the objects of a file system are reached."""
    return Call("GET", path_of("file-systems", file_system_id, "s3"), doc.S3Door)


def rotate_s3_key(file_system_id: str) -> Call[doc.S3Key]:
    """Another key for the objects of a file system; its secret is in this answer only."""
    path = path_of("file-systems", file_system_id, "s3", verb="rotate-key")
    return Call("POST", path, doc.S3Key)


def shut_s3_door(file_system_id: str) -> Call[doc.S3Door]:
    """Shut the door for objects, and delete them."""
    return Call("DELETE", path_of("file-systems", file_system_id, "s3"), doc.S3Door)


def get_storage_quota(project_id: str) -> Call[doc.StorageQuota]:
    """Storage granted and promised."""
    return Call("GET", path_of("projects", project_id, "storage-quota"), doc.StorageQuota)


def set_storage_quota(project_id: str, granted_bytes: int) -> Call[doc.StorageQuota]:
    """Grant storage to a project."""
    body = doc.SetStorageQuota(granted_bytes=granted_bytes)
    path = path_of("projects", project_id, "storage-quota")
    return Call("PUT", path, doc.StorageQuota, body=body)
