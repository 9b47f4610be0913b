"""Commands of money.

Goal: a month is closed, seen, saved, corrected and paid by commands alone, and dollars that people
write are exact.
Method: commands in this process against a real server on loopback, as its operator; the month
before this one has a contract and no usage.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from beancount import loader
from command_line import commanded, new_home, said
from hypothesis import given
from hypothesis import strategies as st

from gigawatt.cli.work.amounts import micro_usd_of, ppm_of
from gigawatt.errors import InputError
from gigawatt.market.month import month_at, month_before


@pytest.fixture
def last_month(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The month before this one, of a server that this computer's commands talk to."""
    with commanded(new_home(tmp_path / "home", monkeypatch), monkeypatch) as found:
        yield month_before(month_at(int(found.now_s() * 1000)))


def test_a_month_from_its_contract_to_its_payment(last_month: str, tmp_path: Path):
    month = last_month
    said(f"contract add minimum least --amount 1,000.00 --from {month} --to {month}")
    said(f"contract add tax 'VAT 7.7 %' --percent 7.7 --from {month} --to {month}")
    assert "7.7 %" in said("contract list")
    assert "1 invoice of $1,077.00" in said(f"billing plan {month}")
    assert "nobody said yes" in said(f"billing close {month}", 2)
    assert "no month is closed" in said("billing list")
    assert f"{month} is closed" in said(f"billing close {month} --yes")
    assert f"{month} is closed" in said(f"billing close {month}")
    (invoice,) = said("invoice list -q").split()
    assert "$1,077.00" in said(f"invoice show {invoice}")
    for kind, start in (("pdf", b"%PDF"), ("html", b"<!doc"), ("csv", b"invoice_id")):
        path = tmp_path / f"i.{kind}"
        said(f"invoice download {invoice} --format {kind} --to {path}")
        assert path.read_bytes().startswith(start)
    asked = said(f"invoice credit {invoice} --amount 100 --reason x", 2)
    assert "$1,077.00 now and $969.30 then" in asked
    assert "Income:Corrections" in asked
    assert "credits $107.70" in said(f"invoice credit {invoice} --amount 100 --reason x --yes")
    assert "owes $0.00" in said("payment record bank-1 969.30")
    assert "owes $0.00" in said("billing statement")
    assert "the books are whole: 3 entries, 2 invoices" in said("ledger check")
    said(f"ledger export --to {tmp_path / 'books'}")
    assert loader.load_string((tmp_path / "books").read_text())[1] == []


def test_a_budget_and_prices_are_set_and_shown(last_month: str):
    said("budget set 25,000 --cap --at 90 --project default")
    shown = said("budget show --project default")
    assert "$25,000.00, 0.0 % spent; refuses what would pass it" in shown
    assert "there is no budget now" in said("budget set none --project default")
    assert "budget     none" in said("budget show --project default")
    assert "TiB-hour" in said(f"contract price storage 0.03 --from {last_month}")
    assert "$0.030000" in said("contract prices")
    assert "is not an amount" in said("budget set much --project default", 2)


@given(st.integers(0, 10**15))
def test_dollars_are_read_exactly(amount: int):
    text = f"{amount // 10**6:,}.{amount % 10**6:06d}"
    assert micro_usd_of(text) == micro_usd_of(f"${text}") == amount


@pytest.mark.parametrize("text", ["", "x", "1.0000001", "nan", "inf", "1e30", "1 2"])
def test_what_is_no_amount_is_refused(text: str):
    with pytest.raises(InputError, match="is not an amount"):
        micro_usd_of(text)


def test_percents_are_read_exactly():
    assert (ppm_of("19 %"), ppm_of("7.7")) == (190_000, 77_000)
    with pytest.raises(InputError, match="is not a share"):
        ppm_of("0.00001")
