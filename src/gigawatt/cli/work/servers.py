"""The server, and the first key of its directory."""

import typer

from gigawatt.app.home import Home
from gigawatt.app.server import make_first_key, open_service, serve
from gigawatt.cli.output import console, table

APPLICATION = "gigawatt.api.application:build_application"
"""What is served; the API and the command line do not import each other."""


def serve_home(listen: str, grace_s: float, reconcile_s: float) -> None:
    """Serve until told to stop."""
    serve(Home.default(), listen, APPLICATION, grace_s=grace_s, reconcile_s=reconcile_s)


def create_first_key(name: str) -> None:
    """Make and show the first key."""
    with open_service(Home.default()) as service:
        typer.echo(make_first_key(service, name))
    typer.echo("Keep it: it is not shown again, and only its hash is stored.", err=True)


def list_keys() -> None:
    """Show who has keys."""
    with open_service(Home.default()) as service:
        rows = [
            (key.key_id, key.account_id, key.name, "revoked" if key.revoked_s else "active")
            for key in service.directory.keys(None, None, "", 10_000)
        ]
    if rows:
        table(("key", "account", "name", "state"), rows)
    else:
        console.print("no keys; make the first one: gw key create")
