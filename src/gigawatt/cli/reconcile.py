"""``gw reconcile``: devices back to what they shall be."""

from typing import Annotated

import typer

from gigawatt.cli import backend
from gigawatt.cli.options import Format, OutputOption, new_command

app = new_command()


@app.command()
def reconcile(
    history: Annotated[
        bool, typer.Option("--history", help="Begin none; show passes, and what is owed.")
    ] = False,
    output: OutputOption = Format.TABLE,
) -> None:
    """Read every device back, repair what drifted, finish what was left open.

    Exit status 6 if something is still not as it shall be.

    Example: gw reconcile
    """
    if history:
        backend.passes.show_history(output)
    else:
        backend.proofs.reconcile(output)
