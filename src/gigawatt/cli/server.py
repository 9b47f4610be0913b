"""``gw server``: serve the API, with its worker."""

from pathlib import Path
from typing import Annotated

import typer

from gigawatt.cli import backend
from gigawatt.cli.options import new_command

app = new_command()

Listen = Annotated[
    str,
    typer.Option(
        "--listen",
        help="HOST:PORT; put TLS in front of what is not local. fd:N: a socket handed in.",
    ),
]
Grace = Annotated[
    float, typer.Option("--grace", help="Seconds to finish what is under way when told to stop.")
]
TlsCert = Annotated[
    Path | None, typer.Option("--tls-cert", help="PEM file of the certificate; serves TLS.")
]
TlsKey = Annotated[Path | None, typer.Option("--tls-key", help="PEM file of its private key.")]
Parity = Annotated[
    bool,
    typer.Option(
        "--lambda-parity",
        help="Limit /api/v1 as Lambda does: 1 request a second, 1 launch in 12 seconds.",
    ),
]


Reconcile = Annotated[
    float,
    typer.Option(
        "--reconcile", help="Seconds from one pass of the reconciler to the next; 0: never."
    ),
]


@app.command()
def server(
    listen: Listen = "127.0.0.1:8080",
    grace: Grace = 20.0,
    reconcile: Reconcile = 300.0,
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    lambda_parity: Parity = False,
) -> None:
    """Serve the API on HOST:PORT until Ctrl-C or SIGTERM.

    Example: gw key create && gw server --listen 127.0.0.1:8080
    """
    backend.servers.serve_home(
        listen, (grace, reconcile), (tls_cert, tls_key), has_lambda_parity=lambda_parity
    )
