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
from gigawatt.market.rates import Rate, RateCard, RateQuestion

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
