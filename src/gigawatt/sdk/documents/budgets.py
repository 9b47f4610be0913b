"""Documents of budgets."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from gigawatt.sdk.documents.base import Answer, Request

Percents = Annotated[list[Annotated[int, Field(ge=1, le=1_000)]], Field(max_length=10)]


class SetBudget(Request):
    """What may be spent in each month; as a cap it refuses launches and growth that would pass it.

    It never takes anything away.
    """

    amount_micro_usd: Annotated[int, Field(ge=1, le=10**18)]
    percents: Percents = [50, 80, 100]
    is_cap: bool = False


class BudgetAlert(Answer):
    """That a share was reached."""

    percent: int
    at: datetime
    spent_micro_usd: int


class Budget(Answer):
    """A budget of this month; ``amount_micro_usd`` is null where nobody set one.

    Spent is before credits and taxes. Committed is what runs now in the next day, forecast what
    the month will have cost if everything stays as it is.
    """

    scope: Literal["project", "organisation"]
    scope_id: str
    amount_micro_usd: int | None = None
    percents: list[int]
    is_cap: bool
    month: str
    spent_micro_usd: int
    committed_micro_usd: int
    forecast_micro_usd: int
    rate_micro_usd_per_hour: int
    alerts: list[BudgetAlert]
