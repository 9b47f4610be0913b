"""Commands of payments.

Goal: from a provider's keys to a page, a transfer and a refund by commands alone; no key is shown
or kept in clear.
Method: commands in this process against a real server on loopback, as its operator, with Stripe's
library behind it and a double of Stripe; the month before this one has a contract and no usage.
"""

import io
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import commanded, new_home, said

from gigawatt.app.home import Home
from gigawatt.app.market.payment_settings import parse_payment_settings
from gigawatt.errors import InputError
from gigawatt.market.month import month_at, month_before
from stripe_double import KEY, SIGNING_SECRET, StripeDouble, stripe_double


@pytest.fixture
def double() -> Iterator[StripeDouble]:
    with stripe_double() as made:
        yield made


@pytest.fixture
def home(tmp_path: Path, double: StripeDouble, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A home whose invoices can be paid through the double, once it has the keys."""
    found = new_home(tmp_path / "home", monkeypatch)
    found.payments_path.write_text(
        f"due_days: 14\nstripe:\n  return_url: https://gw.example.com/x\n  api_url: {double.url}\n",
        encoding="utf-8",
    )
    monkeypatch.setenv("GIGAWATT_HOME", str(found.path))
    return found


def seal(monkeypatch: pytest.MonkeyPatch, text: str, status: int = 0) -> str:
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))
    return said("payment keys stripe", status)


def test_keys_are_sealed_and_what_is_no_key_is_refused(home: Home, monkeypatch: pytest.MonkeyPatch):
    assert "wanted 2" in seal(monkeypatch, f"{KEY}\n", 2)
    assert "begins with sk_ or rk_" in seal(monkeypatch, f"pk_x\n{SIGNING_SECRET}\n", 2)
    assert "begins with whsec_" in seal(monkeypatch, f"{KEY}\n{KEY}\n", 2)
    shown = seal(monkeypatch, f"{KEY}\n{SIGNING_SECRET}\n")
    assert "are sealed" in shown
    assert KEY not in shown
    kept = b"".join(path.read_bytes() for path in home.path.glob("store.sqlite*"))
    assert KEY.encode() not in kept
    assert SIGNING_SECRET.encode() not in kept
    home.payments_path.unlink()
    assert "sets no provider" in seal(monkeypatch, f"{KEY}\n{SIGNING_SECRET}\n", 2)


def test_an_invoice_is_paid_refunded_and_a_transfer_written_down(
    home: Home, double: StripeDouble, monkeypatch: pytest.MonkeyPatch
):
    seal(monkeypatch, f"{KEY}\n{SIGNING_SECRET}\n")
    with commanded(home, monkeypatch) as found:
        double.clock_s = int(found.now_s())
        month = month_before(month_at(double.clock_s * 1000))
        said(f"contract add minimum least --amount 1,000.00 --from {month} --to {month}")
        said(f"billing close {month} --yes")
        (invoice,) = said("invoice list -q").split()
        assert re.search(r"open +\$1,000.00", said(f"invoice show {invoice}"))
        assert "takes $0.50 to $999,999.99" in said(f"invoice pay {invoice} --amount 0.40", 2)
        page = said(f"invoice pay {invoice}")
        assert re.search(rf"pay_\w+ asks \$1,000.00 for {invoice}: open", page)
        assert f"{double.url}/pay/cs_" in page
        (payment,) = said("payment list -q").split()
        double.pay(double.of("checkout.session")[0]["id"])
        assert "settled" in said(f"payment refresh {payment}")
        assert "owes $0.00" in said("billing statement")
        intent = double.objects[double.of("checkout.session")[0]["id"]]["payment_intent"]
        row = double.moved("charge", 100_000, 2_930, payment_intent=intent)
        double.pay_out([row])
        double.pay_out([], automatic=False, amount=100)
        assert "$1,000.00 are still with providers" in said("payment payouts")
        shown = said("payment payouts --refresh")
        assert re.search(r"\$970.70 .*\$29.30 .*entered", shown)
        assert "does not say what it is made of" in shown
        assert "$0.00 are still with providers" in shown
        back = said(f"payment refund {payment} --amount 100 --reason 'paid twice' --yes")
        assert re.search(r"rfd_\w+ of \$100.00 is done", back)
        assert "paid twice" in said(f"payment show {payment}")
        assert "owes $0.00" in said(f"payment record bank-1 100.00 --invoice {invoice}")
        assert "owes -$5.00" in said("payment record bank-2 5")
        shown = said("billing statement")
        assert "$5.00 are credit" in shown
        assert [word for word in ("invoice", "payment", "refund") if word not in shown] == []
        assert "nothing is overdue" in said("payment overdue")
        assert "no provider told anything" not in said("payment events")
        assert "no payment" in said("payment cancel pay_none", 2)
        assert "is settled, so it cannot be cancelled" in said(f"payment cancel {payment}", 4)
        assert "the books are whole: 6 entries" in said("ledger check")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("stripe: {return_url: 'http://gw.example.com'}", "stripe.return_url.*https"),
        ("stripe: {}", "stripe.return_url"),
        ("due_days: -1", "due_days"),
        ("paypal: {}", "paypal"),
        ("a: [", "not YAML"),
    ],
)
def test_settings_say_what_is_wrong_and_show_nothing(text: str, reason: str):
    with pytest.raises(InputError, match=reason):
        parse_payment_settings(text, "payments.yaml")


def test_settings_may_be_left_out():
    assert parse_payment_settings("", "payments.yaml").stripe is None
