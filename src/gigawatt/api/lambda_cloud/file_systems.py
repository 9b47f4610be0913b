"""File systems of the project, under the names and the mount points that Lambda's tools expect."""

from gigawatt.api.changes import admit
from gigawatt.api.lambda_cloud import documents as doc
from gigawatt.api.lambda_cloud.access import Allowed, LambdaAccess
from gigawatt.api.lambda_cloud.errors import CodedError
from gigawatt.api.lambda_cloud.regions import region_of
from gigawatt.api.lambda_cloud.route import new_router, operation
from gigawatt.api.paging import NEWEST
from gigawatt.api.views import at
from gigawatt.errors import ConflictError, UnknownIdError
from gigawatt.identity.accounts import Project
from gigawatt.ids import FileSystemId, SiteId
from gigawatt.intent.file_system import FileSystemRequest, MountWish
from gigawatt.interfaces.directory import Reach
from gigawatt.interfaces.store import ClusterRecord
from gigawatt.planner.file_system import mounters
from gigawatt.planner.phases import Phase
from gigawatt.units import TIB

router = new_router()

FILE_SYSTEM_BYTES = TIB
"""Quota of a file system that is made at this door, where a request cannot name one. Ours; the
native API makes it larger or smaller."""

FILE_SYSTEM_COUNT_MAX = 10_000
"""File systems of a project that are looked at. Ours."""

IN_USE = "filesystems/filesystem-in-use"
WRONG_REGION = "instance-operations/launch/file-system-in-wrong-region"


def mount_point_of(name: str) -> str:
    """Where a file system is mounted by who names no place. Source: Lambda Cloud API 1.10.0."""
    return f"/lambda/nfs/{name}"


def file_systems_of(access: LambdaAccess, project: Project) -> dict[str, ClusterRecord]:
    """File systems of a project that have not ended, by id, oldest first."""
    reach = Reach(frozenset({project.project_id}))
    found = access.service.file_systems.page(
        reach, NEWEST, FILE_SYSTEM_COUNT_MAX, with_ended=False, name=None
    )
    return {record.cluster_id: record for _, record in reversed(found) if record.target is not None}


def _document(access: LambdaAccess, record: ClusterRecord, *, is_in_use: bool) -> doc.FileSystem:
    target = record.target
    assert target is not None, "a file system that has not ended has a target"
    return doc.FileSystem(
        id=record.cluster_id,
        name=record.name,
        mount_point=mount_point_of(record.name),
        created=at(record.created_s),
        created_by=doc.User(id=record.tenant_id, email="", status="active"),
        is_in_use=is_in_use,
        region=region_of(access.service, target.site_id),
    )


@operation(router, "GET", "/file-systems")
def list_lambda_file_systems(access: Allowed) -> doc.Answer[list[doc.FileSystem]]:
    """File systems, oldest first."""
    found = file_systems_of(access, access.workspace())
    view = access.service.control.snapshot()
    return doc.Answer(
        data=[
            _document(access, record, is_in_use=bool(mounters(view, record.cluster_id)))
            for record in found.values()
        ]
    )


@operation(router, "POST", "/filesystems")
def create_lambda_file_system(
    body: doc.CreateFileSystem, access: Allowed
) -> doc.Answer[doc.FileSystem]:
    """Make a file system that outlives instances."""
    project, service = access.workspace(), access.service
    site_id = service.lambda_settings.site_of(body.region)
    if site_id is None:
        raise UnknownIdError(f"no region {body.region!r}", next_step="See GET /api/v1/regions.")
    taken = {record.name for record in file_systems_of(access, project).values()}
    if body.name in taken:
        raise CodedError(
            "global/duplicate", f"there is a file system {body.name!r}", "Take another name."
        )
    request = FileSystemRequest(project.project_id, body.name, FILE_SYSTEM_BYTES, SiteId(site_id))
    made = service.control.commit_new(
        lambda: service.control.plan_create_file_system(request), admit=admit(access)
    )
    service.worker.wake()
    record = service.control.around.store.cluster(made.cluster_id)
    return doc.Answer(data=_document(access, record, is_in_use=False))


@operation(router, "DELETE", "/filesystems/{file_system_id}")
def delete_lambda_file_system(file_system_id: str, access: Allowed) -> doc.Answer[doc.Deleted]:
    """Delete a file system that no instance and no cluster mounts, with its data."""
    service = access.service
    record = file_systems_of(access, access.workspace()).get(file_system_id)
    if record is None:
        raise UnknownIdError(
            f"no file system {file_system_id[:64]!r}", next_step="See GET /api/v1/file-systems."
        )
    if record.phase is not Phase.RELEASING:
        if mounters(service.control.snapshot(), record.cluster_id):
            raise CodedError(
                IN_USE,
                f"file system {record.name!r} is mounted",
                "Terminate every instance, and release every cluster, that mounts it.",
            )
        name = FileSystemId(record.cluster_id)
        service.control.commit_new(lambda: service.control.plan_delete_file_system(name))
        service.worker.wake()
    return doc.Answer(data=doc.Deleted(deleted_ids=[file_system_id]))


def mounts_of(
    access: LambdaAccess, project: Project, body: doc.LaunchRequest, site_id: str
) -> tuple[MountWish, ...]:
    """What an instance shall mount: names at their usual places, unless a place is said.

    Raises:
        UnknownIdError: the project has no such file system.
        CodedError: one is in another region.
        ConflictError: one is not ready yet, or on its way out.
    """
    names, said = body.file_system_names or [], body.file_system_mounts or []
    if not names and not said:
        return ()
    known = file_systems_of(access, project)
    by_name = {record.name: record for record in known.values()}
    places = {}
    for name in names:
        record = _there(by_name.get(name), name, site_id)
        places[record.cluster_id] = mount_point_of(record.name)
    for mount in said:
        record = _there(known.get(mount.file_system_id), mount.file_system_id, site_id)
        places[record.cluster_id] = mount.mount_point
    return tuple(MountWish(FileSystemId(one), place) for one, place in places.items())


def _there(record: ClusterRecord | None, said: str, site_id: str) -> ClusterRecord:
    if record is None or record.target is None:
        raise UnknownIdError(
            f"no file system {said[:64]!r}", next_step="See GET /api/v1/file-systems."
        )
    if record.target.site_id != site_id:
        raise CodedError(
            WRONG_REGION, f"file system {said!r} is in another region", "Launch where it is."
        )
    if record.phase not in {Phase.ACTIVE, Phase.CHANGING}:
        raise ConflictError(
            f"file system {said!r} is {record.phase.value}", next_step="Try again in a moment."
        )
    return record
