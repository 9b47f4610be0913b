"""Calls of receipts of cleaning."""

from gigawatt.sdk import documents as doc
from gigawatt.sdk.calls.call import Call, path_of, query_of


def list_node_receipts(
    node_id: str, *, limit: int | None = None
) -> Call[doc.Page[doc.CleaningReceipt]]:
    """The newest receipts of a node, the last one first."""
    path = path_of("nodes", node_id, "receipts")
    return Call("GET", path, doc.Page[doc.CleaningReceipt], query_of(limit=limit))
