"""Goal: what a reservation is short of is paid back to the millisecond, and nothing twice.

Method: chains of nodes that break and take each other's place, drawn by hypothesis, held against a
count of every second by itself.
"""

from hypothesis import given
from hypothesis import strategies as st

from gigawatt.ids import NodeId, TenantId
from gigawatt.market.calendar import Reservation
from gigawatt.market.gap import Gap, paid_nodes, short_gpu_ms, short_gpus

END_S = 60


@st.composite
def chains(draw):
    """A reservation of three nodes, some of which broke and were replaced or mended."""
    promised, gaps, names = [], [], 0
    for _ in range(3):
        node, at_s = NodeId(f"n{names}"), 0
        names += 1
        for _ in range(draw(st.integers(0, 3))):
            since_s = at_s + draw(st.integers(0, 20))
            until_s = since_s + draw(st.integers(0, 20))
            is_open = draw(st.booleans())
            new = None if is_open or draw(st.booleans()) else NodeId(f"n{names}")
            gaps.append(Gap(node, 8, False, since_s, None if is_open else until_s, new))
            if is_open:
                break
            at_s, names = until_s, names + 1
            node = node if new is None else new
        promised.append(node)
    promise = Reservation("r", TenantId("t"), frozenset(promised), frozenset(), 5.0, END_S)
    return promise, tuple(gaps)


@given(chains(), st.integers(0, 70), st.integers(0, 70))
def test_what_is_short_is_counted_second_by_second(chain, one, other):
    promise, gaps = chain
    begin, end = min(one, other), max(one, other)
    seconds = sum(
        gap.gpu_count
        for at in range(max(begin, 5), min(end, END_S))
        for gap in gaps
        if gap.since_s <= at and (gap.until_s is None or at < gap.until_s)
    )
    assert short_gpu_ms(promise, gaps, begin * 1000, end * 1000) == 1000 * seconds
    by_second = sum(short_gpus(promise, gaps, at) for at in range(max(begin, 5), min(end, END_S)))
    assert by_second == seconds
    assert seconds <= 24 * (END_S - 5)


@given(chains())
def test_every_node_is_paid_for_while_it_was_there(chain):
    """Nobody pays for two nodes in one place, and what is paid for and what is short fit."""
    promise, gaps = chain
    rows = list(paid_nodes(promise, gaps))
    for at in range(5, END_S):
        there = [node for node, from_s, to_s in rows if from_s <= at < to_s]
        assert len(there) == len(set(there)) <= len(promise.node_ids)
    assert {node for node, _, to_s in rows if to_s == END_S} <= promise.node_ids | {
        gap.node_id for gap in gaps
    }


def test_growth_room_is_not_paid_for_and_not_paid_back():
    node = NodeId("a")
    promise = Reservation("r", TenantId("t"), frozenset(), frozenset({node}), 0.0, END_S)
    gaps = [Gap(node, 8, True, 0.0)]
    assert short_gpu_ms(promise, gaps, 0, 1_000 * END_S) == 0
    assert short_gpus(promise, gaps, 1.0) == 8
    assert short_gpus(promise, gaps, END_S) == 0
    assert list(paid_nodes(promise, gaps)) == []
