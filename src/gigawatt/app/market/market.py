"""The books of the market, in one value that the service carries."""

from dataclasses import dataclass

from gigawatt.app.market.reservations import Reservations
from gigawatt.intent.prices import AskPrices
from gigawatt.interfaces.spot import SpotBook


@dataclass(slots=True)
class Market:
    """What is sold, and at what price.

    Fields:
        ask_prices: says what GPUs cost somebody now.
        reservations: sells capacity from one moment to another.
        spot: rounds and notices.
    """

    ask_prices: AskPrices
    reservations: Reservations
    spot: SpotBook
