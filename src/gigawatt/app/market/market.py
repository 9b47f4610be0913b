"""The books of the market, in one value that the service carries."""

from dataclasses import dataclass

from gigawatt.app.market.billing import Billing
from gigawatt.app.market.budgets import Budgets
from gigawatt.app.market.payments import Payments
from gigawatt.app.market.payouts import Payouts
from gigawatt.app.market.pricing import Pricing
from gigawatt.app.market.reservations import Reservations
from gigawatt.intent.prices import AskPrices
from gigawatt.interfaces.fleet_history import FleetHistory
from gigawatt.interfaces.rates import RateBook
from gigawatt.interfaces.spot import SpotBook
from gigawatt.interfaces.usage import UsageBook


@dataclass(slots=True)
class Market:
    """What is sold, and at what price.

    Fields:
        ask_prices: says what GPUs cost somebody now.
        rates: the rows of the rate card.
        pricing: asks the card for a project, of any term.
        usage: what was used, to the millisecond.
        reservations: sells capacity from one moment to another.
        spot: rounds and notices.
        billing: invoices, contracts, and the ledger.
        payments: what was asked for and what came.
        payouts: what providers sent on to the bank.
        budgets: what may be spent, and what was.
        history: who held which GPUs, and which nodes were out of use.
    """

    ask_prices: AskPrices
    rates: RateBook
    pricing: Pricing
    usage: UsageBook
    reservations: Reservations
    spot: SpotBook
    billing: Billing
    payments: Payments
    payouts: Payouts
    budgets: Budgets
    history: FleetHistory
