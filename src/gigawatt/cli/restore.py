"""``gw restore``: an archive of ``gw backup`` back in an empty home or database."""

from pathlib import Path
from typing import Annotated

import typer

from gigawatt.cli import backend
from gigawatt.cli.options import new_command

app = new_command()


@app.command()
def restore(
    file: Annotated[Path, typer.Argument(help="Archive that 'gw backup' wrote.")],
) -> None:
    """Put an archive back where no store is, after the auditor has looked at it.

    It is this computer's own store, also when a server is configured.

    Stop every worker first. Devices that went on since the copy was made show up as drift.

    Example: gw restore gigawatt.tar
    """
    backend.keeping.restore(file)
