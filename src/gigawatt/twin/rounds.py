"""What happens to a fleet while tenants use it: failures, repairs, reconciliation, checks."""

import asyncio
from collections.abc import Sequence

from gigawatt.errors import DriftError
from gigawatt.ids import DeviceId, NodeId
from gigawatt.twin.checks import check_books, check_devices, true_entries
from gigawatt.twin.desk import Desk
from gigawatt.twin.failures import NodeFailure
from gigawatt.twin.metrics import Sample, largest_clusters

PASS_COUNT_MAX = 5
"""Passes of the reconciler in a row while devices go on losing their state."""


class Rounds:
    """Failures, repairs, passes of the reconciler and checks of one replay."""

    def __init__(self, desk: Desk) -> None:
        """Look after the fleet that ``desk`` serves."""
        self._desk = desk
        self._scene = desk.scene
        self._store = desk.scene.control.around.store
        self._repaired_s: dict[NodeId, float] = {}
        self._checked_s = 0.0

    async def fail(self, failures: Sequence[NodeFailure]) -> None:
        """Break nodes when their time has come, and mend each after its repair."""
        async with asyncio.TaskGroup() as repairs:
            for failure in failures:
                await asyncio.sleep(max(0.0, failure.at_s - self._desk.now_s))
                if failure.node_id not in self._desk.dead_nodes:
                    self._break(failure)
                    repairs.create_task(self._mend(failure))

    def _break(self, failure: NodeFailure) -> None:
        desk, node_id = self._desk, failure.node_id
        self._scene.faults.kill(failure.devices)
        desk.dead_nodes.add(node_id)
        now_s = self._scene.clock.now_s()
        self._store.set_node_state(node_id, "quarantined", "health check: it failed", now_s)
        hit = [ticket for ticket in desk.live if node_id in ticket.nodes]
        numbers = ",".join(str(ticket.number) for ticket in hit)
        desk.log.add(
            desk.now_s, "break", f"{node_id} {'whole' if failure.is_whole else 'host'} {numbers}"
        )
        for ticket in hit:
            ticket.dead_nodes.add(node_id)
            ticket.disturbed.set()

    async def _mend(self, failure: NodeFailure) -> None:
        await asyncio.sleep(self._desk.settings.rates.repair_s)
        self.mend(failure.node_id)

    def mend(self, node_id: NodeId) -> None:
        """Let a broken node work again, powered off; it stays in quarantine until it is checked."""
        devices = [DeviceId(f"{owner}/{node_id}") for owner in ("host", "bmc", "port")]
        self._scene.faults.mend(devices)
        self._scene.world.reboot(devices[0])
        self._desk.dead_nodes.discard(node_id)
        self._repaired_s[node_id] = self._desk.now_s
        self._desk.log.add(self._desk.now_s, "mend", node_id)

    async def watch(self) -> None:
        """Reconcile and check at their times, for ever."""
        settings = self._desk.settings
        while True:
            await asyncio.sleep(settings.reconcile_s - self._desk.now_s % settings.reconcile_s)
            is_due = self._desk.now_s - self._checked_s >= settings.check_s
            await self.look(is_checking=is_due)

    async def look(self, *, is_checking: bool) -> None:
        """One pass of the reconciler, nodes returned, and a check if wanted.

        Raises:
            DriftError: the check found a violation that no device's fresh loss of state explains.
        """
        wrong: tuple[str, ...] = ()
        for _ in range(PASS_COUNT_MAX):
            self._scene.faults.upset.clear()
            await self._reconcile()
            self._return_nodes()
            wrong = self._check() if is_checking else ()
            if not wrong:
                return
            if not self._scene.faults.upset:
                break
        raise violation(self._desk, wrong)

    async def _reconcile(self) -> None:
        desk, metrics = self._desk, self._desk.metrics
        report = await self._scene.control.reconcile("reconciler")
        metrics.drift_count += len(report.drift)
        metrics.repair_count += len(report.repaired)
        metrics.resumed_count += len(report.resumed)
        found = f"{len(report.drift)} {len(report.repaired)} {len(report.resumed)}"
        desk.log.add(desk.now_s, "reconcile", found)
        for sentence in report.drift:
            desk.log.add(desk.now_s, "drift", sentence)

    def _return_nodes(self) -> None:
        """Give nodes back that are mended, or checked, and hold nothing any more."""
        desk, now_s = self._desk, self._desk.now_s
        snapshot = self._store.snapshot(self._scene.clock.now_s())
        held = {node_id for node_id, _ in snapshot.allocations}
        returned = False
        for node_id in sorted(snapshot.node_states):
            ready_s = self._repaired_s.setdefault(node_id, now_s + desk.settings.rates.repair_s)
            if node_id in desk.dead_nodes or node_id in held or now_s < ready_s:
                continue
            devices = [DeviceId(f"{owner}/{node_id}") for owner in ("host", "bmc", "port")]
            if any(self._scene.world.entries(device) for device in devices):
                continue
            at_s = self._scene.clock.now_s()
            self._store.set_node_state(node_id, "available", "mended and clean", at_s)
            del self._repaired_s[node_id]
            desk.log.add(now_s, "return", node_id)
            returned = True
        if returned:
            desk.give_back()

    def _check(self) -> tuple[str, ...]:
        desk, metrics = self._desk, self._desk.metrics
        reports = (check_books(self._scene), check_devices(self._scene))
        self._checked_s = desk.now_s
        metrics.proof_count += len(reports)
        metrics.cluster_pair_count += sum(report.cluster_pair_count for report in reports)
        metrics.entry_count += sum(report.entry_count for report in reports)
        wrong = (*(s for report in reports for s in report.wrong), *self._ledger_notes())
        desk.log.add(desk.now_s, "check", f"{reports[1].entry_count} {len(wrong)}")
        return wrong

    def _ledger_notes(self) -> tuple[str, ...]:
        """Running jobs whose books here and in the store differ."""
        return tuple(
            f"ledger: job {ticket.number} has {ticket.gpu_held_count} GPUs, its target {held}"
            for ticket in self._desk.live
            if not ticket.dead_nodes
            for target in [self._store.cluster(ticket.cluster_id).target]
            for held in [sum(m.gpu_mask.bit_count() for m in target.members) if target else 0]
            if held != ticket.gpu_held_count
        )

    async def sample(self) -> None:
        """Take a sample at every interval, for ever."""
        while True:
            self._sample()
            await asyncio.sleep(self._desk.settings.sample_s)

    def _sample(self) -> None:
        desk, fleet = self._desk, self._scene.fleet
        free_mask = self._scene.control.snapshot().free_gpu_mask
        leaf, pod, fabric, whole = largest_clusters(fleet, free_mask)
        free = sum(int(mask).bit_count() for mask in free_mask.tolist())
        held = desk.ledger.gpu_count
        desk.metrics.samples.append(
            Sample(
                at_s=desk.now_s,
                held=held,
                free=free,
                unusable=max(0, fleet.gpu_count - held - free),
                queued_job_count=len(desk.queue),
                queued=desk.queue.gpu_count,
                running_job_count=len(desk.live),
                largest_in_leaf_group=leaf,
                largest_in_pod=pod,
                largest_in_fabric=fabric,
                whole_node=whole,
            )
        )

    async def empty(self) -> None:
        """Calm everything, mend every node, and reconcile until no device holds anything.

        Raises:
            DriftError: something is left.
        """
        self._scene.faults.calm()
        for node_id in sorted(self._desk.dead_nodes):
            self.mend(node_id)
        left: tuple[str, ...] = ()
        for _ in range(PASS_COUNT_MAX):
            await self.look(is_checking=True)
            left = self._left()
            if not left:
                return
        raise violation(self._desk, left)

    def _left(self) -> tuple[str, ...]:
        snapshot = self._store.snapshot(self._scene.clock.now_s())
        return (
            *(f"left on a device: {e.device} {e.key}" for e in true_entries(self._scene)),
            *(f"left allocated: {node} to {owner}" for node, owner in snapshot.allocations),
            *(f"left buried: {t.entry.device} {t.entry.key}" for t in snapshot.tombstones),
            *(f"left open: {o.operation_id}" for o in self._store.open_operations()),
        )


def violation(desk: Desk, wrong: Sequence[str]) -> DriftError:
    """The error that stops a replay: it names seed and time, so that the run can be repeated."""
    where = f"seed {desk.settings.seed}, virtual second {desk.now_s:.6f}"
    return DriftError(f"{where}: {len(wrong)} violations, first: {wrong[0]}", notes=wrong)
