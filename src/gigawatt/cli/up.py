"""``gw up``: a server for this computer alone."""

from typing import Annotated

import typer

from gigawatt.cli import backend
from gigawatt.cli.options import new_command

app = new_command()


@app.command()
def up(
    listen: Annotated[
        str, typer.Option("--listen", help="HOST:PORT; port 0 takes any that is free.")
    ] = "127.0.0.1:8080",
) -> None:
    """Serve this computer's own state on loopback, with a key in a profile, until Ctrl-C.

    Example: gw up
    """
    backend.servers.up(listen)
