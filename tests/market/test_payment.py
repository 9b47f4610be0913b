"""Payments and what is owed.

Goal: what is open of invoices, less the credit, is always the balance of the ledger; news lead to
the same state in any order and however often they come; news that do not fit are named.
Method: random invoices, notes and payments, computed again one by one from the rules; every order
of states; one deviation for each rule of ``objection``.
"""

from dataclasses import replace
from itertools import combinations_with_replacement, permutations, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gigawatt.identity.accounts import OrganisationId
from gigawatt.market.closing import receivable
from gigawatt.market.ledger import check_draft
from gigawatt.market.owed import Bill, due_on, owed_of
from gigawatt.market.payment import (
    BANK,
    LIVE,
    Dispute,
    Money,
    News,
    NewsKind,
    Payment,
    PaymentState,
    Refund,
    RefundState,
    chargeback_draft,
    later,
    later_refund,
    money_account,
    objection,
    payment_draft,
    refund_draft,
    refund_failed_draft,
)

ORG = OrganisationId("org_a")
CENT = 10_000
USD = 1_000_000
cents = st.integers(1, 10**9).map(lambda count: count * CENT)


@st.composite
def histories(draw):
    """Totals of invoices, what notes take back, payments for one of them and for none."""
    totals = draw(st.lists(cents, min_size=1, max_size=6))
    noted = [draw(st.integers(0, total // CENT)) * CENT for total in totals]
    paid = [draw(st.lists(cents, max_size=2)) for _ in totals]
    return totals, noted, paid, draw(st.lists(cents, max_size=4))


def books(totals, noted, paid, free):
    """Bills, what names an invoice, and the balance of the ledger."""
    bills = [Bill(f"INV-2026-11-{i:05}", ORG, "2026-11", "", t) for i, t in enumerate(totals)]
    notes = [
        Bill(f"CN-2026-12-{i:05}", ORG, "2026-12", bills[i].invoice_id, -amount)
        for i, amount in enumerate(noted)
        if amount
    ]
    named = {bills[i].invoice_id: sum(sums) for i, sums in enumerate(paid) if sums}
    balance = sum(totals) - sum(noted) - sum(map(sum, paid)) - sum(free)
    return [*bills, *notes], named, balance


@given(histories())
def test_what_is_open_less_the_credit_is_the_balance_of_the_ledger(history):
    bills, named, balance = books(*history)
    owed = owed_of(bills, named, balance, {"2026-11": "2026-12-02"})
    assert owed.balance_micro_usd == balance
    assert owed.credit_micro_usd >= 0
    for bill in owed.bills:
        parts = (bill.credited_micro_usd, bill.paid_micro_usd, bill.open_micro_usd)
        assert min(parts) >= 0
        assert sum(parts) == bill.bill.total_micro_usd
    # Credit is only what no invoice could take.
    if owed.credit_micro_usd:
        assert not any(bill.open_micro_usd for bill in owed.bills)


@given(histories())
def test_what_names_an_invoice_pays_that_one_and_the_rest_the_oldest_first(history):
    totals, noted, paid, free = history
    left = [t - n - sum(p) for t, n, p in zip(totals, noted, paid, strict=True)]
    pot = sum(free) - sum(amount for amount in left if amount < 0)
    wanted = []
    for amount in left:
        taken = min(max(amount, 0), pot)
        pot -= taken
        wanted.append(max(amount, 0) - taken)
    bills, named, balance = books(*history)
    found = owed_of(bills, named, balance, {})
    assert [bill.open_micro_usd for bill in found.bills] == wanted
    assert found.credit_micro_usd == pot


def test_an_invoice_is_overdue_the_day_after_it_was_due_and_never_once_it_is_paid():
    bills, named, balance = books([100 * CENT], [0], [[]], [])
    (bill,) = owed_of(bills, named, balance, {"2026-11": "2026-12-02"}, due_days=30).bills
    assert bill.due_on == due_on("2026-12-02", 30) == "2027-01-01"
    assert [bill.days_overdue(day) for day in ("2027-01-01", "2027-01-02")] == [0, 1]
    paid = replace(bill, open_micro_usd=0)
    assert paid.days_overdue("2030-01-01") == 0


def test_states_are_the_same_in_any_order_and_money_wins():
    for three in combinations_with_replacement(PaymentState, 3):
        ends = [later(later(one, two), last) for one, two, last in permutations(three)]
        assert len({(end in LIVE, end is PaymentState.SETTLED) for end in ends}) == 1
        assert (PaymentState.SETTLED in three) == (ends[0] is PaymentState.SETTLED)
    for one, two in product(RefundState, repeat=2):
        assert later_refund(one, two) is later_refund(two, one)
    assert PaymentState.SETTLED not in LIVE


PAYMENT = Payment(
    "pay_1", ORG, "INV-2026-11-00001", "stripe", 100 * USD, PaymentState.OPEN, 1.0, 1.0,
    page_ref="cs_1", reference="pi_1",
)  # fmt: skip
SETTLED = replace(PAYMENT, state=PaymentState.SETTLED)
REFUND = Refund("rfd_1", "pay_1", 30 * USD, RefundState.PENDING, "x", 1.0, 1.0, reference="re_1")
PAID = News(
    "evt_1", NewsKind.SETTLED, 2.0, 100 * USD, "USD",
    payment_id="pay_1", page_ref="cs_1", reference="pi_1",
)  # fmt: skip
SENT_BACK = replace(
    PAID, kind=NewsKind.REFUND_DONE, amount_micro_usd=30 * USD, page_ref="", object_id="re_2"
)
TAKEN = replace(
    SENT_BACK, kind=NewsKind.DISPUTE_WITHDRAWN, amount_micro_usd=100 * USD, object_id="dp_1"
)
WHOLE = Money(SETTLED, (REFUND,))


@pytest.mark.parametrize(
    ("money", "news", "said"),
    [
        (Money(replace(PAYMENT, provider=BANK)), PAID, "is by bank, not by stripe"),
        (Money(PAYMENT), replace(PAID, currency="EUR"), "it is in 'EUR', and pay_1 is in USD"),
        (Money(PAYMENT), replace(PAID, amount_micro_usd=1 * CENT), "of $0.01, and pay_1 asks $100"),
        (Money(PAYMENT), replace(PAID, amount_micro_usd=101 * USD), "of $101.00, and pay_1 asks"),
        (Money(PAYMENT), replace(PAID, page_ref="cs_2"), "its page is 'cs_2'"),
        (Money(PAYMENT), replace(PAID, reference="pi_2"), "its reference is 'pi_2'"),
        (WHOLE, replace(SENT_BACK, amount_micro_usd=71 * USD), "it refunds $71.00 more of pay_1"),
        (WHOLE, replace(SENT_BACK, object_id="re_1", amount_micro_usd=29 * USD), "rfd_1 is of $30"),
        (WHOLE, replace(SENT_BACK, refund_id="rfd_1", amount_micro_usd=31 * USD), "rfd_1 is of"),
        (WHOLE, replace(SENT_BACK, amount_micro_usd=0), "it refunds $0.00"),
        (WHOLE, replace(TAKEN, amount_micro_usd=101 * USD), "it takes $101.00 back of pay_1"),
        (WHOLE, replace(TAKEN, amount_micro_usd=0), "it takes $0.00 back"),
        (
            Money(SETTLED, (), (Dispute("dp_1", "pay_1", 50 * USD, True, False, 1.0),)),
            TAKEN,
            "it is of $100.00, and was of $50.00",
        ),
    ],
)
def test_news_that_do_not_fit_are_named(money, news, said):
    assert said in (objection(money, "stripe", news) or "")


def test_news_that_fit_pass():
    assert objection(Money(PAYMENT), "stripe", PAID) is None
    assert objection(Money(replace(PAYMENT, page_ref="", reference="")), "stripe", PAID) is None
    assert objection(WHOLE, "stripe", replace(SENT_BACK, amount_micro_usd=70 * USD)) is None
    known = replace(SENT_BACK, refund_id="rfd_1")
    assert objection(WHOLE, "stripe", known) is None
    assert objection(WHOLE, "stripe", TAKEN) is None


def test_what_is_kept_of_a_payment_counts_refunds_and_chargebacks_once():
    done = replace(REFUND, state=RefundState.DONE)
    taken = Dispute("dp_1", "pay_1", 20 * USD, True, False, 1.0)
    money = Money(SETTLED, (done, replace(REFUND, refund_id="rfd_2")), (taken,))
    assert money.kept_micro_usd == 50 * USD
    assert money.refunding_micro_usd == 60 * USD
    returned = replace(taken, is_returned=True)
    assert Money(SETTLED, (), (returned,)).kept_micro_usd == 100 * USD
    assert Money(PAYMENT).kept_micro_usd == 0


def test_every_entry_belongs_in_the_books_and_what_is_undone_sums_to_zero():
    taken = Dispute("dp_1", "pay_1", 20 * USD, True, True, 1.0)
    pairs = [
        (
            refund_draft(SETTLED, REFUND, "2026-12-01"),
            refund_failed_draft(SETTLED, REFUND, "2026-12-02"),
        ),
        (
            chargeback_draft(SETTLED, taken, "2026-12-01", is_return=False),
            chargeback_draft(SETTLED, taken, "2026-12-03", is_return=True),
        ),
    ]
    paid = payment_draft(SETTLED, "2026-12-01")
    assert {p.account: p.amount_micro_usd for p in paid.postings} == {
        "Assets:Clearing:Stripe": 100 * USD,
        receivable(ORG): -100 * USD,
    }
    for draft in (paid, *(one for pair in pairs for one in pair)):
        check_draft(draft)
    for one, two in pairs:
        assert one.entry_id != two.entry_id
        sums = {p.account: p.amount_micro_usd for p in one.postings}
        assert all(sums[p.account] == -p.amount_micro_usd for p in two.postings)
    assert money_account(BANK) == "Assets:Bank"
