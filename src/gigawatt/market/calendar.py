"""The calendar of reservations: which nodes are promised to whom from when to when.

A reservation names its nodes from the day it is booked, so that what was promised is a place and
not only a number, and growth that was promised is beside it. Intervals are half open. On-demand
clusters have no end, so they keep off a node as soon as its reservation is nearer than the notice
that would be needed to move them; spot may use it up to the notice before the start.
"""

from bisect import bisect_right, insort
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from gigawatt.errors import ConflictError, InputError
from gigawatt.ids import NodeId, TenantId
from gigawatt.market.rates import YEAR_2000_S, YEAR_2100_S
from gigawatt.units import HOUR_S

LENGTH_S_MIN = float(HOUR_S)
"""Shortest reservation. Ours: below it on-demand is the same."""


@dataclass(frozen=True, slots=True)
class Reservation:
    """Nodes promised to a tenant.

    Fields:
        reservation_id: ``res_...``.
        tenant_id: whose.
        node_ids: nodes that are paid for.
        growth_node_ids: nodes kept free beside them, for growth; no node is in both.
        from_s, to_s: Unix seconds; half open.
        is_lent: whether on-demand and spot may use it while the tenant does not.
    """

    reservation_id: str
    tenant_id: TenantId
    node_ids: frozenset[NodeId]
    growth_node_ids: frozenset[NodeId]
    from_s: float
    to_s: float
    is_lent: bool = False


def check_reservation(reservation: Reservation, now_s: float) -> None:
    """Refuse what is no reservation.

    Raises:
        InputError: the reason.
    """
    name = reservation.reservation_id
    from_s, to_s = reservation.from_s, reservation.to_s
    if not YEAR_2000_S <= from_s <= YEAR_2100_S or not YEAR_2000_S <= to_s <= YEAR_2100_S:
        raise InputError(
            f"reservation {name!r} is from {from_s:.0f} s to {to_s:.0f} s, wanted Unix time"
        )
    if to_s - from_s < LENGTH_S_MIN:
        raise InputError(
            f"reservation {name!r} lasts {to_s - from_s:.0f} s, wanted an hour or more"
        )
    if from_s < now_s:
        raise InputError(f"reservation {name!r} began {now_s - from_s:.0f} s ago")
    if not reservation.node_ids:
        raise InputError(f"reservation {name!r} is of no node")
    if reservation.node_ids & reservation.growth_node_ids:
        raise InputError(f"reservation {name!r} counts a node as held and as kept for growth")


class Calendar:
    """Reservations that do not overlap on any node."""

    def __init__(self, reservations: Iterable[Reservation] = ()) -> None:
        """Take on reservations that were booked before.

        Raises:
            ConflictError: two overlap.
        """
        self._of_node: dict[NodeId, list[tuple[float, float, str]]] = {}
        self.by_id: dict[str, Reservation] = {}
        for reservation in sorted(reservations, key=lambda r: (r.from_s, r.reservation_id)):
            self._add(reservation)

    def book(self, reservation: Reservation, now_s: float) -> "Calendar":
        """The calendar with one more.

        Raises:
            InputError: it is no reservation.
            ConflictError: a node is promised to another in that time.
        """
        check_reservation(reservation, now_s)
        return Calendar([*self.by_id.values(), reservation])

    def free_nodes(
        self, nodes: Collection[NodeId], from_s: float, to_s: float
    ) -> frozenset[NodeId]:
        """Those of ``nodes`` that are promised to nobody between two moments."""
        return frozenset(node for node in nodes if self._clash(node, from_s, to_s) is None)

    def holders(self, at_s: float) -> Mapping[NodeId, Reservation]:
        """Reservation of each node that is promised at a moment."""
        return {
            node: self.by_id[row[2]]
            for node, rows in self._of_node.items()
            if (row := _at(rows, at_s)) is not None
        }

    def next_start_s(self, node: NodeId, after_s: float) -> float | None:
        """Start of a node's next reservation at or after a moment; None if there is none."""
        starts = [row[0] for row in self._of_node.get(node, ())]
        place = bisect_right(starts, after_s)
        if place and starts[place - 1] == after_s:
            return after_s
        return starts[place] if place < len(starts) else None

    def _add(self, reservation: Reservation) -> None:
        name = reservation.reservation_id
        if name in self.by_id:
            raise ConflictError(f"reservation {name!r} is booked twice")
        row = (reservation.from_s, reservation.to_s, name)
        for node in sorted(reservation.node_ids | reservation.growth_node_ids):
            clash = self._clash(node, reservation.from_s, reservation.to_s)
            if clash is not None:
                raise ConflictError(
                    f"reservation {name!r} overlaps {clash!r} on node {node}",
                    next_step="Choose other nodes or another time.",
                )
            insort(self._of_node.setdefault(node, []), row)
        self.by_id[name] = reservation

    def _clash(self, node: NodeId, from_s: float, to_s: float) -> str | None:
        rows = self._of_node.get(node, [])
        place = bisect_right(rows, (to_s, float("-inf"), ""))
        if place and rows[place - 1][1] > from_s:
            return rows[place - 1][2]
        return None


def _at(rows: list[tuple[float, float, str]], at_s: float) -> tuple[float, float, str] | None:
    place = bisect_right(rows, (at_s, float("inf"), ""))
    return rows[place - 1] if place and rows[place - 1][1] > at_s else None
