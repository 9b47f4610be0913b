"""The books of the market, in one value that the service carries."""

from dataclasses import dataclass

from gigawatt.app.market.pricing import Pricing
from gigawatt.intent.prices import AskPrices
from gigawatt.interfaces.rates import RateBook


@dataclass(slots=True)
class Market:
    """What is sold, and at what price.

    Fields:
        ask_prices: says what GPUs cost somebody now.
        rates: the rows of the rate card.
        pricing: asks the card for a project, of any term.
    """

    ask_prices: AskPrices
    rates: RateBook
    pricing: Pricing
