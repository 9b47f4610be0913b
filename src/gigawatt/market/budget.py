"""Budgets: what a project or an organisation means to spend in a month, and what became of it.

A budget tells when shares of it are reached. One that is a cap also refuses what would make more:
a launch or a growth after which everything that runs would pass the cap within a day. It never
takes anything away: what runs is paid for until its tenant, or an operator, releases it.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from gigawatt.errors import InputError, QuotaError
from gigawatt.market.ledger import AMOUNT_MICRO_USD_MAX
from gigawatt.market.meter import MS_PER_HOUR
from gigawatt.market.month import month_at, next_month, start_ms
from gigawatt.money import format_usd

Scope = Literal["project", "organisation"]

PERCENTS = (50, 80, 100)
"""Shares of a budget that are told where nobody said otherwise. Ours."""
PERCENT_MAX = 1_000
PERCENT_COUNT_MAX = 10
AHEAD_MS = 24 * MS_PER_HOUR
"""What runs now is counted as spent for so long ahead, at most to the end of the month. Ours: a
day is what somebody needs to notice and to release."""


@dataclass(frozen=True, slots=True)
class Budget:
    """What may be spent in each month.

    Fields:
        scope_id: of the project or the organisation.
        percents: shares at which it is told, rising.
        is_cap: whether it refuses what would pass it.
    """

    scope: Scope
    scope_id: str
    amount_micro_usd: int
    percents: tuple[int, ...] = PERCENTS
    is_cap: bool = False


def check_budget(budget: Budget) -> None:
    """Refuse what is no budget.

    Raises:
        InputError: the reason.
    """
    name = f"the budget of {budget.scope} {budget.scope_id}"
    if not 0 < budget.amount_micro_usd <= AMOUNT_MICRO_USD_MAX:
        raise InputError(f"{name} is {budget.amount_micro_usd} micro-USD, wanted more than 0")
    percents = budget.percents
    is_rising = all(low < high for low, high in pairwise(percents))
    if not is_rising or len(percents) > PERCENT_COUNT_MAX:
        raise InputError(f"{name} tells at {list(percents)} %, wanted up to ten rising shares")
    if percents and not (percents[0] > 0 and percents[-1] <= PERCENT_MAX):
        raise InputError(f"{name} tells at {list(percents)} %, wanted 1 to {PERCENT_MAX:,}")


@dataclass(frozen=True, slots=True)
class Spending:
    """What was spent in a month until a moment, and what it goes on to cost.

    Fields:
        at_ms: Unix milliseconds.
        spent_micro_usd: since the month began, before credits and taxes.
        rate_micro_usd_per_hour: of everything that is held at the moment.
    """

    at_ms: int
    spent_micro_usd: int
    rate_micro_usd_per_hour: int

    @property
    def month(self) -> str:
        """The month that the moment is in."""
        return month_at(self.at_ms)

    def ahead_micro_usd(self, more_micro_usd_per_hour: int = 0) -> int:
        """What is held, and more beside it, costs in the next day, or to the month's end."""
        rest_ms = min(AHEAD_MS, self._left_ms)
        return -(-(self.rate_micro_usd_per_hour + more_micro_usd_per_hour) * rest_ms // MS_PER_HOUR)

    @property
    def forecast_micro_usd(self) -> int:
        """What the whole month will have cost if everything stays as it is."""
        rest = self.rate_micro_usd_per_hour * self._left_ms // MS_PER_HOUR
        return self.spent_micro_usd + rest

    @property
    def _left_ms(self) -> int:
        return start_ms(next_month(self.month)) - self.at_ms


def reached(budget: Budget, spent_micro_usd: int) -> tuple[int, ...]:
    """Shares of a budget that are spent, in percent."""
    return tuple(
        percent
        for percent in budget.percents
        if spent_micro_usd * 100 >= budget.amount_micro_usd * percent
    )


def check_cap(budget: Budget, spending: Spending, more_micro_usd_per_hour: int) -> None:
    """Refuse more where a cap would be passed; what costs no more is never refused.

    Args:
        budget: with its cap, if it is one.
        spending: of the same scope, what is held without the plan.
        more_micro_usd_per_hour: what the plan costs beside that.

    Raises:
        QuotaError: names cap, spent and committed.
    """
    ahead = spending.ahead_micro_usd(more_micro_usd_per_hour)
    if not budget.is_cap or more_micro_usd_per_hour <= 0:
        return
    if spending.spent_micro_usd + ahead <= budget.amount_micro_usd:
        return
    raise QuotaError(
        f"the cap of {budget.scope} {budget.scope_id!r} is {format_usd(budget.amount_micro_usd)} in"
        f" {spending.month}: {format_usd(spending.spent_micro_usd)} are spent,"
        f" {format_usd(spending.ahead_micro_usd())} are committed for the next day by what runs,"
        f" and this would add {format_usd(ahead - spending.ahead_micro_usd())}",
        next_step="Release a cluster, ask for fewer, or raise the cap with 'gw budget set'.",
    )
