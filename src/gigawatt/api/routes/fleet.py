"""The fleet and its nodes."""

import asyncio
from ipaddress import IPv4Address
from typing import Annotated

import numpy as np
from fastapi import Query
from numpy.typing import NDArray

from gigawatt.api.access import Access, Allowed
from gigawatt.api.paging import number_place, page_of
from gigawatt.api.routes.drawings import project_names
from gigawatt.api.routing import new_router, operation
from gigawatt.app.fleet_views import fleet_document, node_views
from gigawatt.app.holdings import FleetHoldings, holdings_of
from gigawatt.app.node_return import bring_back
from gigawatt.app.node_search import nodes_that_match
from gigawatt.fleet.drawing.floor import floor_of
from gigawatt.fleet.model import Fleet
from gigawatt.ids import ClusterId, NodeId
from gigawatt.interfaces.store import Doer, NodeState
from gigawatt.sdk import documents as doc

router = new_router("fleet")


def _holdings(access: Access) -> FleetHoldings:
    around = access.service.control.around
    return holdings_of(around.fleet, around.store.snapshot(around.clock.now_s()))


@operation(router, "GET", "/fleet")
def get_fleet(access: Allowed) -> doc.Fleet:
    """What there is, in numbers."""
    access.permit()
    around = access.service.control.around
    stored = around.store.snapshot(around.clock.now_s())
    now = holdings_of(around.fleet, stored)
    views = node_views(around.fleet, stored)
    return fleet_document(around.fleet, now.free_gpu_count, len(now.states), views)


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


def _node(now: FleetHoldings, row: int, *, is_whole: bool = True) -> doc.Node:
    """For operators: whoever else reads of a node is told the reason, not who gave it."""
    node_id = now.fleet.node_id(row)
    state, reason = _state(now, node_id)
    by = now.taken_out_by.get(node_id)
    return doc.Node(
        id=node_id,
        config=_config(now.fleet, row, is_whole=is_whole),
        status=doc.NodeStatus(
            free_gpu_count=int(now.free_gpu_mask[row]).bit_count(),
            holders=[_holder(now, row, *found) for found in now.holders.get(row, ())],
        ),
        state=state,
        state_reason=reason,
        state_by=None if by is None else doc.Doer(account_id=by.account_id, name=by.name),
    )


def _config(fleet: Fleet, row: int, *, is_whole: bool) -> doc.NodeConfig:
    """What a node is; lists leave out what only its own page shows."""
    kind, rack = fleet.node_type(row), int(fleet.nodes.rack[row])
    config = doc.NodeConfig(
        node_type=kind.name,
        gpu_type=kind.gpu_type,
        gpu_count=kind.gpu_count,
        site_id=fleet.sites.ids[int(fleet.site_of_node[row])],
        rack_id=fleet.racks.ids[rack],
        fabric_id=fleet.fabrics.ids[int(fleet.fabric_of_node[row])],
        pod_id=fleet.pods.ids[int(fleet.pod_of_node[row])],
        leaf_group_id=fleet.leaf_groups.ids[int(fleet.nodes.leaf_group[row])],
        hall_id=fleet.halls.ids[int(fleet.racks.hall[rack])],
        nvlink_domain_id=fleet.nvlink_domains.ids[int(fleet.nodes.nvlink_domain[row])],
        nic_count=kind.nic_count,
    )
    if is_whole:
        first, last = fleet.first_nic_of_node[row], fleet.first_nic_of_node[row + 1]
        leaves = [fleet.switches.ids[int(leaf)] for leaf in fleet.nics.leaf[first:last].tolist()]
        config.leaf_switch_ids = list(dict.fromkeys(leaves))
        config.bmc_address = str(IPv4Address(int(fleet.nodes.bmc_ipv4[row])))
    return config


def _holder(now: FleetHoldings, row: int, cluster_id: ClusterId, mask: int) -> doc.Holder:
    record = now.clusters.get(cluster_id)
    members = record.target.members if record and record.target else ()
    node_id = now.fleet.nodes.ids[row]
    roles = [member.role for member in members if member.node_id == node_id]
    return doc.Holder(
        cluster_id=cluster_id,
        gpu_mask=mask,
        cluster_name=record.name if record else "",
        project_id=record.tenant_id if record else "",
        role=roles[0] if roles else None,
    )


@operation(router, "GET", "/nodes")
def list_nodes(access: Allowed, wanted: Annotated[doc.NodeFilter, Query()]) -> doc.Page[doc.Node]:
    """Nodes in the order of the fleet, filtered."""
    access.permit()
    now = _holdings(access)
    mask = _mask_of(now, wanted)
    if wanted.text is not None:
        mask &= nodes_that_match(now, wanted.text, project_names(access))
    mask[: number_place(wanted.cursor, 0)] = False
    rows = np.flatnonzero(mask)[: wanted.limit + 1].tolist()
    return page_of(
        rows, wanted.limit, lambda row: row + 1, lambda row: _node(now, row, is_whole=False)
    )


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
    if wanted.project_id is not None:
        mask &= _rows(fleet, _of_project(now, wanted.project_id))
    if wanted.cluster_id is not None:
        held = [row for row, found in now.holders.items() if wanted.cluster_id in dict(found)]
        mask &= _rows(fleet, held)
    if wanted.state == "available":
        mask &= ~_rows(fleet, _in_state(now, {"drained", "quarantined"}))
    elif wanted.state is not None:
        mask &= _rows(fleet, _in_state(now, {wanted.state}))
    return mask


def _of_project(now: FleetHoldings, project_id: str) -> list[int]:
    mine = {name for name, record in now.clusters.items() if record.tenant_id == project_id}
    return [row for row, found in now.holders.items() if any(name in mine for name, _ in found)]


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
    before, now_s = _node(_holdings(access), row), around.clock.now_s()
    around.store.set_node_state(NodeId(node_id), state, reason, now_s, _doer(access))
    return _changed(access, row, before)


def _doer(access: Access) -> Doer:
    account = access.caller.account
    return Doer(account.account_id, account.name)


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
    before = _node(_holdings(access), row)
    asyncio.run(bring_back(control, [NodeId(node_id)], body.reason, _doer(access)))
    return _changed(access, row, before)
