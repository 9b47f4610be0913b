"""What a request means on one node type: whole nodes in units, or one slice of a node."""

from dataclasses import dataclass

from gigawatt.errors import ImpossibleError, InputError
from gigawatt.fleet.model import Fleet, NodeType
from gigawatt.fleet.slices import offered_sizes
from gigawatt.intent.prices import LIST_PRICES, Prices
from gigawatt.intent.request import ClusterRequest


@dataclass(frozen=True, slots=True)
class Shape:
    """A request on one node type.

    Fields:
        type_index: row of ``Fleet.node_types``.
        node_count: whole nodes wanted, 0 when the request is a slice.
        slice_gpu_count: GPUs of the slice, 0 when the request is whole nodes.
        unit_node_count: nodes that go together into one NVLink domain (the segment), >= 1.
        whole_domains: see ``ClusterRequest``.
    """

    type_index: int
    node_count: int
    slice_gpu_count: int
    unit_node_count: int
    whole_domains: bool


def _shape(request: ClusterRequest, type_index: int, node_type: NodeType) -> Shape | str:
    """The shape on one type, or what is wrong with the request there."""
    per_node, wanted = node_type.gpu_count, request.gpu_count
    segment = request.segment_node_count or 1
    if wanted < per_node:
        sizes = offered_sizes(node_type)
        if wanted not in sizes:
            offered = ", ".join(str(size) for size in sizes)
            return f"{node_type.name} offers {offered} GPUs of one node, or whole nodes"
        if segment > 1 or request.whole_domains:
            return f"{wanted} GPUs are a part of one {node_type.name} node; segments need nodes"
        return Shape(type_index, 0, wanted, 1, whole_domains=False)
    if wanted % per_node:
        low = wanted // per_node * per_node
        return f"{node_type.name} has {per_node} GPUs a node: ask for {low} or {low + per_node}"
    nodes = wanted // per_node
    if nodes % segment:
        low = nodes // segment * segment * per_node
        step = segment * per_node
        near = f"{low} or {low + step}" if low else f"{step}"
        return f"{nodes} nodes are not a multiple of segments of {segment}: ask for {near} GPUs"
    return Shape(type_index, nodes, 0, segment, request.whole_domains)


def _least(fleet: Fleet, request: ClusterRequest, prices: Prices, node_type: NodeType) -> int:
    """Lowest price of a node type at the sites that a request allows."""
    sites = [s for s in fleet.sites.ids if not request.site_ids or s in request.site_ids]
    return min(prices.amount(node_type, site_id) for site_id in sites or fleet.sites.ids)


def shapes(
    fleet: Fleet, request: ClusterRequest, prices: Prices = LIST_PRICES
) -> tuple[Shape, ...]:
    """What the request means on every node type it may use, cheapest first.

    Raises:
        ImpossibleError: the fleet has no such GPU type.
        InputError: the GPU count is neither a slice nor a whole number of nodes or segments on
            any of them.
    """
    types = [
        (_least(fleet, request, prices, node_type), node_type.name, index, node_type)
        for index, node_type in enumerate(fleet.node_types)
        if request.gpu_type in {None, node_type.gpu_type}
    ]
    if not types:
        known = ", ".join(sorted({node_type.gpu_type for node_type in fleet.node_types}))
        raise ImpossibleError(
            f"request {request.name!r}: fleet {fleet.name!r} has no {request.gpu_type!r} GPUs",
            next_step=f"Ask for one of {known}.",
        )
    found = [_shape(request, index, node_type) for _, _, index, node_type in sorted(types)]
    good = tuple(shape for shape in found if isinstance(shape, Shape))
    if not good:
        wrong = "; ".join(dict.fromkeys(text for text in found if isinstance(text, str)))
        raise InputError(f"request {request.name!r}: {request.gpu_count} GPUs: {wrong}")
    return good
