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
    node: Annotated[
        str | None, typer.Option("--node", help="Only what names this node: its history.")
    ] = None,
    kind: Annotated[
        str | None, typer.Option("--kind", help="Only events of this kind, e.g. drift.")
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", "-n", help="How many of the newest lines.", min=1, max=10_000)
    ] = 50,
    output: OutputOption = Format.TABLE,
) -> None:
    """Show the audit trail, oldest line first.

    Example: gw events train --limit 20
    """
    wanted = backend.events.Wanted(cluster, tenant, node, kind, limit)
    backend.events.show(wanted, output)
