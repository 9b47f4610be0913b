"""Redfish of a cluster's own nodes, as far as a tenant may use it."""

from typing import Any
from urllib.parse import quote

from fastapi import Request

from gigawatt.api.access import Access, Allowed
from gigawatt.api.routing import new_router, operation
from gigawatt.app.redfish_policy import judge_call
from gigawatt.errors import ForbiddenError
from gigawatt.ids import NodeId
from gigawatt.sdk import documents as doc
from gigawatt.sdk.calls import BASE

router = new_router("redfish")

PATH = "/clusters/{cluster_id}/nodes/{node_id}/redfish/{redfish_path:path}"
COST = 5.0
"""Requests of ours that one request to a BMC counts for: it is a slow machine."""


def _raw_resource(request: Request) -> str:
    """What stands behind ``/redfish/`` in the address as it was sent, nothing decoded.

    Raises:
        ForbiddenError: the address has a query, or an encoded character.
    """
    raw = request.scope.get("raw_path") or quote(request.scope["path"]).encode()
    text = bytes(raw).decode("latin-1")
    if request.url.query or "%" in text or "/redfish/" not in text:
        raise ForbiddenError("an address of Redfish is plain here: no query, nothing encoded")
    return text.partition("/redfish/")[2]


def _carry(access: Access, request: Request, node_id: str, body: object = None) -> dict[str, Any]:
    cluster_id = str(request.path_params["cluster_id"])
    record = access.cluster(cluster_id)
    access.service.rate.take(access.caller.key.key_id, COST)
    proxy = access.service.redfish
    call = judge_call(request.method, _raw_resource(request), body, proxy.media_prefixes)
    if call.method != "GET":
        change = doc.RedfishChange(node_id=node_id, path=call.path, body=dict(call.body or {}))
        access.note_change(None, change)
    prefix = f"{BASE}/clusters/{record.cluster_id}/nodes/{node_id}"
    seen = proxy.carry(record, NodeId(node_id), call, prefix)
    return seen if isinstance(seen, dict) else {}


@operation(router, "GET", PATH)
def read_redfish(
    cluster_id: str, node_id: str, redfish_path: str, request: Request, access: Allowed
) -> dict[str, Any]:
    """A Redfish resource of a node that the cluster has as a whole."""
    del cluster_id, redfish_path
    return _carry(access, request, node_id)


@operation(router, "POST", PATH)
def call_redfish(
    cluster_id: str,
    node_id: str,
    redfish_path: str,
    body: doc.RedfishBody,
    request: Request,
    access: Allowed,
) -> dict[str, Any]:
    """A Redfish action on a node: reset, and media that the operator offers."""
    del cluster_id, redfish_path
    return _carry(access, request, node_id, body.root)


@operation(router, "PATCH", PATH)
def change_redfish(
    cluster_id: str,
    node_id: str,
    redfish_path: str,
    body: doc.RedfishBody,
    request: Request,
    access: Allowed,
) -> dict[str, Any]:
    """What a node boots from next time."""
    del cluster_id, redfish_path
    return _carry(access, request, node_id, body.root)
