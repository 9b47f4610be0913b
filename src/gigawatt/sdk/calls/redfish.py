"""Calls of Redfish on a cluster's own nodes; ``redfish_path`` is e.g. ``v1/Systems/1``."""

from collections.abc import Mapping
from typing import Any

from gigawatt.sdk import documents as doc
from gigawatt.sdk.calls.call import Call, path_of


def _path(cluster_id: str, node_id: str, redfish_path: str) -> str:
    parts = redfish_path.strip("/").split("/")
    return path_of("clusters", cluster_id, "nodes", node_id, "redfish", *parts)


def read_redfish(cluster_id: str, node_id: str, redfish_path: str) -> Call[dict[str, Any]]:
    """A Redfish resource of a node that the cluster has as a whole."""
    return Call("GET", _path(cluster_id, node_id, redfish_path), dict[str, Any])


def call_redfish(
    cluster_id: str, node_id: str, redfish_path: str, body: Mapping[str, Any] | None = None
) -> Call[dict[str, Any]]:
    """A Redfish action on a node: reset, and media that the operator offers."""
    sent = doc.RedfishBody(dict(body or {}))
    return Call("POST", _path(cluster_id, node_id, redfish_path), dict[str, Any], body=sent)


def change_redfish(
    cluster_id: str, node_id: str, redfish_path: str, body: Mapping[str, Any] | None = None
) -> Call[dict[str, Any]]:
    """What a node boots from next time."""
    sent = doc.RedfishBody(dict(body or {}))
    return Call("PATCH", _path(cluster_id, node_id, redfish_path), dict[str, Any], body=sent)
