"""The market of a service: the books that its prices, usage and bills are in."""

from dataclasses import dataclass

from gigawatt.interfaces.usage import UsageBook
from gigawatt.store.database import Database
from gigawatt.store.usage_records import SqlUsageBook


@dataclass(slots=True)
class Market:
    """The books."""

    usage: UsageBook


def open_market(database: Database) -> Market:
    """The market in a store's database."""
    return Market(usage=SqlUsageBook(database))
