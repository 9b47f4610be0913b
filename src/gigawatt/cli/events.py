"""``gw events``: the audit trail."""

from typing import Annotated

import typer

from gigawatt.cli import backend
from gigawatt.cli.options import Format, OutputOption, WhoseOption, new_command

app = new_command()


@app.command()
def events(
    cluster: Annotated[
        str | None, typer.Argument(help="Name or id of a cluster; left out: everything.")
    ] = None,
    tenant: WhoseOption = None,
    limit: Annotated[
        int, typer.Option("--limit", "-n", help="How many of the newest lines.", min=1, max=10_000)
    ] = 50,
    output: OutputOption = Format.TABLE,
) -> None:
    """Show the audit trail, oldest line first.

    Example: gw events train --limit 20
    """
    backend.events.show(cluster, tenant, limit, output)
