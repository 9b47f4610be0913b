"""Payouts in the books.

Goal: what a provider sent to the bank is in the ledger once, with the fees that it kept, and the
clearing account empties; what our books do not know, or know otherwise, is told by name and
nothing of it is entered.
Method: payments, refunds and disputes are taken into the store of this room's fixtures, and payouts
of them are told: right ones, twice, at once, and ones with one thing wrong.
"""

from dataclasses import replace
from datetime import datetime
from threading import Thread

import pytest
from beancount import loader
from hypothesis import given
from hypothesis import strategies as st

from gigawatt.identity.accounts import OrganisationId
from gigawatt.interfaces.payments import Page
from gigawatt.market.closing import receivable
from gigawatt.market.ledger import balances, to_beancount
from gigawatt.market.payment import News, NewsKind, Payment, PaymentState
from gigawatt.market.payout import (
    Known,
    Payout,
    PayoutLine,
    PayoutLineKind,
    PayoutState,
    payout_drafts,
    payout_objection,
)
from gigawatt.store.billing import open_billing
from gigawatt.store.payments import open_payments_book
from gigawatt.store.payouts import open_payouts_book

ACME = OrganisationId("org_acme")
USD = 1_000_000
NOW_S = datetime.fromisoformat("2026-12-03T12:00:00+00:00").timestamp()


def settle(store, number, amount=100 * USD):
    book, name = open_payments_book(store), f"pay_{number}"
    book.ask(
        Payment(
            name, ACME, f"INV-2026-11-{number:05}", "stripe", amount, PaymentState.ASKED, NOW_S,
            NOW_S,
        )
    )  # fmt: skip
    book.note_page(name, Page(f"cs_{number}", "https://x", NOW_S + 9), NOW_S)
    tell(store, number, NewsKind.SETTLED, amount)


def tell(store, number, kind, amount, object_id=""):
    told = News(
        f"evt_{kind}_{number}_{object_id}", kind, NOW_S, amount, "USD", f"pay_{number}",
        reference=f"pi_{number}", object_id=object_id,
    )  # fmt: skip
    event = open_payments_book(store).take("stripe", told, NOW_S)
    assert event.verdict == "applied", event.reason


def line(number, amount=100 * USD, fee=3 * USD, kind=PayoutLineKind.PAYMENT, **more):
    facts = {"reference": f"pi_{number}", **more}
    return PayoutLine(f"txn_{number}_{kind}", kind, amount, fee, amount - fee, "USD", **facts)


def payout(lines, name="po_1", state=PayoutState.PAID, **more):
    total = sum(one.net_micro_usd for one in lines)
    return replace(Payout("stripe", name, total, "USD", state, NOW_S), **more)


def moved(store):
    return {k: v for k, v in balances(open_billing(store).entries()).items() if v}


def test_what_came_is_in_the_bank_less_the_fees_and_nothing_is_left_in_clearing(store, tmp_path):
    settle(store, 1)
    settle(store, 2, 50 * USD)
    tell(store, 1, NewsKind.REFUND_DONE, 20 * USD, "re_1")
    tell(store, 2, NewsKind.DISPUTE_WITHDRAWN, 50 * USD, "dp_1")
    tell(store, 2, NewsKind.DISPUTE_RETURNED, 50 * USD, "dp_1")
    lines = [
        line(1),
        line(2, 50 * USD, 2 * USD),
        line(1, -20 * USD, 0, PayoutLineKind.REFUND, object_id="re_1"),
        line(2, -50 * USD, 15 * USD, PayoutLineKind.DISPUTE, object_id="dp_1"),
        line(2, 50 * USD, 0, PayoutLineKind.DISPUTE_RETURNED, object_id="dp_1"),
        line(0, -1 * USD, 0, PayoutLineKind.FEE, reference=""),
    ]
    book = open_payouts_book(store)
    assert book.clearing_micro_usd("stripe") == 130 * USD
    found = book.take(payout(lines), lines, NOW_S)
    assert (found.verdict, found.fee_micro_usd, found.line_count) == ("entered", 21 * USD, 6)
    assert moved(store) == {
        "Assets:Bank": 109 * USD,
        "Expenses:Fees:Stripe": 21 * USD,
        receivable(ACME): -130 * USD,
    }
    assert book.clearing_micro_usd("stripe") == 0
    assert book.take(payout(lines), lines, NOW_S + 9) == found
    assert book.newest(9) == (found,)
    path = tmp_path / "books.beancount"
    path.write_text(to_beancount(open_billing(store).entries()))
    assert loader.load_file(str(path))[1] == []
    assert open_billing(store).check().fault is None


GOOD = (line(1), line(1, -20 * USD, 0, PayoutLineKind.REFUND, object_id="re_1"))


def with_line(**change):
    return (replace(GOOD[0], **change), GOOD[1])


@pytest.mark.parametrize(
    ("lines", "change", "said"),
    [
        (GOOD, {"currency": "EUR"}, "it is in 'EUR', and the books are in USD"),
        (GOOD, {"amount_micro_usd": 80 * USD}, "come to $77.00, and $80.00 were sent"),
        (GOOD, {"is_itemised": False}, "does not say what it is made of"),
        (GOOD[:1] * 2, {}, "it names a line twice"),
        (with_line(currency="EUR"), {}, "txn_1_payment: it is in 'EUR'"),
        (with_line(net_micro_usd=98 * USD), {}, "$100.00 less a fee of $3.00 is not $98.00"),
        (with_line(reference="pi_9"), {}, "it is of 'pi_9', which is not here"),
        (with_line(reference=""), {}, "which is not here"),
        (
            with_line(amount_micro_usd=101 * USD, net_micro_usd=98 * USD),
            {},
            "it moves $101.00, and payment pay_1 moved $100.00",
        ),
        (with_line(kind=PayoutLineKind.OTHER, said="topup"), {}, "the books know no 'topup'"),
        (with_line(reference="pi_2"), {}, "the books have no payment pay_2 that is done"),
        (
            (GOOD[0], replace(GOOD[1], object_id="re_9")),
            {},
            "the books have no refund re_9 of pay_1 that is done",
        ),
        (
            (GOOD[0], replace(GOOD[1], kind=PayoutLineKind.DISPUTE, object_id="dp_9")),
            {},
            "the books have no dispute dp_9 of pay_1 that is done",
        ),
        (
            (GOOD[0], replace(GOOD[1], kind=PayoutLineKind.PAYOUT_FAILED, object_id="po_9")),
            {},
            "the books have no payout po_9 that is done",
        ),
    ],
)
def test_what_does_not_fit_is_told_by_name_and_nothing_is_entered(store, lines, change, said):
    settle(store, 1)
    tell(store, 1, NewsKind.REFUND_DONE, 20 * USD, "re_1")
    asked = Payment(
        "pay_2", ACME, "INV-2026-11-00002", "stripe", 100 * USD, PaymentState.ASKED, NOW_S, NOW_S,
        reference="pi_2",
    )  # fmt: skip
    open_payments_book(store).ask(asked)
    before, book = moved(store), open_payouts_book(store)
    found = book.take(payout(lines, **change), lines, NOW_S)
    assert found.verdict == "held"
    assert said in found.reason
    assert moved(store) == before
    # Once it is right it is entered, because what is held is compared again.
    assert book.take(payout(GOOD), GOOD, NOW_S + 9).verdict == "entered"
    assert book.clearing_micro_usd("stripe") == 0


def test_nothing_is_paid_out_twice(store):
    settle(store, 1)
    book = open_payouts_book(store)
    book.take(payout([line(1)]), [line(1)], NOW_S)
    again = book.take(payout([line(1)], "po_2"), [line(1)], NOW_S)
    assert (again.verdict, again.reason) == ("held", "txn_1_payment: payout po_1 had it already")
    assert moved(store)["Assets:Bank"] == 97 * USD


def test_a_payout_that_is_under_way_is_entered_when_the_bank_has_it(store):
    settle(store, 1)
    book = open_payouts_book(store)
    waiting = payout([line(1)], state=PayoutState.UNDER_WAY)
    assert book.take(waiting, [], NOW_S).verdict == "under_way"
    assert "Assets:Bank" not in moved(store)
    assert book.take(payout([line(1)]), [line(1)], NOW_S + 9).verdict == "entered"
    assert moved(store)["Assets:Bank"] == 97 * USD


@pytest.mark.parametrize("was_paid", [True, False])
def test_a_payout_that_failed_leaves_the_fees_and_is_in_a_later_one(store, was_paid):
    settle(store, 1)
    book = open_payouts_book(store)
    if was_paid:
        book.take(payout([line(1)]), [line(1)], NOW_S)
    failed = payout([line(1)], state=PayoutState.FAILED, reason="account closed")
    for _ in range(2):
        assert book.take(failed, [line(1)], NOW_S + 9).verdict == "entered"
    # An old answer that comes late changes nothing.
    book.take(payout([line(1)]), [line(1)], NOW_S + 10)
    assert book.clearing_micro_usd("stripe") == 97 * USD
    assert "Assets:Bank" not in moved(store)
    back = line(2, 97 * USD, 0, PayoutLineKind.PAYOUT_FAILED, reference="", object_id="po_1")
    assert book.take(payout([back], "po_2"), [back], NOW_S + 20).verdict == "entered"
    assert book.clearing_micro_usd("stripe") == 0
    assert moved(store) == {
        "Assets:Bank": 97 * USD,
        "Expenses:Fees:Stripe": 3 * USD,
        receivable(ACME): -100 * USD,
    }


def test_two_who_look_at_once_enter_once(store):
    settle(store, 1)
    book, found = open_payouts_book(store), []
    threads = [
        Thread(target=lambda: found.append(book.take(payout([line(1)]), [line(1)], NOW_S)))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {one.verdict for one in found} == {"entered"}
    assert moved(store)["Assets:Bank"] == 97 * USD


amounts = st.tuples(st.integers(-(10**6), 10**6), st.integers(0, 10**4))


@given(st.lists(amounts, max_size=8), st.sampled_from([PayoutState.PAID, PayoutState.FAILED]))
def test_entries_of_a_payout_always_take_its_gross_out_of_clearing(rows, state):
    lines = [line(n, amount, fee) for n, (amount, fee) in enumerate(rows)]
    made = payout(lines, state=state)
    sums = {}
    for draft in payout_drafts(made, lines, "2026-12-03"):
        assert sum(posting.amount_micro_usd for posting in draft.postings) == 0
        for posting in draft.postings:
            sums[posting.account] = sums.get(posting.account, 0) + posting.amount_micro_usd
    is_paid = state is PayoutState.PAID
    assert sums.get("Expenses:Fees:Stripe", 0) == sum(fee for _, fee in rows)
    assert sums.get("Assets:Bank", 0) == (made.amount_micro_usd if is_paid else 0)


def test_the_same_line_in_the_same_payout_is_no_objection():
    known = Known({}, {"txn_0_fee": "po_1"}, {})
    fee = line(0, -USD, 0, PayoutLineKind.FEE, reference="")
    assert payout_objection(payout([fee]), [fee], known) is None
