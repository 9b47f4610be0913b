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
    keep: Annotated[
        bool | None,
        typer.Option(
            "--keep/--no-keep",
            help="Leave the server up at the end; else it stays where somebody sits.",
        ),
    ] = None,
) -> None:
    """Show the main job on a made-up fleet of 10,000 GPUs; your own state is not touched.

    A server starts on this computer, with a URL and a key for you. Two tenants get clusters
    from it; you see plans, proof, files and the map; then a fault is planted and caught.

    Example: gw demo
    """
    backend.demo.run(home, out, keep=keep)
