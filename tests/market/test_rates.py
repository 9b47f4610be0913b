"""Rate cards.

Goal: one question has one answer, the most particular there is.
Method: examples of each kind of particularity, random order of rows, and a refusal for each rule.
"""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gigawatt.errors import InputError
from gigawatt.identity.accounts import OrganisationId
from gigawatt.ids import SiteId
from gigawatt.intent.term import Term
from gigawatt.market.demo_card import NOTE, demo_rates
from gigawatt.market.rates import (
    BACKDATED_S_MAX,
    Rate,
    RateCard,
    RateQuestion,
    check_new_rates,
)

AT = 1_800_000_000.0
LIST = Rate("h100", Term.ON_DEMAND, 2_990_000, AT)
QUESTION = RateQuestion("h100", Term.ON_DEMAND, SiteId("site-a"), None, 8, 0, AT + 1)
BETTER = [
    replace(LIST, valid_from_s=AT + 1),
    replace(LIST, gpu_count_min=8),
    replace(LIST, site_id=SiteId("site-a")),
    replace(LIST, organisation_id=OrganisationId("org_a")),
]
OF_NO_USE = [
    replace(LIST, valid_from_s=AT + 2),
    replace(LIST, gpu_count_min=9),
    replace(LIST, site_id=SiteId("site-b")),
    replace(LIST, organisation_id=OrganisationId("org_b")),
    replace(LIST, gpu_type="b200"),
    replace(LIST, term=Term.SPOT),
    replace(LIST, term=Term.RESERVED, month_count_min=1),
]


@pytest.mark.parametrize("better", BETTER)
def test_the_more_particular_row_answers(better):
    question = replace(QUESTION, organisation_id=OrganisationId("org_a"))
    better = replace(better, price_micro_usd_per_gpu_hour=1)
    assert RateCard([LIST, better, *OF_NO_USE]).rate(question) == better


@given(st.permutations([LIST, *BETTER, *OF_NO_USE]))
def test_the_order_of_rows_does_not_matter(rows):
    question = replace(QUESTION, organisation_id=OrganisationId("org_a"))
    assert RateCard(rows).rate(question) == BETTER[-1]


def test_a_longer_term_costs_what_its_row_says():
    rows = [
        replace(LIST, term=Term.RESERVED, month_count_min=m, price_micro_usd_per_gpu_hour=p)
        for m, p in [(1, 2_500_000), (12, 2_200_000), (36, 1_900_000)]
    ]
    question = replace(QUESTION, term=Term.RESERVED, month_count=24)
    assert RateCard(rows).rate(question).price_micro_usd_per_gpu_hour == 2_200_000


def test_without_a_row_there_is_no_price_rather_than_zero():
    with pytest.raises(InputError, match="nobody set a price"):
        RateCard([LIST]).rate(replace(QUESTION, gpu_type="b200"))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"price_micro_usd_per_gpu_hour": -1}, "price"),
        ({"price_micro_usd_per_gpu_hour": 10**12}, "price"),
        ({"currency": "EUR"}, "currency"),
        ({"valid_from_s": 5.0}, "valid from"),
        ({"gpu_count_min": 0}, "GPUs"),
        ({"gpu_count_min": 10**9}, "GPUs"),
        ({"valid_to_s": AT - 1}, "before it begins"),
        ({"month_count_min": 1}, "months"),
        ({"term": Term.RESERVED}, "months"),
        ({"term": Term.RESERVED, "month_count_min": 61}, "months"),
    ],
)
def test_a_row_that_is_none_is_refused(change, why):
    with pytest.raises(InputError, match=why):
        RateCard([LIST, replace(LIST, **change)])


def test_two_rows_for_one_question_are_refused():
    with pytest.raises(InputError, match="rows 1 and 2"):
        RateCard([LIST, replace(LIST, price_micro_usd_per_gpu_hour=1)])


def test_a_newer_row_counts_from_its_moment_on_and_an_ended_one_leaves_nothing():
    """What was in force before it does not come back, and a wider row answers instead."""
    mine = replace(LIST, organisation_id=OrganisationId("org_a"), price_micro_usd_per_gpu_hour=9)
    newer = replace(mine, valid_from_s=AT + 100, valid_to_s=AT + 200)
    card = RateCard([LIST, mine, newer])
    question = replace(QUESTION, organisation_id=OrganisationId("org_a"))
    assert card.rate(replace(question, at_s=AT + 99)) == mine
    assert card.rate(replace(question, at_s=AT + 199)) == newer
    assert card.rate(replace(question, at_s=AT + 200)) == LIST


@given(
    st.lists(
        st.builds(
            Rate,
            gpu_type=st.sampled_from(["h100", "b200"]),
            term=st.just(Term.ON_DEMAND),
            price_micro_usd_per_gpu_hour=st.integers(0, 10**7),
            valid_from_s=st.integers(0, 5).map(lambda n: AT + n),
            site_id=st.sampled_from([None, SiteId("site-a"), SiteId("site-b")]),
            organisation_id=st.sampled_from([None, OrganisationId("org_a"), OrganisationId("b")]),
            gpu_count_min=st.sampled_from([1, 8, 64]),
            valid_to_s=st.sampled_from([None, AT + 5, AT + 9]),
        ),
        unique_by=lambda rate: (*rate.kind, rate.valid_from_s),
        max_size=12,
    ),
    st.randoms(use_true_random=False),
    st.integers(0, 10),
    st.sampled_from([1, 8, 100]),
)
def test_no_order_of_rows_changes_an_answer_and_nobody_gets_anothers_price(
    rows, random, later_s, gpu_count
):
    question = replace(
        QUESTION,
        at_s=AT + later_s,
        gpu_count=gpu_count,
        organisation_id=OrganisationId("org_a"),
    )
    shuffled = list(rows)
    random.shuffle(shuffled)
    found = RateCard(rows).find(question)
    assert RateCard(shuffled).find(question) == found
    if found is not None:
        assert found.organisation_id in {None, question.organisation_id}
        assert found.site_id in {None, question.site_id}
        assert found.gpu_count_min <= gpu_count
        assert found.valid_from_s <= question.at_s < (found.valid_to_s or float("inf"))


def test_a_row_that_would_have_been_in_force_before_it_was_set_is_refused():
    check_new_rates([LIST], AT + BACKDATED_S_MAX)
    with pytest.raises(InputError, match="in force since 2027-01-15 08:00:00 UTC"):
        check_new_rates([LIST], AT + BACKDATED_S_MAX + 1)


def test_the_illustrative_card_is_a_card_and_says_what_it_is():
    rows = demo_rates({"h100": 2_500_000, "b200": 4_000_000}, AT)
    card = RateCard(rows)
    assert card.rate(QUESTION).price_micro_usd_per_gpu_hour == 2_500_000
    assert card.rate(replace(QUESTION, gpu_count=256)).price_micro_usd_per_gpu_hour == 2_375_000
    assert "illustrative" in NOTE
