"""Spot rounds and preemption.

Goal: nobody pays more than they said, nobody who would have paid more is left out, and no cluster
is stopped that need not be.
Method: the promises as properties over random bids; the choice of victims against trying all.
"""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gigawatt.errors import InputError, NoCapacityError
from gigawatt.market.spot import SpotBid, clear_spot
from gigawatt.market.victims import SpotHolding, choose_victims, harm_gpu_s

BIDS = st.lists(
    st.tuples(st.integers(1, 40), st.integers(0, 9), st.integers(0, 3)), max_size=12
).map(lambda rows: [SpotBid(f"b{i}", g, p, float(t)) for i, (g, p, t) in enumerate(rows)])


@given(BIDS, st.integers(0, 80), st.integers(0, 5))
def test_a_round_clears(bids, gpu_count, floor):
    ended = clear_spot(bids, gpu_count, floor)
    by_id = {bid.bid_id: bid for bid in bids}
    price = ended.price_micro_usd_per_gpu_hour
    sold = sum(by_id[name].gpu_count for name in ended.winners)
    assert sorted([*ended.winners, *ended.losers]) == sorted(by_id)
    assert sold + ended.unsold_gpu_count == gpu_count
    assert price >= floor
    assert all(by_id[name].price_micro_usd_per_gpu_hour_max >= price for name in ended.winners)
    assert all(
        by_id[name].price_micro_usd_per_gpu_hour_max <= price or by_id[name].gpu_count > gpu_count
        for name in ended.losers
    )


@given(BIDS, st.integers(0, 80), st.integers(0, 5))
def test_the_order_of_bids_does_not_matter(bids, gpu_count, floor):
    assert clear_spot(bids, gpu_count, floor) == clear_spot(bids[::-1], gpu_count, floor)


@given(BIDS.filter(bool), st.integers(0, 80), st.integers(0, 5), st.integers(1, 5))
def test_a_higher_bid_never_loses_what_a_lower_one_won(bids, gpu_count, floor, more):
    first = bids[0]
    raised = SpotBid(
        first.bid_id,
        first.gpu_count,
        first.price_micro_usd_per_gpu_hour_max + more,
        first.since_s,
    )
    before = clear_spot(bids, gpu_count, floor)
    after = clear_spot([raised, *bids[1:]], gpu_count, floor)
    assert first.bid_id not in before.winners or first.bid_id in after.winners


def test_without_rivals_the_floor_is_the_price():
    assert clear_spot([SpotBid("a", 8, 900, 0.0)], 8, 100).price_micro_usd_per_gpu_hour == 100


def test_of_equal_bids_the_older_one_wins():
    bids = [SpotBid("young", 8, 500, 2.0), SpotBid("old", 8, 500, 1.0)]
    assert clear_spot(bids, 8, 100).winners == ("old",)


@pytest.mark.parametrize(
    ("bids", "gpu_count", "floor"),
    [
        ([SpotBid("a", 0, 1, 0.0)], 8, 0),
        ([SpotBid("a", 1, -1, 0.0)], 8, 0),
        ([SpotBid("a", 1, 1, 0.0)] * 2, 8, 0),
        ([], -1, 0),
        ([], 1, -1),
    ],
)
def test_what_is_no_round_is_refused(bids, gpu_count, floor):
    with pytest.raises(InputError):
        clear_spot(bids, gpu_count, floor)


HOLDINGS = st.lists(
    st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(0, 50), st.integers(0, 50)),
    min_size=1,
    max_size=4,
).map(
    lambda rows: [
        SpotHolding(f"c{i}", n, min(low, n), 8, float(u), float(r))
        for i, (n, low, u, r) in enumerate(rows)
    ]
)


@given(HOLDINGS, st.integers(1, 128))
def test_victims_do_the_least_harm_of_all_choices(holdings, gpu_count):
    there = sum(h.node_count * h.gpus_per_node for h in holdings)
    if gpu_count > there:
        with pytest.raises(NoCapacityError):
            choose_victims(holdings, gpu_count)
        return
    chosen = choose_victims(holdings, gpu_count)
    options = [[0, *range(1, h.node_count - h.node_count_min + 1), h.node_count] for h in holdings]
    harms = [
        sum(harm_gpu_s(h, n) for h, n in zip(holdings, counts, strict=True) if n)
        for counts in product(*options)
        if sum(n * 8 for n in counts) >= gpu_count
    ]
    assert sum(p.node_count * 8 for p in chosen) >= gpu_count
    assert sum(p.harm_gpu_s for p in chosen) == pytest.approx(min(harms))
    assert len({p.cluster_id for p in chosen}) == len(chosen)


def test_a_cluster_that_can_shrink_is_not_stopped_for_one_node():
    holding = SpotHolding("big", 16, 4, 8, 600.0, 60.0)
    (taken,) = choose_victims([holding], 8)
    assert (taken.node_count, taken.is_whole) == (1, False)
