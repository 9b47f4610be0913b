"""``gw billing``: close months, see who owes what; for operators."""

from typing import Annotated

import typer

from gigawatt.cli import backend
from gigawatt.cli.options import Format, OutputOption, YesOption, new_group
from gigawatt.cli.project import OrganisationOption

app = new_group("Close months, see what an organisation owes.")

MonthArgument = Annotated[str, typer.Argument(help="Month, e.g. 2026-11.")]


@app.command()
def plan(month: MonthArgument, output: OutputOption = Format.TABLE) -> None:
    """Show what closing a month would bill; nothing is changed.

    Example: gw billing plan 2026-11
    """
    backend.billing.show_plan(month, output)


@app.command()
def close(
    month: MonthArgument, yes: YesOption = False, output: OutputOption = Format.TABLE
) -> None:
    """Close a month that is over: show what will be billed, ask, and send the invoices out.

    Example: gw billing close 2026-11
    """
    backend.billing.close(month, output, yes=yes)


@app.command("list")
def list_(output: OutputOption = Format.TABLE) -> None:
    """List closed months, the newest first.

    Example: gw billing list
    """
    backend.billing.list_closings(output)


@app.command()
def statement(organisation: OrganisationOption = None, output: OutputOption = Format.TABLE) -> None:
    """Show what an organisation owes, and how it came to that.

    Example: gw billing statement
    """
    backend.billing.show_statement(organisation, output)
