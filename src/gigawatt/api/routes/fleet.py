"""The fleet and its nodes."""

import asyncio
from typing import Annotated

import numpy as np
from fastapi import Query
from numpy.typing import NDArray

from gigawatt.api.access import Access, Allowed
from gigawatt.api.paging import number_place, page_of
from gigawatt.api.routing import new_router, operation
from gigawatt.app.holdings import FleetHoldings, holdings_of
from gigawatt.app.node_return import bring_back
from gigawatt.fleet.drawing.floor import floor_of
from gigawatt.fleet.model import Fleet
from gigawatt.ids import NodeId
from gigawatt.interfaces.store import NodeState
from gigawatt.sdk import documents as doc

router = new_router("fleet")


def _holdings(access: Access) -> FleetHoldings:
    around = access.service.control.around
    return holdings_of(around.fleet, around.store.snapshot(around.clock.now_s()))


@operation(router, "GET", "/fleet")
def get_fleet(access: Allowed) -> doc.Fleet:
    """What there is, in numbers."""
    access.permit()
    now = _holdings(access)
    fleet, free = now.fleet, now.free_gpu_count
    return doc.Fleet(
        name=fleet.name,
        node_count=len(fleet.nodes),
        gpu_count=fleet.gpu_count,
        free_gpu_count=int(free.sum()),
        blocked_node_count=len(now.states),
        gpu_types=_gpu_types(fleet, free),
        sites=[
            doc.SiteSummary(
                site_id=site_id,
                country=fleet.sites.country[row],
                fabric_ids=[
                    fabric_id
                    for index, fabric_id in enumerate(fleet.fabrics.ids)
                    if fleet.fabrics.site[index] == row
                ],
                gpu_count=int(fleet.gpu_count_of_node[fleet.site_of_node == row].sum()),
            )
            for row, site_id in enumerate(fleet.sites.ids)
        ],
    )


def _gpu_types(fleet: Fleet, free: NDArray[np.int64]) -> list[doc.GpuTypeSummary]:
    """One line for each GPU type and price, in the order of the fleet's node types."""
    found: dict[tuple[str, int], tuple[int, int]] = {}
    for row, kind in enumerate(fleet.node_types):
        mine = fleet.nodes.type == row
        key = (kind.gpu_type, kind.price_micro_usd_per_gpu_hour)
        count, free_count = found.get(key, (0, 0))
        found[key] = (
            count + int(fleet.gpu_count_of_node[mine].sum()),
            free_count + int(free[mine].sum()),
        )
    return [
        doc.GpuTypeSummary(
            gpu_type=gpu_type,
            gpu_count=count,
            free_gpu_count=free_count,
            price_micro_usd_per_gpu_hour=price,
        )
        for (gpu_type, price), (count, free_count) in found.items()
    ]


@operation(router, "GET", "/fleet/map")
def get_fleet_map(access: Allowed) -> doc.FleetMap:
    """The floor plan: a box for each node, with its state and who holds it."""
    access.permit()
    now = _holdings(access)
    floor, free = floor_of(now.fleet), now.free_gpu_count
    return doc.FleetMap(
        width_px=floor.width,
        height_px=floor.height,
        nodes=[
            doc.MapNode(
                node_id=node_id,
                box_px=(box[0], box[1], box[2], box[3]),
                state=_state(now, node_id)[0],
                cluster_ids=[cluster_id for cluster_id, _ in now.holders.get(row, ())],
                free_gpu_count=int(free[row]),
            )
            for row, (node_id, box) in enumerate(
                zip(now.fleet.nodes.ids, floor.node_boxes.tolist(), strict=True)
            )
        ],
    )


def _state(now: FleetHoldings, node_id: str) -> tuple[NodeState, str]:
    return now.states.get(NodeId(node_id), ("available", ""))


def _node(now: FleetHoldings, row: int) -> doc.Node:
    fleet = now.fleet
    kind = fleet.node_type(row)
    state, reason = _state(now, fleet.nodes.ids[row])
    return doc.Node(
        id=fleet.nodes.ids[row],
        config=doc.NodeConfig(
            node_type=kind.name,
            gpu_type=kind.gpu_type,
            gpu_count=kind.gpu_count,
            site_id=fleet.sites.ids[int(fleet.site_of_node[row])],
            rack_id=fleet.racks.ids[int(fleet.nodes.rack[row])],
            fabric_id=fleet.fabrics.ids[int(fleet.fabric_of_node[row])],
            pod_id=fleet.pods.ids[int(fleet.pod_of_node[row])],
            leaf_group_id=fleet.leaf_groups.ids[int(fleet.nodes.leaf_group[row])],
        ),
        status=doc.NodeStatus(
            free_gpu_count=int(now.free_gpu_mask[row]).bit_count(),
            holders=[
                doc.Holder(cluster_id=cluster_id, gpu_mask=mask)
                for cluster_id, mask in now.holders.get(row, ())
            ],
        ),
        state=state,
        state_reason=reason,
    )


@operation(router, "GET", "/nodes")
def list_nodes(access: Allowed, wanted: Annotated[doc.NodeFilter, Query()]) -> doc.Page[doc.Node]:
    """Nodes in the order of the fleet, filtered."""
    access.permit()
    now = _holdings(access)
    mask = _mask_of(now, wanted)
    mask[: number_place(wanted.cursor, 0)] = False
    rows = np.flatnonzero(mask)[: wanted.limit + 1].tolist()
    return page_of(rows, wanted.limit, lambda row: row + 1, lambda row: _node(now, row))


def _mask_of(now: FleetHoldings, wanted: doc.NodeFilter) -> NDArray[np.bool_]:
    """bool[N]: nodes that pass every filter."""
    fleet = now.fleet
    mask = now.free_gpu_mask > 0 if wanted.only_free else np.ones(len(fleet.nodes), np.bool_)
    if wanted.site_id is not None:
        mask &= fleet.site_of_node == fleet.sites.index_of.get(wanted.site_id, -1)
    if wanted.rack_id is not None:
        mask &= fleet.nodes.rack == fleet.racks.index_of.get(wanted.rack_id, -1)
    if wanted.gpu_type is not None:
        is_kind = np.array([t.gpu_type == wanted.gpu_type for t in fleet.node_types], np.bool_)
        mask &= is_kind[fleet.nodes.type]
    if wanted.cluster_id is not None:
        held = [row for row, found in now.holders.items() if wanted.cluster_id in dict(found)]
        mask &= _rows(fleet, held)
    if wanted.state == "available":
        mask &= ~_rows(fleet, _in_state(now, {"drained", "quarantined"}))
    elif wanted.state is not None:
        mask &= _rows(fleet, _in_state(now, {wanted.state}))
    return mask


def _in_state(now: FleetHoldings, wanted: set[str]) -> list[int]:
    row_of = now.fleet.nodes.index_of
    return [row_of[n] for n, (state, _) in now.states.items() if state in wanted and n in row_of]


def _rows(fleet: Fleet, rows: list[int]) -> NDArray[np.bool_]:
    mask = np.zeros(len(fleet.nodes), np.bool_)
    mask[rows] = True
    return mask


@operation(router, "GET", "/nodes/{node_id}")
def get_node(node_id: str, access: Allowed) -> doc.Node:
    """One node."""
    access.permit()
    now = _holdings(access)
    return _node(now, now.fleet.node_index(NodeId(node_id)))


def _set_state(access: Access, node_id: str, state: NodeState, reason: str) -> doc.Node:
    access.permit()
    around = access.service.control.around
    row = around.fleet.node_index(NodeId(node_id))
    caller = access.caller.account.account_id
    said = f"{reason} (by {caller})"
    before = _node(_holdings(access), row)
    around.store.set_node_state(NodeId(node_id), state, said, around.clock.now_s())
    return _changed(access, row, before)


def _changed(access: Access, row: int, before: doc.Node) -> doc.Node:
    after = _node(_holdings(access), row)
    access.note_change(before, after)
    return after


@operation(router, "POST", "/nodes/{node_id}:drain")
def drain_node(node_id: str, body: doc.NodeReason, access: Allowed) -> doc.Node:
    """Give a node to nobody new; what holds it stays."""
    return _set_state(access, node_id, "drained", body.reason)


@operation(router, "POST", "/nodes/{node_id}:quarantine")
def quarantine_node(node_id: str, body: doc.NodeReason, access: Allowed) -> doc.Node:
    """Mark a node as broken."""
    return _set_state(access, node_id, "quarantined", body.reason)


@operation(router, "POST", "/nodes/{node_id}:return")
def return_node(node_id: str, body: doc.NodeReason, access: Allowed) -> doc.Node:
    """Give a node back to service."""
    access.permit()
    control = access.service.control
    row = control.around.fleet.node_index(NodeId(node_id))
    said = f"{body.reason} (by {access.caller.account.account_id})"
    before = _node(_holdings(access), row)
    asyncio.run(bring_back(control, [NodeId(node_id)], said))
    return _changed(access, row, before)
