"""``gw login``: a key for a server, kept for later commands."""

from pathlib import Path
from typing import Annotated

import typer

from gigawatt.cli import backend
from gigawatt.cli.options import ProjectOption, new_command

app = new_command()


@app.command()
def login(
    url: Annotated[str, typer.Argument(help="Address, e.g. https://gigawatt.example.org.")],
    key_file: Annotated[
        Path | None, typer.Option("--key-file", help="Read the key from a file, not from you.")
    ] = None,
    project: ProjectOption = None,
) -> None:
    """Keep a key for a server; later commands talk to it.

    Asks for the key, or reads it from a pipe; it is never an argument, so no shell keeps it.

    Keep several servers apart with --profile NAME, and name one the same way later.

    Example: gw login https://gigawatt.example.org < key.txt
    """
    backend.login.login(url, key_file, project)
