"""What the whole fleet looks like: the state of each node, its summary, its drawings."""

import io
import threading
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from gigawatt.fleet.drawing.paint import NodeState, NodeView, Paint, paint_nodes
from gigawatt.fleet.drawing.svg import fleet_svg
from gigawatt.fleet.drawing.text import fleet_text
from gigawatt.fleet.model import Fleet
from gigawatt.ids import ClusterId, NodeId, TenantId
from gigawatt.interfaces.store import StoreSnapshot
from gigawatt.sdk import documents as doc

_PICTURE = threading.Lock()
"""Matplotlib draws one picture at a time."""


def node_views(
    fleet: Fleet, snapshot: StoreSnapshot, names: Mapping[TenantId, str] | None = None
) -> list[NodeView]:
    """What each node is doing, in fleet order, the worst that is true; ``names`` of projects."""
    called = names or {}
    holder: dict[NodeId, ClusterId] = {}
    for node_id, cluster_id in snapshot.allocations:
        holder.setdefault(node_id, cluster_id)
    spares = {
        m.node_id
        for record in snapshot.clusters.values()
        if record.target is not None
        for m in record.target.members
        if m.role == "spare"
    }
    views = []
    for text in fleet.nodes.ids:
        node_id = NodeId(text)
        state = NodeState.FREE
        record = snapshot.clusters.get(holder[node_id]) if node_id in holder else None
        if node_id in holder:
            state = NodeState.SPARE if node_id in spares else NodeState.HELD
        if node_id in snapshot.node_states:
            state = NodeState(snapshot.node_states[node_id][0])
        name, tenant = ("", "")
        if record:
            name, tenant = record.name, called.get(record.tenant_id, record.tenant_id)
        label = f"{name} of {tenant}" if record else holder.get(node_id, "")
        views.append(NodeView(state, label, tenant))
    return views


def fleet_document(
    fleet: Fleet,
    free_gpu_count: NDArray[np.int64],
    blocked_node_count: int,
    views: Sequence[NodeView],
) -> doc.Fleet:
    """A fleet in numbers; ``free_gpu_count`` is int64[N], by node."""
    states = Counter(view.state for view in views)
    return doc.Fleet(
        name=fleet.name,
        node_count=len(fleet.nodes),
        gpu_count=fleet.gpu_count,
        free_gpu_count=int(free_gpu_count.sum()),
        blocked_node_count=blocked_node_count,
        gpu_types=_gpu_types(fleet, free_gpu_count),
        sites=_sites(fleet),
        hall_count=len(fleet.halls),
        rack_count=len(fleet.racks),
        node_types=_node_types(fleet),
        fabrics=_fabrics(fleet),
        node_states={state.value: states[state] for state in NodeState},
    )


def untouched(fleet: Fleet) -> doc.Fleet:
    """A fleet of which nobody holds anything."""
    free = fleet.gpu_count_of_node.astype(np.int64)
    return fleet_document(fleet, free, 0, [NodeView(NodeState.FREE)] * len(fleet.nodes))


def _sites(fleet: Fleet) -> list[doc.SiteSummary]:
    return [
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
    ]


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


def _node_types(fleet: Fleet) -> list[doc.NodeTypeSummary]:
    nodes = Counter(fleet.nodes.type.tolist())
    return [
        doc.NodeTypeSummary(
            name=kind.name,
            node_count=nodes[index],
            gpu_type=kind.gpu_type,
            gpu_count_per_node=kind.gpu_count,
            nic_count_per_node=kind.nic_count,
            price_micro_usd_per_gpu_hour=kind.price_micro_usd_per_gpu_hour,
        )
        for index, kind in enumerate(fleet.node_types)
    ]


def _fabrics(fleet: Fleet) -> list[doc.FabricSummary]:
    pods = Counter(fleet.pods.fabric.tolist())
    groups = Counter(fleet.pods.fabric[fleet.leaf_groups.pod].tolist())
    switches = Counter(fleet.switches.fabric.tolist())
    return [
        doc.FabricSummary(
            fabric_id=fabric_id,
            kind=fleet.fabrics.kind[index].value,
            pod_count=pods[index],
            leaf_group_count=groups[index],
            switch_count=switches[index],
        )
        for index, fabric_id in enumerate(fleet.fabrics.ids)
    ]


def painted(fleet: Fleet, snapshot: StoreSnapshot, names: Mapping[TenantId, str]) -> Paint:
    """The colours of a fleet at one moment."""
    return paint_nodes(fleet.nodes.ids, node_views(fleet, snapshot, names))


def drawn(fleet: Fleet, paint: Paint, width: int) -> doc.FleetDrawing:
    """The floor as rows of text of at most ``width`` letters."""
    rows = fleet_text(fleet, paint, width=width)
    return doc.FleetDrawing(
        rows=[[doc.DrawnCell(text=c.text, style=c.style_name) for c in row] for row in rows]
    )


def _title(fleet: Fleet) -> str:
    return f"{fleet.name}: {fleet.gpu_count:,} GPUs"


def svg_of(fleet: Fleet, paint: Paint) -> bytes:
    """The floor as an SVG file."""
    colours, tooltips = paint.colour_of_node, paint.tooltip_of_node
    return fleet_svg(fleet, colours, paint.legend, _title(fleet), tooltips).encode()


def png_of(fleet: Fleet, paint: Paint) -> bytes:
    """The floor as a PNG file."""
    from gigawatt.app.fleet_png import write_fleet_png  # noqa: PLC0415 - matplotlib takes a second

    file = io.BytesIO()
    with _PICTURE:
        write_fleet_png(fleet, paint.colour_of_node, paint.legend, _title(fleet), file)
    return file.getvalue()
