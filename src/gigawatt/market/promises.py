"""Who may be on which node now, as the calendar promised them: the one rule for all.

1. A cluster of a reservation is on its reservation's nodes and growth room, while it lasts.
2. Who has no end keeps off every node that is promised to another, however far ahead: nobody can
   be moved by force who was not told that he would be.
3. Spot, and who was told, may use such a node until it is needed, and one that is promised now
   only where its holder lends it.

The planner, the commit of the store and the rounds of spot ask the same function (ADR-0044).
"""

from bisect import bisect_right
from collections.abc import Collection, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from typing import Literal

from typing_extensions import override

from gigawatt.ids import NodeId, TenantId
from gigawatt.intent.term import Term
from gigawatt.market.calendar import Calendar, Reservation
from gigawatt.market.notice import NoticePolicy

Part = Literal["base", "growth", "all"]


@dataclass(frozen=True, slots=True)
class Holder:
    """Who wants nodes, and how.

    Fields: is_lent says that they were told to give back what is wanted by whom it was promised
    to; reservation_id is of the reservation that they use, None for none; part is which of its
    nodes they mean: "base" is paid for, "growth" is kept free beside it.
    """

    tenant_id: TenantId
    term: Term = Term.ON_DEMAND
    is_lent: bool = False
    reservation_id: str | None = None
    part: Part = "all"

    @property
    def gives_back(self) -> bool:
        """Whether they give nodes back when they are asked."""
        return self.term is Term.SPOT or self.is_lent


class Promises:
    """What is promised, with the time after each promise in which its nodes are cleared.

    Attributes:
        by_id: reservations as they were booked.
        calendar: the same, each until its nodes are clear.
    """

    def __init__(self, booked: Iterable[tuple[Reservation, float]] = ()) -> None:
        """Take on reservations, each with the moment (Unix seconds) until which it is cleared.

        Raises:
            ConflictError: two overlap on a node, the time to clear it counted.
        """
        found = tuple(booked)
        self.by_id: Mapping[str, Reservation] = {r.reservation_id: r for r, _ in found}
        self.calendar = Calendar(replace(r, to_s=until_s) for r, until_s in found)
        rows: dict[NodeId, list[Reservation]] = {}
        for reservation in sorted(self.calendar.by_id.values(), key=lambda r: r.from_s):
            for node_id in reservation.node_ids | reservation.growth_node_ids:
                rows.setdefault(node_id, []).append(reservation)
        self._of_node = rows

    @override
    def __eq__(self, other: object) -> bool:
        """Whether the same is promised."""
        return isinstance(other, Promises) and (self.by_id, self.calendar.by_id) == (
            other.by_id,
            other.calendar.by_id,
        )

    @override
    def __hash__(self) -> int:
        """A number that is equal for equal promises."""
        return hash(frozenset(self.by_id.values()))

    def nodes(self) -> Collection[NodeId]:
        """Nodes with any promise."""
        return self._of_node.keys()

    def at(self, node_id: NodeId, moment_s: float) -> tuple[Reservation | None, Reservation | None]:
        """What a node is promised to at a moment, and next after it; ends count the clearing."""
        rows = self._of_node.get(node_id, [])
        place = bisect_right(rows, moment_s, key=lambda r: r.from_s)
        now = rows[place - 1] if place and rows[place - 1].to_s > moment_s else None
        return now, rows[place] if place < len(rows) else None

    def barred(
        self, holder: Holder, now_s: float, policy: NoticePolicy, among: AbstractSet[NodeId]
    ) -> dict[NodeId, str]:
        """Those nodes of ``among`` that a holder may not come to now, and why."""
        if holder.reservation_id is not None:
            return self._outside(holder, now_s, among)
        found = {}
        for node_id in self._of_node.keys() & among:
            why = self._why(node_id, holder, now_s, policy)
            if why is not None:
                found[node_id] = why
        return found

    def _outside(
        self, holder: Holder, now_s: float, among: Collection[NodeId]
    ) -> dict[NodeId, str]:
        mine = self.by_id.get(holder.reservation_id or "")
        if mine is None or mine.tenant_id != holder.tenant_id:
            return dict.fromkeys(among, f"there is no reservation {holder.reservation_id!r}")
        if not mine.from_s <= now_s < mine.to_s:
            when = "has not begun" if now_s < mine.from_s else "is over"
            return dict.fromkeys(among, f"reservation {mine.reservation_id!r} {when}")
        base = mine.node_ids if holder.part != "growth" else frozenset[NodeId]()
        growth = mine.growth_node_ids if holder.part != "base" else frozenset[NodeId]()
        inside, why = base | growth, f"it is not of reservation {mine.reservation_id!r}"
        return {node_id: why for node_id in among if node_id not in inside}

    def _why(
        self, node_id: NodeId, holder: Holder, now_s: float, policy: NoticePolicy
    ) -> str | None:
        now, after = self.at(node_id, now_s)
        if now is not None:
            is_over = now_s >= self.by_id[now.reservation_id].to_s
            if is_over or not (now.is_lent and holder.gives_back):
                return "it is reserved"
        if after is not None and not holder.gives_back:
            return "it is reserved for later"
        if after is not None and after.from_s - now_s < policy.keep_off_s:
            return f"it is reserved in {after.from_s - now_s:,.0f} s"
        return None

    def until_s(
        self, holder: Holder, node_ids: Iterable[NodeId], now_s: float, policy: NoticePolicy
    ) -> float | None:
        """When at the latest a holder has to be off some nodes, None when nothing is known."""
        if holder.reservation_id is not None:
            mine = self.by_id.get(holder.reservation_id)
            return None if mine is None else mine.to_s
        starts = [
            after.from_s - policy.clear_s
            for node_id in node_ids
            if (after := self.at(node_id, now_s)[1]) is not None
        ]
        return min(starts, default=None)
