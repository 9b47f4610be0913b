"""Budgets of projects and organisations: what may be spent, what was, and who was told."""

from fastapi import Response

from gigawatt.api.access import Access, Allowed
from gigawatt.api.routing import new_router, operation
from gigawatt.api.views import at
from gigawatt.market.budget import Budget, Scope, check_budget
from gigawatt.sdk import documents as doc

router = new_router("budgets")


def _document(access: Access, scope: Scope, scope_id: str) -> doc.Budget:
    budgets, view = access.service.market.budgets, access.service.control.snapshot()
    found = budgets.book.budget(scope, scope_id)
    spending = budgets.spending(scope, scope_id, view)
    return doc.Budget(
        scope=scope,
        scope_id=scope_id,
        amount_micro_usd=None if found is None else found.amount_micro_usd,
        percents=[] if found is None else list(found.percents),
        is_cap=found is not None and found.is_cap,
        month=spending.month,
        spent_micro_usd=spending.spent_micro_usd,
        committed_micro_usd=spending.ahead_micro_usd(),
        forecast_micro_usd=spending.forecast_micro_usd,
        rate_micro_usd_per_hour=spending.rate_micro_usd_per_hour,
        alerts=[
            doc.BudgetAlert(
                percent=alert.percent, at=at(alert.at_s), spent_micro_usd=alert.spent_micro_usd
            )
            for alert in budgets.book.alerts(scope, scope_id, spending.month)
        ],
    )


def _set(access: Access, scope: Scope, scope_id: str, body: doc.SetBudget) -> doc.Budget:
    wanted = Budget(
        scope, scope_id, body.amount_micro_usd, tuple(body.percents), is_cap=body.is_cap
    )
    check_budget(wanted)
    before = _document(access, scope, scope_id)
    access.service.market.budgets.book.set_budget(wanted, access.service.now_s())
    after = _document(access, scope, scope_id)
    access.note_change(before, after)
    return after


def _delete(access: Access, scope: Scope, scope_id: str) -> Response:
    access.note_change(_document(access, scope, scope_id), None)
    access.service.market.budgets.book.remove_budget(scope, scope_id)
    return Response(status_code=204)


@operation(router, "GET", "/projects/{project_id}/budget")
def get_budget(project_id: str, access: Allowed) -> doc.Budget:
    """A project's budget, what it spent this month, and what the month will have cost."""
    return _document(access, "project", access.project(project_id).project_id)


@operation(router, "PUT", "/projects/{project_id}/budget")
def set_budget(project_id: str, body: doc.SetBudget, access: Allowed) -> doc.Budget:
    """Set a project's budget for each month; it takes nothing away."""
    return _set(access, "project", access.project(project_id).project_id, body)


@operation(router, "DELETE", "/projects/{project_id}/budget", 204)
def delete_budget(project_id: str, access: Allowed) -> Response:
    """Forget a project's budget."""
    return _delete(access, "project", access.project(project_id).project_id)


@operation(router, "GET", "/organisations/{organisation_id}/budget")
def get_organisation_budget(organisation_id: str, access: Allowed) -> doc.Budget:
    """An organisation's budget, and what all its projects spent this month."""
    return _document(access, "organisation", access.organisation(organisation_id))


@operation(router, "PUT", "/organisations/{organisation_id}/budget")
def set_organisation_budget(
    organisation_id: str, body: doc.SetBudget, access: Allowed
) -> doc.Budget:
    """Set an organisation's budget for each month; it takes nothing away."""
    return _set(access, "organisation", access.organisation(organisation_id), body)


@operation(router, "DELETE", "/organisations/{organisation_id}/budget", 204)
def delete_organisation_budget(organisation_id: str, access: Allowed) -> Response:
    """Forget an organisation's budget."""
    return _delete(access, "organisation", access.organisation(organisation_id))
