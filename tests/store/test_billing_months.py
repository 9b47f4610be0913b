"""From clusters to invoices, through the real books of usage and money.

Goal: what clusters and storage used in a month is on its invoice, to the micro-dollar, and each
moment of it on one invoice alone, whatever runs over the end of a month.
Method: clusters are launched and released at chosen moments in the store; months are closed by the
product; amounts are computed here from the moments alone.
"""

from dataclasses import replace

import pytest
from market_books import (
    DEC,
    DEC_MS,
    HOUR_S,
    JAN,
    NOV,
    ORG,
    PRICE,
    TENANT,
    Books,
    promise,
    worth,
)

from gigawatt.app.control import Control
from gigawatt.app.ids import CountingIds
from gigawatt.app.market.books_watch import EVERY_S, FIRST_S, BooksWatch
from gigawatt.app.market.budgets import EVERY_S as BUDGETS_EVERY_S
from gigawatt.errors import ConflictError, InputError, QuotaError, UnknownIdError
from gigawatt.executor.executor import Surroundings
from gigawatt.fleet.demo import hgx_fleet
from gigawatt.interfaces.usage import ExternalUsage
from gigawatt.market.budget import Budget, Spending, check_budget, check_cap
from gigawatt.market.contract import ContractItem, ItemKind
from gigawatt.market.credit_note import CreditWish
from gigawatt.market.invoice import LineKind
from gigawatt.market.month import start_ms
from gigawatt.market.notice import NoticePolicy
from gigawatt.market.product import (
    EGRESS,
    KNOWN,
    SANDBOX_CPU,
    STORAGE,
    STORAGE_PARTS,
    STORAGE_UNIT,
    ProductPrice,
)
from gigawatt.planner.plan import OperationKind
from gigawatt.store.schema import events

PRC = ProductPrice("prc_t", "llm.tokens", 150_000, "million tokens", 10**6, "2026-11")


@pytest.fixture
def books(store, build):
    return Books(store, build)


def test_what_runs_over_the_end_of_a_month_is_on_both_invoices_and_nothing_twice(books):
    over = books.launch("over", (0, 1), NOV + 20 * 86_400)
    short = books.launch("short", (2,), NOV + 86_400, number=2)
    books.release(short, NOV + 86_400 + 1_800.125)
    books.clock.advance(25 * 86_400)
    shown = books.billing.plan("2026-11")
    assert not shown.is_over
    with pytest.raises(InputError, match="2026-11 is not over"):
        books.billing.close("2026-11")
    first = books.close("2026-11", DEC + 5)
    books.release(over, DEC + 3_600)
    assert books.close("2026-11", DEC + 7_200) == first
    with pytest.raises(InputError, match="2026-11 is closed"):
        books.billing.plan("2026-11")
    books.close("2026-12", JAN)
    november = {line.subject_id: line.amount_micro_usd for line in books.lines("2026-11")}
    assert november["clu_over"] == worth(16, 10 * 86_400)
    assert november["clu_short"] == worth(8, 1_800.125)
    december = {line.subject_id: line.amount_micro_usd for line in books.lines("2026-12")}
    assert december["clu_over"] == worth(16, 3_600)
    assert "clu_short" not in december
    assert books.book.check().fault is None


def test_the_plan_is_what_the_closing_writes(books):
    books.launch("a", (0,), NOV + 100)
    books.clock.advance(DEC - NOV)
    plan = books.billing.plan("2026-11")
    assert plan.is_over
    assert plan.before == ""
    closed = books.billing.close("2026-11")
    assert closed.total_micro_usd == plan.closing.total_micro_usd
    assert books.book.invoices(None, None, "", 9) == plan.closing.invoices


def test_sandboxes_and_egress_are_billed_by_the_units_that_are_known(books):
    """From events to lines, once however often they are sent; parts of a unit to the micro-USD."""
    for product, price in ((SANDBOX_CPU, 40_000), (EGRESS, 20_000)):
        known = KNOWN[product]
        books.book.add_price(
            ProductPrice(
                f"prc_{product}", product, price, known.unit, known.parts_per_unit, "2026-11"
            ),
            NOV,
        )
    sent = [
        ExternalUsage(
            "sandboxes", f"{number}", product, start_ms("2026-11") + number, "box", ORG, TENANT,
            quantity, unit, {},
        )
        for number, (product, quantity, unit) in enumerate(
            [
                (SANDBOX_CPU, 1_800, "CPU-second"),
                (SANDBOX_CPU, 5, "CPU-second"),
                (EGRESS, 3 << 30, "byte"),
                (EGRESS, 1 << 29, "byte"),
            ]
        )
    ]  # fmt: skip
    assert books.usage.add_external(sent, NOV) == 4
    assert books.usage.add_external(sent[::-1], NOV) == 0
    books.close("2026-11", DEC)
    by_item = {line.item: line for line in books.lines("2026-11") if line.unit}
    # 1,805 s of 3,600 at 40,000, and 3.5 GiB at 20,000.
    assert by_item[SANDBOX_CPU].amount_micro_usd == 20_056
    assert by_item[EGRESS].amount_micro_usd == 70_000
    assert by_item[EGRESS].unit == "GiB"


@pytest.mark.parametrize(
    ("product", "unit", "said"),
    [
        (SANDBOX_CPU, "CPU-ms", "wanted 'CPU-second'"),
        (EGRESS, "GiB", "wanted 'byte'"),
        (STORAGE, "byte-millisecond", "metered by its quota"),
    ],
)
def test_a_known_product_in_another_unit_is_refused_and_nothing_is_kept(books, product, unit, said):
    good = ExternalUsage("s", "1", "llm.calls", NOV * 1_000, None, ORG, TENANT, 1, "calls", {})
    bad = replace(good, event_id="2", kind=product, unit=unit)
    with pytest.raises(InputError, match=said):
        books.usage.add_external([good, bad], NOV)
    assert books.usage.add_external([good], NOV) == 1
    wrong = ProductPrice("prc_w", product, 5, "thing", 7, "2026-11")
    with pytest.raises(InputError, match="is priced by the"):
        books.book.add_price(wrong, NOV)


def test_storage_external_usage_and_tags_are_on_the_invoice(books, build):
    bare = replace(build.target("a", (0,)), pool_id="pool-a", storage_bytes=3 << 40)
    target = replace(bare, keys=replace(bare.keys, filesystem=7))
    books.done(OperationKind.LAUNCH, None, target, NOV)
    books.book.set_tag("clu_a", "research-42", NOV)
    books.book.add_price(
        ProductPrice("prc_s", STORAGE, 30_000, STORAGE_UNIT, STORAGE_PARTS, "2026-11"), NOV
    )
    books.book.add_price(PRC, NOV)
    tokens = ExternalUsage(
        "gateway", "1", "llm.tokens", start_ms("2026-11") + 5, "chat", ORG, TENANT,
        2_500_000, "tokens", {},
    )  # fmt: skip
    other = replace(tokens, event_id="2", kind="llm.calls", quantity=9, unit="calls")
    books.usage.add_external([tokens, other], NOV)
    books.release(target, NOV + 7_200)
    books.close("2026-11", DEC)
    by_item = {line.item: line for line in books.lines("2026-11") if line.unit}
    ancient = replace(tokens, event_id="3", at_ms=start_ms("2026-10"))
    with pytest.raises(InputError, match="event '3' of 'gateway' is of 2026-10, and the books"):
        books.usage.add_external([ancient], DEC)
    assert books.usage.add_external([tokens], DEC) == 0
    assert books.usage.add_external([replace(ancient, at_ms=start_ms("2026-12"))], DEC) == 1
    assert by_item["storage"].amount_micro_usd == 3 * 2 * 30_000
    assert by_item["llm.tokens"].amount_micro_usd == 375_000
    assert by_item["llm.calls"].amount_micro_usd == 0
    assert [line.tag for line in by_item.values() if line.subject_id == "clu_a"] == [
        "research-42"
    ] * 2


def test_promised_capacity_is_billed_from_its_start_to_its_end_used_or_not(books, build):
    day = 86_400.0
    kept = promise("res_kept", DEC - day, DEC + 2 * day, build.nodes[0], NOV)
    late = promise("res_late", DEC + day, DEC + 2 * day, build.nodes[1], NOV)
    free = promise("res_free", DEC + day, DEC + 2 * day, build.nodes[2], DEC)
    for record in (kept, late, free):
        books.reservations.plan(record)
        books.reservations.book(record.reservation_id, None, NoticePolicy(), NOV + 1)
    for record in (late, free):
        books.reservations.cancel(record.reservation_id, NOV + 5 * day)
    books.clock.advance(DEC + 12 * HOUR_S - NOV)
    found = books.budgets.spending("project", TENANT, view_of(books)())
    assert found.spent_micro_usd == 8 * 12 * 1_000_000
    assert found.rate_micro_usd_per_hour == 8_000_000
    books.close("2026-11", DEC + day)
    books.close("2026-12", JAN)
    november = {line.subject_id: line.amount_micro_usd for line in books.lines("2026-11")}
    assert november == {"res_kept": 8 * 24 * 1_000_000, "res_late": 5_000_000}
    december = {line.subject_id: line.amount_micro_usd for line in books.lines("2026-12")}
    assert december == {"res_kept": 8 * 48 * 1_000_000}


def test_months_are_closed_in_order_from_the_first_that_has_something(books):
    item = ContractItem("ctr_1", ORG, ItemKind.MINIMUM, "least", 10**9, 0, "2026-11", "2026-12")
    books.book.add_item(item, NOV)
    books.clock.advance(JAN - NOV)
    with pytest.raises(InputError, match="2026-11 is to be closed before 2026-12"):
        books.billing.close("2026-12")
    assert books.billing.plan("2026-12").before == "2026-11"
    books.billing.close("2026-11")
    books.billing.close("2026-12")
    with pytest.raises(InputError, match="2027-01 is not over"):
        books.billing.close("2027-01")
    with pytest.raises(InputError, match="has not begun"):
        books.billing.plan("2027-02")
    assert [line.amount_micro_usd for line in books.lines(None)] == [10**9, 10**9]


def test_a_credit_note_is_of_the_open_month_and_says_what_it_corrects(books):
    books.launch("a", (0,), NOV)
    books.close("2026-11", DEC + 86_400)
    note = books.billing.credit("INV-2026-11-00001", CreditWish("node was slow", 5_000_000))
    assert (note.invoice_id, note.month) == ("CN-2026-12-00001", "2026-12")
    planned = books.billing.plan_credit("INV-2026-11-00001", CreditWish("all of it"))
    rest = books.billing.credit("INV-2026-11-00001", CreditWish("all of it"))
    assert (planned.note, planned.left_micro_usd) == (rest, 0)
    assert planned.postings == books.book.entries()[-1].draft.postings
    with pytest.raises(InputError, match="0 are left"):
        books.billing.credit("INV-2026-11-00001", CreditWish("again"))
    with pytest.raises(InputError, match="is a credit note"):
        books.billing.credit(rest.invoice_id, CreditWish("again"))
    with pytest.raises(UnknownIdError):
        books.billing.credit("INV-2026-11-00009", CreditWish("none"))
    assert sum(line.amount_micro_usd for line in books.book.statement(ORG)) == 0


def test_an_event_or_a_price_that_comes_while_a_month_is_closed_is_not_forgotten(books):
    sent = ExternalUsage("s", "1", "llm.tokens", DEC_MS - 1, None, ORG, TENANT, 10**6, "tokens", {})
    books.clock.advance(DEC - NOV)
    close_books, comers = books.book.close, []

    def close_after_somebody(month, make, now_s):
        if comers:
            comers.pop()()
        return close_books(month, make, now_s)

    books.book.close = close_after_somebody
    comers.append(lambda: books.usage.add_external([sent], DEC))
    with pytest.raises(ConflictError, match="came meanwhile"):
        books.billing.close("2026-11")
    comers.append(lambda: books.book.add_price(PRC, DEC))
    with pytest.raises(ConflictError, match="came meanwhile"):
        books.billing.close("2026-11")
    # What comes of the open month does not keep the old one from being closed.
    later = replace(sent, event_id="2", at_ms=DEC_MS)
    comers.append(lambda: books.usage.add_external([later], DEC))
    assert books.billing.close("2026-11").total_micro_usd == 150_000


def test_usage_of_no_project_is_told_and_nobody_is_billed(books, build):
    books.done(OperationKind.LAUNCH, None, build.target("a", (0,), tenant="ten_nobody"), NOV)
    books.clock.advance(3_600)
    plan = books.billing.plan("2026-11")
    assert plan.closing.invoices == ()
    assert plan.notes == ("cluster clu_a is of no project, so nobody is billed",)


def view_of(books):
    around = Surroundings(hgx_fleet(256), books.store, {}, books.clock)
    return Control(around, CountingIds()).snapshot


def test_a_cap_refuses_more_and_leaves_what_runs(books, build):
    running = books.launch("a", (0,), NOV)
    books.clock.advance(10 * 3_600)
    view = view_of(books)
    spent, rate = worth(8, 36_000), 8 * PRICE
    found = books.budgets.spending("project", TENANT, view())
    assert (found.spent_micro_usd, found.rate_micro_usd_per_hour) == (spent, rate)
    assert found.forecast_micro_usd == spent + rate * (720 - 10)
    bigger = replace(running, members=build.target("a", (0, 1)).members)
    bigger = replace(
        bigger,
        members=tuple(replace(m, price_micro_usd_per_gpu_hour=PRICE) for m in bigger.members),
    )
    grow = books.plan(OperationKind.GROW, running, bigger, NOV + 36_000)
    for scope, scope_id in (("project", TENANT), ("organisation", ORG)):
        exact = spent + 2 * rate * 24
        books.budgets.book.set_budget(Budget(scope, scope_id, exact, (), is_cap=True), NOV)
        books.budgets.admit(view(), grow)
        books.budgets.book.set_budget(Budget(scope, scope_id, exact - 1, (), is_cap=True), NOV)
        with pytest.raises(QuotaError) as refused:
            books.budgets.admit(view(), grow)
        said = str(refused.value)
        assert f"the cap of {scope} '{scope_id}' is" in said
        assert "are spent" in said
        assert "are committed" in said
        # Giving back, and keeping what is there, is never refused.
        books.budgets.admit(view(), books.plan(OperationKind.RELEASE, running, None, NOV + 36_000))
        books.budgets.book.set_budget(Budget(scope, scope_id, exact - 1, ()), NOV)
        books.budgets.admit(view(), grow)
        books.budgets.book.remove_budget(scope, scope_id)
        assert books.budgets.book.budget(scope, scope_id) is None
    assert set(view().targets) == {running.cluster_id}


def test_shares_of_a_budget_are_told_once_to_who_sees_the_project(books):
    books.launch("a", (0,), NOV)
    view = view_of(books)
    hour = 8 * PRICE
    books.budgets.book.set_budget(Budget("organisation", ORG, 10 * hour), NOV)
    books.clock.advance(4.9 * HOUR_S)
    assert books.budgets.tell_if_due(view) == 0
    books.clock.advance(0.2 * HOUR_S)
    assert books.budgets.tell_if_due(view) == 1
    books.clock.advance(BUDGETS_EVERY_S / 2)
    assert books.budgets.tell_if_due(view) == 0
    books.clock.advance(5 * HOUR_S)
    assert books.budgets.tell_if_due(view) == 2
    books.clock.advance(5 * HOUR_S)
    assert books.budgets.tell_if_due(view) == 0
    told = books.budgets.book.alerts("organisation", ORG, "2026-11")
    assert [alert.percent for alert in told] == [50, 80, 100]
    with books.store.database.read() as connection:
        rows = connection.execute(events.select().where(events.c.kind == "budget_reached")).all()
    assert [row.project_id for row in rows] == [TENANT] * 3
    assert "has spent 50 % of its budget" in rows[0].message


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"amount_micro_usd": 0}, "wanted more than 0"),
        ({"amount_micro_usd": -1}, "wanted more than 0"),
        ({"percents": (80, 50)}, "rising"),
        ({"percents": tuple(range(1, 12))}, "ten"),
        ({"percents": (0,)}, "wanted 1 to"),
        ({"percents": (1_001,)}, "wanted 1 to"),
    ],
)
def test_what_is_no_budget_is_refused(change, said):
    with pytest.raises(InputError, match=said):
        check_budget(replace(Budget("project", "ten_x", 5), **change))


def test_a_cap_looks_no_further_than_the_end_of_the_month():
    at_ms = start_ms("2026-12") - HOUR_S * 1000
    spending = Spending(at_ms, 100, 10)
    check_cap(Budget("project", "p", 115, (), is_cap=True), spending, 5)
    with pytest.raises(QuotaError, match="2026-11"):
        check_cap(Budget("project", "p", 114, (), is_cap=True), spending, 5)


def test_a_server_checks_the_books_by_itself(books):
    told = []
    watch = BooksWatch(books.book, lambda *event: told.append(event), books.clock.now_s)
    books.launch("a", (0,), NOV)
    books.close("2026-11", DEC)
    watch.run_if_due()
    assert told == []
    with books.store.database.write() as connection:
        kind = connection.dialect.name
        name, on = (
            ("ledger_entry_only_grows", " ON ledger_entry")
            if kind == "postgresql"
            else ("ledger_entry_no_update", "")
        )
        connection.exec_driver_sql(f"DROP TRIGGER {name}{on}")
        connection.exec_driver_sql("UPDATE ledger_entry SET date = '2026-11-29'")
    watch.run_if_due()
    assert told == []
    books.clock.advance(max(FIRST_S, EVERY_S))
    watch.run_if_due()
    assert [event[0] for event in told] == ["books_damaged"]
    assert "ledger entry 1 is not as it was written" in told[0][1]
    watch.run_if_due()
    assert len(told) == 1


def test_rounding_is_a_line(books):
    target = books.launch("a", (0,), NOV)
    books.release(target, NOV + 1)
    books.close("2026-11", DEC)
    (invoice,) = books.book.invoices(None, None, "", 9)
    assert invoice.net_micro_usd == worth(8, 1) == 5_213
    assert invoice.sum_micro_usd(LineKind.ROUNDING) == 10_000 - 5_213
    assert invoice.total_micro_usd == 10_000
