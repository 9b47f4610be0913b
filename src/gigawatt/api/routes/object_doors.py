"""Doors for objects: S3 beside a file system, where the engine of its storage pool has it."""

import asyncio

from gigawatt.api.access import Allowed
from gigawatt.api.routing import new_router, operation
from gigawatt.app.object_doors import new_object_key, object_door, shut_object_door
from gigawatt.interfaces.object_doors import ObjectDoor
from gigawatt.sdk import documents as doc

router = new_router("storage")


def _document(file_system_id: str, door: ObjectDoor) -> doc.S3Door:
    return doc.S3Door(
        file_system_id=file_system_id,
        endpoint=door.endpoint,
        is_open=door.access_key_id is not None,
        access_key_id=door.access_key_id,
        quota_bytes=door.quota_bytes,
        used_bytes=door.used_bytes,
    )


@operation(router, "GET", "/file-systems/{file_system_id}/s3")
def get_s3_door(file_system_id: str, access: Allowed) -> doc.S3Door:
    """Where and with which key the objects of a file system are reached; without the secret."""
    record = access.file_system(file_system_id)
    return _document(
        file_system_id, asyncio.run(object_door(access.service.control.around, record))
    )


@operation(router, "POST", "/file-systems/{file_system_id}/s3:rotate-key")
def rotate_s3_key(file_system_id: str, access: Allowed) -> doc.S3Key:
    """Open the door if it is shut, and give it another key; the secret is in this answer only."""
    record = access.file_system(file_system_id)
    made = asyncio.run(new_object_key(access.service.control.around, record))
    access.after = {"file_system_id": file_system_id, "access_key_id": made.access_key_id}
    return doc.S3Key(
        file_system_id=file_system_id,
        endpoint=made.endpoint,
        access_key_id=made.access_key_id,
        secret_access_key=made.secret_access_key,
    )


@operation(router, "DELETE", "/file-systems/{file_system_id}/s3")
def shut_s3_door(file_system_id: str, access: Allowed) -> doc.S3Door:
    """Shut the door and delete all buckets and objects; the file system stays as it is."""
    record = access.file_system(file_system_id)
    shut = asyncio.run(shut_object_door(access.service.control.around, record))
    access.after = {"file_system_id": file_system_id, "access_key_id": None}
    return _document(file_system_id, shut)
