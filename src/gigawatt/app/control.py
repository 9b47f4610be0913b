"""The control plane as its callers see it: plan, commit, run, look.

Command line, worker, twin and, later, the API are all clients of this one class.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import replace
from statistics import median
from threading import Lock, local

from gigawatt.app.ids import IdSource
from gigawatt.app.shown import as_of
from gigawatt.app.sight import (
    Sight,
    covered_prices,
    holder_of_plan,
    holder_of_request,
    see,
    told_until,
)
from gigawatt.boundary.plane import Plane
from gigawatt.boundary.proof import Proof, prove
from gigawatt.boundary.render import render
from gigawatt.boundary.target import ClusterTarget
from gigawatt.errors import (
    ConflictError,
    InputError,
    NoCapacityError,
    OutOfReachError,
    UnknownIdError,
)
from gigawatt.executor.executor import Executor, Surroundings
from gigawatt.executor.policy import ExecutorPolicy
from gigawatt.executor.progress import Listener, Span, ignore
from gigawatt.executor.readback import ReadBack, read_back
from gigawatt.executor.reconcile import Reconciler, Reconciliation, devices_of
from gigawatt.ids import (
    ClusterId,
    DeviceId,
    FileSystemId,
    NodeId,
    OperationId,
    PlanId,
    TenantId,
)
from gigawatt.intent.file_system import FileSystemRequest
from gigawatt.intent.prices import AskPrices, PriceQuestion, Prices, list_prices
from gigawatt.intent.request import ClusterRequest
from gigawatt.intent.term import Term
from gigawatt.interfaces.holders import holder_of
from gigawatt.interfaces.store import OperationRecord, StoreSnapshot
from gigawatt.market.notice import NoticePolicy
from gigawatt.market.promises import Holder, Part
from gigawatt.placement.place import place_with_alternatives
from gigawatt.placement.result import Placement
from gigawatt.planner.check import check_plan
from gigawatt.planner.check_prices import check_prices
from gigawatt.planner.configure import Configuration, plan_configure
from gigawatt.planner.file_system import (
    plan_create_file_system,
    plan_delete_file_system,
    plan_resize_file_system,
)
from gigawatt.planner.give_up import plan_give_up
from gigawatt.planner.launch import PlanIds, at_its_mounts, nodes_of, plan_launch
from gigawatt.planner.phases import Phase
from gigawatt.planner.plan import OperationKind, Plan
from gigawatt.planner.price import affordable
from gigawatt.planner.resize import (
    growth_term,
    live_target,
    plan_grow,
    plan_release,
    plan_replace,
    plan_shrink,
)
from gigawatt.planner.snapshot import Snapshot

Admit = Callable[[Snapshot, Plan], None]
"""Raises when policy forbids a plan; sees the snapshot that the commit is bound to."""

USAGE_TIMEOUT_S = 5.0
"""How long somebody who looks at a file system waits for its storage pool. Ours."""
REBASE_COUNT_MAX = 20
"""Times a plan is judged again on a newer parent before its caller is told to plan again."""
REPLAN_COUNT_MAX = 30
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
        self,
        around: Surroundings,
        ids: IdSource,
        policy: ExecutorPolicy | None = None,
        ask_prices: AskPrices = list_prices,
        notice_policy: NoticePolicy | None = None,
    ) -> None:
        """Wire a control plane; it starts nothing by itself. ``ask_prices`` says what GPUs cost."""
        self.around = around
        self._ids = ids
        self._policy = policy or ExecutorPolicy()
        self.ask_prices = ask_prices
        self.notice_policy = notice_policy or NoticePolicy()
        self._planning = Lock()
        self._seen = local()

    def snapshot(self) -> Snapshot:
        """What the planner sees now who is promised nothing and keeps off nothing."""
        return self._look().view

    def _look(self) -> Sight:
        return self._note(self.around.store.snapshot(self.around.clock.now_s()))

    def _note(self, stored: StoreSnapshot) -> Sight:
        sight = see(self.around.fleet, stored)
        self._seen.sight = sight
        return sight

    def view_of_holder(self, holder: Holder) -> tuple[Snapshot, StoreSnapshot]:
        """What the planner sees now for somebody, and the rows it is made from."""
        sight = self._look()
        now_s = self.around.clock.now_s()
        return sight.for_holder(holder, self.notice_policy, now_s), sight.stored

    def view_of_request(self, request: ClusterRequest) -> tuple[Snapshot, StoreSnapshot]:
        """What the planner sees now for who asks for a new cluster, and the rows."""
        return self.view_of_holder(holder_of_request(request))

    def _view_for(self, plan: Plan, *, is_fresh: bool = False) -> Snapshot:
        """The snapshot that this thread made the plan from, or a new one, for whom it is."""
        sight: Sight | None = None if is_fresh else getattr(self._seen, "sight", None)
        if sight is None or sight.view.generation != plan.parent_generation:
            sight = self._look()
        holder = holder_of_plan(plan)
        if holder is None:
            return sight.view
        return sight.for_holder(holder, self.notice_policy, self.around.clock.now_s())

    def _view_of(self, cluster_id: ClusterId, part: Part = "all") -> Snapshot:
        """What the planner sees for a cluster, if it can be changed now or is not live at all."""
        stored = self.around.store.snapshot(self.around.clock.now_s())
        record = stored.clusters.get(cluster_id)
        if record is not None and record.phase in _WHEN_NOT_ACTIVE:
            noun = "file system" if record.is_file_system else "cluster"
            raise ConflictError(
                f"{noun} {record.name!r} is {record.phase.value} ({record.phase_reason})",
                next_step=_WHEN_NOT_ACTIVE[record.phase],
            )
        sight = self._note(stored)
        if record is None or record.target is None or record.is_file_system:
            return sight.view
        holder = replace(holder_of(record.target), part=part)
        return sight.for_holder(holder, self.notice_policy, self.around.clock.now_s())

    def _plan_ids(self, kind: OperationKind, cluster_id: ClusterId | None = None) -> PlanIds:
        took = self.around.store.durations_s(kind)
        return PlanIds(
            plan_id=PlanId(self._ids.new("pln")),
            cluster_id=cluster_id or ClusterId(self._ids.new("clu")),
            now_s=self.around.clock.now_s(),
            expected_s=median(took) if took else None,
        )

    def plan_create(
        self,
        request: ClusterRequest,
        *,
        with_alternatives: bool = True,
        cluster_id: ClusterId | None = None,
        prices: Prices | None = None,
    ) -> Plan:
        """The plan that would launch a cluster; nothing is reserved yet.

        Args:
            request: what is wanted.
            with_alternatives: look for other ways to serve the request too; slower.
            cluster_id: id of the cluster, drawn here if None.
            prices: what its GPUs cost, asked here if None.

        Raises:
            InputError: the request is wrong or can never fit.
            NoCapacityError: it does not fit now.
        """
        began_s, (view, stored) = self.around.clock.now_s(), self.view_of_request(request)
        ids = self._plan_ids(OperationKind.LAUNCH, cluster_id)
        prices = self.prices_for(request) if prices is None else prices
        plan = plan_launch(view, request, ids, prices=prices)
        if with_alternatives:
            plan = self._with_alternatives(view, request, plan, prices)
        plan = told_until(plan, stored.promises, self.notice_policy, began_s)
        return self._told(self._well_priced(plan, prices), began_s)

    def plan_on(
        self, view: Snapshot, request: ClusterRequest, prices: Prices | None = None
    ) -> Plan:
        """The plan that would launch a cluster if a view were true; never to be committed.

        Errors as ``plan_create``.
        """
        ids = PlanIds(PlanId("pln_none"), ClusterId("clu_none"), self.around.clock.now_s())
        return plan_launch(view, request, ids, prices=prices or self.prices_for(request))

    def prices_for(self, request: ClusterRequest) -> Prices:
        """What the GPUs of a request cost now."""
        if request.term is Term.RESERVED:
            return covered_prices(self.around.fleet)
        return self.ask_prices(
            PriceQuestion(
                tenant_id=request.tenant_id,
                term=request.term,
                gpu_count=request.gpu_count,
                reservation_id=request.reservation_id,
                at_s=self.around.clock.now_s(),
            )
        )

    def _well_priced(self, plan: Plan, prices: Prices) -> Plan:
        """The plan, if what it binds is what was asked."""
        wrong = check_prices(self.around.fleet, plan, prices)
        assert not wrong, f"plan {plan.plan_id} is wrongly priced: {wrong[:5]}"
        return plan

    @staticmethod
    def _with_alternatives(
        view: Snapshot, request: ClusterRequest, plan: Plan, prices: Prices
    ) -> Plan:
        near = nodes_of(view, request.near_cluster_id)
        bound = at_its_mounts(view, request)
        free = affordable(view.fleet, view.free_gpu_mask, bound, prices)
        answer = place_with_alternatives(view.fleet, free, bound, near, prices)
        if not isinstance(answer, Placement):
            return plan
        return plan_launch(
            view,
            request,
            PlanIds(plan.plan_id, plan.cluster_id, plan.created_s, plan.report.expected_s),
            answer.alternatives,
            prices,
        )

    def _told(self, plan: Plan, began_s: float) -> Plan:
        """The plan, after the watch was told how long it took."""
        self.around.watch.planned(plan, Span(began_s, self.around.clock.now_s()))
        return plan

    def plan_grow(self, cluster_id: ClusterId, gpu_count_more: int) -> Plan:
        """The plan that adds GPUs to a cluster. Errors as ``planner.resize.plan_grow``.

        A cluster of a reservation takes what is paid for first, then growth room on demand.

        Raises:
            ConflictError: the cluster is not active now.
            InputError: it is spot: its price is that of a round, and more of it is bid for.
        """
        ids = self._plan_ids(OperationKind.GROW, cluster_id)
        view = self._view_of(cluster_id)
        target = live_target(view, ids)
        if target.term is Term.SPOT:
            raise InputError(
                f"cluster {target.name!r} is spot and does not grow",
                next_step="Bid for another cluster with 'gw queue add --term spot'.",
            )
        if target.reservation_id is not None:
            with suppress(NoCapacityError):
                view = self._view_of(cluster_id, "base")
                return self._grown(view, ids, gpu_count_more, Term.RESERVED)
            view = self._view_of(cluster_id, "growth")
        return self._grown(view, ids, gpu_count_more, growth_term(target))

    def _grown(self, view: Snapshot, ids: PlanIds, gpu_count_more: int, term: Term) -> Plan:
        target = live_target(view, ids)
        held = sum(member.gpu_mask.bit_count() for member in target.active_members)
        question = PriceQuestion(
            tenant_id=target.tenant_id,
            term=term,
            gpu_count=held + max(gpu_count_more, 0),
            reservation_id=None,
            at_s=ids.now_s,
        )
        is_covered = term is Term.RESERVED
        prices = covered_prices(self.around.fleet) if is_covered else self.ask_prices(question)
        plan = plan_grow(view, gpu_count_more, ids, prices)
        return self._told(self._well_priced(plan, prices), ids.now_s)

    def plan_give_up(self, cluster_id: ClusterId, node_ids: Collection[NodeId]) -> Plan:
        """The plan that takes nodes from a cluster. Errors as ``planner.give_up.plan_give_up``.

        Raises:
            ConflictError: the cluster is not active now.
        """
        ids = self._plan_ids(OperationKind.SHRINK, cluster_id)
        return self._told(plan_give_up(self._view_of(cluster_id), node_ids, ids), ids.now_s)

    def plan_shrink(self, cluster_id: ClusterId, gpu_count_fewer: int) -> Plan:
        """The plan that gives GPUs back. Errors as ``planner.resize.plan_shrink``.

        Raises:
            ConflictError: the cluster is not active now.
        """
        ids = self._plan_ids(OperationKind.SHRINK, cluster_id)
        return self._told(plan_shrink(self._view_of(cluster_id), gpu_count_fewer, ids), ids.now_s)

    def plan_release(self, cluster_id: ClusterId) -> Plan:
        """The plan that gives everything back. Errors as ``planner.resize.plan_release``.

        Raises:
            ConflictError: the cluster is not active now.
        """
        ids = self._plan_ids(OperationKind.RELEASE, cluster_id)
        return self._told(plan_release(self._view_of(cluster_id), ids), ids.now_s)

    def plan_replace(self, cluster_id: ClusterId, failed: Collection[NodeId]) -> Plan:
        """The plan that replaces failed nodes. Errors as ``planner.resize.plan_replace``.

        Raises:
            ConflictError: the cluster is not active now.
        """
        ids = self._plan_ids(OperationKind.REPLACE, cluster_id)
        return self._told(plan_replace(self._view_of(cluster_id), failed, ids), ids.now_s)

    def plan_configure(self, cluster_id: ClusterId, wish: Configuration) -> Plan:
        """The plan that changes what a gateway lets through; see ``planner.configure``.

        Raises:
            ConflictError: the cluster is not active now.
        """
        ids = self._plan_ids(OperationKind.CONFIGURE, cluster_id)
        return self._told(plan_configure(self._view_of(cluster_id), wish, ids), ids.now_s)

    def plan_create_file_system(self, request: FileSystemRequest) -> Plan:
        """The plan that makes a file system. Errors as ``planner.file_system``."""
        ids = self._file_system_ids()
        return self._told(plan_create_file_system(self.snapshot(), request, ids), ids.now_s)

    def plan_resize_file_system(
        self, file_system_id: FileSystemId, quota_bytes: int, used_bytes: int | None
    ) -> Plan:
        """The plan that gives a file system another quota. Errors as ``planner.file_system``.

        Raises:
            ConflictError: the file system is not active now.
        """
        ids = self._file_system_ids(file_system_id)
        view = self._view_of(file_system_id)
        return self._told(plan_resize_file_system(view, quota_bytes, used_bytes, ids), ids.now_s)

    def plan_delete_file_system(self, file_system_id: FileSystemId) -> Plan:
        """The plan that deletes a file system with its data. Errors as ``planner.file_system``.

        Raises:
            ConflictError: the file system is not active now, or a cluster mounts it.
        """
        ids = self._file_system_ids(file_system_id)
        return self._told(plan_delete_file_system(self._view_of(file_system_id), ids), ids.now_s)

    def _file_system_ids(self, file_system_id: FileSystemId | None = None) -> PlanIds:
        """Ids of a plan for a file system; past times of clusters say nothing about it."""
        return PlanIds(
            plan_id=PlanId(self._ids.new("pln")),
            cluster_id=file_system_id or ClusterId(self._ids.new("fsy")),
            now_s=self.around.clock.now_s(),
        )

    async def used_bytes(self, target: ClusterTarget) -> int | None:
        """Bytes that the file system of a target holds, read now; None if nobody can tell."""
        device = DeviceId(f"pool/{target.pool_id}")
        try:
            async with asyncio.timeout(USAGE_TIMEOUT_S):
                seen = await self.around.drivers[Plane.STORAGE].observe([device])
        except TimeoutError:
            return None
        for usage in seen.file_usage:
            if (usage.pool_id, usage.filesystem) == (target.pool_id, target.keys.filesystem):
                return usage.used_bytes
        return None

    def commit(
        self, plan: Plan, *, operation_id: OperationId | None = None, admit: Admit | None = None
    ) -> OperationRecord:
        """Check a plan independently and reserve what it needs, or change nothing.

        A plan that others have overtaken is judged again on what is true now. If nothing that it
        needs was taken it is committed as it was shown, on the newer parent (ADR-0022).

        Args:
            plan: what shall happen.
            operation_id: id of the operation, drawn here if None.
            admit: raises when policy forbids the plan, e.g. a quota; it sees the snapshot that
                the commit is bound to, so nobody can slip in between.

        Raises:
            ConflictError: what the plan needs was taken; plan again.
            AssertionError: the checker found a fault in a plan of ours.
        """
        drawn = operation_id or OperationId(self._ids.new("op"))
        view = self._view_for(plan)
        for _ in range(REBASE_COUNT_MAX):
            rebased = self._judged(view, plan)
            if admit is not None:
                admit(view, rebased)
            began_s = self.around.clock.now_s()
            try:
                operation = self.around.store.commit(rebased, drawn, began_s)
            except (ConflictError, OutOfReachError) as error:
                # Only looking tells whether it happened; an id opens one operation, so that
                # what did not happen is safe to try again.
                known = self._operation_if_any(drawn)
                if known is not None:
                    return known
                now = self._view_for(plan, is_fresh=True)
                if isinstance(error, ConflictError) and now.generation == view.generation:
                    raise
                view = now
            else:
                span = Span(began_s, self.around.clock.now_s())
                self.around.watch.committed(operation, span)
                return operation
        raise ConflictError(f"others committed first {REBASE_COUNT_MAX} times")

    def _operation_if_any(self, operation_id: OperationId) -> OperationRecord | None:
        """The operation of an id, if it was committed by an earlier try or one beside this."""
        try:
            return self.around.store.operation(operation_id)
        except UnknownIdError:
            return None

    def _judged(self, view: Snapshot, plan: Plan) -> Plan:
        """The plan on the snapshot's generation, if the independent checker lets it pass."""
        rebased = replace(plan, parent_generation=view.generation)
        began_s = self.around.clock.now_s()
        notes = check_plan(view, rebased)
        self.around.watch.checked(plan, len(notes), Span(began_s, self.around.clock.now_s()))
        if notes and view.generation != plan.parent_generation:
            raise ConflictError(
                f"plan {plan.plan_id} of generation {plan.parent_generation} no longer holds "
                f"at {view.generation}: {notes[0].sentence}"
            )
        assert not notes, f"plan {plan.plan_id} is wrong: {[n.sentence for n in notes[:5]]}"
        return rebased

    def commit_new(
        self,
        make_plan: Callable[[], Plan],
        *,
        operation_id: OperationId | None = None,
        admit: Admit | None = None,
    ) -> OperationRecord:
        """Plan and commit, planning again when somebody was faster, a bounded number of times.

        Raises:
            ConflictError: somebody was faster every time.
        """
        for _ in range(REPLAN_COUNT_MAX - 1):
            with suppress(ConflictError):
                return self._commit_in_turn(make_plan, operation_id, admit)
        return self._commit_in_turn(make_plan, operation_id, admit)

    def _commit_in_turn(
        self, make_plan: Callable[[], Plan], operation_id: OperationId | None, admit: Admit | None
    ) -> OperationRecord:
        with self._planning, self.around.store.turn():
            return self.commit(make_plan(), operation_id=operation_id, admit=admit)

    def commit_shown(
        self, plan: Plan, *, operation_id: OperationId | None = None, admit: Admit | None = None
    ) -> OperationRecord:
        """Commit the plan that was shown, even if others were committed since.

        The same nodes, ranks and price, or nothing; the checker judges it against what is true
        now.

        Raises:
            ConflictError: the plan has expired, or what it needs was taken meanwhile.
        """
        return self.commit_new(
            lambda: as_of(self.snapshot(), plan), operation_id=operation_id, admit=admit
        )

    def new_id(self, prefix: str) -> str:
        """A new id from the control plane's own source."""
        return self._ids.new(prefix)

    def cancel(self, operation_id: OperationId, worker: str, reason: str) -> OperationRecord:
        """Turn a launch or a grow back; ``run`` then undoes what was done.

        Raises:
            ConflictError: another worker holds it, it has ended, or it only goes forward.
        """
        store, now_s = self.around.store, self.around.clock.now_s()
        operation = store.take_over(operation_id, worker, now_s, only_free=True)
        return store.begin_unwind(operation, reason, now_s)

    async def run(
        self,
        operation_id: OperationId,
        worker: str,
        listener: Listener = ignore,
        *,
        only_free: bool = False,
    ) -> OperationRecord:
        """Carry an operation to its end. Arguments and errors as ``executor.Executor.run``."""
        executor = Executor(self.around, worker, self._policy, listener)
        return await executor.run(operation_id, only_free=only_free)

    async def reconcile(self, worker: str, *, only_stuck: bool = False) -> Reconciliation:
        """One pass of the reconciler; it resumes all that is open, or only what is stuck."""
        reconciler = Reconciler(self.around, worker, self._policy)
        return await reconciler.run(only_stuck=only_stuck)

    def prove_targets(self) -> Proof:
        """Proof that all clusters, as committed, are isolated from each other on every plane."""
        self.around.store.snapshot(self.around.clock.now_s()).refuse_damaged()
        targets = tuple(self.snapshot().targets.values())
        entries = [entry for target in targets for entry in render(self.around.fleet, target)]
        proof = prove(self.around.fleet, targets, entries, scope="targets")
        self.around.watch.proved(proof)
        return proof

    async def prove_devices(self) -> tuple[Proof, ReadBack]:
        """The same proof from what every device holds now, and what was read."""
        fleet, store, clock = self.around.fleet, self.around.store, self.around.clock
        seen = await read_back(self.around.drivers, devices_of(fleet))
        stored = store.snapshot(clock.now_s())
        stored.refuse_damaged()
        targets = tuple(record.target for record in stored.clusters.values() if record.target)
        proof = prove(
            fleet,
            targets,
            seen.entries(),
            port_locations=seen.port_locations,
            buried=[(t.entry.device, t.entry.key) for t in stored.tombstones],
            scope="read_back",
        )
        self.around.watch.proved(proof)
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
