"""Spot in a market replay: bids that wait, rounds that sell what is free, and who gives it back."""

import numpy as np

from gigawatt.fleet.model import U16
from gigawatt.intent.term import Term
from gigawatt.market.order import comes_before, gives_way
from gigawatt.market.spot import SpotBid, SpotRound, clear_spot
from gigawatt.twin.market.clusters import Clusters, Stage
from gigawatt.twin.market.demand import Wish
from gigawatt.twin.market.floor import OPEN, Run
from gigawatt.twin.market.line import Line
from gigawatt.twin.market.victims import victims_for


class SpotDesk:
    """Sells what is free, round by round.

    Attributes:
        bids: wishes that wait, by number.
        is_due: whether something changed since the last round.
    """

    def __init__(self, stage: Stage, clusters: Clusters) -> None:
        """Begin without bids."""
        self.bids: dict[int, Wish] = {}
        self.is_due = False
        self._stage = stage
        self._clusters = clusters
        self._prices = stage.prices
        self._since_ms: dict[int, int] = {}
        self._patience_ms = round(stage.settings.bid_patience_s * 1000)

    def push(self, wish: Wish) -> None:
        """A bid waits for the next round."""
        self.bids[wish.number] = wish
        self._since_ms[wish.number] = self._stage.agenda.now_ms
        self.is_due = True

    @property
    def runs(self) -> list[Run]:
        """Spot clusters that may be told to leave."""
        runs = self._clusters.runs.values()
        return [run for run in runs if run.term is Term.SPOT and not run.is_leaving]

    def hold_round(self, lines: dict[int, Line]) -> None:
        """Sell what is free to the best bids, and let go of those that waited too long."""
        self._expire()
        if not self.is_due or not self.bids:
            return
        self.is_due = False
        free = self._for_sale(lines)
        supply = int(np.bitwise_count(free).sum())
        if not supply:
            return
        bids = [
            SpotBid(str(n), w.gpu_count, self._most(w), self._since_ms[n] / 1000)
            for n, w in self.bids.items()
        ]
        self._serve(clear_spot(bids, supply, self._prices.spot_floor), free)

    def _most(self, wish: Wish) -> int:
        return round(wish.bid_ratio * self._prices.on_demand)

    def _expire(self) -> None:
        old_ms = self._stage.agenda.now_ms - self._patience_ms
        for number in [n for n, since_ms in self._since_ms.items() if since_ms < old_ms]:
            wish = self._drop(number)
            metrics = self._stage.metrics
            metrics.turned_away[Term.SPOT] += 1
            metrics.turned_away_gpu_s += wish.left_ms / 1000 * wish.gpu_count

    def _drop(self, number: int) -> Wish:
        del self._since_ms[number]
        return self.bids.pop(number)

    def _for_sale(self, lines: dict[int, Line]) -> U16:
        """Free GPUs that nobody with a better right waits for."""
        floor, is_lending = self._stage.floor, self._stage.settings.policy.is_lending
        free: U16 = floor.free.copy()
        for area, line in lines.items():
            # What a claim is made room for is kept whoever comes first; the notices were given.
            waits = area != OPEN and len(line.queue) > 0
            is_kept = line.claim is not None or (waits and self._is_after(line))
            if is_kept or (area != OPEN and not is_lending):
                free[floor.reserved_by == area] = 0
        return free

    def _is_after(self, line: Line) -> bool:
        """Whether spot is served after who waits in a line."""
        return comes_before(line.term, Term.SPOT, self._stage.settings.order)

    def _serve(self, result: SpotRound, free: U16) -> None:
        stage, sold = self._stage, False
        refused: int | None = None
        price = result.price_micro_usd_per_gpu_hour
        for name in result.winners:
            wish = self.bids[int(name)]
            if refused is not None and wish.gpu_count >= refused:
                continue
            # Lent nodes come last, because their tenants are credited.
            own = np.where(stage.floor.reserved_by == OPEN, free, 0).astype(np.uint16)
            members = stage.place(stage.fleet, own, wish.gpu_count, ()) or stage.place(
                stage.fleet, free, wish.gpu_count, ()
            )
            if members is None:
                refused = wish.gpu_count
                continue
            self._drop(wish.number)
            self._clusters.launch(wish, members, (Term.SPOT, price, OPEN))
            for row, mask in members.items():
                free[row] &= np.uint16(~mask & 0xFFFF)
            sold = True
        if sold:
            stage.metrics.round_prices.append(price)

    def make_room(self, line: Line, gpu_count: int) -> bool:
        """Tell spot clusters to leave so that a cluster fits; False if that is not enough."""
        restart_s = self._stage.settings.restart_s
        harm = {
            run: (self._clusters.unsaved_ms(run) / 1000 + restart_s) * run.gpu_count
            for run in self.runs
            if self._gives_way(run, line.term)
        }
        chosen = victims_for(self._stage.floor, line.area, gpu_count, harm)
        for run in chosen:
            self._clusters.preempt(run)
        return bool(chosen)

    def _gives_way(self, run: Run, wanting: Term) -> bool:
        is_lent = any(self._stage.floor.reserved_by[row] != OPEN for row in run.members)
        return gives_way(wanting, run.term, self._stage.settings.order, is_lent=is_lent)
