"""What a book of budgets must offer. Every method is one transaction."""

from dataclasses import dataclass
from typing import Protocol

from gigawatt.ids import TenantId
from gigawatt.market.budget import Budget, Scope


@dataclass(frozen=True, slots=True)
class BudgetAlert:
    """That a share of a budget was reached in a month, told once."""

    scope: Scope
    scope_id: str
    month: str
    percent: int
    at_s: float
    spent_micro_usd: int


class BudgetBook(Protocol):
    """Budgets of projects and organisations."""

    def budget(self, scope: Scope, scope_id: str) -> Budget | None:
        """A budget; None where nobody set one."""
        ...

    def budgets(self) -> tuple[Budget, ...]:
        """All of them."""
        ...

    def set_budget(self, budget: Budget, now_s: float) -> None:
        """Keep a budget in place of the one before.

        Raises:
            InputError: it is none.
        """
        ...

    def remove_budget(self, scope: Scope, scope_id: str) -> None:
        """Forget a budget, if there is one; its alerts stay."""
        ...

    def alerts(self, scope: Scope, scope_id: str, month: str) -> tuple[BudgetAlert, ...]:
        """Shares that were reached in a month, the smallest first."""
        ...

    def tell(self, alert: BudgetAlert, project_ids: tuple[TenantId, ...], sentence: str) -> bool:
        """Note an alert and write it into the trail of projects; False if it was told before."""
        ...
