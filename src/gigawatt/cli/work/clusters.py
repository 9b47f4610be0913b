"""Creating and changing clusters: plan, show, ask, commit, watch."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from dataclasses import replace as replace_fields

from gigawatt.app.control import REPLAN_COUNT_MAX, Control
from gigawatt.app.home import Home
from gigawatt.app.wiring import open_control
from gigawatt.app.worker import start_worker
from gigawatt.cli.options import Format
from gigawatt.cli.output import ask, console, paragraph, remarks, span, write
from gigawatt.cli.work.planview import plan_document, show_plan, target_of
from gigawatt.cli.work.watch import OPEN, judge, watch
from gigawatt.errors import ConflictError
from gigawatt.ids import NodeId
from gigawatt.intent.request import ClusterRequest
from gigawatt.interfaces.store import OperationRecord
from gigawatt.planner.plan import OperationKind, Plan

PlanMaker = Callable[[], Plan]


@dataclass(frozen=True, slots=True)
class Go:
    """How a change is carried out: asked for or not, watched or not and how long, told how."""

    yes: bool
    wait: bool
    wait_s: float | None
    form: Format


def _is_same_offer(one: Plan, other: Plan) -> bool:
    """Whether a person who agreed to one plan agreed to the other as well."""
    prices = (one.report.price_micro_usd_per_hour, other.report.price_micro_usd_per_hour)
    members = [
        {(m.node_id, m.gpu_mask, m.role) for m in plan.after.members} if plan.after else set()
        for plan in (one, other)
    ]
    return prices[0] == prices[1] and members[0] == members[1]


def _agreed(control: Control, make_plan: PlanMaker, go: Go) -> tuple[Plan, OperationRecord] | None:
    """The plan that the person agreed to and that was committed; None if they did not.

    Raises:
        ConflictError: somebody was faster every time.
    """
    shown: Plan | None = None
    for attempt in range(REPLAN_COUNT_MAX):
        plan = make_plan()
        if shown is None or not (go.yes or _is_same_offer(shown, plan)):
            if shown is not None:
                remarks.print("somebody was faster and took part of it; this is the new plan")
            if go.form is Format.TABLE or not go.yes:
                show_plan(plan, console if go.form is Format.TABLE else remarks)
            if not go.yes:
                name = target_of(plan).name
                paragraph(
                    f"Ctrl-C while it runs only stops watching; 'gw cluster watch {name}' "
                    "shows it again.",
                    remarks,
                )
                if not ask("Go ahead?"):
                    return None
            shown = plan
        try:
            return plan, control.commit(plan)
        except ConflictError:
            if attempt == REPLAN_COUNT_MAX - 1:
                raise
    return None


def _carry_out(home: Home, control: Control, make_plan: PlanMaker, go: Go) -> None:
    agreed = _agreed(control, make_plan, go)
    if agreed is None:
        remarks.print("nothing was changed")
        return
    plan, operation = agreed
    if go.wait:
        operation = watch(control, home, operation, go.wait_s)
    else:
        # A worker that nobody waits for: its process is its own session's.
        start_worker(home, operation.operation_id).returncode = 0
    record = control.around.store.cluster(plan.cluster_id)
    if go.form is not Format.TABLE:
        document = plan_document(operation.plan)
        write(document | {"operation_id": operation.operation_id, "phase": record.phase}, go.form)
        return
    took = (
        f" after {span(operation.finished_s - operation.started_s)}"
        if (operation.finished_s is not None)
        else ""
    )
    console.print(f"{record.name} ({record.cluster_id}) is {record.phase.value}{took}")
    console.print(f"  next: {_next_command(operation, record.name)}")


def _next_command(operation: OperationRecord, name: str) -> str:
    if operation.state in OPEN:
        return f"gw cluster watch {name}"
    if operation.kind is OperationKind.RELEASE:
        return "gw fleet show"
    if operation.kind is OperationKind.LAUNCH:
        return f"gw cluster files {name} --to ./{name}"
    return f"gw cluster show {name}"


def _near_by_id(control: Control, request: ClusterRequest) -> ClusterRequest:
    """The request with the cluster to be near to given by id, also when it came by name."""
    near = request.near_cluster_id
    if near is None:
        return request
    return replace_fields(request, near_cluster_id=control.cluster_id_of(near, request.tenant_id))


def show_create(request: ClusterRequest, form: Format) -> None:
    """Show what a create would do."""
    with open_control(Home.default()) as control:
        plan = control.plan_create(_near_by_id(control, request))
    if form is Format.TABLE:
        show_plan(plan)
        console.print(
            f"Nothing was changed. To do it: gw cluster create {request.name}, same options."
        )
    else:
        write(plan_document(plan), form)


def create(request: ClusterRequest, go: Go) -> None:
    """Create a cluster."""
    home = Home.default()
    with open_control(home) as control:
        wanted = _near_by_id(control, request)
        _carry_out(home, control, lambda: control.plan_create(wanted), go)


def grow(cluster: str, tenant: str | None, gpu_count_more: int, go: Go) -> None:
    """Add GPUs to a cluster."""
    home = Home.default()
    with open_control(home) as control:
        cluster_id = control.cluster_id_of(cluster, tenant)
        _carry_out(home, control, lambda: control.plan_grow(cluster_id, gpu_count_more), go)


def shrink(cluster: str, tenant: str | None, gpu_count_fewer: int, go: Go) -> None:
    """Give GPUs of a cluster back."""
    home = Home.default()
    with open_control(home) as control:
        cluster_id = control.cluster_id_of(cluster, tenant)
        _carry_out(home, control, lambda: control.plan_shrink(cluster_id, gpu_count_fewer), go)


def replace(cluster: str, tenant: str | None, nodes: Sequence[str], go: Go) -> None:
    """Replace failed nodes of a cluster."""
    failed = [NodeId(node) for node in nodes]
    home = Home.default()
    with open_control(home) as control:
        cluster_id = control.cluster_id_of(cluster, tenant)
        _carry_out(home, control, lambda: control.plan_replace(cluster_id, failed), go)


def release(cluster: str, tenant: str | None, go: Go) -> None:
    """Give everything of a cluster back."""
    home = Home.default()
    with open_control(home) as control:
        cluster_id = control.cluster_id_of(cluster, tenant)
        _carry_out(home, control, lambda: control.plan_release(cluster_id), go)


def watch_cluster(cluster: str, tenant: str | None, wait_s: float | None) -> None:
    """Watch what is under way on a cluster, and carry it on if nobody does."""
    home = Home.default()
    with open_control(home) as control:
        cluster_id = control.cluster_id_of(cluster, tenant)
        operations = control.around.store.operations_of(cluster_id)
        if operations and operations[-1].state in OPEN:
            watch(control, home, operations[-1], wait_s)
        elif operations and operations[-1].state == "stuck":
            judge(control, operations[-1])
        record = control.around.store.cluster(cluster_id)
        console.print(f"{record.name} ({cluster_id}) is {record.phase.value}")
