"""The market on the books of a store, and what a server does for it again and again."""

from collections.abc import Callable

from gigawatt.app.control import Control
from gigawatt.app.market.billing import Billing
from gigawatt.app.market.books_watch import BooksWatch
from gigawatt.app.market.budgets import Budgets
from gigawatt.app.market.market import Market
from gigawatt.interfaces.directory import Directory
from gigawatt.store.billing import open_billing
from gigawatt.store.budgets import SqlBudgets
from gigawatt.store.store import SqlStore
from gigawatt.store.usage_records import SqlUsageBook


def open_market(control: Control, store: SqlStore, directory: Directory) -> Market:
    """The books of the market in a store."""
    book, now_s = open_billing(store), control.around.clock.now_s
    usage = SqlUsageBook(store.database)
    return Market(
        ask_prices=control.ask_prices,
        billing=Billing(book, usage, directory, now_s),
        budgets=Budgets(SqlBudgets(store.database), usage, book, directory, now_s),
    )


def chores_of(
    market: Market, control: Control, store: SqlStore
) -> tuple[Callable[[], object], ...]:
    """What a server does for the market; each does nothing most times."""
    watch = BooksWatch(market.billing.book, store.add_event, control.around.clock.now_s)
    return lambda: market.budgets.tell_if_due(control.snapshot), watch.run_if_due
