"""File systems that outlive clusters, and quotas of storage."""

import asyncio
from typing import Annotated

from fastapi import Query, Response

from gigawatt.api.access import Access, Allowed
from gigawatt.api.changes import IfMatch, commit, expected_version
from gigawatt.api.paging import NEWEST, Cursor, Limit, number_place, page_of
from gigawatt.api.routing import new_router, operation
from gigawatt.api.views import file_system_document
from gigawatt.app.service import Service
from gigawatt.errors import DriverError
from gigawatt.identity.accounts import Project
from gigawatt.ids import FileSystemId, SiteId, StoragePoolId
from gigawatt.intent.file_system import FileSystemRequest
from gigawatt.interfaces.directory import Reach
from gigawatt.interfaces.store import ClusterRecord, OperationRecord
from gigawatt.planner.file_system import mounters
from gigawatt.sdk import documents as doc

router = new_router("storage")

ACCEPTED = 202


@operation(router, "GET", "/file-systems")
def list_file_systems(
    access: Allowed,
    name: Annotated[str | None, Query(max_length=63)] = None,
    with_ended: Annotated[bool, Query()] = False,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> doc.Page[doc.FileSystem]:
    """File systems that the caller sees, newest first."""
    reach = access.reach()
    view = access.service.control.snapshot()
    found = access.service.file_systems.page(
        reach, number_place(cursor, NEWEST), limit + 1, with_ended=with_ended, name=name
    )
    return page_of(
        found,
        limit,
        lambda row: row[0],
        lambda row: file_system_document(row[1], mounters(view, row[1].cluster_id)),
    )


@operation(router, "POST", "/file-systems", ACCEPTED)
def create_file_system(
    body: doc.FileSystemRequest, access: Allowed, response: Response
) -> doc.FileSystem:
    """Make a file system that outlives clusters."""
    project = access.project(body.project_id)
    request = FileSystemRequest(
        tenant_id=project.project_id,
        name=body.name,
        quota_bytes=body.quota_bytes,
        site_id=None if body.site_id is None else SiteId(body.site_id),
        pool_id=None if body.storage_pool_id is None else StoragePoolId(body.storage_pool_id),
    )
    made = commit(access, lambda: access.service.control.plan_create_file_system(request))
    return _started(access, made, response)


def _started(access: Access, made: OperationRecord, response: Response) -> doc.FileSystem:
    record = access.service.control.around.store.cluster(made.cluster_id)
    found = _shown(access, record, response, operation_id=made.operation_id)
    access.after = found.model_dump(mode="json")
    return found


def _note_before(access: Access, record: ClusterRecord) -> None:
    """For the audit, what a file system is before it changes."""
    access.before = file_system_document(record, ()).model_dump(mode="json")


def _shown(
    access: Access,
    record: ClusterRecord,
    response: Response,
    *,
    operation_id: str | None = None,
    used_bytes: int | None = None,
) -> doc.FileSystem:
    users = mounters(access.service.control.snapshot(), record.cluster_id)
    response.headers["ETag"] = f'"{record.version}"'
    return file_system_document(record, users, used_bytes=used_bytes, operation_id=operation_id)


@operation(router, "GET", "/file-systems/{file_system_id}")
def get_file_system(file_system_id: str, access: Allowed, response: Response) -> doc.FileSystem:
    """One file system, with the bytes that it holds if its storage pool can tell."""
    record = access.file_system(file_system_id)
    newest = access.service.directory.operation_page(Reach(None), NEWEST, 1, record.cluster_id)
    under_way = [line.operation_id for line in newest if line.finished_s is None]
    return _shown(
        access,
        record,
        response,
        operation_id=under_way[0] if under_way else None,
        used_bytes=_used_bytes(access.service, record),
    )


def _used_bytes(service: Service, record: ClusterRecord) -> int | None:
    """Bytes in a file system, read now; None if its storage pool cannot tell, or not now."""
    if record.target is None:
        return None
    try:
        return asyncio.run(service.control.used_bytes(record.target))
    except DriverError:
        return None


@operation(router, "POST", "/file-systems/{file_system_id}:resize", ACCEPTED)
def resize_file_system(
    file_system_id: str,
    body: doc.ChangeFileSystem,
    access: Allowed,
    response: Response,
    if_match: IfMatch = None,
) -> doc.FileSystem:
    """Give a file system another quota; it never falls below what is in it."""
    record, control = access.file_system(file_system_id), access.service.control
    used_bytes = _used_bytes(access.service, record)
    _note_before(access, record)
    name = FileSystemId(record.cluster_id)
    made = commit(
        access,
        lambda: control.plan_resize_file_system(name, body.quota_bytes, used_bytes),
        cluster_id=record.cluster_id,
        version=expected_version(if_match),
    )
    return _started(access, made, response)


@operation(router, "DELETE", "/file-systems/{file_system_id}", ACCEPTED)
def delete_file_system(
    file_system_id: str, access: Allowed, response: Response, if_match: IfMatch = None
) -> doc.FileSystem:
    """Delete a file system that no cluster mounts, with all its data."""
    record, control = access.file_system(file_system_id), access.service.control
    _note_before(access, record)
    name = FileSystemId(record.cluster_id)
    made = commit(
        access,
        lambda: control.plan_delete_file_system(name),
        cluster_id=record.cluster_id,
        version=expected_version(if_match),
    )
    return _started(access, made, response)


def _quota(service: Service, project: Project) -> doc.StorageQuota:
    view, quotas = service.control.snapshot(), service.storage_quotas
    targets = view.targets.values()
    mine = [target for target in targets if target.tenant_id == project.project_id]
    capacity_bytes = int(view.fleet.storage_pools.capacity_bytes.sum())
    granted_bytes_of_all = quotas.total_granted_bytes()
    return doc.StorageQuota(
        project_id=project.project_id,
        granted_bytes=quotas.granted_bytes(project.project_id),
        held_bytes=sum(target.storage_bytes for target in mine),
        granted_bytes_of_all=granted_bytes_of_all,
        held_bytes_of_all=sum(target.storage_bytes for target in targets),
        capacity_bytes_of_fleet=capacity_bytes,
        is_oversubscribed=granted_bytes_of_all > capacity_bytes,
    )


@operation(router, "GET", "/projects/{project_id}/storage-quota")
def get_storage_quota(project_id: str, access: Allowed) -> doc.StorageQuota:
    """Storage granted and promised, of the project and of all together."""
    return _quota(access.service, access.project(project_id))


@operation(router, "PUT", "/projects/{project_id}/storage-quota")
def set_storage_quota(
    project_id: str, body: doc.SetStorageQuota, access: Allowed
) -> doc.StorageQuota:
    """Grant storage to a project; what it has beyond it stays until it is deleted."""
    project = access.project(project_id)
    before = _quota(access.service, project)
    access.service.storage_quotas.grant(project.project_id, body.granted_bytes)
    after = _quota(access.service, project)
    access.note_change(before, after)
    return after
