"""Nodes in and out of service."""

from collections.abc import Callable, Sequence
from functools import partial

from gigawatt.cli.options import Format
from gigawatt.cli.output import Listing, console, show_list
from gigawatt.cli.work.connect import PAGE_LIMIT, connected
from gigawatt.sdk import Client, calls
from gigawatt.sdk import documents as doc

RECEIPT_COUNT_MAX = 20
"""Receipts that a list shows. Ours."""


def list_blocked(form: Format, *, quiet: bool) -> None:
    """List nodes that are drained or quarantined."""
    found: list[doc.Node] = []
    with connected() as connection:
        for state in ("drained", "quarantined"):
            wanted = doc.NodeFilter.model_validate({"state": state, "limit": PAGE_LIMIT})
            found += connection.client.pages(partial(calls.list_nodes, wanted))
    listing = Listing(
        ("node", "state", "held by", "reason"), _blocked_cells, "all nodes are in service"
    )
    show_list(sorted(found, key=lambda node: node.id), form, listing, quiet=quiet)


def _blocked_cells(node: doc.Node) -> tuple[str, ...]:
    held_by = ", ".join(holder.cluster_name for holder in node.status.holders)
    return node.id, node.state, held_by, why_out(node)


def why_out(node: doc.Node) -> str:
    """Why a node is out of service and who said so, where an account did."""
    if node.state_by is None:
        return node.state_reason
    return f"{node.state_reason} (by {node.state_by.name or node.state_by.account_id})"


def list_receipts(node_id: str, form: Format, *, quiet: bool) -> None:
    """List the receipts of a node."""
    with connected() as connection:
        found = connection.client.list_node_receipts(node_id, limit=RECEIPT_COUNT_MAX).items
    columns = ("receipt", "ended", "cluster", "is", "what did not pass, or was not done")
    listing = Listing(columns, _receipt_cells, f"{node_id} was never cleaned")
    show_list(found, form, listing, quiet=quiet)


def _receipt_cells(receipt: doc.CleaningReceipt) -> tuple[str, ...]:
    last = receipt.steps[-1].ended_at.isoformat(timespec="seconds") if receipt.steps else ""
    is_worth = [s for s in receipt.steps if not s.is_passed or s.detail.startswith("not done")]
    said = "; ".join(f"{step.name}: {step.detail}" for step in is_worth)
    verdict = "clean" if receipt.is_passed else "not clean"
    return receipt.id, last, receipt.cluster_id, verdict, said


def _each_known(client: Client, nodes: Sequence[str]) -> list[str]:
    """The ids once each, after a look whether the fleet has them all.

    Raises:
        UnknownIdError: it does not.
    """
    found = list(dict.fromkeys(nodes))
    for node_id in found:
        client.get_node(node_id)
    return found


def set_states(nodes: Sequence[str], state: str, reason: str) -> None:
    """Drain or quarantine nodes."""
    with connected() as connection:
        client = connection.client
        setter: Callable[[str, str], doc.Node] = (
            client.drain_node if state == "drained" else client.quarantine_node
        )
        for node_id in _each_known(client, nodes):
            node = setter(node_id, reason)
            console.print(f"{node_id} is {node.state}: {why_out(node)}")
            for holder in node.status.holders:
                console.print(f"  {holder.cluster_name} keeps it; put another one in its place:")
                console.print(f"  gw cluster replace {holder.cluster_name} {node_id}")


def bring_back(nodes: Sequence[str], reason: str) -> None:
    """Bring nodes back into service, one after the other.

    Raises:
        DriftError: something that no cluster explains is on a node, or it does not answer.
    """
    with connected() as connection:
        for node_id in _each_known(connection.client, nodes):
            connection.client.return_node(node_id, reason)
            console.print(f"{node_id} is back in service")
