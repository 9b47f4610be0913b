"""Credit notes, also on what was prepaid.

Goal: after a note the books are as if that much had not been charged: what commitments and credits
had paid can be used again, what was owed and its taxes go back, and nothing goes back twice.
Method: random contracts and usage over months with notes in between; each note is compared with a
month that is computed again with less, balances with what is left of each item, and beancount
judges the books.
"""

from dataclasses import replace
from typing import NamedTuple

import pytest
from beancount import loader
from hypothesis import assume, given
from hypothesis import strategies as st

from gigawatt.errors import InputError
from gigawatt.identity.accounts import OrganisationId
from gigawatt.ids import SiteId, TenantId
from gigawatt.market.charge import Charge, ChargeKind, Key, half_up, sum_charges
from gigawatt.market.closing import Payer, close, deferred, invoice_draft, receivable
from gigawatt.market.contract import PPM, ContractItem, ItemKind, effect_of
from gigawatt.market.credit_note import CreditWish, Standing, credit_lines, returns_of
from gigawatt.market.invoice import CHARGES, Invoice, LineKind
from gigawatt.market.ledger import LedgerEntry, append, balances, check_books, to_beancount

ORG = OrganisationId("org_a")
MONTHS = ["2026-11", "2026-12", "2027-01"]
AFTER = {"2026-11": "2026-12", "2026-12": "2027-01", "2027-01": "2027-02"}
GPU = Key(
    TenantId("ten_1"), ChargeKind.GPU, "clu_1", "", "h100", "on_demand", SiteId("site-a"),
    "GPU-hour", 1, 1,
)  # fmt: skip
CHARGED = CHARGES | {LineKind.MINIMUM}
PAID = (LineKind.DRAWDOWN, LineKind.CREDIT)


class Wish(NamedTuple):
    """A note: after which month, of which invoice, how much in thousandths of what is left."""

    after: int
    of: int
    share: int
    item: int | None


@st.composite
def contracts(draw):
    items = []
    for number in range(draw(st.integers(0, 5))):
        kind = draw(st.sampled_from(list(ItemKind)))
        first = draw(st.sampled_from(MONTHS))
        last = draw(st.sampled_from([m for m in [*MONTHS, "2027-02", "2027-03"] if m >= first]))
        is_tax = kind is ItemKind.TAX
        amount = 0 if is_tax else draw(st.integers(1, 10**12))
        rate = draw(st.integers(1, 300_000)) if is_tax else 0
        items.append(
            ContractItem(f"ctr_{number}", ORG, kind, f"n{number}", amount, rate, first, last)
        )
    return items


USAGES = st.lists(st.integers(0, 10**12), min_size=3, max_size=3)
WISHES = st.lists(
    st.builds(
        Wish,
        after=st.integers(0, 2),
        of=st.integers(0, 2),
        share=st.integers(1, 1_000),
        item=st.none() | st.integers(0, 4),
    ),
    max_size=6,
)


class Books:
    """What the store does, in a few lines: months and notes, one after the other."""

    def __init__(self, items):
        self.items = {item.item_id: item for item in items}
        self.used: dict[str, int] = {}
        self.invoices: dict[str, Invoice] = {}
        self.notes: list[Invoice] = []
        self.entries: list[LedgerEntry] = []
        self.closed = ""

    def close(self, month, charged):
        payer = Payer(ORG, "A", {}, list(self.items.values()))
        sums = sum_charges([Charge(ORG, GPU, charged)] if charged else [])
        made = close(month, [payer], sums, self.used)
        for item_id, amount in made.used.items():
            self.used[item_id] = self.used.get(item_id, 0) + amount
        self._write(made.drafts)
        self.closed = month
        for invoice in made.invoices:
            self.invoices[month] = invoice

    def before(self, invoice):
        return [note for note in self.notes if note.corrects == invoice.invoice_id]

    def credit(self, invoice, wish):
        month = AFTER[self.closed]
        standing = Standing(month, self.items, self.used)
        lines = credit_lines(invoice, wish, self.before(invoice), standing)
        note = replace(
            invoice, invoice_id=f"CN-{month}-{len(self.notes) + 1:05}", month=month,
            issued_on=f"{month}-05", lines=lines, corrects=invoice.invoice_id,
        )  # fmt: skip
        for item_id, amount in returns_of(note).items():
            self.used[item_id] = self.used.get(item_id, 0) - amount
        self.notes.append(note)
        draft = invoice_draft(note)
        assert draft is not None
        self._write([draft])
        return note

    def _write(self, drafts):
        for draft in drafts:
            last = self.entries[-1] if self.entries else None
            self.entries.append(append(last, draft, self.closed))

    def charges_left(self, invoice):
        noted = sum(n.sum_micro_usd(LineKind.CORRECTION) for n in self.before(invoice))
        return invoice.sum_micro_usd(*CHARGED) + noted


def told(books, usages, wishes):
    """Close all months, and make every note that can be made when its time has come."""
    for number, (month, charged) in enumerate(zip(MONTHS, usages, strict=True)):
        books.close(month, charged)
        for wish in (one for one in wishes if one.after == number):
            invoice = books.invoices.get(MONTHS[wish.of])
            if invoice is None:
                continue
            item_id = "" if wish.item is None else f"ctr_{wish.item}"
            item = books.items.get(item_id)
            left = books.charges_left(invoice)
            if item is not None:
                left = item.amount_micro_usd - books.used.get(item_id, 0)
            amount = left if wish.share == 1_000 else left * wish.share // 1_000
            try:
                books.credit(invoice, CreditWish("wrong", amount or None, item_id))
            except InputError as error:
                reasons = ("are left", "did not sell", "nothing can go")
                assert any(text in str(error) for text in reasons), error  # noqa: PT017 - or none
    return books


@given(contracts(), USAGES, WISHES)
def test_the_books_are_whole_and_say_what_is_left_of_every_item(items, usages, wishes):
    books = told(Books(items), usages, wishes)
    check_books(books.entries)
    found = balances(books.entries)
    assert sum(found.values()) == 0
    documents = [*books.invoices.values(), *books.notes]
    assert found.get(receivable(ORG), 0) == sum(one.total_micro_usd for one in documents)
    for item in items:
        assert 0 <= books.used.get(item.item_id, 0) <= item.amount_micro_usd
    unused = sum(
        item.amount_micro_usd - books.used.get(item.item_id, 0)
        for item in items
        if item.kind is ItemKind.COMMITMENT
    )
    assert found.get(deferred(ORG), 0) == -unused
    for note in books.notes:
        assert note.total_micro_usd <= 0
        assert note.total_micro_usd % 10_000 == 0


@given(contracts(), USAGES, WISHES)
def test_no_invoice_is_taken_back_beyond_what_it_was(items, usages, wishes):
    books = told(Books(items), usages, wishes)
    for invoice in books.invoices.values():
        notes = books.before(invoice)
        assert 0 <= books.charges_left(invoice) <= invoice.sum_micro_usd(*CHARGED)
        for kind in (LineKind.TAX, LineKind.COMMITMENT):
            back = -sum(note.sum_micro_usd(kind) for note in notes)
            assert 0 <= back <= invoice.sum_micro_usd(kind)
        for line in invoice.lines:
            if line.kind in PAID:
                back = sum(returns_of(note).get(line.item_id, 0) for note in notes)
                assert back <= -line.amount_micro_usd
        net = invoice.net_micro_usd + sum(note.net_micro_usd for note in notes)
        total = invoice.total_micro_usd + sum(note.total_micro_usd for note in notes)
        assert net >= 0
        # When nothing is left to pay, nothing is asked; until then it is right to a cent a note.
        assert net > 0 or total == 0
        rest = net + invoice.tax_micro_usd + sum(note.tax_micro_usd for note in notes)
        assert abs(total - rest) <= 5_000 * (1 + len(notes))


@given(contracts(), st.integers(1, 10**12), st.integers(1, 10**12))
def test_a_note_leaves_the_month_as_if_that_much_had_not_been_charged(items, charged, less):
    month = MONTHS[0]
    books = Books(items)
    books.close(month, charged)
    invoice = books.invoices[month]
    gross = invoice.sum_micro_usd(*CHARGED)
    assume(less <= gross)
    try:
        note = books.credit(invoice, CreditWish("wrong", less))
    except InputError as error:
        assert "nothing can go back" in str(error)  # noqa: PT017 - or none
        assume(False)
    # The minimum is what was charged already; what is missing is not asked again.
    others = [item for item in items if item.kind is not ItemKind.MINIMUM]
    wanted = effect_of(others, {}, month, gross - less)
    for kind, paid in ((LineKind.DRAWDOWN, wanted.drawn), (LineKind.CREDIT, wanted.credited)):
        found: dict[str, int] = {}
        for document in (invoice, note):
            for line in document.lines:
                if line.kind is kind:
                    found[line.item_id] = found.get(line.item_id, 0) - line.amount_micro_usd
        assert {k: v for k, v in found.items() if v} == {
            item.item_id: amount for item, amount in paid.items()
        }
    net = invoice.net_micro_usd + note.net_micro_usd
    owed = gross - less - sum(wanted.drawn.values()) - sum(wanted.credited.values())
    assert net == owed + sum(wanted.bought.values())
    for item, _ in effect_of(items, {}, month, charged).taxes.items():
        taxed = [
            line.amount_micro_usd
            for document in (invoice, note)
            for line in document.lines
            if line.kind is LineKind.TAX and line.item_id == item.item_id
        ]
        assert abs(sum(taxed) - half_up(net * item.rate_ppm, PPM)) <= 2


def prepaid(to_month="2027-03"):
    """1,000.00 prepaid with 10 % tax, of which 300.00 were used; 50.00 welcome."""
    month = MONTHS[0]
    items = [
        ContractItem("c", ORG, ItemKind.COMMITMENT, "prepaid", 10**9, 0, month, to_month),
        ContractItem("t", ORG, ItemKind.TAX, "VAT", 0, 100_000, month, "2027-03"),
    ]
    books = Books(items)
    books.close(month, 300 * 10**6)
    return books, books.invoices[month]


def test_what_was_prepaid_goes_back_to_the_commitment_without_money():
    books, invoice = prepaid()
    assert invoice.total_micro_usd == 1_100 * 10**6
    note = books.credit(invoice, CreditWish("node was slow", 120 * 10**6))
    assert note.total_micro_usd == 0
    assert [(line.kind, line.amount_micro_usd) for line in note.lines] == [
        (LineKind.CORRECTION, -120 * 10**6),
        (LineKind.DRAWDOWN, 120 * 10**6),
    ]
    assert books.used == {"c": 180 * 10**6}
    found = balances(books.entries)
    assert found["Income:Corrections"] == 120 * 10**6
    assert found[deferred(ORG)] == -820 * 10**6
    assert found[receivable(ORG)] == 1_100 * 10**6
    # All of it pays usage of the next months.
    books.close(MONTHS[1], 820 * 10**6)
    assert books.invoices[MONTHS[1]].total_micro_usd == 0
    with pytest.raises(InputError, match="180000000 are left") as refused:
        books.credit(invoice, CreditWish("again", 181 * 10**6))
    assert "by its own id: c" in refused.value.next_step


def test_a_commitment_is_taken_back_with_its_tax_as_far_as_nobody_drew_it():
    books, invoice = prepaid()
    with pytest.raises(InputError, match="700000000 are left"):
        books.credit(invoice, CreditWish("gave up", 701 * 10**6, "c"))
    with pytest.raises(InputError, match="did not sell 'x'; it sold c"):
        books.credit(invoice, CreditWish("gave up", None, "x"))
    note = books.credit(invoice, CreditWish("gave up", None, "c"))
    assert note.total_micro_usd == -770 * 10**6
    assert balances(books.entries)[deferred(ORG)] == 0
    with pytest.raises(InputError, match="0 are left"):
        books.credit(invoice, CreditWish("again", None, "c"))
    books.close(MONTHS[1], 10 * 10**6)
    assert books.invoices[MONTHS[1]].total_micro_usd == 11 * 10**6
    _, errors, _ = loader.load_string(to_beancount(books.entries))
    assert errors == []


def test_nothing_goes_back_to_what_has_ended():
    books, invoice = prepaid(to_month=MONTHS[0])
    assert balances(books.entries)["Income:Breakage"] == -700 * 10**6
    with pytest.raises(InputError, match=r"c paid a part of INV-.* and ended in 2026-11"):
        books.credit(invoice, CreditWish("node was slow", 5))
    with pytest.raises(InputError, match="0 are left"):
        books.credit(invoice, CreditWish("gave up", None, "c"))


def test_a_credit_note_is_not_credited():
    books, invoice = prepaid()
    note = books.credit(invoice, CreditWish("x", 5))
    with pytest.raises(InputError, match="is a credit note"):
        books.credit(note, CreditWish("again"))
