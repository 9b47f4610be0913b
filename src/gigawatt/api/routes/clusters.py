"""Clusters."""

from typing import Annotated

from fastapi import Query, Response
from fastapi.responses import PlainTextResponse

from gigawatt.api.access import Access, Allowed
from gigawatt.api.changes import (
    IfMatch,
    commit,
    expected_version,
    live_cluster,
    recorded,
    request_of,
    started,
)
from gigawatt.api.paging import NEWEST, Cursor, Limit, number_place, page_of
from gigawatt.api.routing import new_router, operation
from gigawatt.api.spot_views import open_notices
from gigawatt.api.topology_views import topology_document
from gigawatt.api.views import at, cluster_document
from gigawatt.app.market.usage import cost_of_cluster
from gigawatt.artefacts.render import render_artefacts
from gigawatt.errors import ConflictError, UnknownIdError
from gigawatt.ids import NodeId
from gigawatt.intent.request import ClusterRequest
from gigawatt.interfaces.directory import Reach
from gigawatt.interfaces.store import ClusterRecord
from gigawatt.sdk import documents as doc

router = new_router("clusters")

ACCEPTED = 202


@operation(router, "GET", "/clusters")
def list_clusters(
    access: Allowed,
    name: Annotated[str | None, Query(max_length=63)] = None,
    with_ended: Annotated[bool, Query()] = False,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> doc.Page[doc.Cluster]:
    """Clusters that the caller sees, newest first."""
    reach = access.reach()
    fleet = access.service.control.around.fleet
    found = access.service.directory.cluster_page(
        reach, number_place(cursor, NEWEST), limit + 1, with_ended=with_ended, name=name
    )
    return page_of(
        found,
        limit,
        lambda row: row[0],
        lambda row: cluster_document(fleet, row[1], is_whole=False),
    )


@operation(router, "POST", "/clusters", ACCEPTED)
def create_cluster(body: doc.ClusterRequest, access: Allowed, response: Response) -> doc.Cluster:
    """Plan and apply in one: all GPUs, fenced on five planes, or nothing."""
    access.project(body.project_id)
    control, request = access.service.control, request_of(access, body)
    with recorded(access, request, "create"):
        made = commit(access, lambda: control.plan_create(request, with_alternatives=False))
    return started(access, made, response)


@operation(router, "GET", "/clusters/{cluster_id}")
def get_cluster(cluster_id: str, access: Allowed, response: Response) -> doc.Cluster:
    """One cluster."""
    record = access.cluster(cluster_id)
    directory = access.service.directory
    newest = directory.operation_page(Reach(None), NEWEST, 1, record.cluster_id)
    under_way = [line.operation_id for line in newest if line.finished_s is None]
    response.headers["ETag"] = f'"{record.version}"'
    fleet = access.service.control.around.fleet
    found = cluster_document(fleet, record, operation_id=under_way[0] if under_way else None)
    now_ms = round(access.service.now_s() * 1000)
    cost = cost_of_cluster(access.service.market.usage, record.cluster_id, now_ms)
    found.cost_micro_usd = cost.amount_micro_usd
    found.cost_micro_usd_per_hour = cost.amount_micro_usd_per_hour
    found.notices = open_notices(access.service, record.cluster_id)
    return found


@operation(router, "POST", "/clusters/{cluster_id}:grow", ACCEPTED)
def grow_cluster(
    cluster_id: str,
    body: doc.ChangeSize,
    access: Allowed,
    response: Response,
    if_match: IfMatch = None,
) -> doc.Cluster:
    """Add GPUs, as near as there is room."""
    record, control = live_cluster(access, cluster_id), access.service.control
    with recorded(access, _more_of(access, record, body.gpu_count), "grow"):
        made = commit(
            access,
            lambda: control.plan_grow(record.cluster_id, body.gpu_count),
            cluster_id=record.cluster_id,
            version=expected_version(if_match),
        )
    return started(access, made, response)


def _more_of(access: Access, record: ClusterRecord, gpu_count: int) -> ClusterRequest:
    """What a cluster asks for when it grows, for the record of demand."""
    fleet, target = access.service.control.around.fleet, record.target
    gpu_type = None
    if target is not None:
        gpu_type = fleet.node_type(fleet.node_index(target.members[0].node_id)).gpu_type
    return ClusterRequest(
        record.tenant_id, record.name, gpu_count, gpu_type, near_cluster_id=record.cluster_id
    )


@operation(router, "POST", "/clusters/{cluster_id}:shrink", ACCEPTED)
def shrink_cluster(
    cluster_id: str,
    body: doc.ChangeSize,
    access: Allowed,
    response: Response,
    if_match: IfMatch = None,
) -> doc.Cluster:
    """Give GPUs back."""
    record, control = live_cluster(access, cluster_id), access.service.control
    made = commit(
        access,
        lambda: control.plan_shrink(record.cluster_id, body.gpu_count),
        cluster_id=record.cluster_id,
        version=expected_version(if_match),
    )
    return started(access, made, response)


@operation(router, "POST", "/clusters/{cluster_id}:replace", ACCEPTED)
def replace_cluster_nodes(
    cluster_id: str,
    body: doc.ReplaceNodes,
    access: Allowed,
    response: Response,
    if_match: IfMatch = None,
) -> doc.Cluster:
    """Put others in the place of failed nodes, which are quarantined."""
    record, control = live_cluster(access, cluster_id), access.service.control
    failed = frozenset(NodeId(node_id) for node_id in body.node_ids)
    made = commit(
        access,
        lambda: control.plan_replace(record.cluster_id, failed),
        cluster_id=record.cluster_id,
        version=expected_version(if_match),
    )
    return started(access, made, response)


@operation(router, "POST", "/clusters/{cluster_id}:release", ACCEPTED)
def release_cluster(
    cluster_id: str, access: Allowed, response: Response, if_match: IfMatch = None
) -> doc.Cluster:
    """Give everything back; its data is deleted."""
    record, control = live_cluster(access, cluster_id), access.service.control
    made = commit(
        access,
        lambda: control.plan_release(record.cluster_id),
        cluster_id=record.cluster_id,
        version=expected_version(if_match),
    )
    return started(access, made, response)


@operation(router, "GET", "/clusters/{cluster_id}/topology")
def get_cluster_topology(cluster_id: str, access: Allowed) -> doc.ClusterTopology:
    """Where the nodes of a cluster stand, and how they are."""
    record, around = access.cluster(cluster_id), access.service.control.around
    if record.target is None:
        raise ConflictError(f"cluster {cluster_id!r} is {record.phase.value}; it has no nodes")
    snapshot = around.store.snapshot(around.clock.now_s())
    return topology_document(around.fleet, snapshot, record.target)


@operation(router, "GET", "/clusters/{cluster_id}/evidence")
def list_evidence(
    cluster_id: str, access: Allowed, cursor: Cursor = None, limit: Limit = 100
) -> doc.Page[doc.Evidence]:
    """What was read back, proven and probed, oldest first."""
    record = access.cluster(cluster_id)
    found = access.service.trail.evidence(record.cluster_id, number_place(cursor, 0), limit + 1)
    return page_of(
        found,
        limit,
        lambda row: row[0],
        lambda row: doc.Evidence(
            kind=row[1]["kind"],
            at=at(row[1]["at_s"]),
            document={k: v for k, v in row[1].items() if k not in {"kind", "at_s"}},
        ),
    )


def _files(access: Access, cluster_id: str) -> dict[str, str]:
    record = access.cluster(cluster_id)
    if record.target is None:
        raise ConflictError(f"cluster {cluster_id!r} is {record.phase.value}; it has no files")
    return render_artefacts(access.service.control.around.fleet, record.target)


@operation(router, "GET", "/clusters/{cluster_id}/files")
def list_files(cluster_id: str, access: Allowed) -> doc.Page[doc.File]:
    """Files that make a cluster usable."""
    found = _files(access, cluster_id)
    items = [doc.File(name=name, size_bytes=len(text.encode())) for name, text in found.items()]
    return doc.Page(items=items)


@operation(router, "GET", "/clusters/{cluster_id}/files/{file_name}")
def get_file(cluster_id: str, file_name: str, access: Allowed) -> PlainTextResponse:
    """The text of one file."""
    found = _files(access, cluster_id)
    if file_name not in found:
        raise UnknownIdError(f"cluster {cluster_id!r} has no file {file_name[:80]!r}")
    return PlainTextResponse(found[file_name])
