"""``gw spot``: what spot costs, which nodes are wanted back, and what is saved."""

from typing import Annotated

import typer

from gigawatt.cli import backend
from gigawatt.cli.options import (
    Format,
    NameArgument,
    OutputOption,
    QuietOption,
    WhoseOption,
    new_group,
)

app = new_group("See what spot costs and which nodes are wanted back; say what is saved.")


@app.command()
def prices(output: OutputOption = Format.TABLE) -> None:
    """Show the price of the last round at each place.

    Bid with: gw queue add NAME --gpus N --type h100 --term spot --max-price 1.20

    Example: gw spot prices
    """
    backend.spots.show_prices(output)


@app.command()
def notices(
    everything: Annotated[bool, typer.Option("--all", help="Also those that are over.")] = False,
    output: OutputOption = Format.TABLE,
    quiet: QuietOption = False,
) -> None:
    """List nodes that your clusters have to give back, and by when.

    Example: gw spot notices
    """
    backend.spots.list_notices(output, everything=everything, quiet=quiet)


@app.command()
def saved(cluster: NameArgument, tenant: WhoseOption = None) -> None:
    """Say that the work of a cluster is saved now: who loses least is asked first.

    Example: gw spot saved train
    """
    backend.spots.note_saved(cluster, tenant)
