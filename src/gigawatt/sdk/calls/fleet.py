"""Calls of the fleet and its nodes."""

from typing import Literal

from gigawatt.sdk import documents as doc
from gigawatt.sdk.calls.call import Call, path_of, query_of


def get_fleet() -> Call[doc.Fleet]:
    """What there is, in numbers."""
    return Call("GET", path_of("fleet"), doc.Fleet)


def get_fleet_cells(*, with_places: bool | None = None) -> Call[doc.FleetCells]:
    """Every GPU of the floor by columns; without places after the first time."""
    query = query_of(with_places=with_places)
    return Call("GET", path_of("fleet", "cells"), doc.FleetCells, query)


def get_fleet_power() -> Call[doc.FleetPower]:
    """What feeds and racks may give, what their nodes may draw, and what their GPUs report."""
    return Call("GET", path_of("fleet", "power"), doc.FleetPower)


def get_fleet_load() -> Call[doc.FleetLoad]:
    """What every GPU reports now: how busy it is, and what it draws."""
    return Call("GET", path_of("fleet", "load"), doc.FleetLoad)


def get_stranded() -> Call[doc.Stranded]:
    """Free GPUs by what they are of use for, and what would make more of them so."""
    return Call("GET", path_of("fleet", "stranded"), doc.Stranded)


def get_fleet_map() -> Call[doc.FleetMap]:
    """The floor plan."""
    return Call("GET", path_of("fleet", "map"), doc.FleetMap)


def get_fleet_drawing(*, width: int | None = None) -> Call[doc.FleetDrawing]:
    """The floor as rows of text."""
    return Call("GET", path_of("fleet", "drawing"), doc.FleetDrawing, query_of(width=width))


def get_fleet_picture(*, picture_format: Literal["svg", "png"] = "svg") -> Call[bytes]:
    """The floor as a picture."""
    return Call("GET", path_of("fleet", "picture"), bytes, query_of(picture_format=picture_format))


def list_fleet_notes(
    *, cursor: str | None = None, limit: int | None = None
) -> Call[doc.Page[doc.FleetNote]]:
    """Contradictions in the fleet."""
    query = query_of(cursor=cursor, limit=limit)
    return Call("GET", path_of("fleet", "notes"), doc.Page[doc.FleetNote], query)


def list_nodes(
    wanted: doc.NodeFilter | None = None, *, cursor: str | None = None
) -> Call[doc.Page[doc.Node]]:
    """Nodes, filtered; ``cursor`` stands above the filter's own."""
    query = {} if wanted is None else wanted.model_dump(mode="json", exclude_none=True)
    return Call("GET", path_of("nodes"), doc.Page[doc.Node], query | query_of(cursor=cursor))


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


def get_site() -> Call[doc.Site]:
    """Which drivers serve the planes, and how many devices each has."""
    return Call("GET", path_of("site"), doc.Site)


def lint_fabric() -> Call[doc.LintedFabrics]:
    """What is wrong with how the compute fabrics are kept."""
    return Call("GET", path_of("site", "fabrics"), doc.LintedFabrics)
