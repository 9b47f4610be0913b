"""Budgets of projects and organisations."""

from gigawatt.cli.options import Format
from gigawatt.cli.output import console, pairs, show_document
from gigawatt.cli.work.amounts import micro_usd_of
from gigawatt.cli.work.connect import Connection, connected
from gigawatt.market.budget import PERCENTS
from gigawatt.money import format_usd
from gigawatt.sdk import documents as doc

NONE = "none"
"""What stands for no budget."""


def _name(connection: Connection, found: doc.Budget) -> str:
    return connection.project_name(found.scope_id) if found.scope == "project" else found.scope_id


def show(project: str | None, organisation: str | None, form: Format) -> None:
    """Show a budget, and what was spent."""
    with connected() as connection:
        client = connection.client
        if organisation is not None:
            found = client.get_organisation_budget(organisation)
        else:
            found = client.get_budget(connection.project_id(project))
        name = _name(connection, found)
    if form is not Format.TABLE:
        show_document(found, form)
        return
    _tell(name, found)


def _tell(name: str, found: doc.Budget) -> None:
    lines = [
        ("spent", format_usd(found.spent_micro_usd)),
        ("committed", f"{format_usd(found.committed_micro_usd)} by what runs, in the next day"),
        ("forecast", f"{format_usd(found.forecast_micro_usd)} if everything stays as it is"),
        ("rate", f"{format_usd(found.rate_micro_usd_per_hour)} an hour"),
    ]
    if found.amount_micro_usd is None:
        lines.append(("budget", "none; gw budget set 25000"))
    else:
        share = 100 * found.spent_micro_usd / found.amount_micro_usd
        kind = "refuses what would pass it" if found.is_cap else "tells, and refuses nothing"
        lines.append(
            ("budget", f"{format_usd(found.amount_micro_usd)}, {share:.1f} % spent; {kind}")
        )
        told = ", ".join(f"{alert.percent} %" for alert in found.alerts) or "nothing yet"
        lines.append(("told at", told))
    pairs(f"{name} in {found.month}", lines)


def set_(
    amount: str, how: tuple[list[int] | None, bool], project: str | None, organisation: str | None
) -> None:
    """Set or forget a budget: dollars; percents at which it tells, and whether it is a cap."""
    with connected() as connection:
        client = connection.client
        if amount == NONE:
            _forget(connection, project, organisation)
            return
        percents = list(PERCENTS) if how[0] is None else how[0]
        wanted = doc.SetBudget(
            amount_micro_usd=micro_usd_of(amount), percents=percents, is_cap=how[1]
        )
        if organisation is not None:
            found = client.set_organisation_budget(organisation, wanted)
        else:
            found = client.set_budget(connection.project_id(project), wanted)
        name = _name(connection, found)
    _tell(name, found)


def _forget(connection: Connection, project: str | None, organisation: str | None) -> None:
    if organisation is not None:
        connection.client.delete_organisation_budget(organisation)
    else:
        connection.client.delete_budget(connection.project_id(project))
    console.print("there is no budget now")
