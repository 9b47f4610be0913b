"""Closing a month: charges and contracts become invoices and entries of the ledger.

Goal: what is asked is exactly what was used and agreed, once, and the books say the same.
Method: random usages, commitments, credits, minimums and taxes over months; everything is
computed again with fractions, from the inputs alone; beancount judges the books.
"""

from dataclasses import replace
from fractions import Fraction
from math import floor

import pytest
from beancount import loader
from hypothesis import given
from hypothesis import strategies as st

from gigawatt.errors import InputError
from gigawatt.identity.accounts import OrganisationId
from gigawatt.ids import SiteId, TenantId
from gigawatt.market.charge import Charge, ChargeKind, Key, check_charge, sum_charges
from gigawatt.market.closing import Payer, account_word, close
from gigawatt.market.contract import ContractItem, ItemKind, check_item
from gigawatt.market.invoice import (
    LineKind,
    invoice_from,
    invoice_text,
)
from gigawatt.market.ledger import append, balances, check_books, to_beancount
from gigawatt.market.meter import MS_PER_HOUR
from gigawatt.market.month import (
    check_month,
    day_at,
    last_day,
    month_at,
    month_before,
    next_month,
    start_ms,
)
from gigawatt.market.payment import BANK, Payment, PaymentState, payment_draft

ORGS = [OrganisationId("org_a"), OrganisationId("org_b")]
MONTHS = ["2026-11", "2026-12", "2027-01"]

keys = st.builds(
    Key,
    project_id=st.sampled_from([TenantId("ten_1"), TenantId("ten_2")]),
    kind=st.sampled_from(list(ChargeKind)),
    subject_id=st.sampled_from(["clu_1", "clu_2"]),
    tag=st.sampled_from(["", "blue"]),
    item=st.sampled_from(["h100", "b200"]),
    term=st.sampled_from(["on_demand", "spot", ""]),
    site_id=st.sampled_from([SiteId("site-a"), None]),
    unit=st.just("GPU-hour"),
    parts_per_unit=st.sampled_from([MS_PER_HOUR, 1, 7]),
    price_micro_usd=st.integers(0, 10**7),
)
charges = st.builds(
    Charge,
    organisation_id=st.sampled_from(ORGS),
    key=keys,
    quantity_parts=st.integers(0, 10**9),
)


@st.composite
def contracts(draw):
    items = []
    for number in range(draw(st.integers(0, 6))):
        kind = draw(st.sampled_from(list(ItemKind)))
        first, last = sorted(draw(st.tuples(st.sampled_from(MONTHS), st.sampled_from(MONTHS))))
        is_tax = kind is ItemKind.TAX
        item = ContractItem(
            item_id=f"ctr_{number}",
            organisation_id=draw(st.sampled_from(ORGS)),
            kind=kind,
            name=f"{kind.value} {number}",
            amount_micro_usd=0 if is_tax else draw(st.integers(1, 10**13)),
            rate_ppm=draw(st.integers(1, 300_000)) if is_tax else 0,
            from_month=first,
            to_month=last,
        )
        check_item(item)
        items.append(item)
    return items


def rounded(value: Fraction) -> int:
    """Half up, away from zero, by fractions."""
    return floor(value + Fraction(1, 2)) if value >= 0 else -floor(-value + Fraction(1, 2))


class Oracle:
    """The same months, computed again from the inputs, without the product's rules."""

    def __init__(self, items):
        self.items = items
        self.left = {item.item_id: item.amount_micro_usd for item in items}

    def _live(self, org, kind, month):
        found = [
            i
            for i in self.items
            if i.organisation_id == org and i.kind is kind and i.from_month <= month <= i.to_month
        ]
        return sorted(found, key=lambda i: (i.to_month, i.from_month, i.item_id))

    def total(self, org, month, used):
        by_key: dict[Key, Fraction] = {}
        for charge in used:
            if charge.organisation_id == org:
                exact = Fraction(charge.quantity_parts, charge.key.parts_per_unit)
                worth = exact * charge.key.price_micro_usd
                by_key[charge.key] = by_key.get(charge.key, Fraction(0)) + worth
        spent = sum(rounded(value) for value in by_key.values())
        least = sum(i.amount_micro_usd for i in self._live(org, ItemKind.MINIMUM, month))
        owed = max(spent, least)
        for kind in (ItemKind.COMMITMENT, ItemKind.CREDIT):
            for item in self._live(org, kind, month):
                taken = min(owed, self.left[item.item_id])
                self.left[item.item_id] -= taken
                owed -= taken
        commitments = self._live(org, ItemKind.COMMITMENT, month)
        base = owed + sum(i.amount_micro_usd for i in commitments if i.from_month == month)
        taxes = self._live(org, ItemKind.TAX, month)
        whole = base + sum(rounded(Fraction(base * tax.rate_ppm, 10**6)) for tax in taxes)
        return rounded(Fraction(whole, 10_000)) * 10_000


def run(months, items, usages):
    """Close months one after the other: closings, and all entries of the ledger."""
    used: dict[str, int] = {}
    entries, closings = [], []
    for month, charged in zip(months, usages, strict=True):
        payers = [
            Payer(org, org.upper(), {}, [i for i in items if i.organisation_id == org])
            for org in ORGS
        ]
        made = close(month, payers, sum_charges(charged), used)
        for item_id, amount in made.used.items():
            used[item_id] = used.get(item_id, 0) + amount
        closed = months[len(closings) - 1] if closings else ""
        for draft in made.drafts:
            entries.append(append(entries[-1] if entries else None, draft, closed))
        closings.append(made)
    return closings, entries, used


MONTHLY = st.lists(st.lists(charges, max_size=6), min_size=3, max_size=3)


@given(contracts(), MONTHLY)
def test_invoices_are_what_fractions_say_and_the_books_agree(items, usages):
    closings, entries, used = run(MONTHS, items, usages)
    oracle = Oracle(items)
    owed = dict.fromkeys(ORGS, 0)
    for made, charged in zip(closings, usages, strict=True):
        asked = {i.organisation_id: i for i in made.invoices}
        for org in ORGS:
            wanted = oracle.total(org, made.month, charged)
            found = asked[org].total_micro_usd if org in asked else 0
            assert wanted == found
            owed[org] += found
        for invoice in made.invoices:
            assert invoice.total_micro_usd % 10_000 == 0
            assert abs(invoice.sum_micro_usd(LineKind.ROUNDING)) <= 5_000
            parts = invoice.net_micro_usd + invoice.tax_micro_usd
            assert parts + invoice.sum_micro_usd(LineKind.ROUNDING) == invoice.total_micro_usd
    check_books(entries)
    books = balances(entries)
    assert sum(books.values()) == 0
    for org in ORGS:
        word = account_word(org)
        assert books.get(f"Assets:Receivable:{word}", 0) == owed[org]
        unused = sum(
            i.amount_micro_usd - used.get(i.item_id, 0)
            for i in items
            if i.kind is ItemKind.COMMITMENT and i.organisation_id == org
        )
        # All months are over in the end, so what was not drawn was lost, unless it goes on.
        assert books.get(f"Liabilities:Deferred:{word}", 0) == -unused
        assert unused == 0 or any(i.to_month > MONTHS[-1] for i in items)
    for item in items:
        assert 0 <= used.get(item.item_id, 0) <= item.amount_micro_usd


@given(contracts(), MONTHLY)
def test_an_invoice_is_read_back_as_it_was(items, usages):
    for made in run(MONTHS, items, usages)[0]:
        for invoice in made.invoices:
            assert invoice_from(invoice_text(invoice)) == invoice


def one_of_each():
    gpu = Key(
        TenantId("ten_1"), ChargeKind.GPU, "clu_1", "", "h100", "on_demand",
        SiteId("site-a"), "GPU-hour", MS_PER_HOUR, 2_490_000,
    )  # fmt: skip
    used = [Charge(ORGS[0], gpu, 512 * 40 * MS_PER_HOUR + 1)]
    whole = (MONTHS[0], MONTHS[-1])
    items = [
        ContractItem("c", ORGS[0], ItemKind.COMMITMENT, "prepaid", 60_000 * 10**6, 0, *whole),
        ContractItem("d", ORGS[0], ItemKind.CREDIT, "welcome", 1_000 * 10**6, 0, *whole),
        ContractItem("e", ORGS[0], ItemKind.MINIMUM, "least", 40_000 * 10**6, 0, *whole),
        ContractItem("f", ORGS[0], ItemKind.TAX, "VAT 19 %", 0, 190_000, *whole),
    ]
    return items, [used, [], used]


def test_a_contract_over_three_months_as_on_paper():
    """50,995.20 of usage, then nothing, then the same, with 60,000 prepaid and at least 40,000."""
    items, usages = one_of_each()
    closings, _, _ = run(MONTHS, items, usages)
    invoices = [made.invoices[0] for made in closings]
    # 60,000.00 prepaid + 19 %; the usage is drawn from it.
    assert invoices[0].total_micro_usd == 71_400 * 10**6
    # 40,000 at least, 9,004.80 of them prepaid, 1,000 given; 29,995.20 x 1.19.
    assert invoices[1].total_micro_usd == 35_694_290_000
    # 50,995.20 x 1.19 = 60,684.288.
    assert invoices[2].total_micro_usd == 60_684_290_000
    rounding = [i.sum_micro_usd(LineKind.ROUNDING) for i in invoices]
    assert [abs(r) <= 5_000 for r in rounding] == [True] * 3


def test_beancount_takes_the_books():
    items, usages = one_of_each()
    _, entries, _ = run(MONTHS, items, usages)
    transfer = Payment(
        "pay_1", ORGS[0], "", BANK, 71_400 * 10**6, PaymentState.SETTLED, 0.0, 0.0,
        reference="bank-77",
    )  # fmt: skip
    paid = payment_draft(transfer, "2027-02-03")
    entries.append(append(entries[-1], paid, MONTHS[-1]))
    found, errors, _ = loader.load_string(to_beancount(entries))
    assert errors == []
    assert len([e for e in found if type(e).__name__ == "Transaction"]) == len(entries)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"quantity_parts": -1}, "quantity is -1"),
        ({"price_micro_usd": -1}, "price is -1"),
        ({"parts_per_unit": 0}, "has 0 parts"),
        ({"currency": "EUR"}, "'EUR'"),
    ],
)
def test_what_is_no_charge_is_refused_by_name(change, said):
    _, usages = one_of_each()
    good = usages[0][0]
    parts = change.pop("quantity_parts", good.quantity_parts)
    with pytest.raises(InputError, match=f"gpu 'clu_1' of org_a.*{said}"):
        check_charge(Charge(good.organisation_id, replace(good.key, **change), parts))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"amount_micro_usd": 0}, "amount is 0"),
        ({"amount_micro_usd": -5}, "amount is -5"),
        ({"rate_ppm": 1}, "amount is"),
        ({"currency": "EUR"}, "'EUR'"),
        ({"from_month": "2027-02"}, "before it begins"),
        ({"from_month": "2026-10"}, "closed up to 2026-10"),
        ({"to_month": "2027-13"}, "no month"),
        ({"name": "a\nb"}, "printable"),
    ],
)
def test_what_is_no_contract_is_refused(change, said):
    items, _ = one_of_each()
    with pytest.raises(InputError, match=said):
        check_item(replace(items[0], **change), "2026-10")


@pytest.mark.parametrize("change", [{"rate_ppm": 0}, {"rate_ppm": 10**7}, {"amount_micro_usd": 1}])
def test_what_is_no_tax_is_refused(change):
    items, _ = one_of_each()
    with pytest.raises(InputError, match="parts per million"):
        check_item(replace(items[3], **change))


@given(st.integers(0, 4_000_000_000_000 - 1))
def test_months_and_days_follow_each_other_without_a_gap(at_ms):
    at_ms += start_ms("2000-01")
    if month_at(at_ms) > "2099-12":
        return
    month = check_month(month_at(at_ms))
    assert start_ms(month) <= at_ms < start_ms(next_month(month))
    assert month_before(next_month(month)) == month
    assert month + "-01" <= day_at(at_ms) <= last_day(month)
    assert day_at(start_ms(next_month(month)) - 1) == last_day(month)


@pytest.mark.parametrize("text", ["2026-13", "26-11", "2026-1", "1999-12", "2026-11-01", ""])
def test_what_is_no_month_is_refused(text):
    with pytest.raises(InputError, match="no month"):
        check_month(text)
