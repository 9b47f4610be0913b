"""Payments through Stripe, by Stripe's own library.

Goal: an answer that is lost makes nothing twice; silence, refusal and a wrong key are told apart;
only what Stripe signed is read, and nothing of a card or a payer comes with it.
Method: the adapter against a double on loopback in the shape of Stripe's API, which fails before
or after it did what was asked; signatures are computed here from Stripe's description, not by its
library. mypy compares what is sent with the library's own types.
"""

import json
import logging
from collections.abc import Iterator
from dataclasses import asdict, replace

import pytest
import stripe

from gigawatt.app.clock import SystemClock
from gigawatt.drivers.stripe.messages import EVENTS, news_of
from gigawatt.drivers.stripe.provider import API_VERSION, LIMITS, StripePayments
from gigawatt.drivers.stripe.settings import StripeSettings
from gigawatt.errors import (
    DriverPermanentError,
    DriverRetryableError,
    InputError,
    UnauthenticatedError,
)
from gigawatt.identity.accounts import OrganisationId
from gigawatt.interfaces.payments import PaymentProvider
from gigawatt.market.payment import NewsKind, Payment, PaymentState, Refund, RefundState
from gigawatt.market.payout import PayoutLineKind, PayoutState
from memory_secrets import MemorySecrets
from stripe_double import KEY, SIGNING_SECRET, StripeDouble, signed, stripe_double

ORG = OrganisationId("org_acme")
USD = 1_000_000
NOW = SystemClock()
"""Stripe's library asks the system how old a signature is, so the tests must too."""


@pytest.fixture
def double() -> Iterator[StripeDouble]:
    with stripe_double() as made:
        yield made


def provider_of(double: StripeDouble, key: str = KEY) -> StripePayments:
    secrets = MemorySecrets()
    secrets.put("stripe/key", key)
    secrets.put("stripe/webhook", SIGNING_SECRET)
    settings = StripeSettings(
        return_url="https://gw.example.com/invoices", api_url=double.url, request_s_max=5.0
    )
    return StripePayments(settings, secrets)


@pytest.fixture
def provider(double: StripeDouble) -> PaymentProvider:
    return provider_of(double)


def asked(double: StripeDouble) -> Payment:
    return Payment(
        "pay_1", ORG, "INV-2026-11-00001", "stripe", 1190 * USD, PaymentState.ASKED,
        float(double.clock_s), float(double.clock_s),
    )  # fmt: skip


def opened(double: StripeDouble, provider: PaymentProvider) -> Payment:
    payment = asked(double)
    page = provider.ask(payment, provider.register(ORG, "Acme"))
    return replace(payment, state=PaymentState.OPEN, page_ref=page.page_ref, url=page.url)


def told(provider: PaymentProvider, event: object, at_s: float | None = None):
    body = json.dumps(event).encode()
    return provider.read(body, signed(body, NOW.now_s() if at_s is None else at_s))


def test_a_page_asks_for_the_cents_of_the_invoice_in_dollars_and_ends_within_a_day(
    double: StripeDouble, provider: PaymentProvider
):
    payment = opened(double, provider)
    (page,) = double.of("checkout.session")
    assert payment.url == page["url"]
    assert (page["amount_total"], page["currency"]) == (119_000, "usd")
    (call,) = double.made("/v1/checkout/sessions")
    assert call.version == API_VERSION == stripe.api_version
    assert call.fields["adaptive_pricing[enabled]"] == "false"
    assert call.fields["payment_intent_data[metadata][gigawatt_payment]"] == "pay_1"
    assert 0 < page["expires_at"] - double.clock_s < 86_400


@pytest.mark.parametrize("fault", ["lost", 500, 429, 409])
def test_an_answer_that_does_not_come_is_asked_for_again_and_makes_nothing_twice(
    double: StripeDouble, provider: PaymentProvider, fault: int | str
):
    payer = provider.register(ORG, "Acme")
    double.faults += [fault, fault]
    with pytest.raises(DriverRetryableError, match="Stripe"):
        provider.ask(asked(double), payer)
    double.faults.clear()
    first = provider.ask(asked(double), payer)
    assert provider.ask(asked(double), payer) == first
    assert len(double.of("checkout.session")) == 1
    assert provider.register(ORG, "Acme") == payer


def test_nobody_there_is_said_so(double: StripeDouble):
    settings = StripeSettings(return_url="http://127.0.0.1/x", api_url="http://127.0.0.1:9")
    secrets = MemorySecrets()
    secrets.put("stripe/key", KEY)
    with pytest.raises(DriverRetryableError, match="does not answer"):
        StripePayments(settings, secrets).register(ORG, "Acme")


def test_a_refusal_and_a_wrong_key_are_final_and_tell_no_key(
    double: StripeDouble, provider: PaymentProvider, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.DEBUG)
    with pytest.raises(DriverPermanentError, match="No such customer"):
        provider.ask(asked(double), "cus_none")
    with pytest.raises(DriverPermanentError, match="does not take our key") as refused:
        provider_of(double, "sk_test_wrong").register(ORG, "Acme")
    texts = [record.getMessage() for record in caplog.records]
    chain = [str(refused.value), str(refused.value.__cause__)]
    assert not [text for text in texts + chain if KEY in text or "sk_test_wrong" in text]


@pytest.mark.parametrize(
    ("kind", "is_slow", "wanted"),
    [
        ("checkout.session.completed", False, NewsKind.SETTLED),
        ("checkout.session.completed", True, NewsKind.PROCESSING),
        ("checkout.session.async_payment_succeeded", False, NewsKind.SETTLED),
        ("checkout.session.async_payment_failed", True, NewsKind.FAILED),
        ("checkout.session.expired", True, NewsKind.EXPIRED),
    ],
)
def test_events_of_a_page_are_news(
    double: StripeDouble, provider: PaymentProvider, kind: str, is_slow: bool, wanted: NewsKind
):
    payment = opened(double, provider)
    double.pay(payment.page_ref, is_slow=is_slow)
    news = told(provider, double.event(kind, double.objects[payment.page_ref]))
    assert news is not None
    assert (news.kind, news.payment_id, news.page_ref) == (wanted, "pay_1", payment.page_ref)
    assert (news.amount_micro_usd, news.currency) == (1190 * USD, "USD")
    assert news.reference.startswith("pi_")
    assert "payer@example.com" not in json.dumps(asdict(news))


def test_refunds_and_disputes_are_news(double: StripeDouble, provider: PaymentProvider):
    seen = {}
    for status in ("pending", "requires_action", "succeeded", "failed", "canceled"):
        news = told(provider, double.refund_at_desk("pi_9", 500, status))
        assert news is not None
        assert (news.reference, news.amount_micro_usd, news.payment_id) == ("pi_9", 5 * USD, "")
        seen[status] = news.kind
    assert list(seen.values()) == [
        NewsKind.REFUND_PENDING, NewsKind.REFUND_PENDING, NewsKind.REFUND_DONE,
        NewsKind.REFUND_FAILED, NewsKind.REFUND_FAILED,
    ]  # fmt: skip
    dispute = {"id": "dp_1", "amount": 500, "currency": "usd", "payment_intent": {"id": "pi_9"}}
    for kind, wanted in (
        ("charge.dispute.funds_withdrawn", NewsKind.DISPUTE_WITHDRAWN),
        ("charge.dispute.funds_reinstated", NewsKind.DISPUTE_RETURNED),
    ):
        news = told(provider, double.event(kind, dispute))
        assert news is not None
        assert (news.kind, news.object_id, news.reference) == (wanted, "dp_1", "pi_9")


def test_what_is_not_about_us_is_nothing_and_what_does_not_read_is_refused(
    double: StripeDouble, provider: PaymentProvider
):
    assert told(provider, double.event("customer.created", {"id": "cus_1"})) is None
    foreign = {"id": "cs_9", "amount_total": 5, "currency": "usd", "payment_status": "paid"}
    assert told(provider, double.event("checkout.session.completed", foreign)) is None
    ours = {**foreign, "client_reference_id": "pay_1"}
    for broken in ({**ours, "amount_total": None}, {**ours, "amount_total": 0.5}):
        with pytest.raises(InputError, match="does not read"):
            told(provider, double.event("checkout.session.completed", broken))
    for kind in EVENTS:
        with pytest.raises(InputError, match="does not read"):
            news_of({"type": kind, "id": "evt_1", "created": 1, "data": {"object": None}})


def test_only_what_stripe_signed_just_now_is_read(double: StripeDouble, provider: PaymentProvider):
    event = double.event("customer.created", {"id": "cus_1"})
    body = json.dumps(event).encode()
    now_s = NOW.now_s()
    good = signed(body, now_s)
    assert provider.read(body, good) is None
    for wrong in (
        "",
        "t=1,v1=x",
        good[:-1] + ("0" if good[-1] != "0" else "1"),
        signed(body, now_s, "whsec_other"),
        signed(body, now_s - 301),
    ):
        with pytest.raises(UnauthenticatedError, match="not signed by Stripe"):
            provider.read(body, wrong)
    with pytest.raises(UnauthenticatedError):
        provider.read(body + b" ", good)
    with pytest.raises(InputError, match="no JSON"):
        provider.read(b"{", signed(b"{", now_s))


def test_a_refund_goes_back_once_however_often_it_is_asked_for(
    double: StripeDouble, provider: PaymentProvider
):
    payment = opened(double, provider)
    double.pay(payment.page_ref)
    paid = replace(payment, reference=double.objects[payment.page_ref]["payment_intent"])
    refund = Refund("rfd_1", "pay_1", 19 * USD, RefundState.ASKED, "x", 0.0, 0.0)
    double.faults += ["none", "lost", "lost"]
    with pytest.raises(DriverRetryableError):
        provider.refund(paid, refund)
    double.faults.clear()
    # A day later Stripe has forgotten the key.
    double.answers.clear()
    again = provider.refund(paid, refund)
    assert again.state is RefundState.DONE
    assert [r["amount"] for r in double.of("refund")] == [1_900]
    assert provider.refund(paid, refund) == again
    assert [r["amount"] for r in double.of("refund")] == [1_900]


def test_a_look_says_what_the_webhook_would_have_said(
    double: StripeDouble, provider: PaymentProvider
):
    payment = opened(double, provider)
    assert list(provider.look(payment)) == []
    event = double.pay(payment.page_ref)
    (news,) = provider.look(payment)
    webhook = told(provider, event)
    assert webhook is not None
    assert replace(news, event_id="", at_s=0.0) == replace(webhook, event_id="", at_s=0.0)
    double.refund_at_desk(news.reference, 100)
    assert [one.kind for one in provider.look(payment)] == [
        NewsKind.SETTLED,
        NewsKind.REFUND_DONE,
    ]


def test_a_page_is_taken_down_unless_it_was_paid(double: StripeDouble, provider: PaymentProvider):
    payment = opened(double, provider)
    provider.cancel(payment)
    provider.cancel(payment)
    assert double.objects[payment.page_ref]["status"] == "expired"
    assert [one.kind for one in provider.look(payment)] == [NewsKind.EXPIRED]
    other = opened(double, provider)
    double.pay(other.page_ref)
    with pytest.raises(DriverPermanentError, match="was paid at Stripe meanwhile"):
        provider.cancel(other)
    assert LIMITS.amount_micro_usd_min < payment.amount_micro_usd < LIMITS.amount_micro_usd_max


def test_a_payout_is_read_with_all_its_lines_and_its_own_cost(
    double: StripeDouble, provider: PaymentProvider
):
    rows = [
        double.moved("charge", 1_000, 59, payment_intent=f"pi_{number}") for number in range(250)
    ]
    rows.append(double.moved("fee", -200))
    made = double.pay_out(rows)
    double.balance[made["id"]][-1] |= {"fee": 5, "net": -made["amount"] - 5}
    double.pay_out([], status="in_transit")
    double.pay_out([], reconciliation_status="in_progress")
    double.pay_out([], automatic=False)
    double.pay_out([], status="failed", failure_message="account closed")
    old = double.pay_out([])
    old["created"] -= 1_000
    found = provider.payouts(double.clock_s - 1.0)
    assert [(one.state, one.is_itemised, one.reason) for one in found] == [
        (PayoutState.PAID, True, ""),
        (PayoutState.UNDER_WAY, True, ""),
        (PayoutState.UNDER_WAY, True, ""),
        (PayoutState.PAID, False, ""),
        (PayoutState.FAILED, True, "account closed"),
    ]
    lines = provider.payout_lines(found[0])
    assert len(lines) == 252
    assert lines[0].kind is PayoutLineKind.PAYMENT
    assert (lines[0].reference, lines[0].amount_micro_usd, lines[0].fee_micro_usd) == (
        "pi_0", 10 * USD, 590_000,
    )  # fmt: skip
    assert [(one.kind, one.net_micro_usd) for one in lines[-2:]] == [
        (PayoutLineKind.FEE, -2 * USD),
        (PayoutLineKind.FEE, -50_000),
    ]
    assert {call.path for call in double.calls} == {"/v1/payouts", "/v1/balance_transactions"}


def test_a_payout_whose_own_line_differs_has_a_line_that_no_book_knows(
    double: StripeDouble, provider: PaymentProvider
):
    made = double.pay_out([double.moved("charge", 1_000, 59, payment_intent="pi_1")])
    double.balance[made["id"]][-1] |= {"amount": -1}
    (payout,) = provider.payouts(0.0)
    strange = provider.payout_lines(payout)[-1]
    assert (strange.kind, strange.said) == (
        PayoutLineKind.OTHER, "payout of $0.01 instead of its own",
    )  # fmt: skip


def test_a_payout_that_does_not_read_is_refused(double: StripeDouble, provider: PaymentProvider):
    made = double.pay_out([double.moved("charge", 1_000, 59)])
    (payout,) = provider.payouts(0.0)
    assert provider.payout_lines(payout)[0].reference == ""
    double.balance[made["id"]][0]["net"] = None
    with pytest.raises(DriverPermanentError, match="does not read"):
        provider.payout_lines(payout)
    del made["status"]
    with pytest.raises(DriverPermanentError, match="a payout of Stripe does not read"):
        provider.payouts(0.0)


def test_settings_say_what_is_wrong():
    with pytest.raises(ValueError, match="wanted https"):
        StripeSettings(return_url="http://gw.example.com")
