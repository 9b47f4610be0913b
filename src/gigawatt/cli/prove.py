"""``gw prove``: isolation of all clusters."""

from typing import Annotated

import typer

from gigawatt.cli import backend
from gigawatt.cli.options import Format, OutputOption, new_command

app = new_command()


@app.command()
def prove(
    targets: Annotated[
        bool, typer.Option("--targets", help="From the records alone; ask no device.")
    ] = False,
    output: OutputOption = Format.TABLE,
) -> None:
    """Prove from what the devices hold now that no cluster reaches another on any plane.

    Exit status 6 if it cannot be proven; then it says who, where and why.

    Example: gw prove
    """
    backend.proofs.prove(output, targets=targets)
