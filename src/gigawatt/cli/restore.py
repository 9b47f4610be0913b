"""``gw restore``: an archive of ``gw backup`` back in an empty home or database."""

from pathlib import Path
from typing import Annotated

import typer

from gigawatt.app.backup import restore as put_back
from gigawatt.app.home import Home

app = typer.Typer(help="Put an archive back into an empty home or database.")


@app.command()
def restore(
    file: Annotated[Path, typer.Argument(help="Archive that gw backup wrote.")],
) -> None:
    """Put the archive FILE back where no store is, after the auditor has looked at it."""
    manifest = put_back(file, Home.default())
    typer.echo(f"restored: {manifest.engine}, generation {manifest.generation}, audited")
    typer.echo("Next: 'gw reconcile' finds what the devices did since the copy was made.")
