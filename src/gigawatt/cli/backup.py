"""``gw backup``: everything the control plane knows, in one archive file."""

from pathlib import Path
from typing import Annotated

import typer

from gigawatt.cli import backend
from gigawatt.cli.options import new_command

app = new_command()


@app.command()
def backup(
    file: Annotated[Path, typer.Argument(help="New archive; none is ever overwritten.")],
) -> None:
    """Copy store and fleet into one new archive, while work goes on.

    Devices remember for themselves and are not in it. It is this computer's own store,
    also when a server is configured.

    Example: gw backup gigawatt.tar
    """
    backend.keeping.backup(file)
