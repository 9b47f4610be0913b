"""Goal: rows of the rate card are kept for good, and an organisation never sees another's.

Method: a real store on both engines; what it answers is compared with the pure card.
"""

from dataclasses import replace

import pytest

from gigawatt.errors import ConflictError, InputError
from gigawatt.identity.accounts import AccountId, OrganisationId
from gigawatt.ids import SiteId
from gigawatt.intent.term import Term
from gigawatt.interfaces.rates import RateFilter
from gigawatt.market.rates import Rate
from gigawatt.store.rates import open_rate_book

NOW_S = 1_750_000_000.0
OLU, ACME, OTHER = AccountId("acc_olu"), OrganisationId("org_acme"), OrganisationId("org_other")
LIST = Rate("h100", Term.ON_DEMAND, 2_990_000, NOW_S)
OURS = replace(LIST, organisation_id=ACME, price_micro_usd_per_gpu_hour=2_000_000)
THEIRS = replace(LIST, organisation_id=OTHER, price_micro_usd_per_gpu_hour=1_000_000)
EVERYTHING = replace(
    LIST,
    term=Term.RESERVED,
    site_id=SiteId("site-a"),
    organisation_id=ACME,
    gpu_count_min=64,
    month_count_min=12,
    valid_from_s=NOW_S + 0.5,
    valid_to_s=NOW_S + 100.25,
)
SECOND = 1 << 62


def added(store, *rates, now_s=NOW_S):
    book = open_rate_book(store)
    return book, book.add([(rate, "why") for rate in rates], OLU, now_s)


def test_rows_are_read_back_as_they_were_set(store):
    book, records = added(store, LIST, OURS, EVERYTHING)
    assert [record.rate for record in records] == [LIST, OURS, EVERYTHING]
    assert book.page(RateFilter(), SECOND, 10) == tuple(reversed(records))
    assert {record.set_by for record in records} == {OLU}
    assert records[0].note == "why"


def test_nobody_sees_a_row_of_another_organisation(store):
    book, _ = added(store, LIST, OURS, THEIRS)
    assert set(book.rates(ACME, Term.ON_DEMAND)) == {LIST, OURS}
    assert book.rates(None, Term.ON_DEMAND) == (LIST,)
    seen = book.page(RateFilter(seen_by=ACME), SECOND, 10)
    assert {record.rate.organisation_id for record in seen} == {None, ACME}
    assert book.page(RateFilter(seen_by=ACME, organisation_id=OTHER), SECOND, 10) == ()


def test_pages_go_from_new_to_old_without_a_gap(store):
    rows = [replace(LIST, valid_from_s=NOW_S + number) for number in range(7)]
    book, records = added(store, *rows)
    found, before = [], SECOND
    while page := book.page(RateFilter(gpu_type="h100", term=Term.ON_DEMAND), before, 3):
        found.extend(page)
        before = page[-1].sequence
    assert found == list(reversed(records))


def test_a_second_row_of_a_kind_from_the_same_moment_is_refused_and_nothing_is_kept(store):
    book, _ = added(store, LIST)
    dearer = replace(LIST, price_micro_usd_per_gpu_hour=9)
    with pytest.raises(ConflictError, match="row 2"):
        book.add([(OURS, ""), (dearer, "")], OLU, NOW_S)
    assert book.rates(ACME, Term.ON_DEMAND) == (LIST,)


def test_a_row_that_begins_in_the_past_or_is_none_changes_nothing(store):
    book, _ = added(store, LIST)
    late = replace(LIST, valid_from_s=NOW_S - 301)
    for bad, why in ((late, "in force since"), (replace(OURS, currency="EUR"), "EUR")):
        with pytest.raises(InputError, match=why):
            book.add([(OURS, ""), (bad, "")], OLU, NOW_S)
    assert book.rates(ACME, Term.ON_DEMAND) == (LIST,)
