"""Goal: a plan binds what GPUs cost, refuses what is dearer than was said, and keeps promises.

Method: plans from a real fleet of two sites or two types with prices that the tests make up, judged
by the independent checker, and read back from JSON that was written before prices were bound.
"""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gigawatt.errors import ImpossibleError, InputError
from gigawatt.fleet.demo import hgx_fleet, mixed_fleet
from gigawatt.ids import ClusterId, PlanId, ReservationId, TenantId
from gigawatt.intent.prices import LIST_PRICES, GpuPrice, Prices
from gigawatt.intent.request import ClusterRequest, check_request
from gigawatt.intent.term import Term
from gigawatt.interfaces.codec import plan_from_json, plan_to_json
from gigawatt.planner.check import check_plan
from gigawatt.planner.check_prices import check_prices
from gigawatt.planner.launch import PlanIds, plan_launch
from gigawatt.planner.price import price_of
from gigawatt.planner.resize import plan_grow, plan_replace, plan_shrink
from gigawatt.planner.snapshot import Snapshot

FLEET = hgx_fleet(128)
SITE = FLEET.sites.ids[0]
EMPTY = Snapshot(FLEET, 1, FLEET.full_gpu_mask_of_node.astype(np.uint16), {}, {}, {})
MIXED = mixed_fleet()
ALL_FREE = Snapshot(MIXED, 1, MIXED.full_gpu_mask_of_node.astype(np.uint16), {}, {}, {})
IDS = PlanIds(PlanId("pln_1"), ClusterId("clu_1"), 1_000.0)
WISH = ClusterRequest(TenantId("ten_a"), "train", 32, gpu_type="h100", spare_count=1)
LISTED = FLEET.node_types[0].price_micro_usd_per_gpu_hour


def at(price: int, term: Term = Term.ON_DEMAND) -> Prices:
    """One price for the type of the fleet."""
    return Prices(term, {("h100", SITE): GpuPrice(price, "card")})


def after(plan, view=EMPTY) -> Snapshot:
    """What the planner sees after a plan was carried out."""
    free = view.free_gpu_mask.copy()
    for member in plan.after.members:
        free[FLEET.node_index(member.node_id)] = 0
    return replace(
        view,
        generation=view.generation + 1,
        free_gpu_mask=free,
        targets={plan.cluster_id: plan.after},
    )


@given(st.integers(0, 10**9))
def test_a_launch_binds_the_price_it_was_given_to_every_gpu_it_holds(price):
    plan = plan_launch(EMPTY, WISH, IDS, prices=at(price))
    assert plan.report.price_micro_usd_per_gpu_hour == price
    assert plan.report.price_basis == "card"
    # Four working nodes and a spare, which is held too.
    assert plan.report.price_micro_usd_per_hour == 5 * 8 * price
    assert {m.price_micro_usd_per_gpu_hour for m in plan.after.members} == {price}
    assert check_plan(EMPTY, plan) == ()
    assert check_prices(FLEET, plan, at(price)) == ()
    assert check_prices(FLEET, plan, at(price + 1)) != ()


def test_without_a_rate_card_the_list_price_is_bound_and_says_so():
    plan = plan_launch(EMPTY, WISH, IDS)
    assert (plan.report.price_micro_usd_per_gpu_hour, plan.report.price_basis) == (LISTED, "list")


@given(st.integers(0, 10_000_000), st.integers(0, 10_000_000))
def test_a_limit_below_the_price_is_refused_and_names_the_price(price, most):
    wish = replace(WISH, price_micro_usd_per_gpu_hour_max=most)
    if price <= most:
        assert plan_launch(EMPTY, wish, IDS, prices=at(price)).after is not None
        return
    with pytest.raises(ImpossibleError) as refused:
        plan_launch(EMPTY, wish, IDS, prices=at(price))
    assert refused.value.is_price
    assert f"${price / 1e6:,.4f}" in str(refused.value)


def test_what_has_no_price_for_a_term_is_not_sold_on_it():
    wish = replace(WISH, term=Term.SPOT, price_micro_usd_per_gpu_hour_max=10**9)
    with pytest.raises(ImpossibleError, match="nobody set a price for h100 spot"):
        plan_launch(EMPTY, wish, IDS, prices=Prices(Term.SPOT))
    spot = plan_launch(EMPTY, wish, IDS, prices=at(900_000, Term.SPOT))
    assert {member.term for member in spot.after.members} == {Term.SPOT}


def test_the_cheapest_type_is_the_cards_not_the_lists():
    """A dear type that a customer has for less is chosen when the customer names none."""
    types = {node_type.gpu_type: node_type for node_type in MIXED.node_types}
    wish = ClusterRequest(TenantId("ten_a"), "any", 8)
    listed = plan_launch(ALL_FREE, wish, IDS).report.gpu_type
    other = next(name for name in sorted(types) if name != listed)
    cheap = Prices(by_place={(other, s): GpuPrice(1, "negotiated") for s in MIXED.sites.ids})
    chosen = plan_launch(ALL_FREE, wish, IDS, prices=cheap)
    assert (chosen.report.gpu_type, chosen.report.price_basis) == (other, "negotiated")


def test_a_limit_keeps_a_request_to_the_sites_that_it_can_afford():
    site = MIXED.sites.ids[0]
    wish = ClusterRequest(TenantId("ten_a"), "x", 8, price_micro_usd_per_gpu_hour_max=5)
    prices = Prices(
        by_place={
            (kind.gpu_type, name): GpuPrice(5 if name == site else 6, "card")
            for kind in MIXED.node_types
            for name in MIXED.sites.ids
        }
    )
    assert plan_launch(ALL_FREE, wish, IDS, prices=prices).after.site_id == site


def test_growth_costs_what_the_card_says_on_the_day_and_nobody_elses_price_moves():
    launch = plan_launch(EMPTY, WISH, IDS, prices=at(100))
    live = after(launch)
    grow = plan_grow(live, 16, IDS, at(300))
    assert check_plan(live, grow) == ()
    assert grow.report.price_micro_usd_per_gpu_hour == 300
    assert grow.report.price_micro_usd_per_hour == 5 * 8 * 100 + 2 * 8 * 300
    shrink = plan_shrink(after(grow, live), 8, IDS)
    assert {m.price_micro_usd_per_gpu_hour for m in shrink.after.members} <= {100, 300}


def test_growth_beyond_what_was_said_at_launch_is_refused():
    wish = replace(WISH, price_micro_usd_per_gpu_hour_max=200)
    live = after(plan_launch(EMPTY, wish, IDS, prices=at(100)))
    with pytest.raises(ImpossibleError, match=r"at most \$0\.0002 was said"):
        plan_grow(live, 8, IDS, at(300))


def test_a_node_that_replaces_another_costs_what_was_promised():
    launch = plan_launch(EMPTY, replace(WISH, spare_count=0), IDS, prices=at(100))
    live = after(launch)
    plan = plan_replace(live, [launch.after.members[1].node_id], IDS)
    assert check_plan(live, plan) == ()
    assert {m.price_micro_usd_per_gpu_hour for m in plan.after.members} == {100}
    assert plan.report.price_micro_usd_per_gpu_hour is None


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"term": Term.SPOT}, "spot needs the highest price"),
        ({"term": Term.RESERVED}, "names no reservation"),
        ({"reservation_id": ReservationId("res_1")}, "names reservation 'res_1' and is on_demand"),
        ({"price_micro_usd_per_gpu_hour_max": -1}, "the highest price is -1"),
        ({"price_micro_usd_per_gpu_hour_max": 10**12}, "the highest price is"),
    ],
)
def test_a_wish_that_contradicts_itself_is_refused_by_name(changes, word):
    with pytest.raises(InputError, match=word):
        check_request(replace(WISH, **changes))


NEW_OF_REPORT = {"term", "price_micro_usd_per_gpu_hour", "price_basis"}
NEW_OF_TARGET = {"term", "price_micro_usd_per_gpu_hour_max", "reservation_id"}
NEW_OF_MEMBER = {"term", "price_micro_usd_per_gpu_hour"}


def test_a_plan_that_was_kept_before_prices_were_bound_still_holds_at_the_list_price():
    plan = plan_launch(EMPTY, WISH, IDS, prices=LIST_PRICES)
    document = json.loads(plan_to_json(plan))
    for name in NEW_OF_REPORT:
        del document["report"][name]
    for name in NEW_OF_TARGET:
        del document["after"][name]
    for member in document["after"]["members"]:
        for name in NEW_OF_MEMBER:
            del member[name]
    old = plan_from_json(json.dumps(document))
    assert check_plan(EMPTY, old) == ()
    assert price_of(FLEET, old.after.members) == plan.report.price_micro_usd_per_hour
    assert plan_from_json(plan_to_json(old)) == old
