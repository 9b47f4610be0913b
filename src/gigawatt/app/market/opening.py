"""Opens the market on the books of a store."""

from collections.abc import Callable
from dataclasses import dataclass

from gigawatt.app.admission import Admission
from gigawatt.app.market.billing import Billing
from gigawatt.app.market.books_watch import BooksWatch
from gigawatt.app.market.budgets import Budgets
from gigawatt.app.market.collecting import Collecting
from gigawatt.app.market.later import later_start
from gigawatt.app.market.market import Market
from gigawatt.app.market.payments import Payments
from gigawatt.app.market.payouts import Payouts
from gigawatt.app.market.preemption import Preemption
from gigawatt.app.market.pricing import Pricing
from gigawatt.app.market.promise_care import PromiseCare
from gigawatt.app.market.quotes import quote_from
from gigawatt.app.market.reservations import Reservations
from gigawatt.app.market.spot_rounds import SpotRounds
from gigawatt.app.market.usage import DailyCut
from gigawatt.app.pump import Pump
from gigawatt.store.billing import open_billing
from gigawatt.store.budgets import SqlBudgets
from gigawatt.store.fleet_history import open_fleet_history
from gigawatt.store.payments import open_payments_book
from gigawatt.store.payouts import open_payouts_book
from gigawatt.store.rates import open_rate_book
from gigawatt.store.reservations import SqlReservations
from gigawatt.store.spot import SqlSpotBook
from gigawatt.store.store import SqlStore
from gigawatt.store.usage_records import SqlUsageBook


@dataclass(frozen=True, slots=True)
class OpenMarket:
    """The books, and what is done about them again and again."""

    market: Market
    care: PromiseCare
    preemption: Preemption
    pump: Pump
    chores: tuple[Callable[[], object], ...]


def open_market(admission: Admission, store: SqlStore, worker: str) -> OpenMarket:
    """The market of a service; ``worker`` is a name for its pump that no other has."""
    control, spot = admission.control, SqlSpotBook(store.database)
    rates = open_rate_book(store)
    pricing = Pricing(control.around.fleet, rates, admission.directory)
    reservations = Reservations(
        control,
        SqlReservations(store.database),
        quote_from(control.around.fleet, control.ask_prices, pricing.for_months),
        admission.directory,
    )
    usage = SqlUsageBook(store.database)
    care = PromiseCare(control, reservations.records)
    preemption = Preemption(admission, spot, control.notice_policy)
    pump = Pump(admission, worker, SpotRounds(admission, spot))
    cut = DailyCut(usage, control.around.clock.now_s)
    book, now_s = open_billing(store), control.around.clock.now_s
    billing = Billing(book, usage, reservations.records, admission.directory, now_s)
    budgets = Budgets(SqlBudgets(store.database), billing, admission.directory, now_s)
    admission.budgets = budgets
    payments = Payments(open_payments_book(store), book, admission.directory, control.new_id, now_s)
    payments.tell = store.add_event
    payouts = Payouts(open_payouts_book(store), payments, store.add_event, now_s)
    collecting = Collecting(payments, payouts, now_s)
    admission.later = lambda request: later_start(reservations.room(), request)
    watch = BooksWatch(book, store.add_event, now_s)
    return OpenMarket(
        market=Market(
            ask_prices=control.ask_prices,
            rates=rates,
            pricing=pricing,
            usage=usage,
            reservations=reservations,
            spot=spot,
            billing=billing,
            payments=payments,
            payouts=payouts,
            budgets=budgets,
            history=open_fleet_history(store),
        ),
        care=care,
        preemption=preemption,
        pump=pump,
        chores=(
            care.run_if_due,
            preemption.run_if_due,
            pump.run_if_due,
            cut.cut_if_due,
            lambda: budgets.tell_if_due(control.snapshot),
            watch.run_if_due,
            collecting.run_if_due,
        ),
    )
