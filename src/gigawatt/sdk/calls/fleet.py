"""Calls of the fleet and its nodes."""

from gigawatt.sdk import documents as doc
from gigawatt.sdk.calls.call import Call, path_of


def get_fleet() -> Call[doc.Fleet]:
    """What there is, in numbers."""
    return Call("GET", path_of("fleet"), doc.Fleet)


def get_fleet_map() -> Call[doc.FleetMap]:
    """The floor plan."""
    return Call("GET", path_of("fleet", "map"), doc.FleetMap)


def list_nodes(wanted: doc.NodeFilter | None = None) -> Call[doc.Page[doc.Node]]:
    """Nodes, filtered."""
    query = {} if wanted is None else wanted.model_dump(mode="json", exclude_none=True)
    return Call("GET", path_of("nodes"), doc.Page[doc.Node], query)


def get_node(node_id: str) -> Call[doc.Node]:
    """One node."""
    return Call("GET", path_of("nodes", node_id), doc.Node)


def drain_node(node_id: str, reason: str) -> Call[doc.Node]:
    """Give a node to nobody new; what holds it stays."""
    body = doc.NodeReason(reason=reason)
    return Call("POST", path_of("nodes", node_id, verb="drain"), doc.Node, body=body)


def quarantine_node(node_id: str, reason: str) -> Call[doc.Node]:
    """Mark a node as broken."""
    body = doc.NodeReason(reason=reason)
    return Call("POST", path_of("nodes", node_id, verb="quarantine"), doc.Node, body=body)


def return_node(node_id: str, reason: str) -> Call[doc.Node]:
    """Give a node back to service."""
    body = doc.NodeReason(reason=reason)
    return Call("POST", path_of("nodes", node_id, verb="return"), doc.Node, body=body)
