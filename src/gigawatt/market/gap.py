"""Gaps: promised nodes that could not be had, what that is worth, and who took their place.

A node that broke is out of its promise from the moment it was taken out of use until another one
took its place, or until it was mended. Who paid for it gets that time back; growth room is not
paid for, so a gap in it costs nobody anything (ADR-0049).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from gigawatt.ids import NodeId
from gigawatt.market.calendar import Reservation


@dataclass(frozen=True, slots=True)
class Gap:
    """A promised node that could not be had for a while.

    Fields:
        node_id: which.
        gpu_count: of the whole node.
        is_growth: whether it was growth room, which is not paid for.
        since_s: Unix seconds.
        until_s: when another one, or itself again, was there; None while there is none. It may lie
            ahead: who is on the other node has notice to leave it.
        replaced_by: the node that took its place; None where it was mended, or is not yet.
    """

    node_id: NodeId
    gpu_count: int
    is_growth: bool
    since_s: float
    until_s: float | None = None
    replaced_by: NodeId | None = None


def short_gpu_ms(promise: Reservation, gaps: Iterable[Gap], from_ms: int, to_ms: int) -> int:
    """GPU-milliseconds that were paid for and could not be had between two moments, Unix ms.

    Example:
        >>> node = NodeId("a")
        >>> promise = Reservation("r", "t", frozenset({node}), frozenset(), 0.0, 100.0)
        >>> short_gpu_ms(promise, [Gap(node, 8, False, 90.0)], 0, 1_000_000)
        80000
    """
    begin = max(from_ms, round(promise.from_s * 1000))
    end = min(to_ms, round(promise.to_s * 1000))
    return sum(
        gap.gpu_count * max(0, _end_ms(gap, end) - max(begin, round(gap.since_s * 1000)))
        for gap in gaps
        if not gap.is_growth
    )


def _end_ms(gap: Gap, end_ms: int) -> int:
    return end_ms if gap.until_s is None else min(end_ms, round(gap.until_s * 1000))


def short_gpus(promise: Reservation, gaps: Iterable[Gap], at_s: float) -> int:
    """GPUs, growth room too, that a reservation lacks at a moment; 0 once it has ended."""
    if at_s >= promise.to_s:
        return 0
    return sum(gap.gpu_count for gap in gaps if _is_open(gap, at_s))


def _is_open(gap: Gap, at_s: float) -> bool:
    return gap.since_s <= at_s and (gap.until_s is None or at_s < gap.until_s)


def paid_nodes(promise: Reservation, gaps: Iterable[Gap]) -> Iterator[tuple[NodeId, float, float]]:
    """(node, from, to) of every node that was ever paid for in a reservation; Unix seconds."""
    joined_s: dict[NodeId, float] = {}
    for gap in sorted((g for g in gaps if not g.is_growth), key=lambda g: g.since_s):
        if gap.replaced_by is None or gap.until_s is None:
            continue
        begin_s = joined_s.pop(gap.node_id, promise.from_s)
        joined_s[gap.replaced_by] = max(promise.from_s, gap.until_s)
        if begin_s < gap.since_s:
            yield gap.node_id, begin_s, min(promise.to_s, gap.since_s)
    for node_id in promise.node_ids:
        begin_s = joined_s.get(node_id, promise.from_s)
        if begin_s < promise.to_s:
            yield node_id, begin_s, promise.to_s
