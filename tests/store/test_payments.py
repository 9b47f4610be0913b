"""The book of payments in the store.

Goal: news that come twice and in any order lead to the same books; what does not fit moves no
money and is kept for a person; every movement is an entry of its own, and the books stay whole.
Method: the SQLite and the PostgreSQL store of this room's fixtures. The life of one payment is told
in random orders with repetitions, each order to a payment of its own, and the ledgers compared.
"""

import random
from collections import Counter
from dataclasses import replace
from datetime import datetime
from threading import Thread

import pytest

from gigawatt.errors import ConflictError, DataError, UnknownIdError
from gigawatt.identity.accounts import OrganisationId
from gigawatt.interfaces.payments import Page, PaymentQuery, RefundAnswer
from gigawatt.market.closing import Payer, close, receivable
from gigawatt.market.contract import ContractItem, ItemKind
from gigawatt.market.ledger import balances, check_books
from gigawatt.market.payment import (
    BANK,
    News,
    NewsKind,
    Payment,
    PaymentState,
    Refund,
    RefundState,
)
from gigawatt.store.billing import open_billing
from gigawatt.store.payments import open_payments_book

ACME = OrganisationId("org_acme")
USD = 1_000_000
NOW_S = datetime.fromisoformat("2026-12-03T12:00:00+00:00").timestamp()
INVOICE = "INV-2026-11-00001"


def payment(name="pay_1", amount=100 * USD, invoice=INVOICE):
    return Payment(
        name, ACME, invoice, "stripe", amount, PaymentState.ASKED, NOW_S, NOW_S, account_id="acc_1"
    )


def news(kind, name="pay_1", amount=100 * USD, event="", **more):
    number = name.removeprefix("pay_")
    return News(
        event or f"evt_{kind}_{number}_{more.get('object_id', '')}", kind, NOW_S, amount, "USD",
        **{"payment_id": name, "reference": f"pi_{number}", **more},
    )  # fmt: skip


def settled(book, name="pay_1", amount=100 * USD, invoice=INVOICE):
    book.ask(payment(name, amount, invoice))
    book.note_page(name, Page(f"cs_{name}", "https://x", NOW_S + 9), NOW_S)
    return book.take("stripe", news(NewsKind.SETTLED, name, amount), NOW_S)


def moved(store):
    """What the ledger says, by account."""
    return {k: v for k, v in balances(open_billing(store).entries()).items() if v}


def test_a_payment_is_asked_for_once_and_settled_once(store):
    book = open_payments_book(store)
    assert book.ask(payment()) == payment()
    assert book.ask(payment("pay_2")).payment_id == "pay_1"
    with pytest.raises(ConflictError, match=r"pay_1 asks \$100.00 for INV.* and is asked"):
        book.ask(payment("pay_3", 50 * USD))
    opened = book.note_page("pay_1", Page("cs_1", "https://x", 9.0), NOW_S)
    assert (opened.state, opened.url) == (PaymentState.OPEN, "https://x")
    event = book.take("stripe", news(NewsKind.SETTLED, page_ref="cs_1"), NOW_S)
    assert (event.verdict, event.payment_id) == ("applied", "pay_1")
    assert book.take("stripe", news(NewsKind.SETTLED, page_ref="cs_1"), NOW_S + 5) == event
    again = news(NewsKind.SETTLED, event="evt_other")
    assert book.take("stripe", again, NOW_S).verdict == "applied"
    assert moved(store) == {"Assets:Clearing:Stripe": 100 * USD, receivable(ACME): -100 * USD}
    (entry,) = open_billing(store).entries()
    assert entry.draft.memo == f"payment pay_1 by stripe for {INVOICE}"
    assert entry.draft.date == "2026-12-03"
    found = book.get("pay_1").payment
    assert (found.state, found.reference) == (PaymentState.SETTLED, "pi_1")
    # Once it is settled another one may be asked for.
    assert book.ask(payment("pay_4")).payment_id == "pay_4"


MISFITS = {
    "amount": news(NewsKind.SETTLED, amount=99 * USD),
    "currency": replace(news(NewsKind.SETTLED), currency="EUR"),
    "unknown": news(NewsKind.SETTLED, "pay_9"),
    "page": news(NewsKind.SETTLED, page_ref="cs_9"),
    "refund": news(NewsKind.REFUND_DONE, amount=101 * USD, object_id="re_1"),
    "chargeback": news(NewsKind.DISPUTE_WITHDRAWN, amount=101 * USD, object_id="dp_1"),
}


@pytest.mark.parametrize("name", MISFITS)
def test_news_that_do_not_fit_move_nothing_and_wait_for_a_person(store, name):
    book = open_payments_book(store)
    if name in {"refund", "chargeback"}:
        settled(book)
    else:
        book.ask(payment())
        book.note_page("pay_1", Page("cs_1", "https://x", 9.0), NOW_S)
    before = open_billing(store).entries()
    event = book.take("stripe", MISFITS[name], NOW_S)
    assert event.verdict == "held"
    assert event.reason
    assert open_billing(store).entries() == before
    assert book.events("held", 9) == (event,)
    seen = book.resolve("stripe", event.news.event_id, "looked at it", NOW_S)
    assert seen.note == "2026-12-03: looked at it"
    for what in (event.news.event_id, "evt_none"):
        with pytest.raises((ConflictError, UnknownIdError)):
            book.resolve("stripe", what, "again", NOW_S)


def test_another_provider_cannot_settle_it(store):
    book = open_payments_book(store)
    book.ask(payment())
    assert book.take("other", news(NewsKind.SETTLED), NOW_S).verdict == "held"
    assert moved(store) == {}


def life(name):
    """Everything that may happen to a payment, with what came of it in the end."""
    facts = [
        news(NewsKind.PROCESSING, name, page_ref=f"cs_{name}"),
        news(NewsKind.SETTLED, name),
        news(NewsKind.SETTLED, name, event=f"evt_late_{name}"),
        news(NewsKind.EXPIRED, name),
        # Two refunds at the provider's desk; one of them comes back.
        news(NewsKind.REFUND_PENDING, name, 10 * USD, payment_id="", object_id=f"re_1_{name}"),
        news(NewsKind.REFUND_DONE, name, 10 * USD, payment_id="", object_id=f"re_1_{name}"),
        news(NewsKind.REFUND_DONE, name, 5 * USD, object_id=f"re_2_{name}"),
        news(NewsKind.REFUND_FAILED, name, 5 * USD, object_id=f"re_2_{name}"),
        # One dispute that is lost, and one that is won.
        news(NewsKind.DISPUTE_WITHDRAWN, name, 20 * USD, payment_id="", object_id=f"dp_1_{name}"),
        news(NewsKind.DISPUTE_WITHDRAWN, name, 7 * USD, object_id=f"dp_2_{name}"),
        news(NewsKind.DISPUTE_RETURNED, name, 7 * USD, object_id=f"dp_2_{name}"),
    ]
    return facts, 100 * USD - 10 * USD - 20 * USD


@pytest.mark.parametrize("seed", range(6))
def test_any_order_and_any_repetition_lead_to_the_same_books(store, seed):
    rng, book = random.Random(seed), open_payments_book(store)  # noqa: S311 - no secret
    for number in range(5):
        name = f"pay_{number}"
        facts, kept = life(name)
        book.ask(payment(name, invoice=f"INV-2026-11-{number:05}"))
        told = facts + rng.choices(facts, k=6)
        rng.shuffle(told)
        for one in told:
            verdict = book.take("stripe", one, NOW_S).verdict
            assert verdict in {"applied", "waiting"}
        money = book.get(name)
        assert money.payment.state is PaymentState.SETTLED
        assert money.kept_micro_usd == kept
        assert -moved(store)[receivable(ACME)] == (number + 1) * kept
    assert not book.events("held", 9)
    assert not book.events("waiting", 9)
    entries = open_billing(store).entries()
    check_books(entries)
    assert sum(balances(entries).values()) == 0
    assert max(Counter(entry.draft.entry_id for entry in entries).values()) == 1
    assert open_billing(store).check().fault is None


def test_what_goes_back_waits_for_the_money_and_foreign_news_are_nothing(store):
    book = open_payments_book(store)
    early = news(NewsKind.REFUND_DONE, amount=10 * USD, payment_id="", object_id="re_1")
    assert book.take("stripe", early, NOW_S).verdict == "waiting"
    assert moved(store) == {}
    settled(book)
    assert moved(store)[receivable(ACME)] == -90 * USD
    foreign = replace(news(NewsKind.SETTLED, event="evt_9"), payment_id="", reference="pi_9")
    assert book.take("stripe", foreign, NOW_S).verdict == "nothing"


def refund(name="rfd_1", amount=30 * USD, state=RefundState.ASKED):
    return Refund(name, "pay_1", amount, state, "paid twice", NOW_S, NOW_S, "acc_1")


def test_a_refund_is_entered_when_it_is_done_and_taken_back_when_it_fails(store):
    book = open_payments_book(store)
    book.ask(payment())
    with pytest.raises(ConflictError, match="pay_1 is asked"):
        book.add_refund(refund())
    settled(book)
    book.add_refund(refund())
    with pytest.raises(ConflictError, match=r"\$71.00 shall go back of pay_1, and \$70.00"):
        book.add_refund(refund("rfd_2", 71 * USD))
    assert [(p.payment_id, r.refund_id) for p, r in book.refunds_asked()] == [("pay_1", "rfd_1")]
    assert moved(store)[receivable(ACME)] == -100 * USD
    # The webhook may be faster than the answer.
    done = news(NewsKind.REFUND_DONE, amount=30 * USD, object_id="re_1", refund_id="rfd_1")
    assert book.take("stripe", done, NOW_S).verdict == "applied"
    money = book.note_refund("rfd_1", RefundAnswer("re_1", RefundState.DONE), NOW_S)
    assert (money.refunded_micro_usd, book.refunds_asked()) == (30 * USD, ())
    assert moved(store)[receivable(ACME)] == -70 * USD
    book.note_refund("rfd_1", RefundAnswer("re_1", RefundState.FAILED), NOW_S)
    assert moved(store)[receivable(ACME)] == -100 * USD
    with pytest.raises(UnknownIdError):
        book.note_refund("rfd_9", RefundAnswer("", RefundState.DONE), NOW_S)


def test_a_transfer_is_written_down_once_and_its_refund_with_it(store):
    book = open_payments_book(store)
    made = replace(
        payment(), provider=BANK, state=PaymentState.SETTLED, reference="bank-1", invoice_id=""
    )
    assert book.record(made, NOW_S) == book.record(replace(made, payment_id="pay_9"), NOW_S)
    for change in ({"amount_micro_usd": 5}, {"invoice_id": "INV-2026-11-00002"}):
        with pytest.raises(ConflictError, match="says something else"):
            book.record(replace(made, **change), NOW_S)
    assert moved(store) == {"Assets:Bank": 100 * USD, receivable(ACME): -100 * USD}
    book.add_refund(refund(state=RefundState.DONE))
    assert moved(store) == {"Assets:Bank": 70 * USD, receivable(ACME): -70 * USD}


def test_a_transfer_that_the_ledger_had_before_there_was_a_book_is_not_entered_again(store):
    book, bills = open_payments_book(store), open_billing(store)
    made = replace(
        payment(), provider=BANK, state=PaymentState.SETTLED, reference="bank-1", invoice_id=""
    )
    book.record(made, NOW_S)
    (entry,) = bills.entries()
    assert (entry.draft.entry_id, entry.draft.memo) == ("payment/bank-1", "payment bank-1")


def test_two_who_ask_and_two_who_tell_at_once_do_it_once(store):
    book, found = open_payments_book(store), []
    both(lambda n: found.append(book.ask(payment(f"pay_{n}")).payment_id))
    assert len(set(found)) == 1
    (name,) = set(found)
    both(lambda n: book.take("stripe", news(NewsKind.SETTLED, name, event=f"evt_{n}"), NOW_S))
    assert moved(store)[receivable(ACME)] == -100 * USD


def both(work):
    threads = [Thread(target=work, args=(number,)) for number in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_it_ends_unless_the_money_came(store):
    book = open_payments_book(store)
    book.ask(payment())
    ended = book.end("pay_1", PaymentState.FAILED, "no", NOW_S)
    assert (ended.state, ended.reason) == (PaymentState.FAILED, "no")
    settled(book, "pay_2", invoice="INV-2026-11-00002")
    kept = book.end("pay_2", PaymentState.CANCELLED, "no", NOW_S)
    assert kept.state is PaymentState.SETTLED
    # Money that comes for one that was given up is money all the same.
    book.take("stripe", news(NewsKind.SETTLED), NOW_S)
    assert book.get("pay_1").payment.state is PaymentState.SETTLED
    assert book.get("pay_1").payment.reason == ""


def test_payments_are_listed_the_newest_first_in_pages(store):
    book = open_payments_book(store)
    for number in range(5):
        made = payment(f"pay_{number}", invoice=f"INV-2026-11-{number:05}")
        book.ask(replace(made, created_s=NOW_S + number // 2))
    first = book.find(PaymentQuery(limit=2))
    names = [money.payment.payment_id for money in first]
    rest = book.find(PaymentQuery(before=names[-1], limit=9))
    assert names + [m.payment.payment_id for m in rest] == [
        "pay_4", "pay_3", "pay_2", "pay_1", "pay_0",
    ]  # fmt: skip
    assert not book.find(PaymentQuery(organisation_ids=()))
    assert len(book.find(PaymentQuery(invoice_id="INV-2026-11-00003"))) == 1
    assert not book.find(PaymentQuery(states=(PaymentState.SETTLED,)))
    with pytest.raises(UnknownIdError):
        book.get("pay_none")


def test_what_is_owed_follows_from_documents_payments_and_ledger(store):
    book, bills = open_payments_book(store), open_billing(store)
    least = ContractItem(
        "ctr_1", ACME, ItemKind.MINIMUM, "least", 100 * USD, 0, "2026-11", "2026-11"
    )
    bills.add_item(least, 1.0)
    bills.close(
        "2026-11", lambda _: close("2026-11", [Payer(ACME, "Acme", {}, [least])], {}, {}), NOW_S
    )
    settled(book)
    book.add_refund(refund())
    book.note_refund("rfd_1", RefundAnswer("re_1", RefundState.DONE), NOW_S)
    facts = book.owed_facts(None)
    assert facts == book.owed_facts({ACME})
    assert [bill.invoice_id for bill in facts.bills] == [INVOICE]
    assert (facts.named, facts.balances) == ({INVOICE: 70 * USD}, {ACME: 30 * USD})
    assert facts.issued == {"2026-11": "2026-12-03"}
    assert book.owed_facts({OrganisationId("org_x")}).bills == ()


def test_a_payer_is_known_once(store):
    book = open_payments_book(store)
    assert book.payer_ref("stripe", ACME) == ""
    assert book.keep_payer_ref("stripe", ACME, "cus_1") == "cus_1"
    assert book.keep_payer_ref("stripe", ACME, "cus_2") == "cus_1"
    assert book.payer_ref("stripe", ACME) == "cus_1"


def test_the_database_refuses_what_is_no_payment(store):
    with pytest.raises(DataError):
        open_payments_book(store).ask(payment(amount=0))
