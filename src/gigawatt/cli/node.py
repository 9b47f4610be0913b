"""``gw node``: nodes in and out of service."""

from typing import Annotated

import typer

from gigawatt.cli import backend
from gigawatt.cli.options import (
    Format,
    NodeArgument,
    NodesArgument,
    OutputOption,
    QuietOption,
    new_group,
)

app = new_group("Take nodes out of service, and bring them back.")

Reason = Annotated[str, typer.Option("--reason", "-r", help="Why; kept with the node.")]


@app.command("list")
def list_(output: OutputOption = Format.TABLE, quiet: QuietOption = False) -> None:
    """List the nodes that are out of service, and why.

    Example: gw node list
    """
    backend.nodes.list_blocked(output, quiet=quiet)


@app.command()
def drain(nodes: NodesArgument, reason: Reason = "maintenance") -> None:
    """Give the nodes to nobody new; who has them keeps them.

    Example: gw node drain h-su003-n07 --reason "replace a fan"
    """
    backend.nodes.set_states(nodes, "drained", reason)


@app.command()
def quarantine(nodes: NodesArgument, reason: Reason = "suspect") -> None:
    """Give the nodes to nobody, because they are not trusted.

    Example: gw node quarantine h-su003-n07 --reason "ECC errors"
    """
    backend.nodes.set_states(nodes, "quarantined", reason)


@app.command()
def receipts(
    node: NodeArgument, output: OutputOption = Format.TABLE, quiet: QuietOption = False
) -> None:
    """List what was done to a node between two tenants, the last cleaning first.

    Example: gw node receipts h-su003-n07
    """
    backend.nodes.list_receipts(node, output, quiet=quiet)


@app.command("return")
def return_(nodes: NodesArgument, reason: Reason = "back in service") -> None:
    """Bring nodes back; refused while something strange is left on them.

    Example: gw node return h-su003-n07
    """
    backend.nodes.bring_back(nodes, reason)
