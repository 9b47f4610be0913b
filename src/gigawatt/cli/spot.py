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
def order(output: OutputOption = Format.TABLE) -> None:
    """Show who is served first, and who gives way for whom.

    Written as YAML it is a file for 'gw twin market --order', and for a server's GIGAWATT_ORDER.

    Example: gw spot order -o yaml
    """
    backend.spots.show_order(output)


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
def saved(
    cluster: NameArgument,
    tenant: WhoseOption = None,
    now: Annotated[
        bool, typer.Option("--now", help="And give back what is asked back before its deadline.")
    ] = False,
) -> None:
    """Say that the work of a cluster is saved now: who loses least is asked first.

    Example: gw spot saved train
    """
    backend.spots.note_saved(cluster, tenant, gives_back=now)


@app.command()
def watch(
    cluster: NameArgument,
    command: Annotated[
        str, typer.Option("--exec", help="Command for the shell, run once for each notice.")
    ],
    once: Annotated[bool, typer.Option("--once", help="End after one notice.")] = False,
    tenant: WhoseOption = None,
) -> None:
    """Run a command when nodes are asked back, and say whether the work is saved.

    The command finds the notice in GW_NOTICE_ID, GW_NOTICE_HOSTS, GW_NOTICE_SECONDS and so on, and
    is ended at the deadline. When it ends with 0 the nodes are given back at once; else they are
    taken at the deadline. It may run twice for one notice if this is started again.

    Ends with 0 when the cluster is released, with 1 if the command failed for a notice.

    Example: gw spot watch sweep --exec ./save.sh
    """
    backend.spot_watch.watch(cluster, tenant, command, is_once=once)
