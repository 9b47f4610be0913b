"""The executor: carries an operation to its end, whatever happens on the way.

Forward: stages in order, each journaled before and after. A node that fails is replaced by a
spare inside the same operation; when spares are used up, what adds nodes unwinds and a change
that only gives back goes on and leaves the node quarantined. A worker that dies is followed by
another, which takes the operation over with a newer fence and goes on from the journal.
"""

import asyncio
from collections.abc import AsyncIterator, Collection, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Literal

from gigawatt.boundary.plane import Plane
from gigawatt.boundary.render import render, render_member
from gigawatt.errors import ConflictError, StaleGenerationError
from gigawatt.executor.confirm import Confirmation, confirm
from gigawatt.executor.policy import ExecutorPolicy
from gigawatt.executor.progress import UNWATCHED, Listener, Span, Watch, ignore
from gigawatt.executor.stages import Result, StageRunner
from gigawatt.executor.unwinding import UNDO, unwind_stages
from gigawatt.fleet.model import Fleet
from gigawatt.ids import DeviceId, NodeId, OperationId
from gigawatt.interfaces.clock import Clock
from gigawatt.interfaces.driver import Driver
from gigawatt.interfaces.store import OperationRecord, Store
from gigawatt.planner.plan import OperationKind, Plan
from gigawatt.planner.resize import substitute


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What an executor works with: the fleet, the store, one driver per plane, time, a watch."""

    fleet: Fleet
    store: Store
    drivers: Mapping[Plane, Driver]
    clock: Clock
    watch: Watch = UNWATCHED


class Executor:
    """One worker that runs operations; several may share a store."""

    def __init__(
        self,
        around: Surroundings,
        worker: str,
        policy: ExecutorPolicy | None = None,
        listener: Listener = ignore,
    ) -> None:
        """Make a worker called ``worker``, a name no other living worker has."""
        self._around = around
        self._worker = worker
        self._policy = policy or ExecutorPolicy()
        self._runner = StageRunner(
            around.store, around.drivers, around.clock, self._policy, listener, around.watch
        )

    async def run(self, operation_id: OperationId, *, only_free: bool = False) -> OperationRecord:
        """Take an operation over and carry it to its end; the record of how it ended.

        ``only_free`` is that of ``Store.take_over``.

        Raises:
            ConflictError: another worker holds it, or it has ended, or the store is busy.
            StaleGenerationError: another worker took over meanwhile; it carries on.
        """
        store = self._around.store
        now_s = self._around.clock.now_s()
        operation = store.take_over(operation_id, self._worker, now_s, only_free=only_free)
        with self._watched(operation) as ended:
            async with self._lease(operation):
                try:
                    await self._drive(operation)
                except ConflictError as error:
                    if store.operation(operation_id).generation == operation.generation:
                        raise
                    raise StaleGenerationError(
                        f"operation {operation_id} was taken over by another worker"
                    ) from error
            ended.append(store.operation(operation_id))
        return ended[0]

    @contextmanager
    def _watched(self, operation: OperationRecord) -> Iterator[list[OperationRecord]]:
        """A list for how the operation ended; left empty, it has not."""
        watch, began_s = self._around.watch, self._around.clock.now_s()
        ended: list[OperationRecord] = []
        watch.operation_began(operation)
        try:
            yield ended
        finally:
            state = ended[0].state if ended else "left"
            span = Span(began_s, self._around.clock.now_s())
            watch.operation_ended(operation, state, span)

    async def _drive(self, operation: OperationRecord) -> None:
        journal = self._around.store.journal(operation.operation_id)
        was_unwinding = any(key.startswith(UNDO) for key in journal)
        if operation.state == "unwinding" or was_unwinding:
            await self._unwind(operation)
        else:
            await self._forward(operation)

    @asynccontextmanager
    async def _lease(self, operation: OperationRecord) -> AsyncIterator[None]:
        """Renew the lease while the body runs; losing it stops the body at its next write."""
        pause_s = self._policy.lease_renewal_s
        if pause_s is None:
            yield
            return

        async def renew() -> None:
            while True:
                await self._around.clock.sleep(pause_s)
                # A busy store is asked again; one that was taken over says no for ever.
                with suppress(ConflictError):
                    self._around.store.renew(operation, self._worker, self._around.clock.now_s())

        task = asyncio.create_task(renew())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _forward(self, operation: OperationRecord) -> None:
        left_behind: dict[NodeId, str] = {}
        while True:
            plan = operation.plan
            result = await self._runner.run(operation, plan.stages, partial(self._known, plan))
            left_behind |= result.left_behind
            confirmation = Confirmation()
            if not (result.lost or result.broken):
                confirmation = await self._confirm(operation, left_behind)
            lost = result.lost | confirmation.lost
            broken = result.broken or confirmation.broken
            if _is_enough(plan.kind, result, confirmation):
                self._tell_drift(operation, lost, broken)
                self._finish(operation, "done", left_behind | lost)
                return
            if not lost and not broken:
                self._finish(operation, "done", left_behind)
                return
            revised = None if broken else substitute(self._around.fleet, plan, lost)
            if revised is None:
                await self._give_up(operation, lost, broken, left_behind)
                return
            operation = self._replace(operation, revised, lost)

    def _tell_drift(
        self, operation: OperationRecord, lost: Mapping[NodeId, str], broken: str
    ) -> None:
        """Say what is wrong with the rest of a cluster that shrank or was configured.

        The rest was verified when it came. What is wrong with it now does not undo the change,
        and waiting for it would bar the way to replace it.
        """
        now_s = self._around.clock.now_s()
        for sentence in filter(None, (broken, *(f"{n}: {why}" for n, why in sorted(lost.items())))):
            self._around.store.add_event("drift", sentence, now_s, operation=operation)

    async def _confirm(
        self, operation: OperationRecord, left_behind: Collection[NodeId]
    ) -> Confirmation:
        confirmation = await confirm(
            self._around.fleet,
            self._around.store,
            self._around.drivers,
            operation,
            self._policy,
            self._around.clock,
        )
        if confirmation.document and not confirmation.broken:
            document = {**confirmation.document, "left_behind": sorted(left_behind)}
            self._around.store.add_evidence(
                operation, "verification", document, self._around.clock.now_s()
            )
        return confirmation

    def _replace(
        self, operation: OperationRecord, revised: Plan, lost: Mapping[NodeId, str]
    ) -> OperationRecord:
        now_s = self._around.clock.now_s()
        for node_id, reason in sorted(lost.items()):
            self._around.store.add_event(
                "node_lost",
                f"node {node_id} failed and a spare takes its place: {reason}",
                now_s,
                operation=operation,
            )
        operation = self._around.store.revise(operation, revised, now_s)
        for node_id, reason in sorted(lost.items()):
            self._around.store.set_node_state(node_id, "quarantined", reason, now_s)
        return operation

    async def _give_up(
        self,
        operation: OperationRecord,
        lost: Mapping[NodeId, str],
        broken: str,
        left_behind: dict[NodeId, str],
    ) -> None:
        """Unwind what can be unwound; otherwise wait for the reconciler with everything held."""
        reason = broken or "; ".join(f"{node}: {why}" for node, why in sorted(lost.items())[:5])
        now_s = self._around.clock.now_s()
        if operation.kind.is_reversible:
            operation = self._around.store.begin_unwind(operation, reason, now_s)
            await self._unwind(operation, dict(lost))
            return
        self._around.store.add_event("stuck", reason, now_s, operation=operation)
        self._finish(operation, "stuck", left_behind)

    async def _unwind(
        self, operation: OperationRecord, lost: dict[NodeId, str] | None = None
    ) -> None:
        store, plan = self._around.store, operation.plan
        self._lift_tombstones(plan)
        stages = unwind_stages(self._around.fleet, plan, store.journal(operation.operation_id))
        result = await self._runner.run(operation, stages, dict, presses_on=True)
        broken_nodes = {**(lost or {}), **result.lost, **result.left_behind}
        reason = f"failed during a {operation.kind.value}"
        quarantined = dict.fromkeys(plan.quarantined, reason) | broken_nodes
        if result.broken:
            store.add_event("stuck", result.broken, self._around.clock.now_s(), operation=operation)
        self._finish(operation, "stuck" if result.broken else "unwound", quarantined)

    def _lift_tombstones(self, plan: Plan) -> None:
        """Take back the wish that something be gone which was there before, and shall be again."""
        now_s = self._around.clock.now_s()
        places = {
            (entry.device, entry.key)
            for entry in (render(self._around.fleet, plan.before) if plan.before else ())
        }
        buried = {
            (t.entry.device, t.entry.key) for t in self._around.store.snapshot(now_s).tombstones
        }
        if places & buried:
            self._around.store.observe_absent(sorted(places & buried), now_s)

    def _finish(
        self,
        operation: OperationRecord,
        state: Literal["done", "unwound", "stuck"],
        left_behind: Mapping[NodeId, str],
    ) -> None:
        now_s, given_up = self._around.clock.now_s(), operation.plan.quarantined
        # Why one was given up was said when it was; that stays.
        known = self._around.store.snapshot(now_s).node_states if given_up else {}
        reasons = dict.fromkeys({*given_up} - known.keys(), "failed and was replaced")
        self._around.store.finish(operation, state, {**reasons, **left_behind}, now_s)

    def _known(self, plan: Plan) -> dict[DeviceId, set[str]]:
        """Keys that may be on each node's own devices: this cluster's, and of guests beside it.

        What is under a tombstone is on its way out and no stranger.
        """
        fleet = self._around.fleet
        known: dict[DeviceId, set[str]] = {}
        targets = [target for target in (plan.before, plan.after) if target is not None]
        for target in targets:
            for entry in render(fleet, target):
                known.setdefault(entry.device, set()).add(entry.key)
        members = [m for target in targets for m in target.members]
        nodes = {m.node_id for m in members}
        full = fleet.full_gpu_mask_of_node
        if all(m.gpu_mask == full[fleet.node_index(m.node_id)] for m in members):
            return _on_own_devices(known)
        snapshot = self._around.store.snapshot(self._around.clock.now_s())
        beside = {
            cluster_id
            for (node_id, cluster_id) in snapshot.allocations
            if node_id in nodes and cluster_id != plan.cluster_id
        }
        snapshot.refuse_damaged()
        for cluster_id in sorted(beside):
            other = snapshot.clusters[cluster_id].target
            for member in other.members if other else ():
                if other is not None and member.node_id in nodes:
                    for entry in render_member(fleet, other, member, "on"):
                        known.setdefault(entry.device, set()).add(entry.key)
        for tombstone in snapshot.tombstones:
            if tombstone.entry.device in known:
                known[tombstone.entry.device].add(tombstone.entry.key)
        return _on_own_devices(known)


def _is_enough(kind: OperationKind, result: Result, confirmation: Confirmation) -> bool:
    """Whether what a change was about is done, whatever is found wrong with the other nodes."""
    if kind is OperationKind.CONFIGURE:
        return not (result.broken or result.lost or confirmation.broken)
    return kind is OperationKind.SHRINK and not result.broken


def _on_own_devices(known: dict[DeviceId, set[str]]) -> dict[DeviceId, set[str]]:
    own = ("port/", "bmc/", "host/")
    return {device: keys for device, keys in known.items() if device.startswith(own)}


__all__ = ["Executor", "Result", "Surroundings"]
