"""``gw key``: API keys."""

from typing import Annotated

import typer

from gigawatt.cli import backend
from gigawatt.cli.options import (
    Format,
    OutputOption,
    ProjectOption,
    QuietOption,
    completing,
    new_group,
)

app = new_group("Make API keys, list them, end them.")


@app.command()
def create(
    name: Annotated[
        str, typer.Argument(help="Name of the key; of the account for the first of all.")
    ] = "operator",
    member: Annotated[
        str | None, typer.Option("--for", help="Whose key: name or id of an account; else yours.")
    ] = None,
    project: ProjectOption = None,
    days: Annotated[
        int | None, typer.Option("--days", help="It ends after so many days.", min=1, max=3650)
    ] = None,
) -> None:
    """Make a key and show it once. The first of all makes the first operator with it.

    Example: gw key create ci --for robot --project research --days 90
    """
    backend.accounts.create_key(name, member, project, days)


@app.command("list")
def list_(output: OutputOption = Format.TABLE, quiet: QuietOption = False) -> None:
    """List keys, without their secrets.

    Example: gw key list
    """
    backend.accounts.list_keys(output, quiet=quiet)


@app.command()
def revoke(
    key: Annotated[str, typer.Argument(help="Id (key_...).", autocompletion=completing("key"))],
) -> None:
    """End a key at once.

    Example: gw key revoke key_0123456789abcdef
    """
    backend.accounts.revoke_key(key)
