"""``gw explain``: what words, clusters and nodes are about."""

from typing import Annotated

import typer

from gigawatt.cli import backend
from gigawatt.cli.options import WhoseOption, new_command

app = new_command()


@app.command()
def explain(
    subject: Annotated[
        str | None,
        typer.Argument(help="phases, planes, errors; one of them; a cluster; a node."),
    ] = None,
    tenant: WhoseOption = None,
) -> None:
    """Explain a phase, a plane or an error; or what a cluster or a node is up to, and why.

    Example: gw explain stuck
    """
    backend.explain.explain(subject, tenant)
