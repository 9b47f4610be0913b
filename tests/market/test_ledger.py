"""The ledger.

Goal: books that always balance and in which nothing can be changed unseen.
Method: random entries, every kind of tampering, and beancount as the judge of the export.
"""

from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gigawatt.errors import DataError, InputError
from gigawatt.market.ledger import (
    Draft,
    LedgerEntry,
    Posting,
    append,
    balances,
    check_books,
    reversal,
    to_beancount,
)

ACCOUNTS = ["Assets:Receivable:Org-1", "Income:Gpu", "Liabilities:Tax", "Equity:Credits"]
AMOUNTS = st.integers(1, 10**12) | st.integers(-(10**12), -1)


@st.composite
def drafts(draw):
    names = draw(st.lists(st.sampled_from(ACCOUNTS), min_size=1, max_size=3))
    rows = [Posting(name, draw(AMOUNTS)) for name in names]
    rest = -sum(p.amount_micro_usd for p in rows)
    day = draw(st.dates(date(2000, 1, 1), date(2099, 12, 31))).isoformat()
    closing = (
        [Posting("Assets:Cash", rest)]
        if rest
        else [Posting("Assets:Cash", 1), Posting("Income:Gpu", -1)]
    )
    return Draft("", day, draw(st.text("ab \"\\'é", max_size=8)), (*rows, *closing))


def books(found) -> list[LedgerEntry]:
    entries: list[LedgerEntry] = []
    for number, draft in enumerate(found):
        last = entries[-1] if entries else None
        entries.append(append(last, replace(draft, entry_id=f"e{number}")))
    return entries


@given(st.lists(drafts(), max_size=6))
def test_books_are_whole_and_sum_to_zero(found):
    entries = books(found)
    assert check_books(entries) == (entries[-1] if entries else None)
    assert sum(balances(entries).values()) == 0


@given(st.lists(drafts(), min_size=2, max_size=5), st.data())
def test_tampering_is_found(found, data):
    entries = books(found)
    place = data.draw(st.integers(0, len(entries) - 1))
    entry = entries[place]
    first, *others = entry.draft.postings
    more = replace(first, amount_micro_usd=first.amount_micro_usd + 1)
    changes = [
        [
            *entries[:place],
            replace(entry, draft=replace(entry.draft, memo="x" + entry.draft.memo)),
            *entries[place + 1 :],
        ],
        [
            *entries[:place],
            replace(entry, draft=replace(entry.draft, postings=(more, *others))),
            *entries[place + 1 :],
        ],
        [*entries[: place + 1], *entries[place:]],
        [*entries[:place], *entries[place + 1 :], entry]
        if place + 1 < len(entries)
        else entries[1:],
    ]
    for changed in changes:
        with pytest.raises(DataError):
            check_books(changed)


@given(drafts())
def test_a_reversal_takes_all_of_it_back(draft):
    (entry,) = books([draft])
    back = append(entry, reversal(entry, draft.date, "a mistake"))
    assert set(balances([entry, back]).values()) == {0}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"currency": "EUR"}, "currency"),
        ({"date": "2026-02-30"}, "date"),
        ({"date": "0026-1-1"}, "date"),
        ({"postings": (Posting("Assets:Cash", 1),)}, "two or more"),
        ({"postings": (Posting("Assets:Cash", 1), Posting("Income:Gpu", -2))}, "sum to -1"),
        ({"postings": (Posting("cash", 1), Posting("Income:Gpu", -1))}, "no account"),
        ({"postings": (Posting("Assets:Cash", 0), Posting("Income:Gpu", 0))}, "moves 0"),
        ({"postings": (Posting("Assets:Cash", 10**19), Posting("Income:Gpu", -(10**19)))}, "moves"),
        ({"date": "2026-05-31"}, "closed up to 2026-06"),
    ],
)
def test_what_does_not_belong_in_the_books_is_refused(change, why):
    good = Draft("e", "2026-07-01", "", (Posting("Assets:Cash", 5), Posting("Income:Gpu", -5)))
    append(None, good, "2026-06")
    with pytest.raises(InputError, match=why):
        append(None, replace(good, **change), "2026-06")


@given(st.lists(drafts(), min_size=1, max_size=5))
def test_beancount_agrees(found):
    loader = pytest.importorskip("beancount.loader")
    entries = books(found)
    rows, errors, _ = loader.load_string(to_beancount(entries))
    assert not errors
    theirs: dict[str, int] = {}
    for row in rows:
        for posting in getattr(row, "postings", ()):
            amount = int(posting.units.number * 1_000_000)
            theirs[posting.account] = theirs.get(posting.account, 0) + amount
    assert theirs == balances(entries)
