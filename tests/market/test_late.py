"""What becomes known of a month after it was billed.

Goal: whatever is learnt, and whenever months are closed in between, all documents together charge
what was used: each part once, none twice, none lost, with minimums, commitments and taxes right.
Method: random interleavings of usage that grows and shrinks in any month, of closings, and of
credit notes made by hand; the truth is kept beside them, and the books are judged by its sums.
"""

from collections import Counter
from dataclasses import replace
from fractions import Fraction

import pytest
from beancount import loader
from hypothesis import given
from hypothesis import strategies as st

from gigawatt.errors import InputError
from gigawatt.identity.accounts import OrganisationId
from gigawatt.ids import SiteId, TenantId
from gigawatt.market.charge import ChargeKind, Key
from gigawatt.market.closing import Late, Payer, close, invoice_draft, receivable
from gigawatt.market.contract import ContractItem, ItemKind, check_item
from gigawatt.market.credit_note import (
    CreditWish,
    Standing,
    charges_left,
    credit_lines,
    returns_of,
)
from gigawatt.market.invoice import CHARGES, LineKind, invoice_from, invoice_text
from gigawatt.market.late import NEVER, KnownMonth, late_changes
from gigawatt.market.ledger import append, balances, check_books, to_beancount
from gigawatt.market.meter import MS_PER_HOUR

ACME, BETA = OrganisationId("org_acme"), OrganisationId("org_beta")
MONTHS = ["2026-11", "2026-12", "2027-01", "2027-02", "2027-03", "2027-04"]
SITE = SiteId("site-a")
RESERVED = Key(
    TenantId("ten_1"), ChargeKind.RESERVATION, "res_1", "", "h100", "reserved", SITE,
    "GPU-hour", MS_PER_HOUR, 2_345_678,
)  # fmt: skip
USED = replace(RESERVED, kind=ChargeKind.GPU, subject_id="clu_1", term="on_demand")
TOKENS = replace(
    RESERVED, kind=ChargeKind.EXTERNAL, subject_id="", item="tokens", term="", site_id=None,
    unit="million", parts_per_unit=7, price_micro_usd=3,
)  # fmt: skip
FREE = replace(TOKENS, item="calls", price_micro_usd=0)
KEYS = [RESERVED, USED, TOKENS, FREE]


class World:
    """What was used, and books in which months are closed one after the other."""

    def __init__(self, items=()):
        self.items, self.used = list(items), Counter()
        self.truth = {}
        self.documents, self.entries = [], []
        self.closed = ""
        self.tag = ""

    def use(self, org, month, key, parts):
        place = (org, month, key)
        self.truth[place] = max(0, self.truth.get(place, 0) + parts)

    def sums(self, month):
        found = {}
        for (org, of, key), parts in self.truth.items():
            if of == month and parts:
                found.setdefault(org, {})[replace(key, tag=self.tag)] = parts
        return found

    def notes(self):
        return [one for one in self.documents if one.corrects]

    def late(self, month):
        earlier = MONTHS[: MONTHS.index(month)]
        known = [KnownMonth(one, self.sums(one), {"res_1": "node-7 is gone"}) for one in earlier]
        items = {org: [i for i in self.items if i.organisation_id == org] for org in (ACME, BETA)}
        before = {}
        for note in self.notes():
            before.setdefault(note.corrects, []).append(note)
        return Late(late_changes(known, self.documents, items), before, len(self.notes()))

    def close(self):
        month = MONTHS[MONTHS.index(self.closed) + 1] if self.closed else MONTHS[0]
        payers = [
            Payer(org, org.upper(), {}, [i for i in self.items if i.organisation_id == org])
            for org in (ACME, BETA)
        ]
        made = close(month, payers, self.sums(month), self.used, self.late(month))
        self._enter(made.drafts)
        for item in made.credits:
            check_item(item, self.closed)
        self.items += made.credits
        self.used.update(made.used)
        self._keep([*made.notes, *made.invoices])
        self.closed = month
        return made

    def credit(self, place, amount, month):
        """A credit note by hand, if anything is left of the invoice."""
        invoices = [one for one in self.documents if not one.corrects]
        if not invoices:
            return
        invoice = invoices[place % len(invoices)]
        before = [note for note in self.notes() if note.corrects == invoice.invoice_id]
        standing = Standing(month, {i.item_id: i for i in self.items}, self.used)
        try:
            lines = credit_lines(invoice, CreditWish("by hand", amount), before, standing)
        except InputError:
            return
        note = replace(
            invoice, invoice_id=f"CN-{month}-{len(self.notes()) + 1:05}", month=month,
            issued_on=f"{month}-02", lines=lines, corrects=invoice.invoice_id,
        )  # fmt: skip
        self._enter([draft] if (draft := invoice_draft(note)) else [])
        self._keep([note])

    def _keep(self, documents):
        for one in documents:
            self.documents.append(invoice_from(invoice_text(one)))
            if one.corrects:
                self.used.subtract(returns_of(one))

    def _enter(self, drafts):
        for draft in drafts:
            last = self.entries[-1] if self.entries else None
            self.entries.append(append(last, draft, self.closed))

    def billed(self):
        """Parts, micro-USD and lines of each charge by whose it is and its month."""
        parts, amounts, counts = Counter(), Counter(), Counter()
        for document in self.documents:
            for line in document.lines:
                if line.kind not in CHARGES:
                    continue
                place = (document.organisation_id, line.month or document.month, line.kind.value,
                         line.item)  # fmt: skip
                parts[place] += line.quantity_parts
                amounts[place] += line.amount_micro_usd
                counts[place] += 1
        return parts, amounts, counts

    def check(self):
        """All documents together charge what was used, and the books agree."""
        parts, amounts, counts = self.billed()
        places = {(o, m, k.kind.value, k.item): (o, m, k) for o, m, k in self.truth}
        for place in {*parts, *places}:
            known = places.get(place)
            wanted = self.truth[known] if known else 0
            assert parts[place] == wanted, place
            if known:
                exact = Fraction(wanted * known[2].price_micro_usd, known[2].parts_per_unit)
                assert abs(amounts[place] - exact) <= Fraction(counts[place], 2)
        self._check_minimums(amounts)
        for item in self.items:
            assert 0 <= self.used[item.item_id] <= item.amount_micro_usd, item
        for invoice in self.documents:
            assert invoice.total_micro_usd % 10_000 == 0
            assert abs(invoice.sum_micro_usd(LineKind.ROUNDING)) <= 5_000
            mine = [note for note in self.notes() if note.corrects == invoice.invoice_id]
            if not invoice.corrects:
                assert invoice.total_micro_usd >= 0
                assert charges_left(invoice, mine) >= 0
                assert sum(note.total_micro_usd for note in mine) + invoice.total_micro_usd >= 0
        check_books(self.entries)
        found = balances(self.entries)
        for org in (ACME, BETA):
            owed = sum(d.total_micro_usd for d in self.documents if d.organisation_id == org)
            assert found.get(receivable(org), 0) == owed
        assert sum(found.values()) == 0

    def _check_minimums(self, amounts):
        short = Counter()
        for document in self.documents:
            for line in document.lines:
                if line.kind is LineKind.MINIMUM:
                    month = line.month or document.month
                    short[document.organisation_id, month] += line.amount_micro_usd
        for org in (ACME, BETA):
            for month in MONTHS[: MONTHS.index(self.closed) + 1]:
                least = sum(
                    i.amount_micro_usd
                    for i in self.items
                    if i.organisation_id == org
                    and i.kind is ItemKind.MINIMUM
                    and i.is_in_force(month)
                )
                charged = sum(a for place, a in amounts.items() if place[:2] == (org, month))
                assert short[org, month] == max(0, least - charged)


@st.composite
def contracts(draw):
    items = []
    for number in range(draw(st.integers(0, 5))):
        kind = draw(st.sampled_from(list(ItemKind)))
        first, last = sorted(draw(st.tuples(*[st.sampled_from(MONTHS[:4])] * 2)))
        is_tax = kind is ItemKind.TAX
        item = ContractItem(
            f"ctr_{number}", draw(st.sampled_from([ACME, BETA])), kind, f"{kind.value} {number}",
            0 if is_tax else draw(st.sampled_from([1, 77_777, 10**7, 10**10])),
            draw(st.integers(1, 300_000)) if is_tax else 0, first, last,
        )  # fmt: skip
        check_item(item)
        items.append(item)
    return items


usages = st.tuples(
    st.just("use"), st.sampled_from([ACME, BETA]), st.integers(0, 4), st.sampled_from(KEYS),
    st.integers(-2 * MS_PER_HOUR, 3 * MS_PER_HOUR),
)  # fmt: skip
by_hand = st.tuples(st.just("credit"), st.integers(0, 9), st.one_of(st.none(), st.just(77)))
steps = st.lists(st.one_of(usages, usages, by_hand, st.just(("close",))), max_size=25)


@given(steps, contracts())
def test_any_order_of_closings_and_of_what_becomes_known_bills_what_was_used(told, items):
    world = World(items)
    for step in told:
        at = MONTHS.index(world.closed) + 1 if world.closed else 0
        if step[0] == "use":
            world.use(step[1], MONTHS[min(step[2], at)], *step[3:])
        elif step[0] == "credit":
            world.credit(step[1], step[2], MONTHS[at])
        elif at < len(MONTHS) - 2:
            world.close()
    while world.closed != MONTHS[-2]:
        world.close()
    world.check()
    # Nothing became known since, so nothing is left over, whatever things are called now.
    world.tag = "blue"
    assert world.late(MONTHS[-1]).changes == []
    assert world.close().notes == ()
    world.check()


def line_of(document, kind):
    (found,) = [line for line in document.lines if line.kind is kind]
    return found


def test_what_is_owed_more_is_a_line_of_the_next_invoice_that_names_its_month():
    world = World()
    world.use(ACME, "2026-11", USED, MS_PER_HOUR)
    world.close()
    world.use(ACME, "2026-11", USED, 2 * MS_PER_HOUR)
    (invoice,) = world.close().invoices
    line = line_of(invoice, LineKind.GPU)
    assert (line.month, line.quantity_parts) == ("2026-11", 2 * MS_PER_HOUR)
    assert line.text == "h100 on demand, 2026-11: known after it was billed"
    assert line.amount_micro_usd == 2 * USED.price_micro_usd
    world.check()


def test_what_was_charged_too_much_is_a_credit_note_that_names_the_cause():
    tax = ContractItem("ctr_t", ACME, ItemKind.TAX, "VAT", 0, 200_000, "2026-11", "2026-11")
    world = World([tax])
    world.use(ACME, "2026-11", RESERVED, 4 * MS_PER_HOUR)
    (first,) = world.close().invoices
    world.use(ACME, "2026-11", RESERVED, -MS_PER_HOUR)
    made = world.close()
    (note,) = made.notes
    assert (note.invoice_id, note.month, note.corrects) == (
        "CN-2026-12-00001", "2026-12", first.invoice_id,
    )  # fmt: skip
    line = line_of(note, LineKind.RESERVATION)
    assert line.text == "h100 reserved, 2026-11: node-7 is gone"
    assert (line.month, line.quantity_parts) == ("2026-11", -MS_PER_HOUR)
    # The tax is that of the month, though none is in force when the note is made.
    assert line_of(note, LineKind.TAX).amount_micro_usd == round(-0.2 * RESERVED.price_micro_usd)
    assert made.invoices == ()
    world.check()


def test_a_minimum_of_the_month_itself_takes_a_credit_and_one_of_the_next_does_not():
    least = ContractItem(
        "ctr_m", ACME, ItemKind.MINIMUM, "least", 3 * RESERVED.price_micro_usd, 0, "2026-11",
        "2026-12",
    )  # fmt: skip
    world = World([least])
    for month in ("2026-11", "2026-12"):
        world.use(ACME, month, RESERVED, 4 * MS_PER_HOUR)
    world.close()
    world.use(ACME, "2026-11", RESERVED, -3 * MS_PER_HOUR)
    made = world.close()
    (note,) = made.notes
    # 4 hours were paid; 3 are the least, so 1 of the 3 comes back.
    assert note.net_micro_usd == -RESERVED.price_micro_usd
    assert line_of(note, LineKind.MINIMUM).amount_micro_usd == 2 * RESERVED.price_micro_usd
    assert [line.kind for line in made.invoices[0].lines][:1] == [LineKind.RESERVATION]
    assert made.invoices[0].sum_micro_usd(LineKind.MINIMUM) == 0
    world.check()


@pytest.mark.parametrize(("to_month", "is_live"), [("2026-12", True), ("2026-11", False)])
def test_what_was_prepaid_goes_back_to_what_paid_it_or_is_a_credit_that_does_not_end(
    to_month, is_live
):
    hour = RESERVED.price_micro_usd
    paid = ContractItem(
        "ctr_p", ACME, ItemKind.COMMITMENT, "prepaid", 4 * hour, 0, "2026-11", to_month
    )
    world = World([paid])
    world.use(ACME, "2026-11", RESERVED, 4 * MS_PER_HOUR)
    world.close()
    world.use(ACME, "2026-11", RESERVED, -MS_PER_HOUR)
    world.use(ACME, "2026-12", RESERVED, MS_PER_HOUR)
    made = world.close()
    (note,), (invoice,) = made.notes, made.invoices
    assert note.total_micro_usd == 0
    assert invoice.total_micro_usd == 0
    if is_live:
        assert line_of(note, LineKind.DRAWDOWN).amount_micro_usd == hour
        assert line_of(invoice, LineKind.DRAWDOWN).amount_micro_usd == -hour
    else:
        (given,) = made.credits
        assert (given.amount_micro_usd, given.to_month) == (hour, NEVER)
        assert line_of(invoice, LineKind.CREDIT).amount_micro_usd == -hour
    world.check()


def test_what_was_taken_back_by_hand_is_not_taken_back_again():
    world = World()
    world.use(ACME, "2026-11", RESERVED, 4 * MS_PER_HOUR)
    world.close()
    world.credit(0, None, "2026-12")
    world.use(ACME, "2026-11", RESERVED, -MS_PER_HOUR)
    (note,) = world.close().notes
    assert note.total_micro_usd == 0
    assert world.close().notes == ()
    assert balances(world.entries).get(receivable(ACME), 0) == 0
    world.check()


def test_what_two_invoices_charged_is_taken_back_from_both():
    world = World()
    world.use(ACME, "2026-11", RESERVED, MS_PER_HOUR)
    world.close()
    world.use(ACME, "2026-11", RESERVED, 3 * MS_PER_HOUR)
    world.close()
    world.use(ACME, "2026-11", RESERVED, -3 * MS_PER_HOUR)
    first, second = world.close().notes
    assert [first.corrects, second.corrects] == ["INV-2026-11-00001", "INV-2026-12-00001"]
    assert first.net_micro_usd == -RESERVED.price_micro_usd
    assert second.net_micro_usd == -2 * RESERVED.price_micro_usd
    world.check()


def test_beancount_agrees_with_late_lines_and_notes(tmp_path):
    world = World()
    world.use(ACME, "2026-11", RESERVED, 4 * MS_PER_HOUR)
    world.use(BETA, "2026-11", USED, MS_PER_HOUR)
    world.close()
    world.use(ACME, "2026-11", RESERVED, -MS_PER_HOUR)
    world.use(BETA, "2026-11", USED, MS_PER_HOUR)
    world.close()
    path = tmp_path / "books.beancount"
    path.write_text(to_beancount(world.entries))
    _, errors, _ = loader.load_file(str(path))
    assert errors == []
    world.check()
