"""Plans: what a create or a change would do, and carrying out exactly that."""

from fastapi import Response

from gigawatt.api.access import Access, Allowed
from gigawatt.api.changes import (
    IfMatch,
    admit,
    check_version,
    committed_before,
    expected_version,
    live_cluster,
    recorded,
    request_of,
    started,
)
from gigawatt.api.routes.clusters import ACCEPTED
from gigawatt.api.routing import new_router, operation
from gigawatt.api.views import plan_document
from gigawatt.errors import InputError
from gigawatt.ids import ClusterId, NodeId
from gigawatt.intent.request import ClusterRequest
from gigawatt.planner.plan import Plan
from gigawatt.sdk import documents as doc

router = new_router("plans")


def _shown(access: Access, plan: Plan) -> doc.Plan:
    admit(access)(access.service.control.snapshot(), plan)
    access.service.directory.keep_plan(plan)
    return plan_document(plan)


@operation(router, "POST", "/plans", 201)
def create_plan(body: doc.ClusterRequest, access: Allowed) -> doc.Plan:
    """Work out what a create would do; nothing is reserved."""
    access.project(body.project_id)
    request = request_of(access, body)
    with recorded(access, request, "plan"):
        return _shown(access, access.service.control.plan_create(request))


@operation(router, "POST", "/clusters/{cluster_id}/plans", 201)
def plan_cluster_change(
    cluster_id: str, body: doc.ChangePlan, access: Allowed, if_match: IfMatch = None
) -> doc.Plan:
    """Work out what a change of a cluster would do; nothing is reserved."""
    record = live_cluster(access, cluster_id)
    check_version(access, record.cluster_id, expected_version(if_match))
    return _shown(access, _change(access, record.cluster_id, body))


def _change(access: Access, cluster_id: ClusterId, body: doc.ChangePlan) -> Plan:
    control = access.service.control
    if body.kind == "release":
        return control.plan_release(cluster_id)
    if body.kind == "replace":
        if not body.node_ids:
            raise InputError("node_ids is empty, wanted the nodes to replace")
        return control.plan_replace(cluster_id, frozenset(map(NodeId, body.node_ids)))
    if body.gpu_count is None:
        raise InputError(f"gpu_count is missing, wanted how many GPUs to {body.kind} by")
    plan = control.plan_grow if body.kind == "grow" else control.plan_shrink
    return plan(cluster_id, body.gpu_count)


@operation(router, "GET", "/plans/{plan_id}")
def get_plan(plan_id: str, access: Allowed) -> doc.Plan:
    """A plan that was shown."""
    return plan_document(access.plan(plan_id))


@operation(router, "POST", "/plans/{plan_id}:apply", ACCEPTED)
def apply_plan(
    plan_id: str, access: Allowed, response: Response, if_match: IfMatch = None
) -> doc.Cluster:
    """Carry out exactly the plan that was shown, or nothing."""
    plan = access.plan(plan_id)
    found = committed_before(access)
    if found is None:
        if plan.before is not None:
            check_version(access, plan.cluster_id, expected_version(if_match))
        drawn = None if access.opened is None else access.opened.operation_id
        control, report = access.service.control, plan.report
        name = "" if plan.after is None else plan.after.name
        wish = ClusterRequest(plan.tenant_id, name, report.gpu_count, report.gpu_type)
        with recorded(access, wish, "create"):
            found = control.commit_shown(plan, operation_id=drawn, admit=admit(access))
        access.service.worker.wake()
    return started(access, found, response)
