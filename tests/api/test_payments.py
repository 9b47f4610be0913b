"""Payments over HTTP: from an invoice to the money, and back.

Goal: a tenant pays its own invoice on a page of the provider and sees it paid; what a provider
tells counts only if it is signed and fits; when the provider is down nothing is lost and nothing
is made twice; nobody else sees or moves anything.
Method: a running server with Stripe's library behind it and a double of Stripe on loopback; events
are sent to the server as Stripe sends them. The month before this one is closed with a contract.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from beancount import loader

from gigawatt.app.market.collecting import LOOK_S, Collecting
from gigawatt.app.market.payments import ASK_S_MAX
from gigawatt.drivers.stripe.provider import StripePayments
from gigawatt.drivers.stripe.settings import StripeSettings
from gigawatt.identity.accounts import OrganisationId
from gigawatt.market.month import month_at, month_before
from memory_secrets import MemorySecrets
from stripe_double import KEY, SIGNING_SECRET, StripeDouble, signed, stripe_double

USD = 1_000_000
OWED = 1_190 * USD


class Shop:
    """A world in which acme owes 1,190.00 for last month, and can pay through the double."""

    def __init__(self, world: Any, double: StripeDouble) -> None:
        self.world, self.double = world, double
        self.payments = world.service.market.payments
        self.payouts = world.service.market.payouts
        secrets = MemorySecrets()
        secrets.put("stripe/key", KEY)
        secrets.put("stripe/webhook", SIGNING_SECRET)
        settings = StripeSettings(
            return_url="https://gw.example.com/x", api_url=double.url, request_s_max=5.0
        )
        self.payments.providers = {"stripe": StripePayments(settings, secrets)}
        double.clock_s = int(world.service.now_s())
        now = month_at(int(world.service.now_s() * 1000))
        self.month = month_before(now)
        self.org = world.ids["acme"]["organisation"]
        path = f"/organisations/{self.org}/contract-items"
        for item in (
            {"kind": "minimum", "name": "least", "amount_micro_usd": 1_000 * USD},
            {"kind": "tax", "name": "VAT 19 %", "rate_ppm": 190_000},
        ):
            body = {**item, "from_month": self.month, "to_month": now}
            world.ok("operator", "POST", path, body)
        world.ok("operator", "POST", f"/billing/months/{self.month}:close")
        (self.invoice,) = [one["id"] for one in self.invoices()]

    def invoices(self, who: str = "acme.billing") -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.world.ok(who, "GET", "/invoices")["items"]
        return [one for one in found if one["corrects"] is None]

    def asked(self, body: Any = None, who: str = "acme.billing") -> dict[str, Any]:
        path = f"/invoices/{self.invoice}/payments"
        found: dict[str, Any] = self.world.ok(who, "POST", path, body or {})
        return found

    def seen(self, payment_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.world.ok("acme.owner", "GET", f"/payments/{payment_id}")
        return found

    def told(self, event: Any, secret: str = SIGNING_SECRET) -> int:
        """The status with which the server takes an event."""
        body = json.dumps(event).encode()
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "Stripe-Signature": signed(body, self.world.service.now_s(), secret),
        }
        url = f"{self.world.url}/gw/v1/payment-events/stripe"
        status: int = self.world.http.post(url, content=body, headers=headers).status_code
        return status

    def paid(self, body: Any = None) -> dict[str, Any]:
        """A payment of the invoice that was paid and told."""
        made = self.asked(body)
        (page,) = [p for p in self.double.of("checkout.session") if p["url"] == made["url"]]
        assert self.told(self.double.pay(page["id"])) == 204
        return self.seen(made["id"])

    def statement(self) -> dict[str, Any]:
        path = f"/organisations/{self.org}/statement"
        found: dict[str, Any] = self.world.ok("acme.owner", "GET", path)
        return found

    def books(self) -> int:
        """Transactions of the books, which must be whole and please beancount."""
        verdict = self.world.ok("operator", "GET", "/ledger/verdict")
        assert verdict["is_whole"], verdict
        text = self.world.call("operator", "GET", "/ledger/beancount").text
        entries, errors, _ = loader.load_string(text)
        assert errors == []
        return sum(type(entry).__name__ == "Transaction" for entry in entries)


@pytest.fixture
def shop(quiet_world: Any) -> Iterator[Shop]:
    with stripe_double() as double:
        yield Shop(quiet_world, double)


def test_an_invoice_is_paid_on_a_page_and_is_seen_paid(shop: Shop):
    options = shop.world.ok("acme.billing", "GET", "/payment-options")
    assert (options["providers"], options["due_day_count"]) == (["stripe"], 30)
    (before,) = shop.invoices()
    assert (before["open_micro_usd"], before["paid_micro_usd"]) == (OWED, 0)
    made = shop.asked()
    assert (made["state"], made["amount_micro_usd"], made["invoice_id"]) == (
        "open", OWED, shop.invoice,
    )  # fmt: skip
    assert shop.asked(who="acme.owner") == made
    event = shop.double.pay(shop.double.of("checkout.session")[0]["id"])
    for _ in range(3):
        assert shop.told(event) == 204
    found = shop.seen(made["id"])
    assert (found["state"], found["url"]) == ("settled", None)
    (after,) = shop.invoices()
    assert (after["open_micro_usd"], after["paid_micro_usd"]) == (0, OWED)
    statement = shop.statement()
    assert [line["kind"] for line in statement["lines"]] == ["invoice", "payment"]
    assert statement["lines"][1]["subject_id"] == made["id"]
    assert (statement["owed_micro_usd"], statement["credit_micro_usd"]) == (0, 0)
    assert shop.books() == 2
    refused = shop.world.call("acme.billing", "POST", f"/invoices/{shop.invoice}/payments", {})
    assert (refused.status_code, "nothing is open" in refused.json()["detail"]) == (409, True)


def test_what_is_not_signed_or_does_not_fit_moves_nothing(shop: Shop):
    made = shop.asked()
    page = shop.double.of("checkout.session")[0]
    event = shop.double.pay(page["id"])
    assert shop.told(event, "whsec_other") == 401
    assert shop.seen(made["id"])["state"] == "open"
    about = event["data"]["object"]
    for number, change in enumerate(
        ({"amount_total": 1}, {"currency": "eur"}, {"client_reference_id": "pay_x", "metadata": {}})
    ):
        wrong = {**event, "id": f"evt_w{number}", "data": {"object": {**about, **change}}}
        assert shop.told(wrong) == 204
    assert shop.seen(made["id"])["state"] == "open"
    assert shop.books() == 1
    held = shop.world.ok("operator", "GET", "/payment-events?verdict=held")["items"]
    assert len(held) == 3
    said = " ".join(one["reason"] for one in held)
    assert "$0.01" in said
    assert "'EUR'" in said
    assert "'pay_x'" in said
    path = f"/payment-events/stripe/{held[0]['event_id']}:resolve"
    assert shop.world.ok("operator", "POST", path, {"note": "asked Stripe"})["note"]
    kinds = [one["kind"] for one in shop.world.ok("operator", "GET", "/events")["items"]]
    assert kinds.count("payment_held") == 3
    # The right one still counts.
    assert shop.told(event) == 204
    assert shop.seen(made["id"])["state"] == "settled"


def test_a_provider_that_is_down_loses_nothing_and_makes_nothing_twice(shop: Shop):
    shop.double.faults += [503]
    path = f"/invoices/{shop.invoice}/payments"
    refused = shop.world.call("acme.billing", "POST", path, {})
    assert refused.status_code == 503
    said = refused.json()
    assert "is kept, and stripe gave no page" in said["detail"]
    (kept,) = shop.world.ok("acme.billing", "GET", "/payments?state=asked")["items"]
    assert kept["id"] in said["detail"]
    now_s = shop.world.service.now_s()
    collecting = Collecting(shop.payments, shop.payouts, lambda: now_s)
    # The answer to the first question after that is lost, too.
    shop.double.faults += ["none", "lost", "lost"]
    collecting.run()
    assert shop.seen(kept["id"])["state"] == "asked"
    collecting.run()
    assert shop.seen(kept["id"])["state"] == "open"
    assert len(shop.double.of("checkout.session")) == 1
    assert len(shop.double.of("customer")) == 1
    assert shop.asked()["id"] == kept["id"]


def test_what_nobody_tells_is_looked_for_and_what_nobody_answers_is_given_up(shop: Shop):
    made = shop.asked()
    shop.double.pay(shop.double.of("checkout.session")[0]["id"])
    now = [shop.world.service.now_s()]
    collecting = Collecting(shop.payments, shop.payouts, lambda: now[0])
    collecting.run()
    assert shop.seen(made["id"])["state"] == "open"
    now[0] += LOOK_S + 1
    collecting.run()
    assert shop.seen(made["id"])["state"] == "settled"
    assert shop.books() == 2
    shop.world.ok("operator", "POST", f"/payments/{made['id']}/refunds", {"reason": "test"})
    shop.double.faults += [503]
    path = f"/invoices/{shop.invoice}/payments"
    assert shop.world.call("acme.billing", "POST", path, {}).status_code == 503
    now[0] += ASK_S_MAX + 1
    collecting.run()
    (failed,) = shop.world.ok("acme.billing", "GET", "/payments?state=failed")["items"]
    assert "gave no page within 20 h" in failed["reason"]


def test_a_page_that_is_over_is_not_shown_again(shop: Shop, monkeypatch: Any):
    first = shop.asked()
    shop.double.of("checkout.session")[0]["status"] = "expired"
    later_s = shop.world.service.now_s() + 24 * 3_600
    monkeypatch.setattr(shop.payments, "_now_s", lambda: later_s)
    second = shop.asked()
    assert second["id"] != first["id"]
    assert second["url"] != first["url"]
    assert shop.seen(first["id"])["state"] == "expired"


def test_a_payment_is_cancelled_and_one_in_parts_is_paid(shop: Shop):
    first = shop.asked({"amount_micro_usd": 190 * USD})
    path = f"/invoices/{shop.invoice}/payments"
    assert shop.world.call("acme.billing", "POST", path, {}).status_code == 409
    done = shop.world.ok("acme.billing", "POST", f"/payments/{first['id']}:cancel")
    assert (done["state"], done["url"]) == ("cancelled", None)
    assert shop.double.of("checkout.session")[0]["status"] == "expired"
    again = shop.world.call("acme.billing", "POST", f"/payments/{first['id']}:cancel")
    assert again.status_code == 409
    shop.paid({"amount_micro_usd": 190 * USD})
    (invoice,) = shop.invoices()
    assert (invoice["open_micro_usd"], invoice["paid_micro_usd"]) == (1_000 * USD, 190 * USD)
    for wrong in (1_001 * USD, 1_005, 10_000):
        answer = shop.world.call("acme.billing", "POST", path, {"amount_micro_usd": wrong})
        assert answer.status_code == 400, answer.text


def test_a_transfer_that_is_too_much_is_credit_for_the_next_invoice(shop: Shop):
    path = f"/organisations/{shop.org}/payments"
    body = {"reference": "bank-1", "amount_micro_usd": 1_300 * USD, "invoice_id": shop.invoice}
    made = shop.world.ok("operator", "POST", path, body)
    assert (made["provider"], made["state"]) == ("bank", "settled")
    assert shop.world.ok("operator", "POST", path, body)["id"] == made["id"]
    other = {**body, "amount_micro_usd": 5}
    assert shop.world.call("operator", "POST", path, other).status_code == 409
    statement = shop.statement()
    assert statement["owed_micro_usd"] == -110 * USD
    assert (statement["credit_micro_usd"], statement["open_micro_usd"]) == (110 * USD, 0)
    foreign = f"/organisations/{shop.world.ids['other']['organisation']}/payments"
    wrong = {**body, "reference": "bank-2"}
    assert shop.world.call("operator", "POST", foreign, wrong).status_code == 400
    sent = {"reason": "too much", "amount_micro_usd": 110 * USD}
    back = shop.world.ok("operator", "POST", f"/payments/{made['id']}/refunds", sent)
    assert back["refunded_micro_usd"] == 110 * USD
    assert shop.statement()["owed_micro_usd"] == 0
    assert shop.books() == 3


def test_a_refund_and_a_chargeback_are_owed_again(shop: Shop):
    made = shop.paid()
    path = f"/payments/{made['id']}/refunds"
    back = shop.world.ok("operator", "POST", path, {"reason": "x", "amount_micro_usd": 90 * USD})
    assert [r["state"] for r in back["refunds"]] == ["done"]
    (refund,) = shop.double.of("refund")
    assert shop.told(shop.double.event("refund.updated", refund)) == 204
    assert shop.statement()["owed_micro_usd"] == 90 * USD
    dispute = {
        "id": "dp_1", "amount": 110_000, "currency": "usd", "payment_intent": made["reference"],
    }  # fmt: skip
    taken = shop.double.event("charge.dispute.funds_withdrawn", dispute)
    assert [shop.told(taken), shop.told(taken)] == [204, 204]
    assert shop.statement()["owed_micro_usd"] == 1_190 * USD
    kinds = [line["kind"] for line in shop.statement()["lines"]]
    assert kinds == ["invoice", "payment", "refund", "chargeback"]
    assert shop.told(shop.double.event("charge.dispute.funds_reinstated", dispute)) == 204
    assert shop.statement()["owed_micro_usd"] == 90 * USD
    assert shop.seen(made["id"])["charged_back_micro_usd"] == 0
    too_much = {"reason": "x", "amount_micro_usd": 1_101 * USD}
    assert shop.world.call("operator", "POST", path, too_much).status_code == 409
    assert shop.books() == 5


def test_a_refund_that_finds_nobody_is_sent_once_later(shop: Shop):
    made = shop.paid()
    path = f"/payments/{made['id']}/refunds"
    shop.double.faults += ["none", "lost", "lost"]
    refused = shop.world.call("operator", "POST", path, {"reason": "x"})
    assert (refused.status_code, "is kept" in refused.json()["detail"]) == (503, True)
    assert shop.statement()["owed_micro_usd"] == 0
    Collecting(shop.payments, shop.payouts, shop.world.service.now_s).run()
    assert len(shop.double.of("refund")) == 1
    assert shop.statement()["owed_micro_usd"] == OWED


def paid_out(shop: Shop, **more: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The transaction of a payment that came, and its payout."""
    reference = shop.seen(shop.paid()["id"])["reference"]
    row = shop.double.moved("charge", OWED // 10_000, 3_481, payment_intent=reference)
    return row, shop.double.pay_out([row], **more)


def test_what_the_provider_paid_out_is_in_the_books_with_its_fees(shop: Shop):
    assert shop.world.ok("operator", "POST", "/payouts:refresh")["items"] == []
    _, payout = paid_out(shop, status="in_transit")
    found = shop.world.ok("operator", "POST", "/payouts:refresh")
    assert [one["verdict"] for one in found["items"]] == ["under_way"]
    assert found["clearing_micro_usd"] == OWED
    payout["status"] = "paid"
    # Servers ask by themselves, and again changes nothing.
    for _ in range(2):
        Collecting(shop.payments, shop.payouts, shop.world.service.now_s).run()
    found = shop.world.ok("operator", "GET", "/payouts")
    (one,) = found["items"]
    assert (one["verdict"], one["amount_micro_usd"], one["fee_micro_usd"]) == (
        "entered", OWED - 34_810_000, 34_810_000,
    )  # fmt: skip
    assert found["clearing_micro_usd"] == 0
    assert shop.books() == 3
    text = shop.world.call("operator", "GET", "/ledger/beancount").text
    assert "Expenses:Fees:Stripe" in text
    assert (shop.statement()["owed_micro_usd"], shop.invoices()[0]["open_micro_usd"]) == (0, 0)


def test_a_payout_that_does_not_fit_is_told_once_and_enters_nothing(shop: Shop):
    row, _ = paid_out(shop)
    row["amount"] += 100
    row["net"] += 100
    for _ in range(2):
        found = shop.world.ok("operator", "POST", "/payouts:refresh")
    (one,) = found["items"]
    assert one["verdict"] == "held"
    assert "it moves $1,191.00, and payment" in one["reason"]
    assert (found["clearing_micro_usd"], shop.books()) == (OWED, 2)
    told = shop.world.ok("operator", "GET", "/events?kind=payout_held&limit=50")["items"]
    assert len([event for event in told if event["kind"] == "payout_held"]) == 1
    row["amount"] -= 100
    row["net"] -= 100
    shop.double.faults += [503]
    assert shop.world.call("operator", "POST", "/payouts:refresh").status_code == 503
    assert shop.world.ok("operator", "POST", "/payouts:refresh")["clearing_micro_usd"] == 0
    assert shop.books() == 3


def test_what_is_overdue_is_listed_and_stops_nothing(shop: Shop):
    assert shop.world.ok("operator", "GET", "/billing/overdue")["items"] == []
    shop.payments.due_days = -1
    (found,) = shop.world.ok("operator", "GET", "/billing/overdue")["items"]
    assert (found["invoice_id"], found["organisation_name"]) == (shop.invoice, "acme")
    assert (found["open_micro_usd"], found["overdue_day_count"]) == (OWED, 1)
    assert shop.statement()["overdue_micro_usd"] == OWED
    project = shop.world.ids["acme"]["project"]
    body = {"project_id": project, "name": "train", "gpu_count": 8}
    shop.world.ok("acme.member", "POST", "/clusters", body)


def test_nobody_else_sees_a_payment_or_pays(shop: Shop):
    made = shop.asked()
    for who, status in (("other.owner", 404), ("acme.member", 403), ("acme.read_only", 403)):
        for method, path in (
            ("GET", f"/payments/{made['id']}"),
            ("POST", f"/payments/{made['id']}:cancel"),
            ("POST", f"/payments/{made['id']}:refresh"),
        ):
            assert shop.world.call(who, method, path).status_code == status, (who, path)
        path = f"/invoices/{shop.invoice}/payments"
        assert shop.world.call(who, "POST", path, {}).status_code == status
    assert shop.world.ok("other.owner", "GET", "/payments")["items"] == []
    mine = shop.world.ok("acme.owner", "GET", f"/payments?organisation_id={shop.org}")["items"]
    assert [one["id"] for one in mine] == [made["id"]]
    rows = shop.world.ok("acme.owner", "GET", f"/organisations/{shop.org}/audit")["items"]
    paid = [row for row in rows if row["operation"] == "pay_invoice" and row["status"] == 201]
    assert [row["account_id"] for row in paid] == [shop.world.ids["acme"]["account.billing"]]


def test_without_a_provider_only_transfers_are_taken(shop: Shop):
    shop.payments.providers = {}
    path = f"/invoices/{shop.invoice}/payments"
    refused = shop.world.call("acme.billing", "POST", path, {})
    assert (refused.status_code, "no provider" in refused.json()["detail"]) == (400, True)
    assert shop.told({"id": "evt_1"}) == 404
    assert shop.world.ok("acme.billing", "GET", "/payment-options")["providers"] == []
    # A customer of nobody is charged nothing, and still has a balance.
    assert shop.payments.owed(OrganisationId("org_none")).balance_micro_usd == 0
