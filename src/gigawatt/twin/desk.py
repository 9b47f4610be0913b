"""The desk: takes jobs in, serves the queue, and takes every cluster through its life."""

import asyncio
import math
from collections.abc import Callable, Collection
from contextlib import suppress
from itertools import count

from gigawatt.boundary.target import ClusterTarget, Member
from gigawatt.errors import ConflictError, InputError, NoCapacityError, StaleGenerationError
from gigawatt.ids import ClusterId, NodeId, OperationId, TenantId
from gigawatt.intent.request import ClusterRequest
from gigawatt.interfaces.store import OperationRecord
from gigawatt.planner.plan import Plan
from gigawatt.twin.events import EventLog
from gigawatt.twin.failures import draw, survival_s
from gigawatt.twin.ledger import HoldPhase, Ledger
from gigawatt.twin.metrics import Metrics, Placed, Served, fewest_leaf_groups
from gigawatt.twin.queue import JobQueue
from gigawatt.twin.scene import TWIN_LEASE_S, Scene
from gigawatt.twin.settings import TwinSettings
from gigawatt.twin.ticket import JobState, Ticket
from gigawatt.twin.workload import Workload

ENDED = frozenset({"done", "unwound"})
NODE_GPU_COUNT = 8
"""Jobs below this size are slices of a node, see ``traces.round_to_shapes``."""


def _gpus_of(members: Collection[Member]) -> int:
    return sum(member.gpu_mask.bit_count() for member in members)


class Desk:
    """Serves the jobs of one replay.

    Attributes:
        tickets: every job taken in, by number.
        dead_nodes: nodes that are broken now.
        is_closing: nothing new is launched any more.
        operation_count, life_count: operations and jobs under way.
    """

    def __init__(
        self, scene: Scene, settings: TwinSettings, log: EventLog, tasks: asyncio.TaskGroup
    ) -> None:
        """Serve ``scene``; the lives of clusters run in ``tasks``."""
        self.scene = scene
        self.settings = settings
        self.log = log
        self.ledger = Ledger()
        self.metrics = Metrics()
        self.queue: JobQueue[Ticket] = JobQueue(settings.queue)
        self.tickets: list[Ticket] = []
        self.dead_nodes: set[NodeId] = set()
        self.is_closing = False
        self.operation_count = 0
        self.life_count = 0
        self._tasks = tasks
        self._ended = asyncio.Event()
        self._control = scene.control

    @property
    def now_s(self) -> float:
        """Virtual seconds since the replay began."""
        return self.scene.loop.time()

    @property
    def live(self) -> list[Ticket]:
        """Jobs whose clusters were handed over and not yet released."""
        return [ticket for ticket in self.tickets if ticket.state is JobState.RUNNING]

    async def take_in(self, workload: Workload) -> None:
        """Submit every job when its time has come."""
        for number, job in enumerate(workload.trace.jobs):
            if job.submit_s > self.now_s:
                await asyncio.sleep(job.submit_s - self.now_s)
            is_carried = number < workload.carried_count
            ticket = Ticket(
                number, job, self._request(number, job.gpu_count), is_carried, ClusterId("")
            )
            self.tickets.append(ticket)
            self.queue.push(ticket)
            self.log.add(self.now_s, "submit", f"{number} {job.job_id} {job.gpu_count}")
            self.serve()

    def _request(self, number: int, gpu_count: int) -> ClusterRequest:
        """Tenant i asks more often than tenant i + 1; drawn from seed and job alone."""
        settings = self.settings
        share = draw(settings.seed, f"tenant {number}")
        tenant = math.floor(settings.tenant_count * share**2)
        return ClusterRequest(
            tenant_id=TenantId(f"ten_{tenant:03d}"),
            name=f"job-{number}",
            gpu_count=gpu_count,
            spare_count=int(gpu_count >= settings.spare_from_gpu_count),
            storage_bytes=settings.storage_bytes if gpu_count >= NODE_GPU_COUNT else 0,
        )

    async def wait_for(self, is_so: Callable[[], bool]) -> None:
        """Wait until something is so; it is asked whenever an operation or a job has ended."""
        while not is_so():
            self._ended.clear()
            await self._ended.wait()

    def serve(self) -> None:
        """Launch every waiting job that fits, as the policy orders."""
        if self.is_closing:
            return
        for ticket in self.queue.candidates(self.now_s):
            try:
                plan = self._control.plan_create(ticket.request, with_alternatives=False)
            except NoCapacityError:
                self.queue.refuse(ticket)
            except InputError:
                self.queue.remove(ticket)
                ticket.state = JobState.REFUSED
                self.log.add(self.now_s, "refused", f"{ticket.number}")
            else:
                self.queue.remove(ticket)
                self._launch(ticket, plan)

    def give_back(self) -> None:
        """Something is free again: forget refusals and try once more."""
        self.queue.reopen()
        self.serve()

    def _launch(self, ticket: Ticket, plan: Plan) -> None:
        assert plan.after is not None, "a launch has a target"
        operation = self._control.commit(plan)
        ticket.state = JobState.LAUNCHING
        ticket.cluster_id = plan.cluster_id
        ticket.committed_s = self.now_s
        self._hold(ticket, plan.after)
        self.ledger.enter(ticket.number, HoldPhase.LAUNCH, ticket.gpu_held_count, self.now_s)
        fleet = self.scene.fleet
        rows = [fleet.node_index(member.node_id) for member in plan.after.active_members]
        fewest = fewest_leaf_groups(fleet, rows)
        self.metrics.placed.append(Placed(self.now_s, ticket.gpu_count, plan.report.spread, fewest))
        nodes = ",".join(sorted(ticket.nodes))
        self.log.add(self.now_s, "commit", f"{ticket.number} {plan.cluster_id} {nodes}")
        self.life_count += 1
        self._tasks.create_task(self._life(ticket, operation.operation_id))

    def _hold(self, ticket: Ticket, target: ClusterTarget) -> None:
        ticket.nodes = frozenset(member.node_id for member in target.members)
        ticket.gpu_held_count = _gpus_of(target.members)
        ticket.dead_nodes = self.dead_nodes & ticket.nodes

    def _refresh(self, ticket: Ticket) -> None:
        """Take over which nodes the cluster has now: spares may have moved in."""
        target = self._control.around.store.cluster(ticket.cluster_id).target
        assert target is not None, "a live cluster has a target"
        self._hold(ticket, target)

    async def _life(self, ticket: Ticket, launch: OperationId) -> None:
        """From commit to released, or back into the queue."""
        record = await self._carry(launch)
        if record.state == "unwound":
            self._unwound(ticket, record)
        else:
            self._ready(ticket)
            end = await self._work(ticket)
            ticket.state = JobState.RELEASING
            await self._release(ticket)
            ticket.state = end
            self.log.add(self.now_s, end.value, f"{ticket.number} {ticket.cluster_id}")
            if end is JobState.WAITING:
                self.queue.push(ticket)
        self.life_count -= 1
        self._ended.set()
        self.give_back()

    def _unwound(self, ticket: Ticket, record: OperationRecord) -> None:
        self.ledger.leave(ticket.number, self.now_s)
        self.log.add(self.now_s, "unwound", f"{ticket.number} {ticket.cluster_id} {record.error}")
        ticket.launch_count += 1
        if ticket.launch_count >= self.settings.launch_count_max:
            ticket.state = JobState.FAILED
            self.log.add(self.now_s, "failed", f"{ticket.number}")
            return
        ticket.state = JobState.WAITING
        self.queue.push(ticket)

    def _ready(self, ticket: Ticket) -> None:
        self._refresh(ticket)
        ticket.state = JobState.RUNNING
        self.log.add(self.now_s, "ready", f"{ticket.number} {ticket.cluster_id}")
        if not ticket.was_served:
            ticket.was_served = True
            wait_s = ticket.committed_s - ticket.job.submit_s
            ready_s = self.now_s - ticket.committed_s
            self.metrics.served.append(Served(ticket.gpu_count, wait_s, ready_s, ticket.is_carried))

    async def _work(self, ticket: Ticket) -> JobState:
        """Let a job run until it is done, or cut, or a failure sends it back to the queue."""
        while True:
            if ticket.dead_nodes and not await self._replace(ticket):
                return JobState.WAITING
            if self.is_closing:
                return JobState.CUT
            began_s, left_s = self.now_s, ticket.left_s
            self.ledger.enter(ticket.number, HoldPhase.RUN, ticket.gpu_held_count, began_s)
            ticket.disturbed.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(left_s):
                    await ticket.disturbed.wait()
            ran_s = self.now_s - began_s
            if not ticket.disturbed.is_set():
                return JobState.DONE
            if ticket.dead_nodes:
                lost_s = ticket.keep(ran_s, self.settings.checkpoint_s)
                self.ledger.enter(
                    ticket.number, HoldPhase.REPLACE, ticket.gpu_held_count, self.now_s
                )
                self.ledger.lose(ticket.gpu_held_count, lost_s)

    async def _replace(self, ticket: Ticket) -> bool:
        """Replace broken members until none is left; False if there is no room."""
        while ticket.dead_nodes:
            failed = sorted(ticket.dead_nodes)
            try:
                plan = self._control.plan_replace(ticket.cluster_id, failed)
            except NoCapacityError:
                self.log.add(self.now_s, "requeue", f"{ticket.number} {','.join(failed)}")
                return False
            operation = self._control.commit(plan)
            assert plan.before is not None, "a replacement has a target before"
            assert plan.after is not None, "a replacement has a target after"
            members = {member.node_id: member for member in plan.before.members}
            members |= {member.node_id: member for member in plan.after.members}
            held = _gpus_of(list(members.values()))
            self.ledger.enter(ticket.number, HoldPhase.REPLACE, held, self.now_s)
            self.log.add(self.now_s, "replace", f"{ticket.number} {','.join(failed)}")
            await self._carry(operation.operation_id)
            self._refresh(ticket)
            self.ledger.enter(ticket.number, HoldPhase.REPLACE, ticket.gpu_held_count, self.now_s)
            self.log.add(
                self.now_s, "replaced", f"{ticket.number} {','.join(sorted(ticket.nodes))}"
            )
        return True

    async def _release(self, ticket: Ticket) -> None:
        self.ledger.enter(ticket.number, HoldPhase.RELEASE, ticket.gpu_held_count, self.now_s)
        operation = self._control.commit(self._control.plan_release(ticket.cluster_id))
        await self._carry(operation.operation_id)
        self.ledger.leave(ticket.number, self.now_s)
        ticket.nodes, ticket.gpu_held_count = frozenset(), 0

    async def _carry(self, operation_id: OperationId) -> OperationRecord:
        """Carry an operation to its end, with another worker whenever one dies or gets stuck."""
        self.operation_count += 1
        store = self._control.around.store
        for attempt in count(1):
            with suppress(ConflictError, StaleGenerationError, TimeoutError):
                await self._as_worker(operation_id, attempt)
            record = store.operation(operation_id)
            if record.state in ENDED:
                self.operation_count -= 1
                self._ended.set()
                return record
            await asyncio.sleep(TWIN_LEASE_S + 1.0)
        raise AssertionError("counting ended")

    async def _as_worker(self, operation_id: OperationId, attempt: int) -> None:
        name = f"{operation_id}-{attempt}"
        life_s = survival_s(self.settings.rates, self.settings.seed, name)
        try:
            async with asyncio.timeout(life_s if math.isfinite(life_s) else None):
                record = await self._control.run(operation_id, f"worker-{name}")
        except TimeoutError:
            self.log.add(self.now_s, "crash", name)
            raise
        if record.state == "stuck":
            self.log.add(self.now_s, "stuck", f"{operation_id} {record.error}")
