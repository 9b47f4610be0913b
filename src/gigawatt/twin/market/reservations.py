"""Reservations in a market replay: what tenants book, term after term, in one calendar."""

import math
from collections.abc import Sequence

import numpy as np

from gigawatt.ids import ClusterId, NodeId, TenantId
from gigawatt.intent.term import Term
from gigawatt.market.calendar import LENGTH_S_MIN, Calendar, Reservation
from gigawatt.market.meter import Promise
from gigawatt.twin.market.clusters import Clusters, Stage
from gigawatt.twin.market.demand import Wish
from gigawatt.twin.market.floor import OPEN


class ReservationDesk:
    """Books and renews reservations.

    Attributes:
        calendar: everything that was booked.
    """

    def __init__(
        self,
        stage: Stage,
        clusters: Clusters,
        wishes: Sequence[Wish],
        start_s: float,
        span_s: float,
    ) -> None:
        """Nothing is booked; ``start_s`` is Unix time of the replay's first second."""
        self.calendar = Calendar()
        self._stage = stage
        self._clusters = clusters
        self._start_s = start_s
        self._span_s = span_s
        self._term_number = 0
        self._key_of: dict[int, ClusterId] = {}
        self._wishes: dict[TenantId, list[Wish]] = {t: [] for t in stage.lender_of.values()}
        for wish in wishes:
            if wish.tenant_id in self._wishes:
                self._wishes[wish.tenant_id].append(wish)

    def renew(self) -> None:
        """End the term that is under way, and book the next one."""
        self.end()
        from_s = self._stage.agenda.now_ms / 1000
        to_s = min(self._span_s, from_s + self._stage.settings.term_s)
        if to_s - from_s < LENGTH_S_MIN:
            self._free(range(len(self._stage.fleet.nodes)))
            return
        for area, tenant in self._stage.lender_of.items():
            self._book(area, tenant, from_s, to_s)
        self._term_number += 1

    def end(self) -> None:
        """Stop billing what was booked until now."""
        for key in self._key_of.values():
            self._stage.books.stop(key, self._stage.agenda.now_ms)
        self._key_of.clear()

    def wanted_node_count(self, tenant: TenantId, from_s: float, to_s: float) -> int:
        """Nodes that a tenant books: what its jobs need on average, times the cover."""
        gpu_s = math.fsum(
            max(0.0, min(job.submit_s + job.duration_s, to_s) - max(job.submit_s, from_s))
            * job.gpu_count
            for job in (wish.job for wish in self._wishes[tenant])
        )
        mean = gpu_s / (to_s - from_s) * self._stage.settings.mix.cover_ratio
        return math.ceil(mean / self._stage.floor.gpus_per_node)

    def _book(self, area: int, tenant: TenantId, from_s: float, to_s: float) -> None:
        floor = self._stage.floor
        wanted = self.wanted_node_count(tenant, from_s, to_s)
        mine = np.flatnonzero(floor.reserved_by == area).tolist()
        in_use = {row for run in self._clusters.runs.values() if run.area == area
                  for row in run.members}  # fmt: skip
        # Those in use first, so that nobody is moved; then those that are free.
        mine.sort(key=lambda row: (row not in in_use, len(floor.runs_on[row]) > 0, row))
        kept = mine[: max(wanted, len(in_use))]
        self._free(set(mine) - set(kept))
        rows = [*kept, *self._more(wanted - len(kept), kept)]
        self._stage.metrics.short_node_count += max(0, wanted - len(rows))
        if not rows:
            return
        nodes = frozenset(NodeId(self._stage.fleet.nodes.ids[row]) for row in rows)
        name = f"res_{area}_{self._term_number}"
        begin_s, end_s = self._start_s + from_s, self._start_s + to_s
        is_lent = self._stage.settings.policy.is_lending
        booked = Reservation(name, tenant, nodes, frozenset(), begin_s, end_s, is_lent)
        self.calendar = self.calendar.book(booked, begin_s)
        self._begin(area, ClusterId(name), rows)

    def _begin(self, area: int, key: ClusterId, rows: Sequence[int]) -> None:
        stage, now_ms = self._stage, self._stage.agenda.now_ms
        price = stage.prices.reserved
        ids = {row: NodeId(stage.fleet.nodes.ids[row]) for row in rows}
        promise = Promise(stage.floor.gpus_per_node, price)
        self._key_of[area] = key
        stage.books.open(key, stage.lender_of[area], Term.RESERVED, now_ms)
        stage.books.members(key, dict.fromkeys(ids.values(), promise), {}, now_ms)
        for row in rows:
            if stage.floor.is_broken[row]:
                stage.books.ready(key, ids[row], now_ms, is_ready=False)
        stage.books.deliver(key, now_ms)
        stage.floor.reserve(rows, area, now_ms)

    def _more(self, count: int, near: Sequence[int]) -> list[int]:
        """Wholly free nodes that are promised to nobody, near those that the tenant has."""
        stage = self._stage
        free = stage.floor.free_in(OPEN)
        whole = np.flatnonzero(free == stage.floor.full)
        count = min(count, len(whole))
        if count < 1:
            return []
        found = stage.place(stage.fleet, free, count * stage.floor.gpus_per_node, near)
        assert found is not None, "so many nodes are wholly free"
        return list(found)

    def _free(self, rows: Sequence[int] | set[int] | range) -> None:
        """Promise nodes to nobody; spot on them ends, because its terms were those of a loan."""
        floor = self._stage.floor
        mine = [row for row in rows if floor.reserved_by[row] != OPEN]
        for row in mine:
            for run in list(floor.runs_on[row]):
                if run.term is Term.SPOT and not run.is_over:
                    self._clusters.preempt(run, at_once=True)
        if mine:
            floor.reserve(mine, OPEN, self._stage.agenda.now_ms)

    def ready(self, row: int, *, is_ready: bool) -> None:
        """A node works, or does not: what is broken is not paid for."""
        key = self._key_of.get(int(self._stage.floor.reserved_by[row]))
        if key is not None:
            node = NodeId(self._stage.fleet.nodes.ids[row])
            self._stage.books.ready(key, node, self._stage.agenda.now_ms, is_ready=is_ready)
