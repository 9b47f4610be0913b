"""The control plane as its callers see it: plan, commit, run, look.

Command line, worker, twin and, later, the API are all clients of this one class.
"""

from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from statistics import median

import numpy as np

from gigawatt.app.ids import IdSource
from gigawatt.boundary.proof import Proof, prove
from gigawatt.boundary.render import render
from gigawatt.errors import ConflictError, InputError
from gigawatt.executor.executor import Executor, Surroundings
from gigawatt.executor.policy import ExecutorPolicy
from gigawatt.executor.progress import Listener, ignore
from gigawatt.executor.readback import ReadBack, read_back
from gigawatt.executor.reconcile import Reconciler, Reconciliation, devices_of
from gigawatt.ids import ClusterId, KeyPoolId, NodeId, OperationId, PlanId, TenantId
from gigawatt.intent.request import ClusterRequest
from gigawatt.interfaces.store import OperationRecord, StoreSnapshot
from gigawatt.placement.place import place_with_alternatives
from gigawatt.placement.result import Placement
from gigawatt.planner.check import check_plan
from gigawatt.planner.launch import PlanIds, nodes_of, plan_launch
from gigawatt.planner.phases import Phase
from gigawatt.planner.plan import OperationKind, Plan
from gigawatt.planner.resize import plan_grow, plan_release, plan_replace, plan_shrink
from gigawatt.planner.snapshot import Snapshot

REPLAN_COUNT_MAX = 5
"""Times a plan is made again when another was committed first, before the caller is told."""

_WHEN_NOT_ACTIVE: Mapping[Phase, str] = {
    Phase.LAUNCHING: "Wait until it is active; 'gw cluster show' tells how far it is.",
    Phase.CHANGING: "Wait until the change has ended; if it does not, run 'gw reconcile'.",
    Phase.UNWINDING: "Nothing to do: the launch failed and gives everything back by itself.",
    Phase.RELEASING: "Nothing to do: it is being given back already.",
    Phase.STUCK: "Mend the device that its events name; then 'gw reconcile' gives all back.",
}
"""What to do about a cluster that cannot be changed now, by its phase."""


class Control:
    """One control plane over one fleet, one store and one set of drivers."""

    def __init__(
        self, around: Surroundings, ids: IdSource, policy: ExecutorPolicy | None = None
    ) -> None:
        """Wire a control plane; it starts nothing by itself."""
        self.around = around
        self._ids = ids
        self._policy = policy or ExecutorPolicy()

    def snapshot(self) -> Snapshot:
        """What the planner sees now."""
        return self._planner_view(self.around.store.snapshot(self.around.clock.now_s()))

    def _planner_view(self, stored: StoreSnapshot) -> Snapshot:
        fleet = self.around.fleet
        free = fleet.full_gpu_mask_of_node.astype(np.uint16)
        row_of = fleet.nodes.index_of
        for (node_id, _), mask in stored.allocations.items():
            free[row_of[node_id]] &= ~np.uint16(mask)
        for node_id in stored.node_states:
            if node_id in row_of:
                free[row_of[node_id]] = 0
        taken: dict[KeyPoolId, set[int]] = {}
        for key in stored.keys:
            taken.setdefault(key.pool_id, set()).add(key.value)
        return Snapshot(
            fleet=fleet,
            generation=stored.generation,
            free_gpu_mask=free,
            targets={
                cluster_id: record.target
                for cluster_id, record in stored.clusters.items()
                if record.target is not None
            },
            taken_keys={pool: frozenset(values) for pool, values in taken.items()},
            blocked_nodes={
                node: f"{state}: {reason}" for node, (state, reason) in stored.node_states.items()
            },
        )

    def _view_of(self, cluster_id: ClusterId) -> Snapshot:
        """What the planner sees now, if the cluster can be changed now or is not live at all."""
        stored = self.around.store.snapshot(self.around.clock.now_s())
        record = stored.clusters.get(cluster_id)
        if record is not None and record.phase in _WHEN_NOT_ACTIVE:
            raise ConflictError(
                f"cluster {record.name!r} is {record.phase.value} ({record.phase_reason})",
                next_step=_WHEN_NOT_ACTIVE[record.phase],
            )
        return self._planner_view(stored)

    def _plan_ids(self, kind: OperationKind, cluster_id: ClusterId | None = None) -> PlanIds:
        took = self.around.store.durations_s(kind)
        return PlanIds(
            plan_id=PlanId(self._ids.new("pln")),
            cluster_id=cluster_id or ClusterId(self._ids.new("clu")),
            now_s=self.around.clock.now_s(),
            expected_s=median(took) if took else None,
        )

    def plan_create(self, request: ClusterRequest, *, with_alternatives: bool = True) -> Plan:
        """The plan that would launch a cluster; nothing is reserved yet.

        Raises:
            InputError: the request is wrong or can never fit.
            NoCapacityError: it does not fit now.
        """
        view = self.snapshot()
        plan = plan_launch(view, request, self._plan_ids(OperationKind.LAUNCH))
        if not with_alternatives:
            return plan
        near = nodes_of(view, request.near_cluster_id)
        answer = place_with_alternatives(view.fleet, view.free_gpu_mask, request, near)
        if not isinstance(answer, Placement):
            return plan
        return plan_launch(
            view,
            request,
            PlanIds(plan.plan_id, plan.cluster_id, plan.created_s, plan.report.expected_s),
            answer.alternatives,
        )

    def plan_grow(self, cluster_id: ClusterId, gpu_count_more: int) -> Plan:
        """The plan that adds GPUs to a cluster. Errors as ``planner.resize.plan_grow``.

        Raises:
            ConflictError: the cluster is not active now.
        """
        ids = self._plan_ids(OperationKind.GROW, cluster_id)
        return plan_grow(self._view_of(cluster_id), gpu_count_more, ids)

    def plan_shrink(self, cluster_id: ClusterId, gpu_count_fewer: int) -> Plan:
        """The plan that gives GPUs back. Errors as ``planner.resize.plan_shrink``.

        Raises:
            ConflictError: the cluster is not active now.
        """
        ids = self._plan_ids(OperationKind.SHRINK, cluster_id)
        return plan_shrink(self._view_of(cluster_id), gpu_count_fewer, ids)

    def plan_release(self, cluster_id: ClusterId) -> Plan:
        """The plan that gives everything back. Errors as ``planner.resize.plan_release``.

        Raises:
            ConflictError: the cluster is not active now.
        """
        ids = self._plan_ids(OperationKind.RELEASE, cluster_id)
        return plan_release(self._view_of(cluster_id), ids)

    def plan_replace(self, cluster_id: ClusterId, failed: Collection[NodeId]) -> Plan:
        """The plan that replaces failed nodes. Errors as ``planner.resize.plan_replace``.

        Raises:
            ConflictError: the cluster is not active now.
        """
        ids = self._plan_ids(OperationKind.REPLACE, cluster_id)
        return plan_replace(self._view_of(cluster_id), failed, ids)

    def commit(self, plan: Plan) -> OperationRecord:
        """Check a plan independently and reserve what it needs, or change nothing.

        Raises:
            ConflictError: another plan was committed first; plan again.
            AssertionError: the checker found a fault in a plan of ours.
        """
        view = self.snapshot()
        if view.generation != plan.parent_generation:
            raise ConflictError(
                f"plan {plan.plan_id} was made at generation {plan.parent_generation}, "
                f"the store is at {view.generation}"
            )
        notes = check_plan(view, plan)
        assert not notes, f"plan {plan.plan_id} is wrong: {[note.sentence for note in notes[:5]]}"
        operation_id = OperationId(self._ids.new("op"))
        return self.around.store.commit(plan, operation_id, self.around.clock.now_s())

    def commit_new(self, make_plan: Callable[[], Plan]) -> OperationRecord:
        """Plan and commit, planning again when somebody was faster, a bounded number of times.

        Raises:
            ConflictError: somebody was faster every time.
        """
        for _ in range(REPLAN_COUNT_MAX - 1):
            with suppress(ConflictError):
                return self.commit(make_plan())
        return self.commit(make_plan())

    async def run(
        self, operation_id: OperationId, worker: str, listener: Listener = ignore
    ) -> OperationRecord:
        """Carry an operation to its end. Errors as ``executor.Executor.run``."""
        return await Executor(self.around, worker, self._policy, listener).run(operation_id)

    async def reconcile(self, worker: str) -> Reconciliation:
        """One pass of the reconciler."""
        return await Reconciler(self.around, worker, self._policy).run()

    def prove_targets(self) -> Proof:
        """Proof that all clusters, as committed, are isolated from each other on every plane."""
        targets = tuple(self.snapshot().targets.values())
        entries = [entry for target in targets for entry in render(self.around.fleet, target)]
        return prove(self.around.fleet, targets, entries, scope="targets")

    async def prove_devices(self) -> tuple[Proof, ReadBack]:
        """The same proof from what every device holds now, and what was read."""
        fleet, store, clock = self.around.fleet, self.around.store, self.around.clock
        seen = await read_back(self.around.drivers, devices_of(fleet))
        stored = store.snapshot(clock.now_s())
        targets = tuple(record.target for record in stored.clusters.values() if record.target)
        proof = prove(
            fleet,
            targets,
            seen.entries(),
            port_locations=seen.port_locations,
            buried=[(t.entry.device, t.entry.key) for t in stored.tombstones],
            scope="read_back",
        )
        return proof, seen

    def cluster_id_of(self, name_or_id: str, tenant: str | None = None) -> ClusterId:
        """Id of a cluster given by id or by name.

        Raises:
            InputError: there is none, or several tenants have one of this name.
        """
        if name_or_id.startswith("clu_"):
            return self.around.store.cluster(ClusterId(name_or_id)).cluster_id
        if not name_or_id:
            raise InputError("no cluster was named")
        tenant_id = TenantId(tenant) if tenant else None
        return self.around.store.find_cluster(tenant_id, name_or_id).cluster_id
