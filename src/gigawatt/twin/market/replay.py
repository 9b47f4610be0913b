"""The market replay: a fleet sold for a while under one policy, with failures, in virtual time.

What decides is what the product decides with: the placer, the queue's rule of patience, the
calendar of reservations, spot rounds, the choice of victims, the usage meter, and the ledger. Left
out are devices and the executor, whose part is a launch and a cleaning of fixed length: so a year
takes minutes. The other replay (``gigawatt.twin.replay``) has them.
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from functools import partial
from typing import TextIO

from gigawatt.fleet.model import Fleet
from gigawatt.ids import TenantId
from gigawatt.intent.queue import QueuePolicy
from gigawatt.intent.term import Term
from gigawatt.market.calendar import Calendar
from gigawatt.market.ledger import LedgerEntry
from gigawatt.market.order import in_order
from gigawatt.market.utilisation import Stretch
from gigawatt.twin.events import EventLog
from gigawatt.twin.failures import node_failures
from gigawatt.twin.market.agenda import Agenda
from gigawatt.twin.market.books import Books, LineKey, Tamper, as_they_are, next_month_s
from gigawatt.twin.market.clusters import Clusters, Stage
from gigawatt.twin.market.demand import Wish, wishes_of
from gigawatt.twin.market.floor import OPEN, Floor, Run
from gigawatt.twin.market.line import Line
from gigawatt.twin.market.metrics import MarketMetrics, Wait
from gigawatt.twin.market.placing import pack, spread
from gigawatt.twin.market.reservations import ReservationDesk
from gigawatt.twin.market.settings import MarketPrices, MarketSettings, prices_of
from gigawatt.twin.market.spot import SpotDesk
from gigawatt.twin.scene import START_S
from gigawatt.twin.workload import Workload


@dataclass(frozen=True, slots=True)
class MarketOutcome:
    """A market replay that has ended.

    Fields:
        fleet, workload, settings, prices: its inputs.
        span_ms: how long it was.
        stretches: where GPU-hours went, idle ones left out.
        metrics: what was measured.
        entries, rated, posted: the ledger, and its lines before and after they were rounded.
        usage_count: usages that were billed.
        calendar: what was reserved.
        digest: hash of the event log.
    """

    fleet: Fleet
    workload: Workload
    settings: MarketSettings
    prices: MarketPrices
    span_ms: int
    stretches: tuple[Stretch, ...]
    metrics: MarketMetrics
    entries: tuple[LedgerEntry, ...]
    rated: dict[LineKey, int]
    posted: dict[LineKey, int]
    usage_count: int
    calendar: Calendar
    digest: str


def replay_market(
    fleet: Fleet,
    workload: Workload,
    settings: MarketSettings,
    *,
    stream: TextIO | None = None,
    tamper: Tamper = as_they_are,
) -> MarketOutcome:
    """Sell a fleet to a workload; the same arguments give the same events and the same money.

    Args:
        fleet: of one node type, fabric and site.
        workload: the jobs; its span is that of the replay.
        settings: policy, mix, prices, failures, seed.
        stream: where the event log is written as well.
        tamper: may change the usages that are billed: a planted fault.

    Raises:
        InputError: the fleet is of several types, fabrics or sites.
    """
    game = _Game(fleet, workload, settings, EventLog(stream), tamper)
    game.play()
    stage, books = game.stage, game.stage.books
    return MarketOutcome(
        fleet=fleet,
        workload=workload,
        settings=settings,
        prices=stage.prices,
        span_ms=game.span_ms,
        stretches=tuple(stage.floor.tally.stretches),
        metrics=stage.metrics,
        entries=tuple(books.entries),
        rated=dict(books.rated),
        posted=dict(books.posted),
        usage_count=books.usage_count,
        calendar=game.reservations.calendar,
        digest=stage.log.digest,
    )


class _Game:
    """One replay under way."""

    def __init__(
        self,
        fleet: Fleet,
        workload: Workload,
        settings: MarketSettings,
        log: EventLog,
        tamper: Tamper,
    ) -> None:
        self.span_ms = round(workload.trace.span_s * 1000)
        prices = prices_of(fleet, settings, START_S)
        mix, policy = settings.mix, settings.policy
        areas = range(mix.reserved_tenant_count if policy.sells_reserved else 0)
        lenders = {area: TenantId(f"ten_r{area:02d}") for area in areas}
        floor = Floor(fleet, prices.reserved, settings.credit_percent)
        place = floor.tally.place
        self.stage = Stage(
            fleet=fleet,
            settings=settings,
            agenda=Agenda(),
            floor=floor,
            books=Books(log, place, START_S, tamper),
            log=log,
            metrics=MarketMetrics(),
            place=pack if policy.is_packing else spread,
            lender_of=lenders,
            prices=prices,
        )
        self.wishes = wishes_of(workload, mix, settings.seed)
        self.clusters = Clusters(self.stage, self._requeue, self._freed)
        self.spot = SpotDesk(self.stage, self.clusters)
        span_s = workload.trace.span_s
        self.reservations = ReservationDesk(self.stage, self.clusters, self.wishes, START_S, span_s)
        self.lines = {area: Line(area, QueuePolicy(policy.patience_s)) for area in (OPEN, *lenders)}
        self._area_of = {tenant: area for area, tenant in lenders.items()}
        self._size_of: dict[int, int] = {}

    def play(self) -> None:
        """Everything, to the end of the span."""
        agenda, settings = self.stage.agenda, self.stage.settings
        if settings.policy.sells_reserved:
            self._every(settings.term_s, self._renew)
        for wish in self.wishes:
            agenda.add(wish.submit_ms, partial(self._submit, wish))
        nodes = self.stage.fleet.nodes
        failures = node_failures(nodes.ids, settings.rates, settings.seed, self.span_ms / 1000)
        for failure in failures:
            row = nodes.index_of[failure.node_id]
            agenda.add(round(failure.at_s * 1000), partial(self._break, row))
        if settings.policy.sells_spot:
            self._every(settings.round_s, partial(self.spot.hold_round, self.lines))
        at_s = next_month_s(START_S)
        while (at_ms := round((at_s - START_S) * 1000)) < self.span_ms:
            agenda.add(at_ms, partial(self.stage.books.close_month, at_ms))
            at_s = next_month_s(at_s)
        agenda.run(self.span_ms, self._strand)
        self._end()

    def _every(self, period_s: float, action: Callable[[], None]) -> None:
        for at_ms in range(0, self.span_ms, round(period_s * 1000)):
            self.stage.agenda.add(at_ms, action)

    def _end(self) -> None:
        agenda, metrics = self.stage.agenda, self.stage.metrics
        for run in list(self.clusters.runs.values()):
            self.clusters.stop(run)
        self.reservations.end()
        self.stage.books.close_month(agenda.now_ms)
        self.stage.floor.tally.close(agenda.now_ms)
        waiting = [wish for line in self.lines.values() for wish in line.queue]
        for wish in (*waiting, *self.spot.bids.values()):
            if not wish.is_started and not wish.is_carried:
                wait_s = (agenda.now_ms - wish.submit_ms) / 1000
                metrics.waits.append(Wait(wish.term, wish.gpu_count, wait_s, is_over=False))

    def _submit(self, wish: Wish) -> None:
        policy, metrics = self.stage.settings.policy, self.stage.metrics
        self.stage.log.add(wish.job.submit_s, "submit", f"{wish.number} {wish.gpu_count}")
        is_too_large = wish.gpu_count > self.stage.fleet.gpu_count
        if is_too_large or (wish.term is Term.SPOT and not policy.sells_spot):
            metrics.turned_away[wish.term] += 1
            metrics.turned_away_gpu_s += wish.job.duration_s * wish.gpu_count
        elif wish.term is Term.SPOT:
            self.spot.push(wish)
        else:
            self._join(self._line_of(wish), wish)

    def _line_of(self, wish: Wish) -> Line:
        """Its tenant's reservation where it could ever fit, else where everybody waits."""
        area = self._area_of.get(wish.tenant_id, OPEN)
        return self.lines[area if wish.gpu_count <= self._size_of.get(area, 0) else OPEN]

    def _requeue(self, run: Run) -> None:
        wish = run.wish
        if wish.term is Term.SPOT:
            self.spot.push(wish)
            return
        self._join(self._line_of(wish), wish)

    def _join(self, line: Line, wish: Wish) -> None:
        line.push(wish)
        if not line.queue.is_hopeless(wish):
            self._serve_in_order((line,))
        if line.area != OPEN:
            wait_ms = round(self.stage.settings.overflow_s * 1000)
            self.stage.agenda.add(
                self.stage.agenda.now_ms + wait_ms, partial(self._overflow, line, wish)
            )

    def _overflow(self, line: Line, wish: Wish) -> None:
        """Who waited long enough for their reservation asks for more on demand."""
        if line.has(wish) and line.claim is not wish:
            line.remove(wish)
            self._join(self.lines[OPEN], wish)

    def _renew(self) -> None:
        self.reservations.renew()
        gpus, floor = self.stage.floor.gpus_per_node, self.stage.floor
        for area in self._area_of.values():
            self._size_of[area] = int((floor.reserved_by == area).sum()) * gpus
        for line in self.lines.values():
            line.queue.reopen()
            if line.area != OPEN:
                self._move_on(line)
        self._serve_in_order(self.lines.values())
        self.spot.is_due = True

    def _move_on(self, line: Line) -> None:
        """Who could never fit a smaller reservation waits with everybody."""
        for wish in list(line.queue):
            other = self._line_of(wish)
            if other is not line:
                line.remove(wish)
                other.push(wish)
                line.claim = None if line.claim is wish else line.claim

    def _break(self, row: int) -> None:
        floor, agenda = self.stage.floor, self.stage.agenda
        if floor.is_broken[row]:
            return
        self.stage.log.add(agenda.now_ms / 1000, "break", self.stage.fleet.nodes.ids[row])
        self.reservations.ready(row, is_ready=False)
        self.clusters.break_node(row)
        repair_ms = round(self.stage.settings.rates.repair_s * 1000)
        agenda.add(agenda.now_ms + repair_ms, partial(self._mend, row))

    def _mend(self, row: int) -> None:
        self.stage.floor.mend_node(row, self.stage.agenda.now_ms)
        self.reservations.ready(row, is_ready=True)
        self._freed((row,))

    def _freed(self, rows: Collection[int]) -> None:
        self.spot.is_due = True
        areas = sorted({int(self.stage.floor.reserved_by[row]) for row in rows})
        lines = [self.lines[area] for area in areas]
        for line in lines:
            line.queue.reopen()
        self._serve_in_order(lines)

    def _serve_in_order(self, lines: Iterable[Line]) -> None:
        """Serve class by class; spot waits for its round where it is served last."""
        settings = self.stage.settings
        groups = in_order(lines, lambda line: line.term, settings.order)
        for rule, group in zip(settings.order, groups, strict=True):
            is_first = rule.term is Term.SPOT and rule is not settings.order[-1]
            if is_first and settings.policy.sells_spot:
                self.spot.hold_round(self.lines)
            for line in group:
                self._serve(line)

    def _serve(self, line: Line) -> None:
        """Launch who fits, in the line's order; make room for who does not."""
        if line.claim is not None:
            claim = line.claim
            if self._start(line, claim):
                line.claim = None
            elif self.stage.floor.has_room_soon(line.area, claim.gpu_count):
                return
            else:
                line.claim = None
        for wish in line.queue.candidates(self.stage.agenda.now_ms / 1000):
            if self._start(line, wish):
                continue
            line.queue.refuse(wish)
            is_coming = self.stage.floor.has_room_soon(line.area, wish.gpu_count)
            if is_coming or self.spot.make_room(line, wish.gpu_count):
                line.claim = wish
                return

    def _start(self, line: Line, wish: Wish) -> bool:
        stage = self.stage
        free = stage.floor.free_in(line.area)
        members = stage.place(stage.fleet, free, wish.gpu_count, ())
        if members is None:
            return False
        line.remove(wish)
        held = (Term.ON_DEMAND, stage.prices.on_demand, OPEN)
        if line.area != OPEN:
            held = (Term.RESERVED, 0, line.area)
        self.clusters.launch(wish, members, held)
        return True

    def _strand(self) -> None:
        """Tell which free GPUs nobody who waits could have."""
        asked = [size for size in (self.lines[OPEN].gpu_count_min,) if size is not None]
        asked += [wish.gpu_count for wish in self.spot.bids.values()]
        self.stage.floor.strand(asked and [min(asked)], self.stage.agenda.now_ms)
