"""``SqlBudgets``: the ``BudgetBook`` on the store's own database."""

import json
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, Row, Table, delete, insert, select

from gigawatt.ids import TenantId
from gigawatt.interfaces.budgets import BudgetAlert, BudgetBook
from gigawatt.market.budget import Budget, Scope, check_budget
from gigawatt.store.billing_schema import budget_alerts, budgets
from gigawatt.store.database import Database, lock_generation
from gigawatt.store.journal import add_project_event

ALERT_EVENT = "budget_reached"
"""Kind of the event that tells of an alert."""


class SqlBudgets:
    """Budgets; every method is what ``BudgetBook`` says of it."""

    def __init__(self, database: Database) -> None:
        """Serve from a database that has the tables."""
        self._database = database

    def budget(self, scope: Scope, scope_id: str) -> Budget | None:
        """A budget; None where nobody set one."""
        with self._database.read() as connection:
            row = connection.execute(
                select(budgets).where(*_is(budgets, scope, scope_id))
            ).one_or_none()
        return None if row is None else _budget_of(row)

    def budgets(self) -> tuple[Budget, ...]:
        """All of them."""
        query = select(budgets).order_by(budgets.c.scope, budgets.c.scope_id)
        with self._database.read() as connection:
            return tuple(map(_budget_of, connection.execute(query)))

    def set_budget(self, budget: Budget, now_s: float) -> None:
        """Keep a budget in place of the one before."""
        check_budget(budget)
        row = {
            "scope": budget.scope,
            "scope_id": budget.scope_id,
            "amount_micro_usd": budget.amount_micro_usd,
            "percents": json.dumps(budget.percents),
            "is_cap": budget.is_cap,
            "changed_s": now_s,
        }
        with self._database.write() as connection:
            lock_generation(connection)
            connection.execute(delete(budgets).where(*_is(budgets, budget.scope, budget.scope_id)))
            connection.execute(insert(budgets), row)

    def remove_budget(self, scope: Scope, scope_id: str) -> None:
        """Forget a budget, if there is one; its alerts stay."""
        with self._database.write() as connection:
            connection.execute(delete(budgets).where(*_is(budgets, scope, scope_id)))

    def alerts(self, scope: Scope, scope_id: str, month: str) -> tuple[BudgetAlert, ...]:
        """Shares that were reached in a month, the smallest first."""
        query = select(budget_alerts).where(
            *_is(budget_alerts, scope, scope_id), budget_alerts.c.month == month
        )
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(budget_alerts.c.percent)).all()
        return tuple(BudgetAlert(*row) for row in rows)

    def tell(self, alert: BudgetAlert, project_ids: tuple[TenantId, ...], sentence: str) -> bool:
        """Note an alert and write it into the trail of projects; False if it was told before."""
        row = {name: getattr(alert, name) for name in BudgetAlert.__slots__}
        known = select(budget_alerts.c.percent).where(
            *_is(budget_alerts, alert.scope, alert.scope_id),
            budget_alerts.c.month == alert.month,
            budget_alerts.c.percent == alert.percent,
        )
        with self._database.write() as connection:
            lock_generation(connection)
            if connection.execute(known).one_or_none() is not None:
                return False
            connection.execute(insert(budget_alerts), row)
            for project_id in project_ids:
                add_project_event(connection, project_id, ALERT_EVENT, sentence, alert.at_s, row)
            return True


def _is(table: Table, scope: Scope, scope_id: str) -> tuple[ColumnElement[bool], ...]:
    return table.c.scope == scope, table.c.scope_id == scope_id


def _budget_of(row: Row[Any]) -> Budget:
    return Budget(
        scope=row.scope,
        scope_id=row.scope_id,
        amount_micro_usd=row.amount_micro_usd,
        percents=tuple(json.loads(row.percents)),
        is_cap=row.is_cap,
    )


if TYPE_CHECKING:
    _KEEPS_THE_CONTRACT: type[BudgetBook] = SqlBudgets
