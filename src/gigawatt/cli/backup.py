"""``gw backup``: everything the control plane knows, in one archive file."""

from pathlib import Path
from typing import Annotated

import typer

from gigawatt.app.backup import back_up
from gigawatt.app.clock import SystemClock
from gigawatt.app.home import Home

app = typer.Typer(help="Copy everything into one archive, while work goes on.")


@app.command()
def backup(
    file: Annotated[Path, typer.Argument(help="New archive, e.g. gigawatt.tar.")],
) -> None:
    """Copy store and fleet into one new archive FILE, while work goes on."""
    manifest = back_up(Home.default(), file, SystemClock().now_s())
    size_bytes = file.stat().st_size
    typer.echo(f"{file}: {size_bytes:,} bytes, {manifest.engine}, generation {manifest.generation}")
    typer.echo(f"Check it on another computer with: GIGAWATT_HOME=$(mktemp -d) gw restore {file}")
