"""The books of the market, in one value that the service carries."""

from dataclasses import dataclass

from gigawatt.intent.prices import AskPrices


@dataclass(slots=True)
class Market:
    """What is sold, and at what price.

    Fields:
        ask_prices: says what GPUs cost somebody now.
    """

    ask_prices: AskPrices
