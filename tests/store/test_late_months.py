"""What becomes known late, through the real books of usage, promises and money.

Goal: time that is credited, or noted, after its month was closed is on the next documents by
itself, once, whoever closes and however often; and no outage of a promised node is forgotten.
Method: gaps, usage of servers whose clocks are behind, and late events are written into the store
after a month was closed; months are closed by the product, on both engines.
"""

from dataclasses import replace
from fractions import Fraction
from threading import Thread

import pytest
from beancount import loader
from market_books import DEC, HOUR_S, JAN, NOV, ORG, TENANT, Books, promise, worth

from gigawatt.app.market.invoice_csv import invoice_csv
from gigawatt.app.market.invoice_html import invoice_html
from gigawatt.app.market.invoice_pdf import invoice_pdf
from gigawatt.errors import ConflictError, StorageFullError
from gigawatt.interfaces.usage import ExternalUsage
from gigawatt.market.credit_note import CreditWish
from gigawatt.market.invoice import LineKind
from gigawatt.market.ledger import balances, to_beancount
from gigawatt.market.month import start_ms
from gigawatt.market.notice import NoticePolicy
from gigawatt.market.product import EGRESS, KNOWN, ProductPrice

FEB = start_ms("2027-02") / 1000


@pytest.fixture
def books(store, build):
    return Books(store, build)


def booked(books, build, from_s=NOV + HOUR_S, to_s=JAN):
    """A reservation of one node, paid with a dollar a GPU-hour."""
    record = promise("res_a", from_s, to_s, build.nodes[0], NOV)
    books.reservations.plan(record)
    books.reservations.book(record.reservation_id, None, NoticePolicy(), NOV + 1)
    return record.reservation_id


def short(books, node_id, from_s, to_s):
    """A promised node is out of use for a while, which is noted when it is over."""
    books.store.set_node_state(node_id, "quarantined", "broken", from_s)
    books.store.set_node_state(node_id, "available", "", to_s)


def notes_of(books, month):
    return [one for one in books.book.invoices(None, month, "", 99) if one.corrects]


def owed(books):
    return sum(line.amount_micro_usd for line in books.book.statement(ORG))


def test_a_credit_that_is_found_after_the_closing_is_a_note_of_the_next_and_only_of_that(
    books, build, tmp_path
):
    booked(books, build)
    books.store.set_node_state(build.nodes[0], "quarantined", "broken", DEC - 7_200)
    books.close("2026-11", DEC + 5)
    # The only server was down until now: the gap is noted, with the time at which it began.
    books.reservations.note_gap("res_a", build.nodes[0], DEC + 60)
    books.reservations.end_gap("res_a", build.nodes[0], DEC + 3_600)
    before = owed(books)
    books.clock.advance(86_400)
    shown = books.billing.plan("2026-12")
    assert [note.total_micro_usd for note in shown.closing.notes] == [-16_000_000]
    books.close("2026-12", JAN)
    (note,) = notes_of(books, "2026-12")
    assert (note.corrects, note.total_micro_usd) == ("INV-2026-11-00001", -16_000_000)
    (line,) = [line for line in note.lines if line.kind is LineKind.RESERVATION]
    text = f"h100 reserved, 2026-11: {build.nodes[0]} could not be had"
    assert (line.text, line.quantity_parts) == (text, -2 * 8 * 3_600_000)
    december, _ = books.book.invoices([ORG], "2026-12", "", 9)
    assert december.net_micro_usd == 8 * (31 * 24 - 1) * 1_000_000
    assert owed(books) == before - 16_000_000 + december.total_micro_usd
    for said in (invoice_html(note), invoice_csv(note)):
        assert text in said
        assert "-16.000000" in said
    assert ",2026-11," in invoice_csv(note).splitlines()[1]
    assert invoice_pdf(note).startswith(b"%PDF")
    books.close("2027-01", FEB)
    assert notes_of(books, "2027-01") == []
    assert books.book.check().fault is None
    path = tmp_path / "books.beancount"
    path.write_text(to_beancount(books.book.entries()))
    assert loader.load_file(str(path))[1] == []


def test_usage_that_a_server_with_a_slow_clock_notes_is_billed_late(books):
    books.launch("a", (0,), NOV)
    books.close("2026-11", DEC + 5)
    # This server's clock is half an hour behind: it hands over in a month that is closed.
    late = books.launch("b", (1,), DEC - 1_800, number=2)
    books.release(late, DEC + 1_800)
    books.close("2026-12", JAN)
    lines = {
        (line.subject_id, line.month): line.amount_micro_usd for line in books.lines("2026-12")
    }
    assert lines["clu_b", "2026-11"] == worth(8, 1_800)
    assert lines["clu_b", ""] == worth(8, 1_800)
    assert "h100 on demand, 2026-11: known" in " ".join(x.text for x in books.lines("2026-12"))
    books.close("2027-01", FEB)
    assert not any(line.month for line in books.lines("2027-01"))
    assert books.book.check().fault is None


def test_an_external_event_of_a_closed_month_is_billed_at_the_price_of_its_month(books):
    known = KNOWN[EGRESS]
    for number, (price, month) in enumerate([(20_000, "2026-11"), (90_000, "2026-12")]):
        made = ProductPrice(
            f"prc_{number}", EGRESS, price, known.unit, known.parts_per_unit, month
        )  # fmt: skip
        books.book.add_price(made, NOV)
    first = ExternalUsage(
        "gateway", "1", EGRESS, start_ms("2026-11") + 5, "box", ORG, TENANT, 1 << 30, "byte", {}
    )
    books.usage.add_external([first], NOV)
    books.close("2026-11", DEC)
    assert books.usage.add_external([replace(first, event_id="2", quantity=3 << 30)], DEC) == 1
    books.close("2026-12", JAN)
    (line,) = [line for line in books.lines("2026-12") if line.unit]
    assert (line.month, line.amount_micro_usd) == ("2026-11", 60_000)


def test_who_closes_at_once_or_again_after_a_crash_credits_once(books, build):
    booked(books, build)
    books.close("2026-11", DEC + 5)
    short(books, build.nodes[0], DEC - 3_600, DEC + 3_600)
    books.clock.advance(JAN - DEC)

    class CrashError(Exception):
        """The process is gone."""

    close_books = books.book.close

    def close_and_crash(month, make, now_s):
        def made(agreed):
            make(agreed)
            raise CrashError

        return close_books(month, made, now_s)

    books.book.close = close_and_crash
    with pytest.raises(CrashError):
        books.billing.close("2026-12")
    assert notes_of(books, None) == []
    books.book.close = close_books
    found = []
    threads = [
        Thread(target=lambda: found.append(books.billing.close("2026-12"))) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1
    assert [note.total_micro_usd for note in notes_of(books, None)] == [-8_000_000]


def test_a_credit_note_by_hand_while_a_month_is_closed_is_counted(books, build):
    booked(books, build)
    books.close("2026-11", DEC + 5)
    short(books, build.nodes[0], DEC - 3_600, DEC + 3_600)
    books.clock.advance(JAN - DEC)
    close_books, comers = books.book.close, []

    def close_after_somebody(month, make, now_s):
        if comers:
            comers.pop()()
        return close_books(month, make, now_s)

    books.book.close = close_after_somebody
    comers.append(lambda: books.billing.credit("INV-2026-11-00001", CreditWish("all of it")))
    with pytest.raises(ConflictError, match="came meanwhile"):
        books.billing.close("2026-12")
    books.billing.close("2026-12")
    # All of November was taken back by hand, so nothing more of it is.
    assert [note.total_micro_usd for note in notes_of(books, "2026-12")] == [0]


def test_a_project_that_is_gone_keeps_what_it_paid_and_gets_its_credit(books, build):
    booked(books, build, to_s=DEC)
    books.close("2026-11", DEC + 5)
    books.directory.projects = lambda *asked: ()
    books.clock.advance(1)
    assert books.billing.plan("2026-12").closing.notes == ()
    short(books, build.nodes[0], DEC - 3_600, DEC + 1)
    (note,) = books.billing.plan("2026-12").closing.notes
    assert (note.organisation_id, note.total_micro_usd) == (ORG, -8_000_000)


def test_a_node_that_is_back_before_anybody_looked_is_credited_for_its_time(books, build):
    name = booked(books, build)
    node = build.nodes[0]
    short(books, node, NOV + 7_200, NOV + 9_000)
    books.store.set_node_state(node, "quarantined", "broken", NOV + 10_000)
    books.store.set_node_state(node, "quarantined", "still broken", NOV + 10_600)
    books.store.set_node_state(node, "available", "", NOV + 10_900)
    record = books.reservations.get(name)
    assert [(gap.since_s - NOV, gap.until_s - NOV) for gap in record.gaps] == [
        (7_200, 9_000),
        (10_000, 10_600),
        (10_600, 10_900),
    ]
    books.close("2026-11", DEC)
    (invoice,) = books.book.invoices([ORG], "2026-11", "", 9)
    held_s = DEC - NOV - HOUR_S - 1_800 - 900
    assert invoice.net_micro_usd == Fraction(round(held_s), HOUR_S) * 8 * 1_000_000


def test_a_gap_that_is_noted_already_is_not_noted_again_when_its_node_is_back(books, build):
    name = booked(books, build)
    node = build.nodes[0]
    books.store.set_node_state(node, "quarantined", "broken", NOV + 7_200)
    books.reservations.note_gap(name, node, NOV + 7_230)
    books.store.set_node_state(node, "available", "", NOV + 9_000)
    books.reservations.end_gap(name, node, NOV + 9_010)
    (gap,) = books.reservations.get(name).gaps
    assert (gap.since_s, gap.until_s) == (NOV + 7_200, NOV + 9_010)


def test_an_outage_outside_of_a_promise_is_no_gap(books, build):
    name = booked(books, build, NOV + 86_400, NOV + 2 * 86_400)
    for begin, end in ((0, 3_600), (3 * 86_400, 4 * 86_400)):
        short(books, build.nodes[0], NOV + begin, NOV + end)
    short(books, build.nodes[1], NOV + 90_000, NOV + 90_001)
    assert books.reservations.get(name).gaps == ()
    assert balances(books.book.entries()) == {}


def test_nothing_of_a_late_credit_is_kept_when_the_disk_is_full(books, build, monkeypatch):
    booked(books, build)
    books.close("2026-11", DEC + 5)
    short(books, build.nodes[0], DEC - 3_600, DEC + 3_600)
    entries = books.book.entries()

    def full(*asked):
        raise StorageFullError("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr("gigawatt.store.billing.add_entries", full)
        with pytest.raises(StorageFullError):
            books.close("2026-12", JAN)
    assert books.book.entries() == entries
    assert notes_of(books, None) == []
    books.billing.close("2026-12")
    assert [note.total_micro_usd for note in notes_of(books, None)] == [-8_000_000]
