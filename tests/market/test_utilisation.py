"""Utilisation.

Goal: every GPU is in exactly one state at every millisecond, and dollars are those of the meter.
Method: random stretches on a random fleet against a model that looks at single GPUs at single
moments; planted overlaps and a table whose numbers are computed by hand.
"""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gigawatt.errors import DataError, InputError
from gigawatt.ids import SiteId
from gigawatt.intent.term import Term
from gigawatt.market.meter import MS_PER_HOUR
from gigawatt.market.stranded import stranded
from gigawatt.market.utilisation import (
    GpuState,
    Stretch,
    Worth,
    by_hours,
    utilisation,
    whole,
)

A, B = ("h100", SiteId("a")), ("h200", SiteId("b"))
WORTHS = {"h100": Worth(2_000_000, 1_000_000, 100_000), "h200": Worth(3_000_000, 1_500_000, 0)}
NAMED = [state for state in GpuState if state is not GpuState.IDLE]


@st.composite
def fleets(draw):
    """Stretches of single GPUs, none of which is in two states, and the fleet's size."""
    capacity = {A: draw(st.integers(1, 4)), B: draw(st.integers(1, 3))}
    stretches = []
    for place, count in capacity.items():
        for _ in range(count):
            at = sorted(draw(st.lists(st.integers(0, 3 * MS_PER_HOUR), max_size=6, unique=True)))
            for begin, end in zip(at[::2], at[1::2], strict=False):
                state = draw(st.sampled_from(NAMED))
                term = draw(st.sampled_from(list(Term))) if state in {"billed", "kept"} else None
                price = draw(st.integers(0, 3_000_000)) if term else 0
                stretches.append(Stretch(*place, state, term, 1, begin, end, price))
    return draw(st.permutations(stretches)), capacity


WINDOWS = st.tuples(st.integers(0, 2 * MS_PER_HOUR), st.integers(1, 2 * MS_PER_HOUR))


@given(fleets(), WINDOWS, st.sampled_from(["all", "type", "site", "hour", "term"]))
def test_states_sum_to_the_fleet_to_the_millisecond(fleet, window, by):
    stretches, capacity = fleet
    from_ms, to_ms = window[0], window[0] + window[1]
    found = whole(stretches, capacity, from_ms, to_ms)
    rows = utilisation(found, WORTHS, by)
    total = sum(capacity.values()) * (to_ms - from_ms)
    assert sum(sum(row.gpu_ms.values()) for row in rows) == total
    if by != "term":
        assert all(sum(row.gpu_ms.values()) == row.capacity_gpu_ms for row in rows)
    else:
        assert all(row.capacity_gpu_ms == total for row in rows)
    inside = [(max(s.from_ms, from_ms), min(s.to_ms, to_ms), s) for s in stretches]
    money = sum(max(0, e - b) * s.price_micro_usd_per_gpu_hour for b, e, s in inside)
    assert sum(row.rated for row in rows) == money
    for state in NAMED:
        mine = sum(max(0, e - b) for b, e, s in inside if s.state is state)
        assert sum(row.gpu_ms[state] for row in rows) == mine


@given(fleets(), st.lists(st.integers(1, 3 * MS_PER_HOUR - 1), max_size=5))
def test_cuts_of_time_change_no_sum(fleet, cuts):
    stretches, capacity = fleet
    edges = sorted({0, 3 * MS_PER_HOUR, *cuts})
    all_at_once = utilisation(whole(stretches, capacity, 0, 3 * MS_PER_HOUR), WORTHS)[0]
    parts = [
        utilisation(whole(stretches, capacity, begin, end), WORTHS)[0]
        for begin, end in pairwise(edges)
    ]
    assert sum(part.rated for part in parts) == all_at_once.rated
    assert sum(part.cost_rated for part in parts) == all_at_once.cost_rated
    for state in GpuState:
        assert sum(part.gpu_ms[state] for part in parts) == all_at_once.gpu_ms[state]


@given(fleets(), st.data())
def test_a_gpu_in_two_states_is_refused(fleet, data):
    stretches, capacity = fleet
    begin = data.draw(st.integers(0, 3 * MS_PER_HOUR - 1))
    planted = Stretch(*A, GpuState.BILLED, Term.SPOT, capacity[A] + 1, begin, begin + 1)
    with pytest.raises(DataError, match="there are"):
        whole([*stretches, planted], capacity, 0, 3 * MS_PER_HOUR)
    twice = [Stretch(*A, GpuState.BILLED, Term.SPOT, capacity[A], begin, begin + 1)] * 2
    with pytest.raises(DataError, match="there are"):
        whole(twice, capacity, 0, 3 * MS_PER_HOUR)


def test_what_is_no_stretch_and_no_window_is_refused():
    one = Stretch(*A, GpuState.BILLED, Term.SPOT, 1, 5, 4)
    with pytest.raises(DataError, match="from 5 to 4"):
        whole([one], {A: 1}, 0, 10)
    with pytest.raises(DataError, match="not in the fleet"):
        whole([Stretch(*B, GpuState.BILLED, Term.SPOT, 1, 4, 5)], {A: 1}, 0, 10)
    with pytest.raises(InputError, match="later end"):
        whole([], {A: 1}, 10, 10)
    with pytest.raises(InputError, match="h100"):
        utilisation(whole([], {A: 1}, 0, 10), {})


def test_a_table_that_was_computed_by_hand():
    hour = MS_PER_HOUR
    stretches = [
        Stretch(*A, GpuState.BILLED, Term.ON_DEMAND, 4, 0, hour, 2_000_000),
        Stretch(*A, GpuState.BILLED, Term.SPOT, 2, 0, hour, 500_000),
        Stretch(*A, GpuState.KEPT, Term.RESERVED, 1, 0, hour, 1_500_000),
        Stretch(*A, GpuState.HELD, None, 1, 0, hour),
        Stretch(*A, GpuState.BROKEN, None, 1, 0, hour),
    ]
    (row,) = utilisation(whole(stretches, {A: 10}, 0, hour), WORTHS)
    assert row.used_share == pytest.approx(0.7)
    assert row.paid_share == pytest.approx(0.7)
    assert row.dollar_share == pytest.approx((8.0 + 1.0 + 1.5) / 20.0)
    assert row.revenue_usd_per_gpu_hour == pytest.approx(1.05)
    assert row.cost_usd_per_gpu_hour == pytest.approx((10 * 1.0 + 7 * 0.1) / 10)
    # One point of ten GPU-hours is a tenth of one, at 10.5 / 7 dollars less energy.
    assert row.point_usd == pytest.approx(0.1 * (1.5 - 0.1))
    terms = {
        row.key: row for row in utilisation(whole(stretches, {A: 10}, 0, hour), WORTHS, "term")
    }
    assert terms["spot"].paid_share == pytest.approx(0.2)
    assert terms["on_demand"].dollar_share == pytest.approx(0.4)
    assert terms["unsold"].gpu_ms[GpuState.IDLE] == hour


@given(st.integers(0, 10 * MS_PER_HOUR), st.integers(1, 3 * MS_PER_HOUR))
def test_hours_are_cut_without_loss(begin, length):
    one = Stretch(*A, GpuState.BILLED, Term.SPOT, 3, begin, begin + length, 7)
    parts = list(by_hours([one]))
    assert parts[0].from_ms == begin
    assert parts[-1].to_ms == begin + length
    assert sum(part.rated for part in parts) == one.rated
    assert all(p.from_ms // MS_PER_HOUR == (p.to_ms - 1) // MS_PER_HOUR for p in parts)


def test_why_gpus_are_stranded():
    fabrics = np.array([0, 0, 0, 1])
    free = np.array([0xFF, 0xFF, 0x0E, 0xFF], np.uint16)
    assert stranded(free, fabrics, 8, []).gpu_count == 0
    two = stranded(free, fabrics, 8, [16])
    # The part of a node, and the one whole node of the second fabric.
    assert (two.in_part, two.too_few) == (3, 8)
    assert stranded(free, fabrics, 8, [16, 2]).in_part == 1
    assert stranded(free, fabrics, 8, [1]).gpu_count == 0
    assert stranded(free, fabrics, 8, [32]).gpu_count == 27


@given(
    st.lists(st.integers(0, 255), min_size=1, max_size=6),
    st.lists(st.sampled_from([1, 2, 4, 8, 16, 24]), min_size=1, max_size=3),
)
def test_who_asks_for_more_sizes_strands_no_more(masks, asked):
    free = np.array(masks, np.uint16)
    fabrics = np.zeros(len(masks), np.int64)
    counts = [stranded(free, fabrics, 8, asked[:n]).gpu_count for n in range(1, len(asked) + 1)]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] <= int(np.bitwise_count(free).sum())
