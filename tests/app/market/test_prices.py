"""Goal: what a price or the calendar says of a later start is true: it can be booked, none earlier.

Method: reservations fill parts of a site; the start that is named is then booked, and every
earlier one asked for, for cases at hand and for calendars that hypothesis draws.
"""

from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from market_site import FLEET, FLOOR, GPUS, NOW_S, ON_DEMAND, A, B, open_site

from gigawatt.app.market.capacity import capacity_view
from gigawatt.app.market.offers import Offers, PriceWish, make_offers
from gigawatt.errors import NoCapacityError
from gigawatt.fleet.model import Fleet
from gigawatt.ids import TenantId
from gigawatt.intent.amounts import minute_words
from gigawatt.intent.prices import GpuPrice, PriceQuestion, Prices
from gigawatt.intent.request import ClusterRequest
from gigawatt.intent.reservation import ReservationRequest
from gigawatt.intent.term import Term
from gigawatt.market.rates import Rate, RateCard
from gigawatt.units import DAY_S, HOUR_S


def priced(site, **wish) -> Offers:
    """What ``gw price`` says of a day of 64 GPUs."""
    asked = PriceWish(tenant_id=A, gpu_count=64, gpu_type="h100", duration_s=DAY_S)
    pricing = CardOf(FLEET)
    room = site.market.reservations.room()
    return make_offers(site.admission, pricing, replace(asked, **wish), room)


class CardOf:
    """The test's rate card as a ``Pricing``."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet

    def card(self, _tenant_id: TenantId, term: Term) -> RateCard:
        rows = {Term.ON_DEMAND: ON_DEMAND, Term.SPOT: FLOOR}
        return RateCard([Rate("h100", term, rows[term], NOW_S)] if term in rows else [])

    def prices(self, card: RateCard, question: PriceQuestion, _month_count: int = 0) -> Prices:
        price = card.rates[0].price_micro_usd_per_gpu_hour
        return Prices(question.term, {("h100", "site-a"): GpuPrice(price, "card")})


def test_a_price_with_a_later_start_is_what_the_calendar_says(site):
    """Half is promised for a day from tomorrow on, and on demand holds nothing."""
    taken = site.reserve(96, DAY_S, DAY_S)
    free = priced(site)
    assert (free.first.term, free.first.is_free_now) == (Term.ON_DEMAND, True)
    assert all(offer.month_count or offer.term is not Term.RESERVED for offer in free.others)
    for in_s, starts_s in (
        (DAY_S, taken.clear_until_s),
        (DAY_S / 2, taken.clear_until_s),
        (3 * DAY_S, NOW_S + 3 * DAY_S),
    ):
        found = priced(site, from_s=NOW_S + in_s)
        assert found.first.is_free_now is None
        (block,) = (o for o in found.others if o.term is Term.RESERVED)
        assert block.starts_s == starts_s
        assert block.price.price_micro_usd_per_gpu_hour == ON_DEMAND
        totals = [o.total_micro_usd(DAY_S) for o in found.others]
        assert totals == sorted(totals)


def test_what_is_not_free_now_can_be_reserved_for_later_if_the_calendar_says_so(site):
    site.launch(ClusterRequest(B, "lent", 128, "h100", is_lent=True))
    found = priced(site)
    assert found.first.is_free_now is False
    (block,) = (o for o in found.others if o.term is Term.RESERVED)
    lead_s = site.control.notice_policy.lead_s
    assert block.starts_s == site.clock.at_s + lead_s
    refused = ClusterRequest(A, "mine", 64, "h100")
    with pytest.raises(NoCapacityError) as error, site.admission.recorded(refused, "plan", "x"):
        site.control.plan_create(refused)
    said = minute_words(block.starts_s)
    assert f"the same of h100 for 24 h from {said}, reserved" in error.value.would_fit
    # Somebody who has no end: nothing is known, so nothing is said.
    with open_site() as other:
        other.launch(ClusterRequest(B, "there", 128, "h100"))
        found = priced(other)
        (block,) = (o for o in found.others if o.term is Term.RESERVED)
        assert (block.starts_s, block.is_free_now) == (None, None)
        with (
            pytest.raises(NoCapacityError) as error,
            other.admission.recorded(refused, "plan", "x"),
        ):
            other.control.plan_create(refused)
        assert not any("reserved" in sentence for sentence in error.value.would_fit)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    taken=st.lists(
        st.tuples(GPUS, st.sampled_from([1, 5, 24, 30]), st.sampled_from([1, 12, 36])), max_size=5
    ),
    gpus=GPUS,
    in_h=st.sampled_from([0, 3, 24, 50]),
    hours=st.sampled_from([1, 24, 100]),
)
def test_the_start_that_a_price_names_can_be_booked_and_no_earlier_one(taken, gpus, in_h, hours):
    with open_site() as site:
        for count, in_hours, length in taken:
            with suppress(NoCapacityError):
                site.reserve(count, in_hours * HOUR_S, length * HOUR_S)
        wish = {"gpu_count": gpus, "term": Term.RESERVED, "duration_s": hours * HOUR_S}
        first = priced(site, from_s=NOW_S + in_h * HOUR_S, **wish).first
        assert first.starts_s is not None
        for early_s in range(in_h, int((first.starts_s - NOW_S) // HOUR_S)):
            with pytest.raises(NoCapacityError):
                site.reserve(gpus, early_s * HOUR_S, hours * HOUR_S)
        booked = site.reserve(gpus, first.starts_s - NOW_S, hours * HOUR_S)
        assert booked.promise.from_s == first.starts_s
        assert booked.price_micro_usd_per_gpu_hour == first.price.price_micro_usd_per_gpu_hour


def test_the_view_says_when_there_is_room(site):
    """Half is promised for a day from tomorrow on: all of it could start after that."""
    reservation = site.reserve(64, DAY_S, DAY_S)
    room = site.market.reservations.room()

    def starts(gpu_count: int, hours: float) -> float | None:
        wish = ReservationRequest(A, "v", gpu_count, "h100", None, hours * HOUR_S)
        return capacity_view(room, wish).starts_s

    assert starts(128, 12) == NOW_S
    assert starts(64, 48) == NOW_S
    assert starts(128, 48) == reservation.clear_until_s
    cluster_id = site.launch(ClusterRequest(A, "there", 8, "h100"))
    assert site.store.cluster(cluster_id).target.members[0].node_id not in (
        reservation.promise.node_ids
    )
    room = site.market.reservations.room()
    assert starts(128, 48) is None
    wish = ReservationRequest(A, "v", 64, "h100", None, 48 * HOUR_S)
    counts = [window.free_gpu_count for window in capacity_view(room, wish).windows]
    assert counts == [56, 120]
