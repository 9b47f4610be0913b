"""Goal: who reserved gets the nodes that were promised, at the price and until the time said.

Method: reservations of a site of 16 nodes beside spot, clusters on demand and on loan, through
their start and their end; wrong dates, lengths, counts and prices are asked for by name.
"""

import pytest
from market_site import NOW_S, ON_DEMAND, A, B, of

from gigawatt.errors import ImpossibleError, InputError, NoCapacityError, QuotaError
from gigawatt.identity.accounts import OrganisationId, Project
from gigawatt.ids import ReservationId, TenantId
from gigawatt.intent.request import ClusterRequest
from gigawatt.intent.reservation import ReservationRequest
from gigawatt.intent.term import Term
from gigawatt.planner.phases import ENDED, Phase
from gigawatt.units import DAY_S, HOUR_S


def test_the_end_of_ones_own_time_is_never_early(site):
    reservation = site.reserve(32, None, 2 * DAY_S)
    site.launch(of(reservation, "train", 32))
    site.pass_time(DAY_S + HOUR_S, HOUR_S)
    (notice,) = site.notices()
    site.market.spot.answer(notice.notice_id, "saved", "", site.clock.at_s)
    site.pass_time(HOUR_S, 600.0)
    assert [n.state for n in site.notices()] == ["given"]


def test_a_reservation_starts_on_nodes_that_spot_has_left(site):
    site.bid("spot", 128, 1_000_000)
    site.work()
    reservation = site.reserve(64, 3 * HOUR_S, DAY_S)
    site.pass_time(3 * HOUR_S, 300.0)
    held = {node_id for node_id, _ in site.store.snapshot(NOW_S).allocations}
    assert not held & reservation.promise.node_ids
    cluster_id = site.launch(of(reservation, "train", 64))
    target = site.store.cluster(cluster_id).target
    assert {m.node_id for m in target.members} == reservation.promise.node_ids
    assert {m.price_micro_usd_per_gpu_hour for m in target.members} == {0}
    assert len(site.named("spot").target.members) == 8


def test_a_promise_keeps_nobody_off_other_nodes(site):
    """A plan for more nodes than are promised is judged by its own nodes alone."""
    site.reserve(8, None, DAY_S)
    site.launch(ClusterRequest(A, "rest", 120, "h100"))
    assert len(site.named("rest").target.members) == 15


def test_on_demand_keeps_off_promised_nodes_and_on_loan_it_does_not(site):
    site.reserve(120, 8 * HOUR_S, DAY_S)
    with pytest.raises(NoCapacityError):
        site.launch(ClusterRequest(A, "free", 16, "h100"))
    plan = site.control.plan_create(ClusterRequest(A, "loan", 128, "h100", is_lent=True))
    assert plan.report.until_s == NOW_S + 8 * HOUR_S - site.control.notice_policy.clear_s
    assert any("asked back" in reason for reason in plan.report.reasons)
    site.launch(ClusterRequest(A, "loan", 128, "h100", is_lent=True))
    site.pass_time(8 * HOUR_S, 600.0)
    assert len(site.named("loan").target.members) == 1


def test_who_lends_gets_its_nodes_back_when_it_wants_them(site):
    reservation = site.reserve(128, None, 10 * DAY_S, is_lent=True)
    site.bid("spot", 128, 1_000_000)
    site.work()
    assert site.named("spot").phase is Phase.ACTIVE
    with pytest.raises(NoCapacityError):
        site.launch(of(reservation, "train", 32))
    site.wait(of(reservation, "train", 32))
    site.work()
    site.pass_time(900.0, 60.0)
    assert site.named("train").phase is Phase.ACTIVE
    assert len(site.named("spot").target.members) == 12


def test_who_does_not_lend_has_its_nodes_to_itself(site):
    site.reserve(128, None, DAY_S)
    site.bid("spot", 8, 1_000_000)
    site.work()
    assert not site.store.clusters()
    with pytest.raises(NoCapacityError):
        site.launch(ClusterRequest(A, "loan", 8, "h100", is_lent=True))


def test_growth_takes_what_is_paid_for_first_then_growth_room(site):
    reservation = site.reserve(32, None, DAY_S, growth_gpu_count=16)
    cluster_id = site.launch(of(reservation, "train", 24))

    def grow(gpu_count: int) -> tuple[Term, int | None]:
        plan = site.control.plan_grow(cluster_id, gpu_count)
        site.control.commit(plan)
        site.carry_on()
        return plan.report.term, plan.report.price_micro_usd_per_gpu_hour

    assert grow(8) == (Term.RESERVED, 0)
    assert grow(16) == (Term.ON_DEMAND, ON_DEMAND)
    with pytest.raises(NoCapacityError):
        grow(8)
    with pytest.raises(NoCapacityError):
        site.launch(of(reservation, "other", 8))


def test_a_cluster_ends_with_its_reservation_and_is_told_before(site):
    reservation = site.reserve(32, None, 2 * DAY_S)
    cluster_id = site.launch(of(reservation, "train", 32))
    site.pass_time(DAY_S + HOUR_S, HOUR_S)
    (notice,) = site.notices()
    assert (notice.cause, notice.deadline_s) == ("end", reservation.promise.to_s)
    site.pass_time(DAY_S, HOUR_S)
    assert site.store.cluster(cluster_id).phase in ENDED


@pytest.mark.parametrize(
    "wrong",
    [
        {"in_s": -60.0},
        {"in_s": 1e12},
        {"in_s": float("nan")},
        {"length_s": 60.0},
        {"length_s": -DAY_S},
        {"length_s": 100 * 365 * DAY_S},
        {"length_s": float("inf")},
        {"gpu_count": 0},
        {"gpu_count": -8},
        {"gpu_count": 12},
        {"gpu_count": 4},
        {"growth_gpu_count": -8},
        {"price_micro_usd_per_gpu_hour_max": -1},
        {"gpu_type": "h900"},
    ],
)
def test_absurd_reservations_are_refused(site, wrong):
    given = {"gpu_count": 8, "in_s": HOUR_S, "length_s": DAY_S, "gpu_type": "h100", **wrong}
    from_s = site.clock.at_s + given.pop("in_s")
    request = ReservationRequest(B, "block", from_s=from_s, **given)
    with pytest.raises(InputError):
        site.market.reservations.create(request)
    assert site.market.reservations.records.booked(0.0) == ()


def test_a_reservation_costs_no_more_than_was_said_and_no_more_than_is_granted(site):
    with pytest.raises(ImpossibleError, match="costs"):
        site.reserve(8, HOUR_S, DAY_S, price_micro_usd_per_gpu_hour_max=ON_DEMAND - 1)
    site.reserve(8, HOUR_S, DAY_S, price_micro_usd_per_gpu_hour_max=ON_DEMAND)
    small = Project(TenantId("ten_small"), OrganisationId("org"), "s", 16, NOW_S)
    site.admission.directory.add_project(small)
    site.reserve(16, HOUR_S, DAY_S, tenant=small.project_id)
    with pytest.raises(QuotaError):
        site.reserve(8, 2 * HOUR_S, DAY_S, tenant=small.project_id)
    site.reserve(16, 3 * DAY_S, DAY_S, tenant=small.project_id)


def test_one_id_books_once(site):
    wish = ReservationRequest(B, "block", 8, "h100", None, DAY_S)
    drawn = ReservationId("res_drawn")
    first = site.market.reservations.create(wish, None, drawn)
    assert site.market.reservations.create(wish, None, drawn) == first
    assert len(site.market.reservations.records.booked(NOW_S)) == 1
