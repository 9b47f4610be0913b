"""``gw server``: serve the API, and make the first key."""

from typing import Annotated

import typer

from gigawatt.app.home import Home
from gigawatt.app.server import make_first_key, open_service, serve

APPLICATION = "gigawatt.api.application:build_application"
"""What is served; the API and the command line do not import each other."""

app = typer.Typer(help="Serve the API, with its worker, in this process.")


@app.callback(invoke_without_command=True)
def server(
    listen: Annotated[
        str, typer.Option("--listen", help="HOST:PORT; put TLS in front of what is not local.")
    ] = "127.0.0.1:8080",
    grace: Annotated[
        float,
        typer.Option("--grace", help="Seconds to finish what is under way when told to stop."),
    ] = 20.0,
) -> None:
    """Serve the API on HOST:PORT until Ctrl-C or SIGTERM."""
    serve(Home.default(), listen, APPLICATION, grace_s=grace)


key_app = typer.Typer(no_args_is_help=True, help="Make the first key of an empty directory.")


@key_app.callback()
def key() -> None:
    """Make the first key of an empty directory; all others are made through the API."""


@key_app.command()
def create(
    name: Annotated[str, typer.Argument(help="Name of the operator's account.")] = "operator",
) -> None:
    """Make the first operator and their key. The key is shown once."""
    with open_service(Home.default()) as service:
        typer.echo(make_first_key(service, name))
    typer.echo("Keep it: it is not shown again, and only its hash is stored.", err=True)
