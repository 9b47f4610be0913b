"""The life of clusters in a market replay: from commit to clean nodes, through failures."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial

from gigawatt.fleet.model import Fleet
from gigawatt.ids import ClusterId, NodeId, TenantId
from gigawatt.intent.term import Term
from gigawatt.market.meter import Promise
from gigawatt.twin.events import EventLog
from gigawatt.twin.market.agenda import Agenda
from gigawatt.twin.market.books import Books
from gigawatt.twin.market.demand import Wish
from gigawatt.twin.market.floor import Floor, Run
from gigawatt.twin.market.metrics import MarketMetrics, Wait
from gigawatt.twin.market.placing import Place
from gigawatt.twin.market.settings import MarketPrices, MarketSettings
from gigawatt.twin.metrics import fewest_leaf_groups


@dataclass(frozen=True, slots=True)
class Stage:
    """What a market replay is played on.

    Fields:
        place: how clusters are placed.
        lender_of: tenant of each reservation, by area.
    """

    fleet: Fleet
    settings: MarketSettings
    agenda: Agenda
    floor: Floor
    books: Books
    log: EventLog
    metrics: MarketMetrics
    place: Place
    lender_of: Mapping[int, TenantId]
    prices: MarketPrices


class Clusters:
    """Clusters that live.

    Attributes:
        runs: by id, in order of their commits.
    """

    def __init__(
        self, stage: Stage, requeue: Callable[[Run], None], freed: Callable[[Collection[int]], None]
    ) -> None:
        """Begin without any.

        Args:
            stage: where it is played.
            requeue: what to do with the wish of a cluster that was interrupted.
            freed: what to do when nodes have something free again.
        """
        self.runs: dict[ClusterId, Run] = {}
        self._stage = stage
        self._requeue = requeue
        self._freed = freed
        self._count = 0
        self._ms: dict[str, int] = {
            name: round(getattr(stage.settings, f"{name}_s") * 1000)
            for name in ("launch", "clean", "notice", "checkpoint", "restart")
        }

    def launch(self, wish: Wish, members: dict[int, int], held: tuple[Term, int, int]) -> Run:
        """Commit a cluster; ``held`` is its term, price per GPU-hour and area."""
        stage, now_ms = self._stage, self._stage.agenda.now_ms
        self._count += 1
        run = Run(ClusterId(f"c{self._count}"), wish, *held, members)
        self.runs[run.cluster_id] = run
        stage.floor.take(run, members, now_ms)
        stage.books.open(run.cluster_id, wish.tenant_id, run.term, now_ms)
        if not wish.is_started:
            wish.is_started = True
            stage.metrics.started[wish.term] += 1
            if not wish.is_carried:
                wait_s = (now_ms - wish.submit_ms) / 1000
                stage.metrics.waits.append(Wait(wish.term, wish.gpu_count, wait_s, is_over=True))
        if len(members) > 1:
            rows = sorted(members)
            used = len(set(stage.fleet.nodes.leaf_group[rows].tolist()))
            stage.metrics.spreads.append(used / fewest_leaf_groups(stage.fleet, rows))
        stage.agenda.add(now_ms + self._ms["launch"], partial(self._deliver, run))
        return run

    def _node(self, row: int) -> NodeId:
        return NodeId(self._stage.fleet.nodes.ids[row])

    def _tell_members(self, run: Run) -> None:
        floor = self._stage.floor
        rows = [row for row in run.members if row not in run.joining_rows]
        price = run.price_micro_usd_per_gpu_hour
        promises = {self._node(r): Promise(run.members[r].bit_count(), price) for r in rows}
        credit_of = {
            self._node(row): (self._stage.lender_of[int(floor.reserved_by[row])], credit)
            for row in rows
            if (credit := floor.credit_micro_usd(run, row))
        }
        self._stage.books.members(run.cluster_id, promises, credit_of, self._stage.agenda.now_ms)

    def _deliver(self, run: Run) -> None:
        if run.is_over:
            return
        self._tell_members(run)
        self._stage.books.deliver(run.cluster_id, self._stage.agenda.now_ms)
        run.is_delivered = True
        self._stage.floor.recount(run.members, self._stage.agenda.now_ms)
        self._work(run)

    def _work(self, run: Run) -> None:
        restart_ms = self._ms["restart"] if run.wish.is_interrupted else 0
        run.work_from_ms = self._stage.agenda.now_ms + restart_ms
        end_ms = run.work_from_ms + run.wish.left_ms
        self._stage.agenda.add(end_ms, partial(self._finish, run, run.version))

    def _finish(self, run: Run, version: int) -> None:
        if run.is_over or run.version != version:
            return
        run.wish.done_ms += run.wish.left_ms
        self._stage.metrics.ended[run.wish.term] += 1
        self.stop(run)

    def unsaved_ms(self, run: Run) -> int:
        """Work that would be lost if the cluster stopped now, ms."""
        if not run.is_delivered or run.broken_rows:
            return 0
        reached_ms = run.wish.done_ms + max(0, self._stage.agenda.now_ms - run.work_from_ms)
        kept_ms = reached_ms // self._ms["checkpoint"] * self._ms["checkpoint"]
        return reached_ms - max(kept_ms, run.wish.done_ms)

    def _keep(self, run: Run) -> float:
        """Keep work up to the last checkpoint; GPU-seconds that are lost."""
        if not run.is_delivered or run.broken_rows:
            return 0.0
        lost_ms = self.unsaved_ms(run)
        ran_ms = max(0, self._stage.agenda.now_ms - run.work_from_ms)
        run.wish.done_ms += ran_ms - lost_ms
        run.wish.is_interrupted = True
        return lost_ms / 1000 * run.gpu_count

    def stop(self, run: Run) -> None:
        """End a cluster; its nodes are cleaned."""
        stage, now_ms = self._stage, self._stage.agenda.now_ms
        run.is_over = True
        del self.runs[run.cluster_id]
        stage.books.stop(run.cluster_id, now_ms)
        dirty = stage.floor.let_go(run, list(run.members), now_ms)
        if dirty:
            stage.agenda.add(now_ms + self._ms["clean"], partial(self._cleaned, dirty))

    def _cleaned(self, dirty: dict[int, int]) -> None:
        self._stage.floor.cleaned(dirty, self._stage.agenda.now_ms)
        self._freed(dirty)

    def preempt(self, run: Run, *, at_once: bool = False) -> None:
        """Tell a spot cluster to leave; it is stopped when its notice is over."""
        stage, now_ms = self._stage, self._stage.agenda.now_ms
        if not run.is_leaving:
            run.is_leaving = True
            stage.metrics.preemption_count += 1
            stage.log.add(now_ms / 1000, "preempt", run.cluster_id)
            stage.floor.tell_to_leave(run)
            stage.agenda.add(now_ms + self._ms["notice"], partial(self._leave, run))
        if at_once:
            self._leave(run)

    def _leave(self, run: Run) -> None:
        if not run.is_over:
            self._stage.metrics.preempted_gpu_s += self._keep(run)
            self.stop(run)
            self._requeue(run)

    def break_node(self, row: int) -> None:
        """A node breaks: its clusters get another, or go back to their line."""
        stage = self._stage
        hit = list(stage.floor.runs_on[row])
        stage.metrics.failure_count += 1
        stage.floor.break_node(row, stage.agenda.now_ms)
        for run in hit:
            self._hit(run, row)

    def _hit(self, run: Run, row: int) -> None:
        stage, now_ms = self._stage, self._stage.agenda.now_ms
        stage.metrics.failed_gpu_s += self._keep(run)
        run.version += 1
        is_alone = len(run.members) == 1 or run.term is Term.SPOT
        found = None
        if run.is_delivered and not is_alone and not run.broken_rows:
            free = stage.floor.free_in(run.area)
            found = stage.place(stage.fleet, free, stage.floor.gpus_per_node, list(run.members))
        if found is None:
            stage.metrics.requeued_count += 1
            self.stop(run)
            self._requeue(run)
            return
        stage.books.ready(run.cluster_id, self._node(row), now_ms, is_ready=False)
        run.broken_rows.add(row)
        run.joining_rows.update(found)
        run.members.update(found)
        stage.floor.take(run, found, now_ms)
        stage.agenda.add(now_ms + self._ms["launch"], partial(self._replaced, run, row))

    def _replaced(self, run: Run, row: int) -> None:
        if run.is_over:
            return
        floor, now_ms = self._stage.floor, self._stage.agenda.now_ms
        floor.let_go(run, (row,), now_ms)
        del run.members[row]
        run.broken_rows.clear()
        run.joining_rows.clear()
        self._tell_members(run)
        # It may join again when it is mended, and nobody would call it ready then.
        self._stage.books.ready(run.cluster_id, self._node(row), now_ms, is_ready=True)
        floor.recount(run.members, now_ms)
        self._work(run)
