"""``gw key``: the first key of an empty directory."""

from typing import Annotated

import typer

from gigawatt.cli import backend
from gigawatt.cli.options import new_group

app = new_group("Make the first API key; all others are made through the API.")


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Name of the operator's account.")] = "operator",
) -> None:
    """Make the first operator and their key. The key is shown once.

    Example: gw key create olu
    """
    backend.servers.create_first_key(name)


@app.command("list")
def list_() -> None:
    """List all keys, without their secrets.

    Example: gw key list
    """
    backend.servers.list_keys()
