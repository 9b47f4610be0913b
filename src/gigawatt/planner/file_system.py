"""Plans of file systems that outlive clusters: create, resize, delete.

They are plans like any other: a holder without nodes is launched, configured and released, by the
same stages, the same commit and the same saga (ADR-0025).
"""

from dataclasses import replace

from gigawatt.boundary.keys import take_filesystem
from gigawatt.boundary.render import render
from gigawatt.boundary.target import ClusterTarget
from gigawatt.errors import ConflictError, InputError
from gigawatt.fleet.model import Fleet
from gigawatt.ids import ClusterId, FabricId, SiteId
from gigawatt.intent.file_system import FileSystemRequest, check_file_system, quota_complaint
from gigawatt.placement.result import Spread
from gigawatt.planner.change import stages_between
from gigawatt.planner.launch import PLAN_TTL_S, PlanIds
from gigawatt.planner.plan import OperationKind, Plan, PlanReport
from gigawatt.planner.snapshot import Snapshot
from gigawatt.planner.storage import pool_for

Change = tuple[ClusterTarget | None, ClusterTarget | None]


def _plan(snapshot: Snapshot, kind: OperationKind, ids: PlanIds, change: Change) -> Plan:
    before, after = change
    shown = after or before
    assert shown is not None, "something was there before, or shall be after"

    return Plan(
        plan_id=ids.plan_id,
        kind=kind,
        cluster_id=ids.cluster_id,
        tenant_id=shown.tenant_id,
        parent_generation=snapshot.generation,
        before=before,
        after=after,
        stages=stages_between(
            render(snapshot.fleet, before) if before else (),
            render(snapshot.fleet, after) if after else (),
        ),
        quarantined=(),
        report=PlanReport("", 0, Spread(0, 0, 0, 0, 0), (), (), 0, ids.expected_s),
        created_s=ids.now_s,
        expires_s=ids.now_s + PLAN_TTL_S,
    )


def _site_of(fleet: Fleet, request: FileSystemRequest) -> SiteId:
    """The site that is wanted, or the only one that has storage.

    Raises:
        InputError: no such site, or none was named and there are several.
    """
    if request.site_id is not None:
        if request.site_id not in fleet.sites.index_of:
            raise InputError(f"there is no site {request.site_id!r}")
        return request.site_id
    there = sorted({fleet.sites.ids[site] for site in fleet.storage_pools.site.tolist()})
    if len(there) != 1:
        raise InputError(
            f"file system {request.name!r} names no site, and {len(there)} have storage",
            next_step=f"Name one of {', '.join(there)}." if there else "Ask the operator.",
        )
    return SiteId(there[0])


def plan_create_file_system(snapshot: Snapshot, request: FileSystemRequest, ids: PlanIds) -> Plan:
    """The plan that makes a file system; equal inputs give an equal plan.

    Raises:
        InputError: the request is wrong, names a taken name, or can never fit.
        NoCapacityError: the storage pools have not as much room now.
    """
    check_file_system(request)
    for target in snapshot.targets.values():
        if target.is_file_system and (target.tenant_id, target.name) == (
            request.tenant_id,
            request.name,
        ):
            raise InputError(
                f"tenant {request.tenant_id!r} has a file system {request.name!r} already "
                f"({target.cluster_id})",
                next_step="Take another name, or use the file system that is there.",
            )
    site_id = _site_of(snapshot.fleet, request)
    pool_id = pool_for(snapshot, site_id, request.quota_bytes, request.pool_id)
    after = ClusterTarget(
        cluster_id=ids.cluster_id,
        tenant_id=request.tenant_id,
        name=request.name,
        site_id=site_id,
        fabric_id=FabricId(""),
        pool_id=pool_id,
        members=(),
        keys=take_filesystem(snapshot.taken_keys, pool_id),
        storage_bytes=request.quota_bytes,
        image="",
        ssh_public_keys=(),
        egress_cidrs=(),
    )
    return _plan(snapshot, OperationKind.LAUNCH, ids, (None, after))


def _live(snapshot: Snapshot, ids: PlanIds) -> ClusterTarget:
    found = snapshot.targets.get(ids.cluster_id)
    if found is None or not found.is_file_system:
        raise InputError(f"file system {ids.cluster_id!r} is not live")
    return found


def plan_resize_file_system(
    snapshot: Snapshot, quota_bytes: int, used_bytes: int | None, ids: PlanIds
) -> Plan:
    """The plan that gives a file system another quota.

    Args:
        snapshot: what is promised now.
        quota_bytes: the new quota.
        used_bytes: what it holds, as read from its storage pool just now; None if unknown.
        ids: ids of the plan and of the file system.

    Raises:
        InputError: not live, a wrong quota, or less than what it holds or may hold.
        NoCapacityError: the storage pool has not as much room now.
    """
    before = _live(snapshot, ids)
    if complaint := quota_complaint(quota_bytes):
        raise InputError(f"file system {before.name!r}: {complaint}")
    more_bytes = quota_bytes - before.storage_bytes
    if more_bytes > 0:
        pool_for(snapshot, before.site_id, more_bytes, before.pool_id)
    if more_bytes < 0 and (used_bytes is None or used_bytes > quota_bytes):
        held = "an unknown number of" if used_bytes is None else f"{used_bytes:,}"
        raise InputError(
            f"file system {before.name!r} holds {held} bytes and cannot shrink to {quota_bytes:,}",
            next_step="Remove files first, or take a larger quota.",
        )
    after = replace(before, storage_bytes=quota_bytes)
    return _plan(snapshot, OperationKind.CONFIGURE, ids, (before, after))


def mounters(snapshot: Snapshot, file_system_id: ClusterId) -> tuple[ClusterTarget, ...]:
    """Clusters whose targets mount a file system."""
    return tuple(
        target
        for target in snapshot.targets.values()
        if any(mount.file_system_id == file_system_id for mount in target.mounts)
    )


def plan_delete_file_system(snapshot: Snapshot, ids: PlanIds) -> Plan:
    """The plan that deletes a file system with all its data.

    Raises:
        InputError: it is not live.
        ConflictError: a cluster mounts it, or has not yet been given back wholly.
    """
    before = _live(snapshot, ids)
    users = mounters(snapshot, ids.cluster_id)
    if users:
        names = ", ".join(sorted(user.name for user in users)[:5])
        raise ConflictError(
            f"file system {before.name!r} is in use by {len(users)} clusters: {names}",
            next_step="Release those clusters first; the data stays until then.",
        )
    return _plan(snapshot, OperationKind.RELEASE, ids, (before, None))
