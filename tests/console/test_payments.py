"""Payments in a real browser.

Goal: who owes pays an invoice, in part or whole, and sees what came of it; who keeps the books
writes a transfer down once, sees what is overdue, and looks at what fits nothing. Method: Debian's
Chromium on a real server; the provider is a till in the same process whose page is the console's
own, so that nothing leaves the machine.
"""

from collections.abc import Sequence
from typing import Any

import pytest
from playwright.sync_api import expect

from console_browser import button, check_quiet, missing, tab
from console_pages import PHONE, WIDE
from gigawatt.errors import InputError
from gigawatt.identity.accounts import OrganisationId
from gigawatt.interfaces.payments import Limits, Page, RefundAnswer
from gigawatt.market.month import month_at, month_before
from gigawatt.market.payment import News, NewsKind, Payment, Refund, RefundState
from gigawatt.market.payout import Payout, PayoutLine, PayoutLineKind, PayoutState

pytestmark = [
    pytest.mark.skipif(bool(missing()), reason=missing() or "all is there"),
    pytest.mark.timeout(600),
]


class Till:
    """Takes every payment as soon as somebody asks what came of it; its page is our own list."""

    name = "till"
    limits = Limits(500_000, 10**12)

    def __init__(self, url: str) -> None:
        """A till whose payers come back to a console; it has sent nothing on yet."""
        self.url = url
        self.sent: dict[Payout, PayoutLine] = {}

    def register(self, organisation_id: OrganisationId, name: str) -> str:
        """The payer of an organisation."""
        del name
        return f"payer of {organisation_id}"

    def ask(self, payment: Payment, payer_ref: str) -> Page:
        """The page of a payment."""
        del payer_ref
        back = f"{self.url}/invoices?payment={payment.payment_id}"
        return Page(f"page of {payment.payment_id}", back, None)

    def look(self, payment: Payment) -> Sequence[News]:
        """It was paid."""
        money = f"money-{payment.payment_id}"
        amount, kind = payment.amount_micro_usd, NewsKind.SETTLED
        return [News(f"evt-{payment.payment_id}", kind, 0.0, amount, "USD",
                     payment_id=payment.payment_id, reference=money)]  # fmt: skip

    def cancel(self, payment: Payment) -> None:
        """Nothing to take down."""

    def refund(self, payment: Payment, refund: Refund) -> RefundAnswer:
        """Sent at once."""
        del payment
        return RefundAnswer(f"back-{refund.refund_id}", RefundState.DONE)

    def payouts(self, since_s: float) -> Sequence[Payout]:
        """All that was sent on."""
        del since_s
        return list(self.sent)

    def payout_lines(self, payout: Payout) -> Sequence[PayoutLine]:
        """Each is one payment."""
        return [self.sent[payout]]

    def send(self, number: int, payment_id: str, amount_usd: int, fee_usd: int) -> None:
        """Send a payment on, less a fee."""
        net = (amount_usd - fee_usd) * 10**6
        line = PayoutLine(f"txn_{number}", PayoutLineKind.PAYMENT, amount_usd * 10**6,
                          fee_usd * 10**6, net, "USD", reference=f"money-{payment_id}")  # fmt: skip
        payout = Payout("till", f"po_{number}", net, "USD", PayoutState.PAID, float(number))
        self.sent[payout] = line

    def read(self, body: bytes, signature: str) -> News | None:
        """Nobody sends it messages."""
        raise InputError(f"{len(body)} bytes signed {signature!r} for a till")


@pytest.fixture
def invoice_id(plain_world: Any) -> str:
    """An invoice of acme over 1,000 dollars for last month."""
    this = month_at(int(plain_world.service.now_s() * 1000))
    last = month_before(this)
    path = f"/organisations/{plain_world.ids['acme']['organisation']}/contract-items"
    least = {"kind": "minimum", "name": "least", "amount_micro_usd": 10**9}
    plain_world.ok("operator", "POST", path, {**least, "from_month": last, "to_month": this})
    plain_world.ok("operator", "POST", f"/billing/months/{last}:close")
    (found,) = plain_world.ok("operator", "GET", "/invoices")["items"]
    return str(found["id"])


def test_an_invoice_is_paid_in_two_parts_and_one_goes_back(
    plain_world: Any, invoice_id: str, browser: Any
):
    plain_world.service.market.payments.providers = {"till": Till(plain_world.url)}
    with tab(browser, plain_world.url, PHONE) as made:
        page = made.page
        made.sign_in(plain_world.keys["acme.billing"])
        made.open(f"/invoices/{invoice_id}")
        button(page, "Pay a part of it").click()
        page.get_by_label("Amount, in dollars").fill("0.10")
        button(page, "Pay that much").click()
        expect(page.get_by_role("alert")).to_be_visible()
        page.get_by_label("Amount, in dollars").fill("400")
        button(page, "Pay that much").click()
        expect(page.locator(".note.good")).to_contain_text("Your payment of $400.00: paid")
        expect(page.locator(".figure-value").first).to_have_text("$600.00")
        made.open(f"/invoices/{invoice_id}")
        button(page, "Pay $600.00").click()
        expect(page.locator(".note.good")).to_contain_text("Your payment of $600.00: paid")
        made.open(f"/invoices/{invoice_id}")
        expect(page.locator("main")).to_contain_text("settled")
        assert made.findings() == []
        assert not made.has_overflow()
        check_quiet(made)
    with tab(browser, plain_world.url, WIDE) as made:
        page = made.page
        made.sign_in(plain_world.keys["operator"])
        made.open(f"/invoices/{invoice_id}")
        (newest, _) = plain_world.ok("operator", "GET", "/payments")["items"]
        button(page, f"Send back {newest['id']}").click()
        page.get_by_role("dialog").get_by_label("Amount, in dollars").fill("100")
        page.get_by_label("Reason").last.fill("paid twice")
        expect(button(page, "Send it back")).to_be_disabled()
        page.get_by_label(f"Type {newest['id']} to confirm").fill(newest["id"])
        button(page, "Send it back").click()
        expect(page.get_by_role("table", name="Payments")).to_contain_text("$100.00")
        expect(page.get_by_role("button", name="Write it down")).to_be_visible()
        check_quiet(made)
    assert plain_world.ok("operator", "GET", "/ledger/verdict")["is_whole"]


def test_what_a_provider_paid_out_is_compared_with_the_books(
    plain_world: Any, invoice_id: str, browser: Any
):
    till = Till(plain_world.url)
    plain_world.service.market.payments.providers = {"till": till}
    asked = {"amount_micro_usd": 400 * 10**6}
    payment = plain_world.ok("acme.billing", "POST", f"/invoices/{invoice_id}/payments", asked)
    plain_world.ok("operator", "POST", f"/payments/{payment['id']}:refresh")
    till.send(1, payment["id"], 400, 12)
    till.send(2, "pay_none", 7, 0)
    with tab(browser, plain_world.url, WIDE) as made:
        page = made.page
        made.sign_in(plain_world.keys["operator"])
        made.open("/payments")
        expect(page.locator("main")).to_contain_text("$400.00 are still with them")
        button(page, "Ask now").click()
        expect(page.locator("main")).to_contain_text("$0.00 are still with them")
        rows = page.get_by_role("table", name="Payouts").get_by_role("row")
        expect(rows.filter(has_text="po_1")).to_contain_text("$388.00entered")
        expect(rows.filter(has_text="po_2")).to_contain_text("held")
        assert made.findings() == []
        check_quiet(made)
    assert plain_world.ok("operator", "GET", "/ledger/verdict")["is_whole"]


def test_a_transfer_is_written_down_once_and_what_is_overdue_stands_there(
    plain_world: Any, invoice_id: str, browser: Any
):
    # Due days before it went out, so that it is late today.
    plain_world.service.market.payments.due_days = -3
    with tab(browser, plain_world.url, WIDE) as made:
        page = made.page
        made.sign_in(plain_world.keys["operator"])
        made.open("/payments")
        table = page.get_by_role("table", name="Overdue invoices")
        expect(table).to_contain_text("3 days")
        table.get_by_role("link", name=invoice_id).click()
        page.get_by_label("Amount that came, in dollars").fill("250")
        page.get_by_label("Reference of the bank").fill("bank 1")
        expect(button(page, "Write it down")).to_be_disabled()
        page.get_by_label("Reference of the bank").fill("bank-1")
        button(page, "Write it down").click()
        expect(page.get_by_role("table", name="Payments")).to_contain_text("bank-1")
        made.open("/payments")
        page.get_by_label("Who paid").select_option(label="acme")
        page.get_by_label("Reference of the bank").fill("bank-1")
        page.get_by_label("Amount that came, in dollars").fill("300")
        button(page, "Write it down").click()
        expect(page.get_by_role("alert")).to_be_visible()
        page.get_by_label("Reference of the bank").fill("bank-2")
        page.get_by_label("Amount that came, in dollars").fill("750")
        button(page, "Write it down").click()
        expect(page.locator(".note.good")).to_contain_text("bank-2 of $750.00 is in the ledger")
        expect(page.get_by_text("Nothing is overdue")).to_be_visible()
        assert made.findings() == []
        check_quiet(made)


def test_what_fits_nothing_is_looked_at_by_a_person(plain_world: Any, browser: Any):
    news = News("evt_1", NewsKind.SETTLED, 0.0, 7_000_000, "USD", payment_id="pay_none")
    plain_world.service.market.payments.book.take("stripe", news, plain_world.service.now_s())
    with tab(browser, plain_world.url, PHONE, "dark") as made:
        page = made.page
        made.sign_in(plain_world.keys["operator"])
        made.open("/payments")
        expect(page.get_by_role("table", name="Held events")).to_contain_text("$7.00")
        assert made.findings() == []
        assert not made.has_overflow()
        button(page, "I looked at it: evt_1").click()
        expect(button(page, "Keep it")).to_be_disabled()
        page.get_by_label("What was found and done").fill("of another service; sent back")
        button(page, "Keep it").click()
        expect(page.get_by_role("table", name="Held events")).to_have_count(0)
        check_quiet(made)
