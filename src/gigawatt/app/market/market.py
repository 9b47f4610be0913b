"""The books of the market, in one value that the service carries."""

from dataclasses import dataclass

from gigawatt.app.market.reservations import Reservations
from gigawatt.intent.prices import AskPrices
from gigawatt.interfaces.spot import SpotBook
from gigawatt.interfaces.usage import UsageBook


@dataclass(slots=True)
class Market:
    """What is sold, at what price, and how much of it was used.

    Fields:
        ask_prices: says what GPUs cost somebody now.
        usage: what was used, to the millisecond.
        reservations: sells capacity from one moment to another.
        spot: rounds and notices.
    """

    ask_prices: AskPrices
    usage: UsageBook
    reservations: Reservations
    spot: SpotBook
