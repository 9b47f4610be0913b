"""``gw budget``: what a month may cost, and what it has cost."""

from typing import Annotated

import typer

from gigawatt.cli import backend
from gigawatt.cli.options import Format, OutputOption, ProjectOption, new_group

app = new_group("See what a month costs, be told of shares of a budget, and cap what is spent.")

Organisation = Annotated[
    str | None, typer.Option("--organisation", help="Id (org_...): of all its projects together.")
]


@app.command()
def show(
    project: ProjectOption = None,
    organisation: Organisation = None,
    output: OutputOption = Format.TABLE,
) -> None:
    """Show what was spent this month, what is committed, and what the month will have cost.

    Example: gw budget show --project research
    """
    backend.budgets.show(project, organisation, output)


@app.command("set")
def set_(
    amount: Annotated[str, typer.Argument(help="Dollars a month, e.g. 25000; 'none' for none.")],
    at: Annotated[
        list[int] | None,
        typer.Option("--at", help="Tell at so many percent; left out: 50, 80 and 100."),
    ] = None,
    cap: Annotated[
        bool, typer.Option("--cap", help="Refuse launches and growth that would pass it.")
    ] = False,
    project: ProjectOption = None,
    organisation: Organisation = None,
) -> None:
    """Set a month's budget of a project, or of an organisation; a cap takes nothing away.

    Example: gw budget set 25000 --cap --project research
    """
    backend.budgets.set_(amount, (at, cap), project, organisation)
