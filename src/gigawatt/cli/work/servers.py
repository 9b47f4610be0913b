"""The server, and the first key of its directory."""

from pathlib import Path

import typer

from gigawatt.app.home import Home
from gigawatt.app.server import ServerOptions, Tls, make_first_key, open_service, serve
from gigawatt.cli.output import console, table
from gigawatt.errors import InputError

APPLICATION = "gigawatt.api.application:build_application"
"""What is served; the API and the command line do not import each other."""


def serve_home(
    listen: str,
    times_s: tuple[float, float],
    tls_files: tuple[Path | None, Path | None],
    *,
    has_lambda_parity: bool,
) -> None:
    """Serve until told to stop.

    ``times_s`` are the grace at the end and the time between passes of the reconciler;
    ``tls_files`` are a certificate and its key, or nothing.

    Raises:
        InputError: one of the two files was named without the other.
    """
    certificate, key = tls_files
    if (certificate is None) != (key is None):
        raise InputError("--tls-cert and --tls-key go together", next_step="Name both, or none.")
    tls = None if certificate is None or key is None else Tls(certificate, key)
    options = ServerOptions(listen, tls, has_lambda_parity, *times_s)
    serve(Home.default(), APPLICATION, options)


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
