"""``gw demo``: the whole life of two clusters in less than a minute."""

from pathlib import Path
from typing import Annotated

import typer

from gigawatt.cli import backend
from gigawatt.cli.options import new_command

app = new_command()


@app.command()
def demo(
    home: Annotated[
        Path, typer.Option("--home", help="Folder for its state; emptied at the start.")
    ] = Path(".gigawatt/demo"),
    out: Annotated[Path, typer.Option("--out", help="Folder for files and pictures.")] = Path(
        "out/demo"
    ),
) -> None:
    """Show the main job on a made-up fleet of 10,000 GPUs; your own state is not touched.

    Two tenants get clusters; you see plans, proof, files and the map; then a fault is planted
    and caught.

    Example: gw demo
    """
    backend.demo.run(home, out)
