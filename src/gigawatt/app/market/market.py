"""The books of the market, in one value that the service carries."""

from dataclasses import dataclass

from gigawatt.app.market.billing import Billing
from gigawatt.app.market.budgets import Budgets
from gigawatt.intent.prices import AskPrices


@dataclass(slots=True)
class Market:
    """What is sold, and at what price.

    Fields:
        ask_prices: says what GPUs cost somebody now.
        billing: invoices, contracts, and the ledger.
        budgets: what may be spent, and what was.
    """

    ask_prices: AskPrices
    billing: Billing
    budgets: Budgets
