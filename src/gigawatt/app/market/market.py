"""The books of the market, in one value that the service carries."""

from dataclasses import dataclass

from gigawatt.app.market.billing import Billing
from gigawatt.app.market.budgets import Budgets


@dataclass(slots=True)
class Market:
    """What is sold, and at what price.

    Fields:
        billing: invoices, contracts, and the ledger.
        budgets: what may be spent, and what was.
    """

    billing: Billing
    budgets: Budgets
