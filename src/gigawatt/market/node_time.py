"""The time of one node: from who held it, what was billed and when it was out, to stretches."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from gigawatt.errors import DataError
from gigawatt.intent.term import Term
from gigawatt.market.utilisation import GpuState, Place, Stretch


@dataclass(frozen=True, slots=True)
class Hold:
    """GPUs that a cluster held; ``is_leaving`` while they are given back and cleaned."""

    gpu_mask: int
    is_leaving: bool
    from_ms: int
    to_ms: int


@dataclass(frozen=True, slots=True)
class Paid:
    """GPUs that were billed, to a cluster or, as the whole node, to who reserved it."""

    gpu_count: int
    term: Term
    price_micro_usd_per_gpu_hour: int
    from_ms: int
    to_ms: int


@dataclass(frozen=True, slots=True)
class NodeTime:
    """Everything that happened to one node; times in Unix ms, half open.

    Fields:
        place: type and site.
        full_mask: all its GPUs.
        holds: no GPU in two at once.
        billed: usage of clusters; at every moment no more GPUs than are held.
        kept: reservations of the whole node, one at a time.
        outages: (from, to) when it was drained or in quarantine.
    """

    place: Place
    full_mask: int
    holds: Sequence[Hold] = ()
    billed: Sequence[Paid] = ()
    kept: Sequence[Paid] = ()
    outages: Sequence[tuple[int, int]] = field(default_factory=tuple)


def node_stretches(node: NodeTime) -> Iterator[Stretch]:
    """What its GPUs were in; what is left out was idle.

    A node that is out of use is broken but for what is billed on it all the same.

    Raises:
        DataError: a GPU was held by two at once.
    """
    for begin, end in pairwise(_moments(node)):
        yield from _during(node, begin, end)


def free_masks(node: NodeTime, from_ms: int, to_ms: int) -> Iterator[tuple[int, int]]:
    """(moment, mask of free GPUs) at the start of a window and whenever it changes in it."""
    last: int | None = None
    for at_ms in sorted({from_ms, *(m for m in _moments(node) if from_ms < m < to_ms)}):
        mask = 0 if _is_out(node, at_ms) else node.full_mask & ~_held(node, at_ms)
        if mask != last:
            yield at_ms, mask
        last = mask


def _moments(node: NodeTime) -> list[int]:
    rows: tuple[Hold | Paid, ...] = (*node.holds, *node.billed, *node.kept)
    edges = {edge for row in rows for edge in (row.from_ms, row.to_ms)}
    return sorted(edges | {edge for outage in node.outages for edge in outage})


def _is_out(node: NodeTime, at_ms: int) -> bool:
    return any(begin <= at_ms < end for begin, end in node.outages)


def _held(node: NodeTime, at_ms: int) -> int:
    found = 0
    for hold in node.holds:
        if hold.from_ms <= at_ms < hold.to_ms:
            if found & hold.gpu_mask:
                raise DataError(f"GPUs {found & hold.gpu_mask:#x} of a node are held twice")
            found |= hold.gpu_mask
    return found


def _during(node: NodeTime, begin: int, end: int) -> Iterator[Stretch]:
    """States between two moments at which nothing changes."""
    kept = next((row for row in node.kept if row.from_ms <= begin < row.to_ms), None)
    term = None if kept is None else Term.RESERVED
    price = 0 if kept is None else kept.price_micro_usd_per_gpu_hour
    left = node.full_mask.bit_count()
    rest = {False: 0, True: 0}
    _held(node, begin)
    for hold in node.holds:
        if hold.from_ms <= begin < hold.to_ms:
            rest[hold.is_leaving] += hold.gpu_mask.bit_count()
    for row in node.billed:
        if row.from_ms <= begin < row.to_ms:
            paid = price + row.price_micro_usd_per_gpu_hour
            yield Stretch(*node.place, GpuState.BILLED, row.term, row.gpu_count, begin, end, paid)
            left -= row.gpu_count
            rest[False] -= row.gpu_count
    if _is_out(node, begin):
        if left > 0:
            yield Stretch(*node.place, GpuState.BROKEN, None, left, begin, end)
        return
    # What is billed while it leaves: the moments of two clocks may differ a little.
    held, leaving = max(0, rest[False]), max(0, rest[True] + min(0, rest[False]))
    for state, count in ((GpuState.HELD, held), (GpuState.CLEANING, leaving)):
        if count:
            yield Stretch(*node.place, state, term, count, begin, end, price)
    if kept is not None and left > held + leaving:
        idle = left - held - leaving
        yield Stretch(*node.place, GpuState.KEPT, term, idle, begin, end, price)
