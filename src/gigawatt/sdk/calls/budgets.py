"""Calls of budgets."""

from gigawatt.sdk import documents as doc
from gigawatt.sdk.calls.call import Call, path_of


def get_budget(project_id: str) -> Call[doc.Budget]:
    """A project's budget, and what it spent."""
    return Call("GET", path_of("projects", project_id, "budget"), doc.Budget)


def set_budget(project_id: str, budget: doc.SetBudget) -> Call[doc.Budget]:
    """Set a project's budget."""
    return Call("PUT", path_of("projects", project_id, "budget"), doc.Budget, body=budget)


def delete_budget(project_id: str) -> Call[None]:
    """Forget a project's budget."""
    return Call("DELETE", path_of("projects", project_id, "budget"), type(None))


def get_organisation_budget(organisation_id: str) -> Call[doc.Budget]:
    """An organisation's budget, and what all its projects spent."""
    return Call("GET", path_of("organisations", organisation_id, "budget"), doc.Budget)


def set_organisation_budget(organisation_id: str, budget: doc.SetBudget) -> Call[doc.Budget]:
    """Set an organisation's budget."""
    path = path_of("organisations", organisation_id, "budget")
    return Call("PUT", path, doc.Budget, body=budget)


def delete_organisation_budget(organisation_id: str) -> Call[None]:
    """Forget an organisation's budget."""
    return Call("DELETE", path_of("organisations", organisation_id, "budget"), type(None))
