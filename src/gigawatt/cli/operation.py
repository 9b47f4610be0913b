"""``gw operation``: what is under way."""

from typing import Annotated

import typer

from gigawatt.cli import backend
from gigawatt.cli.options import (
    Format,
    OutputOption,
    QuietOption,
    WhoseOption,
    completing,
    new_group,
)

app = new_group("See what is under way, how far it is, and turn it back.")

OperationArgument = Annotated[
    str, typer.Argument(help="Id (op_...).", autocompletion=completing("operation"))
]


@app.command("list")
def list_(
    cluster: Annotated[
        str | None,
        typer.Argument(help="Name or id of a cluster.", autocompletion=completing("cluster")),
    ] = None,
    project: WhoseOption = None,
    limit: Annotated[
        int, typer.Option("--limit", "-n", help="How many of the newest.", min=1, max=10_000)
    ] = 20,
    output: OutputOption = Format.TABLE,
    quiet: QuietOption = False,
) -> None:
    """List operations, newest first.

    Example: gw operation list train
    """
    backend.operations.list_operations(cluster, project, limit, output, quiet=quiet)


@app.command()
def show(operation: OperationArgument, output: OutputOption = Format.TABLE) -> None:
    """Show one operation, plane by plane.

    Example: gw operation show op_0123456789abcdef
    """
    backend.operations.show(operation, output)


@app.command()
def cancel(operation: OperationArgument) -> None:
    """Undo a launch or a grow that is under way.

    Example: gw operation cancel op_0123456789abcdef
    """
    backend.operations.cancel(operation)
