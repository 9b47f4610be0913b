"""The time of one node.

Goal: every GPU of a node is in the state that its holder, its bill and its outages say.
Method: random holdings, bills and outages of single GPUs against a model that asks one GPU at one
moment; a GPU that is held twice is refused.
"""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gigawatt.errors import DataError
from gigawatt.ids import SiteId
from gigawatt.intent.term import Term
from gigawatt.market.node_time import Hold, NodeTime, Paid, free_masks, node_stretches
from gigawatt.market.utilisation import GpuState, whole

PLACE = ("h100", SiteId("a"))
END = 40
SPAN = st.tuples(st.integers(0, END), st.integers(0, END)).filter(lambda t: t[0] < t[1])


@st.composite
def nodes(draw):
    """A node of four GPUs: each is held, and then billed for a part of that time."""
    holds, billed = [], []
    for gpu in range(4):
        span = draw(st.none() | SPAN)
        if span is None:
            continue
        holds.append(Hold(1 << gpu, draw(st.booleans()), *span))
        begin, end = draw(SPAN)
        begin, end = max(begin, span[0]), min(end, span[1])
        if begin < end and not holds[-1].is_leaving:
            billed.append(Paid(1, Term.SPOT, draw(st.integers(0, 9)), begin, end))
    outage = draw(st.none() | SPAN)
    kept = draw(st.none() | SPAN)
    return NodeTime(
        PLACE,
        0b1111,
        holds,
        billed,
        () if kept is None else (Paid(0, Term.RESERVED, 7, *kept),),
        () if outage is None else (outage,),
    )


def inside(row, at_ms: int) -> bool:
    return row.from_ms <= at_ms < row.to_ms


def states_at(node: NodeTime, at_ms: int) -> Counter:
    """Counts by state, found by asking what is said of the GPUs at one moment."""
    billed = sum(inside(row, at_ms) for row in node.billed)
    held = sum(inside(row, at_ms) and not row.is_leaving for row in node.holds) - billed
    leaving = sum(inside(row, at_ms) and row.is_leaving for row in node.holds)
    if any(begin <= at_ms < end for begin, end in node.outages):
        return Counter({GpuState.BILLED: billed, GpuState.BROKEN: 4 - billed})
    left = 4 - billed - held - leaving
    rest = GpuState.KEPT if any(inside(row, at_ms) for row in node.kept) else GpuState.IDLE
    return Counter({GpuState.BILLED: billed, GpuState.HELD: held, GpuState.CLEANING: leaving,
                    rest: left})  # fmt: skip


@given(nodes())
def test_every_gpu_is_in_the_state_that_is_said_of_it(node):
    found = whole(node_stretches(node), {PLACE: 4}, 0, END)
    for at_ms in range(END):
        there: Counter = Counter()
        for stretch in found:
            if inside(stretch, at_ms):
                there[stretch.state] += stretch.gpu_count
        assert +there == +states_at(node, at_ms)


@given(nodes())
def test_what_is_billed_is_neither_lost_nor_doubled(node):
    billed = [s for s in node_stretches(node) if s.state is GpuState.BILLED]
    paid = sum((p.to_ms - p.from_ms) * p.price_micro_usd_per_gpu_hour for p in node.billed)
    moments = [(s, ms) for s in billed for ms in range(s.from_ms, s.to_ms)]
    kept = sum(7 * s.gpu_count for s, ms in moments for k in node.kept if inside(k, ms))
    assert sum(s.rated for s in billed) == paid + kept


@given(nodes())
def test_free_masks_change_when_they_do(node):
    masks = dict(free_masks(node, 0, END))
    assert 0 in masks
    now = 0
    for at_ms in range(END):
        now = masks.get(at_ms, now) if at_ms else masks[0]
        counts = states_at(node, at_ms)
        free = counts[GpuState.IDLE] + counts[GpuState.KEPT]
        # What is billed while nobody holds it does not make a GPU taken.
        if not any(begin <= at_ms < end for begin, end in node.outages):
            assert now.bit_count() == free
        else:
            assert now == 0


def test_a_gpu_that_two_hold_is_refused():
    twice = NodeTime(PLACE, 0b1111, [Hold(0b11, False, 0, 10), Hold(0b10, False, 5, 9)])
    with pytest.raises(DataError, match="held twice"):
        list(node_stretches(twice))
