"""The books of money in the store.

Goal: a month is closed once, whoever asks how often; no row of the books can be changed, and one
that was changed all the same is named; money is never half written.
Method: the SQLite and the PostgreSQL store of this room's fixtures; for tampering the triggers are
removed first, as somebody who owns the database could.
"""

from dataclasses import replace
from datetime import datetime
from threading import Thread

import pytest
from sqlalchemy import insert, text

from gigawatt.errors import ConflictError, DataError, InputError, UnknownIdError
from gigawatt.identity.accounts import OrganisationId
from gigawatt.ids import SiteId, TenantId
from gigawatt.market.charge import Charge, ChargeKind, Key, sum_charges
from gigawatt.market.closing import Payer, close
from gigawatt.market.contract import ContractItem, ItemKind
from gigawatt.market.credit_note import CreditWish, Standing, credit_lines
from gigawatt.market.ledger import balances, check_books
from gigawatt.market.payment import BANK, Payment, PaymentState
from gigawatt.market.product import ProductPrice
from gigawatt.store.billing import open_billing
from gigawatt.store.billing_schema import GROWING, contract_returns
from gigawatt.store.payments import open_payments_book

ACME, BETA = OrganisationId("org_acme"), OrganisationId("org_beta")
KEY = Key(
    TenantId("ten_1"), ChargeKind.GPU, "clu_1", "", "h100", "on_demand",
    SiteId("site-a"), "GPU-hour", 10, 1_000_003,
)  # fmt: skip
CHARGES = sum_charges([Charge(ACME, KEY, 1_234), Charge(BETA, KEY, 77)])
PREPAID = ContractItem(
    "ctr_1", ACME, ItemKind.COMMITMENT, "prepaid", 200_000_000, 0, "2026-11", "2026-12"
)
NAMES = [(ACME, "Acme"), (BETA, "<b>Beta</b>")]


def making(month, sums=None):
    def make(agreed):
        payers = [
            Payer(org, name, {}, [i for i in agreed.items if i.organisation_id == org])
            for org, name in NAMES
        ]
        return close(month, payers, CHARGES if sums is None else sums, agreed.used)

    return make


def pay(store, reference, on, amount):
    """Write a transfer of Acme down that came on a day."""
    now_s = datetime.fromisoformat(f"{on}T12:00:00+00:00").timestamp()
    made = Payment(
        f"pay_{reference}", ACME, "", BANK, amount, PaymentState.SETTLED, now_s, now_s,
        reference=reference,
    )  # fmt: skip
    return open_payments_book(store).record(made, now_s)


def closed(store):
    """Books with one closed month, a payment and a credit note."""
    book = open_billing(store)
    book.add_item(PREPAID, 1.0)
    book.close("2026-11", making("2026-11"), 2.0)
    pay(store, "bank-1", "2026-12-03", 50_000_000)

    def note(found):
        return noted(found, CreditWish("wrong price", 1_000_000), "2026-12-04")

    book.credit("INV-2026-11-00002", note)
    return book


def noted(found, wish, on):
    """The credit note that follows, of December."""
    items = {item.item_id: item for item in found.agreed.items}
    standing = Standing("2026-12", items, found.agreed.used)
    lines = credit_lines(found.invoice, wish, found.before, standing)
    return replace(
        found.invoice, invoice_id=f"CN-2026-12-{found.agreed.note_count + 1:05}", month="2026-12",
        issued_on=on, lines=lines, corrects=found.invoice.invoice_id,
    )  # fmt: skip


def test_a_month_is_closed_once_and_the_books_are_whole(store):
    book = closed(store)
    first = book.closings()
    again = book.close("2026-11", making("2026-11", {}), 99.0)
    assert (again,) == first
    assert again.invoice_count == 2
    entries = book.entries()
    check_books(entries)
    assert sum(balances(entries).values()) == 0
    verdict = book.check()
    assert verdict.fault is None
    assert (verdict.entry_count, verdict.invoice_count) == (4, 3)
    # 123.40 of usage is drawn from 200.00 that are paid now.
    assert book.agreed().used == {"ctr_1": 123_400_370}
    assert [i.invoice_id for i in book.invoices(None, None, "", 9)] == [
        "CN-2026-12-00001",
        "INV-2026-11-00002",
        "INV-2026-11-00001",
    ]
    assert [i.invoice_id for i in book.invoices([ACME], "2026-11", "", 9)] == ["INV-2026-11-00001"]
    assert book.invoices(None, None, "INV-2026-11-00002", 1) == (book.invoice("INV-2026-11-00001"),)
    assert sum(line.amount_micro_usd for line in book.statement(ACME)) == 150_000_000
    assert [line.date for line in book.statement(ACME)] == ["2026-11-30", "2026-12-03"]


def test_two_who_close_at_once_close_once(store):
    book, found = open_billing(store), []
    threads = [
        Thread(target=lambda: found.append(book.close("2026-11", making("2026-11"), 1.0)))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 2
    assert found[0] == found[1]
    assert len(book.entries()) == 2


def test_a_closing_that_fails_writes_nothing(store):
    book = open_billing(store)

    def wrong(agreed):
        made = making("2026-11")(agreed)
        bad = replace(made.drafts[-1], postings=made.drafts[-1].postings[:1])
        return replace(made, drafts=(*made.drafts[:-1], bad))

    with pytest.raises(InputError, match="postings"):
        book.close("2026-11", wrong, 1.0)
    assert book.closings() == book.entries() == book.invoices(None, None, "", 9) == ()


def test_nothing_is_put_before_a_closed_month(store):
    book = closed(store)
    with pytest.raises(InputError, match="nothing is put before"):
        book.close("2026-10", making("2026-10"), 3.0)
    with pytest.raises(InputError, match="closed up to 2026-11"):
        book.add_item(replace(PREPAID, item_id="ctr_2"), 3.0)
    price = ProductPrice("prc_1", "tokens", 5, "million", 10**6, "2026-11")
    with pytest.raises(InputError, match="closed up to 2026-11"):
        book.add_price(price, 3.0)
    later = replace(price, from_month="2026-12", organisation_id=ACME)
    book.add_price(later, 3.0)
    assert book.agreed().prices == (later,)
    with pytest.raises(InputError, match="closed up to 2026-11"):
        pay(store, "bank-2", "2026-11-30", 5)


def test_a_payment_is_written_once(store):
    book = closed(store)
    before = book.entries()
    pay(store, "bank-1", "2026-12-03", 50_000_000)
    assert book.entries() == before
    with pytest.raises(ConflictError, match="says something else"):
        pay(store, "bank-1", "2026-12-03", 50_000_001)
    with pytest.raises(InputError):
        pay(store, "bank-3", "2026-12-03", 0)
    with pytest.raises(UnknownIdError, match="INV-2026-11-00009"):
        book.invoice("INV-2026-11-00009")


def test_what_a_credit_note_gives_back_to_a_commitment_can_be_used_again(store):
    book = closed(store)

    wish = CreditWish("node was slow", 23_400_370)
    made = book.credit("INV-2026-11-00001", lambda found: noted(found, wish, "2026-12-05"))
    assert made.total_micro_usd == 0
    assert book.agreed().used == {"ctr_1": 100_000_000}
    assert sum(line.amount_micro_usd for line in book.statement(ACME)) == 150_000_000
    # The next month is paid with it.
    sums = sum_charges([Charge(ACME, replace(KEY, price_micro_usd=10_000_000), 90)])
    book.close("2026-12", making("2026-12", sums), 3.0)
    invoice = book.invoice("INV-2026-12-00001")
    assert invoice.total_micro_usd == 0
    assert book.agreed().used == {"ctr_1": 200_000_000}
    assert book.check().fault is None


@pytest.mark.parametrize("table", [table.name for table in GROWING])
@pytest.mark.parametrize("verb", ["UPDATE {} SET {} = {}", "DELETE FROM {}"])
def test_the_database_itself_refuses_changes(store, table, verb):
    book = closed(store)
    book.add_price(ProductPrice("prc_1", "tokens", 5, "million", 10**6, "2026-12"), 3.0)
    with store.database.write() as connection:
        row = {"note_id": "CN-1", "item_id": "ctr_1", "amount_micro_usd": 0}
        connection.execute(insert(contract_returns), row)
    column = next(iter(t for t in GROWING if t.name == table)).primary_key.columns.keys()[0]
    with pytest.raises(DataError, match="only grows"), store.database.write() as connection:
        connection.execute(text(verb.format(table, column, column)))
    assert book.check().fault is None


def disarm(connection):
    for table in GROWING:
        names = (
            [f"{table.name}_only_grows"]
            if connection.dialect.name == "postgresql"
            else [f"{table.name}_no_update", f"{table.name}_no_delete"]
        )
        for name in names:
            on = f" ON {table.name}" if connection.dialect.name == "postgresql" else ""
            connection.execute(text(f"DROP TRIGGER {name}{on}"))


TAMPERINGS = {
    "UPDATE ledger_entry SET memo = 'x' WHERE number = 2": "ledger entry 2",
    "UPDATE ledger_entry SET date = '2026-12-05' WHERE number = 3": "ledger entry 3",
    "UPDATE ledger_entry SET postings = '[]' WHERE number = 1": "ledger entry 1",
    "UPDATE ledger_entry SET postings = 'x' WHERE number = 4": "ledger entry 4",
    "DELETE FROM ledger_entry WHERE number = 2": "from entry 1 to 3",
    "DELETE FROM ledger_entry WHERE number = 4": "CN-2026-12-00001 has no entry",
    "DELETE FROM ledger_entry WHERE number >= 2": "ledger entry 2 is not what it was when 2026-11",
    "UPDATE invoice SET document = replace(document, '1000003', '1000004')"
    " WHERE invoice_id = 'INV-2026-11-00001'": "INV-2026-11-00001 is not as it was",
    "UPDATE invoice SET organisation_id = 'org_acme'"
    " WHERE invoice_id = 'INV-2026-11-00002'": "INV-2026-11-00002 is filed under",
    "UPDATE invoice SET total_micro_usd = 1"
    " WHERE invoice_id = 'INV-2026-11-00002'": "INV-2026-11-00002 is filed under",
    "DELETE FROM invoice WHERE invoice_id = 'INV-2026-11-00001'": "INV-2026-11-00001 is in the",
    "UPDATE closed_month SET entry_digest = 'x'": "when 2026-11 was closed",
    "UPDATE ledger_posting SET amount_micro_usd = amount_micro_usd + 1 WHERE number = 1": "index",
}


@pytest.mark.parametrize("statement", TAMPERINGS)
def test_a_tampered_row_is_named(store, statement):
    book = closed(store)
    with store.database.write() as connection:
        disarm(connection)
        if statement == "DELETE FROM ledger_entry WHERE number >= 2":
            connection.execute(text("DELETE FROM invoice WHERE invoice_id != 'INV-2026-11-00001'"))
        connection.execute(text(statement))
    assert TAMPERINGS[statement] in (book.check().fault or "")
