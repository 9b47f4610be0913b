"""Creating and changing clusters: plan, show, ask, apply, watch."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from dataclasses import replace as replace_fields

from gigawatt.cli.options import Format
from gigawatt.cli.output import ask, console, paragraph, remarks, show_document, span, write
from gigawatt.cli.work.connect import Connection, connected
from gigawatt.cli.work.planview import show_plan
from gigawatt.cli.work.reservations import reservation_named
from gigawatt.cli.work.storage import say_still_billing
from gigawatt.cli.work.watch import OPEN, judge, watch
from gigawatt.errors import ConflictError, VersionError
from gigawatt.ids import TenantId
from gigawatt.intent.amounts import duration_s_of
from gigawatt.intent.request import ClusterRequest, check_request
from gigawatt.sdk import calls
from gigawatt.sdk import documents as doc

PLAN_COUNT_MAX = 30
"""Times a plan is made again when somebody was faster. Ours: as often as the service itself."""

PlanMaker = Callable[[], doc.Plan]


@dataclass(frozen=True, slots=True)
class Go:
    """How a change is carried out: asked for or not, watched or not and how long, told how.

    Fields: ``duration`` is how long it is meant to be kept, for the total that is shown.
    """

    yes: bool
    wait: bool
    wait_s: float | None
    form: Format
    duration: str | None = None


def _is_same_offer(one: doc.Plan, other: doc.Plan) -> bool:
    """Whether a person who agreed to one plan agreed to the other as well."""
    offers = [
        (plan.price_micro_usd_per_hour, set(plan.nodes), set(plan.spares)) for plan in (one, other)
    ]
    return offers[0] == offers[1]


def _agreed(
    connection: Connection, make_plan: PlanMaker, go: Go, version: int | None
) -> doc.Cluster | None:
    """The cluster under the plan that the person agreed to; None if they did not.

    Raises:
        ConflictError: somebody was faster every time, or changed the cluster meanwhile.
    """
    shown: doc.Plan | None = None
    for attempt in range(PLAN_COUNT_MAX):
        plan = make_plan()
        if shown is None or not (go.yes or _is_same_offer(shown, plan)):
            if shown is not None:
                remarks.print("somebody was faster and took part of it; this is the new plan")
            if not _says_yes(connection, plan, go):
                return None
            shown = plan
        try:
            return connection.client.apply_plan(plan.id, if_match=version)
        except VersionError:
            raise
        except ConflictError:
            if attempt == PLAN_COUNT_MAX - 1:
                raise
    return None


def _says_yes(connection: Connection, plan: doc.Plan, go: Go) -> bool:
    """Show a plan and ask, unless the answer was given on the command line."""
    if go.form is Format.TABLE or not go.yes:
        whose = connection.project_name(plan.project_id)
        where = console if go.form is Format.TABLE else remarks
        show_plan(plan, whose, where, go.duration)
    if go.yes:
        return True
    paragraph(
        f"Ctrl-C while it runs only stops watching; 'gw cluster watch {plan.name}' shows it again.",
        remarks,
    )
    return ask("Go ahead?")


def _carry_out(
    connection: Connection, make_plan: PlanMaker, go: Go, version: int | None = None
) -> bool:
    """Whether it was begun: the person may say no."""
    started = _agreed(connection, make_plan, go, version)
    if started is None:
        remarks.print("nothing was changed")
        return False
    assert started.operation_id is not None, "an applied plan has an operation"
    again = f"gw cluster watch {started.id}"
    if go.wait:
        operation = watch(connection, started.operation_id, again, go.wait_s)
    else:
        operation = connection.client.get_operation(started.operation_id)
    cluster = connection.client.get_cluster(started.id)
    if go.form is not Format.TABLE:
        cluster.operation_id = started.operation_id
        show_document(cluster, go.form)
        return True
    took = ""
    if operation.finished_at is not None:
        took = f" after {span((operation.finished_at - operation.started_at).total_seconds())}"
    console.print(f"{cluster.name} ({cluster.id}) is {cluster.state}{took}")
    console.print(f"  next: {_next_command(operation, cluster.name)}")
    return True


def _next_command(operation: doc.Operation, name: str) -> str:
    if operation.state in OPEN:
        return f"gw cluster watch {name}"
    if operation.kind == "release":
        return "gw fleet show"
    if operation.kind == "launch":
        return f"gw cluster files {name} --to ./{name}"
    return f"gw cluster show {name}"


def request_document(connection: Connection, request: ClusterRequest) -> doc.ClusterRequest:
    """A request as it goes over the wire; what it names is looked up.

    Raises:
        InputError: the request is wrong whatever the fleet looks like.
    """
    whose = request.tenant_id or connection.default_project or None
    check_request(replace_fields(request, tenant_id=TenantId(whose or "ten_own")))
    near = request.near_cluster_id
    near_id = None if near is None else connection.cluster(near, whose).id
    held = request.reservation_id
    held_id = None if held is None else reservation_named(connection, held).id
    return doc.ClusterRequest(
        project_id=connection.project_id(request.tenant_id or None),
        name=request.name,
        gpu_count=request.gpu_count,
        gpu_type=request.gpu_type,
        segment_node_count=request.segment_node_count,
        whole_domains=request.whole_domains,
        keep_together=request.keep_together.value,
        spread=[
            doc.SpreadCap.model_validate({"per": rule.per, "node_count_max": rule.nodes_max})
            for rule in request.spread
        ],
        site_ids=list(request.site_ids),
        countries=list(request.countries),
        spare_count=request.spare_count,
        excluded_node_ids=sorted(request.excluded_node_ids),
        near_cluster_id=near_id,
        storage_bytes=request.storage_bytes,
        image=request.image,
        ssh_public_keys=list(request.ssh_public_keys),
        egress_cidrs=list(request.egress_cidrs),
        term=request.term.value,
        price_micro_usd_per_gpu_hour_max=request.price_micro_usd_per_gpu_hour_max,
        reservation_id=held_id,
        is_lent=request.is_lent,
        gpu_count_min=request.gpu_count_min,
        returns_to_queue=request.returns_to_queue,
    )


def show_create(request: ClusterRequest, form: Format, duration: str | None = None) -> None:
    """Show what a create would do, and what it costs for a duration."""
    if duration is not None:
        duration_s_of(duration)
    with connected() as connection:
        plan = connection.client.create_plan(request_document(connection, request))
        whose = connection.project_name(plan.project_id)
    if form is not Format.TABLE:
        write(plan.model_dump(mode="json"), form)
        return
    show_plan(plan, whose, duration=duration)
    console.print(f"Nothing was changed. To do it: gw cluster create {request.name}, same options.")


def create(request: ClusterRequest, go: Go) -> None:
    """Create a cluster."""
    if go.duration is not None:
        duration_s_of(go.duration)
    with connected() as connection:
        wanted = request_document(connection, request)
        _carry_out(connection, lambda: connection.client.create_plan(wanted), go)


def change(cluster: str, project: str | None, wanted: doc.ChangePlan, go: Go) -> None:
    """Change a cluster; refused when it was changed after it was looked at.

    Raises:
        VersionError: somebody changed it meanwhile.
    """
    with connected() as connection:
        seen = connection.cluster(cluster, project)

        def make_plan() -> doc.Plan:
            return connection.client.plan_cluster_change(seen.id, wanted, if_match=seen.version)

        is_begun = _carry_out(connection, make_plan, go, seen.version)
        if is_begun and wanted.kind == "release" and seen.config is not None:
            mounts = {mount.file_system_id for mount in seen.config.file_system_mounts}
            say_still_billing(connection, mounts)


def resize(cluster: str, project: str | None, more_gpu_count: int, go: Go) -> None:
    """Grow a cluster by GPUs, or shrink it by as many when the count is below zero."""
    kind = "grow" if more_gpu_count > 0 else "shrink"
    wanted = doc.ChangePlan.model_validate({"kind": kind, "gpu_count": abs(more_gpu_count)})
    change(cluster, project, wanted, go)


def replace(cluster: str, project: str | None, nodes: Sequence[str], go: Go) -> None:
    """Replace failed nodes of a cluster."""
    change(cluster, project, doc.ChangePlan(kind="replace", node_ids=list(nodes)), go)


def release(cluster: str, project: str | None, go: Go) -> None:
    """Give everything of a cluster back."""
    change(cluster, project, doc.ChangePlan(kind="release"), go)


def newest_operation(connection: Connection, cluster_id: str) -> doc.Operation | None:
    """The newest operation of a cluster, with its progress."""
    page = connection.client.send(calls.list_operations(cluster_id=cluster_id, limit=1))
    return connection.client.get_operation(page.items[0].id) if page.items else None


def watch_cluster(cluster: str, project: str | None, wait_s: float | None) -> None:
    """Watch what is under way on a cluster."""
    with connected() as connection:
        found = connection.cluster(cluster, project)
        operation = newest_operation(connection, found.id)
        if operation is not None and operation.state in OPEN:
            watch(connection, operation.id, f"gw cluster watch {found.id}", wait_s)
        elif operation is not None and operation.state == "stuck":
            judge(operation)
        state = connection.client.get_cluster(found.id).state
        console.print(f"{found.name} ({found.id}) is {state}")
