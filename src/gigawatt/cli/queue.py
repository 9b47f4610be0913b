"""``gw queue``: wait for room, and see what waits and what was turned away."""

from typing import Annotated

import typer

from gigawatt.cli import backend
from gigawatt.cli.options import (
    Format,
    OutputOption,
    QuietOption,
    YesOption,
    new_group,
    with_request,
)
from gigawatt.intent.request import ClusterRequest

app = new_group("Wait for room; see what waits, what there is, and what was turned away.")

WaitingArgument = Annotated[str, typer.Argument(help="Id of what waits (wai_...).")]
Patience = Annotated[
    int, typer.Option("--for-days", help="Give up after so many days.", min=1, max=366)
]


@app.command()
@with_request
def add(
    request: ClusterRequest,
    for_days: Patience = 7,
    output: OutputOption = Format.TABLE,
    quiet: QuietOption = False,
) -> None:
    """Keep a place in the queue for a cluster that does not fit now; it starts by itself.

    With --term spot it is a bid: it starts in a round that it wins, at the price of the round.

    Example: gw queue add train --gpus 512 --type h100 --max-price 3.10
    """
    backend.queues.add(request, for_days, output, quiet=quiet)


@app.command("list")
def list_(
    everything: Annotated[bool, typer.Option("--all", help="Also what has ended.")] = False,
    output: OutputOption = Format.TABLE,
    quiet: QuietOption = False,
) -> None:
    """List what waits, newest first.

    Example: gw queue list
    """
    backend.queues.list_waiting(output, everything=everything, quiet=quiet)


@app.command()
def show(waiting: WaitingArgument, output: OutputOption = Format.TABLE) -> None:
    """Show one place in the queue: how many stand before it, and when its turn may come.

    Example: gw queue show wai_0123456789abcdef
    """
    backend.queues.show(waiting, output)


@app.command()
def withdraw(waiting: WaitingArgument, yes: YesOption = False) -> None:
    """Give a place in the queue up.

    Example: gw queue withdraw wai_0123456789abcdef
    """
    backend.queues.withdraw(waiting, yes=yes)


@app.command()
def supply(output: OutputOption = Format.TABLE) -> None:
    """Show granted, held, free, waiting and turned away by GPU type; for operators.

    Example: gw queue supply
    """
    backend.queues.show_supply(output)


@app.command("turned-away")
def turned_away(output: OutputOption = Format.TABLE) -> None:
    """Show demand that was not served, by day, type and size; for operators.

    Example: gw queue turned-away -o json
    """
    backend.queues.show_turned_away(output)
