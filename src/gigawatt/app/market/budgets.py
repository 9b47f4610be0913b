"""Budgets at work: what is spent, who is told, and which plans a cap refuses."""

import logging
from collections.abc import Callable, Iterable

from gigawatt.app.market.billing import Billing
from gigawatt.boundary.target import ClusterTarget
from gigawatt.errors import UnknownIdError
from gigawatt.fleet.model import Fleet
from gigawatt.identity.accounts import OrganisationId
from gigawatt.ids import TenantId
from gigawatt.interfaces.budgets import BudgetAlert, BudgetBook
from gigawatt.interfaces.directory import Directory
from gigawatt.market.budget import Budget, Scope, Spending, check_cap, reached
from gigawatt.market.month import month_at
from gigawatt.money import format_usd
from gigawatt.planner.plan import Plan
from gigawatt.planner.price import price_of
from gigawatt.planner.snapshot import Snapshot
from gigawatt.units import MINUTE_S

EVERY_S = 5.0 * MINUTE_S
"""Pause between two looks at all budgets. Ours: shares of a month's budget are hours apart."""

PROJECT_COUNT_MAX = 10_000

_log = logging.getLogger("gigawatt.budgets")


class Budgets:
    """Budgets of projects and organisations, on the books of usage and money."""

    def __init__(
        self,
        book: BudgetBook,
        billing: Billing,
        directory: Directory,
        now_s: Callable[[], float],
    ) -> None:
        """Watch over what billing says was spent."""
        self.book = book
        self._billing = billing
        self._directory = directory
        self._now_s = now_s
        self._due_s = 0.0

    def spending(self, scope: Scope, scope_id: str, view: Snapshot) -> Spending:
        """What a project or an organisation spent this month, and what it holds now."""
        at_ms = round(self._now_s() * 1000)
        projects = frozenset(self.projects_of(scope, scope_id))
        held = [target for target in view.targets.values() if target.tenant_id in projects]
        promised = self._billing.promised_micro_usd_per_hour(projects)
        return Spending(
            at_ms,
            self._billing.spent_micro_usd(projects, month_at(at_ms)),
            rate_micro_usd_per_hour(view.fleet, held) + promised,
        )

    def projects_of(self, scope: Scope, scope_id: str) -> tuple[TenantId, ...]:
        """Projects whose spending counts."""
        if scope == "project":
            return (TenantId(scope_id),)
        found = self._directory.projects(OrganisationId(scope_id), "", PROJECT_COUNT_MAX)
        return tuple(project.project_id for project in found)

    def admit(self, view: Snapshot, plan: Plan) -> None:
        """Refuse a plan that would pass a cap of its project or of its organisation.

        Raises:
            QuotaError: names cap, spent and committed.
        """
        before, after = (
            rate_micro_usd_per_hour(view.fleet, [target] if target else [])
            for target in (plan.before, plan.after)
        )
        if after <= before:
            return
        for budget in self._caps_of(plan.tenant_id):
            spending = self.spending(budget.scope, budget.scope_id, view)
            check_cap(budget, spending, after - before)

    def _caps_of(self, project_id: TenantId) -> list[Budget]:
        try:
            owner = self._directory.project(project_id).organisation_id
        except UnknownIdError:
            return []
        found = (
            self.book.budget("project", project_id),
            self.book.budget("organisation", owner),
        )
        return [budget for budget in found if budget is not None and budget.is_cap]

    def tell_if_due(self, view: Callable[[], Snapshot]) -> int:
        """Tell of shares that were reached since the last look, if it is time; how many."""
        now_s = self._now_s()
        if now_s < self._due_s:
            return 0
        self._due_s = now_s + EVERY_S
        budgets = self.book.budgets()
        if not budgets:
            return 0
        seen = view()
        return sum(self._tell(budget, seen) for budget in budgets)

    def _tell(self, budget: Budget, view: Snapshot) -> int:
        spending, count = self.spending(budget.scope, budget.scope_id, view), 0
        projects = self.projects_of(budget.scope, budget.scope_id)
        for percent in reached(budget, spending.spent_micro_usd):
            alert = BudgetAlert(
                budget.scope,
                budget.scope_id,
                spending.month,
                percent,
                self._now_s(),
                spending.spent_micro_usd,
            )
            sentence = (
                f"{budget.scope} {budget.scope_id} has spent {percent} % of its budget of"
                f" {format_usd(budget.amount_micro_usd)} for {spending.month}; at this rate it"
                f" will be {format_usd(spending.forecast_micro_usd)}"
            )
            if self.book.tell(alert, projects, sentence):
                _log.warning(sentence)
                count += 1
        return count


def rate_micro_usd_per_hour(fleet: Fleet, targets: Iterable[ClusterTarget]) -> int:
    """What clusters cost an hour together at the prices that their members joined for."""
    return sum(price_of(fleet, target.members) for target in targets)
