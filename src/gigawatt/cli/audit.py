"""``gw audit``: who called what."""

from typing import Annotated

import typer

from gigawatt.cli import backend
from gigawatt.cli.options import Format, OutputOption, new_command
from gigawatt.cli.project import OrganisationOption

app = new_command()


@app.command()
def audit(
    organisation: OrganisationOption = None,
    limit: Annotated[
        int, typer.Option("--limit", "-n", help="How many of the newest.", min=1, max=10_000)
    ] = 50,
    output: OutputOption = Format.TABLE,
) -> None:
    """Show which calls changed something or were refused, newest first.

    Example: gw audit --limit 20
    """
    backend.accounts.show_audit(organisation, limit, output)
