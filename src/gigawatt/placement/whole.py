"""Whole nodes: the best choice over fabrics, unit sizes and the widest level allowed."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from gigawatt.fleet.model import I64, U16, Fleet
from gigawatt.intent.prices import Prices
from gigawatt.intent.request import ClusterRequest, Level
from gigawatt.placement.choose import find
from gigawatt.placement.index import FleetIndex
from gigawatt.placement.knapsack import Cost
from gigawatt.placement.search import Choice, profiles
from gigawatt.placement.shape import Shape
from gigawatt.placement.supply import Caps, Mask, Near, Supply, count_supply, usable_nodes


@dataclass(frozen=True, slots=True, eq=False)
class Ask:
    """A request, the fleet it is put to, what GPUs cost and the groups it should stay near."""

    fleet: Fleet
    index: FleetIndex
    free_gpu_mask: U16
    request: ClusterRequest
    caps: Caps
    near: Near
    prices: Prices

    def asking(self, request: ClusterRequest) -> "Ask":
        """The same question with another request."""
        return replace(self, request=request, caps=Caps.of(request))


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """A choice with the supply it was made from."""

    supply: Supply
    choice: Choice


@dataclass(frozen=True, slots=True, eq=False)
class Container:
    """One group that holds the whole request: its pod, and its nodes (bool[N])."""

    pod: int
    nodes: Mask


def unit_shapes(ask: Ask, shape: Shape) -> Iterator[Shape]:
    """The shape with every unit size that serves it: one, or the sizes of whole NVLink domains.

    Whole domains of one size are taken, so each size that divides the nodes wanted is tried.
    """
    if not shape.whole_domains:
        yield shape
        return
    of_type = ask.index.domain_of_node[ask.fleet.nodes.type == shape.type_index]
    for size in np.unique(ask.index.domain_size[of_type]).tolist()[::-1]:
        if shape.node_count % size == 0 and size % shape.unit_node_count == 0:
            yield replace(shape, unit_node_count=size)


def free_nodes(ask: Ask, shape: Shape) -> Mask:
    """bool[N]: nodes of the shape's type that are wholly free and allowed."""
    usable = usable_nodes(ask.fleet, ask.free_gpu_mask, ask.request, shape.type_index)
    usable &= ask.free_gpu_mask == ask.fleet.full_gpu_mask_of_node
    return usable


def pod_ranks(ask: Ask, by_leaf: I64, unit: int = 1) -> I64:
    """int64[P]: rank of each pod in units, from the ranks of its leaf groups (int64[L+1])."""
    parent = ask.fleet.leaf_groups.pod
    total = np.bincount(parent, by_leaf[:-1], minlength=len(ask.fleet.pods))
    ranks: I64 = np.minimum(total.astype(np.int64), ask.caps.pod // unit)
    return ranks


def _find_in_one_pod(ask: Ask, supply: Supply, pods: I64, units: int) -> Found | None:
    """The best choice inside one pod: each near one by itself, then the best of all others."""
    table = profiles(ask.index, supply, pods)
    nodes = supply.shape.node_count + ask.request.spare_count
    fits = (table.total >= units) & (pod_ranks(ask, supply.leaf_nodes)[pods] >= nodes)
    candidates = [np.array([pod]) for pod in pods[fits & table.is_near].tolist()]
    # Among pods that each suffice, the search opens one only.
    candidates += [pods[fits & ~table.is_near]]
    choices = [find(profiles(ask.index, supply, some), units) for some in candidates if len(some)]
    best = min((choice for choice in choices if choice), key=lambda c: c.cost, default=None)
    return Found(supply, best) if best else None


def _best_leaf(ask: Ask, supply: Supply, pods: I64, units: int) -> Container | None:
    """The leaf group that holds all at the least cost, then the tightest."""
    near, pod_of_leaf = ask.near, ask.fleet.leaf_groups.pod
    nodes = supply.shape.node_count + ask.request.spare_count
    fits = (supply.leaf_units[:-1] >= units) & (supply.leaf_nodes[:-1] >= nodes)
    rows = np.flatnonzero(fits & np.isin(pod_of_leaf, pods) & (nodes <= ask.caps.pod))
    running = np.cumsum(supply.domain_gains[rows], axis=1)
    near_count = near.nvlink_domain[supply.domain_rows[rows]].sum(axis=1)
    opened = np.maximum((running < units).sum(axis=1) + 1 - near_count, 0)
    if not len(rows):
        return None
    is_new, is_new_pod = ~near.leaf[rows], ~near.pod[pod_of_leaf[rows]]
    order = np.lexsort((rows, supply.leaf_units[rows], opened, is_new, is_new_pod))
    leaf = int(rows[order[0]])
    return Container(int(pod_of_leaf[leaf]), ask.index.leaf_of_node == leaf)


def _best_domain(ask: Ask, supply: Supply, pods: I64, units: int) -> Container | None:
    """The NVLink domain that holds all at the least cost, then the tightest."""
    near, fleet = ask.near, ask.fleet
    nodes = supply.shape.node_count + ask.request.spare_count
    most = min(ask.caps.leaf_group, ask.caps.pod)
    leaf_of_domain = fleet.nvlink_domains.leaf_group
    pod_of_domain = fleet.leaf_groups.pod[leaf_of_domain]
    fits = (supply.domain_units >= units) & (supply.domain_nodes >= nodes) & (nodes <= most)
    rows = np.flatnonzero(fits & np.isin(pod_of_domain, pods))
    is_new = ~near.nvlink_domain[rows]
    is_new_leaf, is_new_pod = ~near.leaf[leaf_of_domain[rows]], ~near.pod[pod_of_domain[rows]]
    keys = (rows, supply.domain_nodes[rows], is_new, is_new_leaf, is_new_pod)
    if not len(rows):
        return None
    domain = int(rows[np.lexsort(keys)[0]])
    return Container(int(pod_of_domain[domain]), ask.index.domain_of_node == domain)


def _find_contained(ask: Ask, supply: Supply, pods: I64, units: int) -> Found | None:
    """The best choice inside one group of the level that the request must stay in."""
    level = ask.request.keep_together
    if level is Level.POD:
        return _find_in_one_pod(ask, supply, pods, units)
    containers = _best_domain if level is Level.NVLINK_DOMAIN else _best_leaf
    best = containers(ask, supply, pods, units)
    if best is None:
        return None
    inside = supply.free & best.nodes
    narrowed = count_supply(ask.fleet, ask.index, inside, (supply.shape, ask.caps, ask.near))
    choice = find(profiles(ask.index, narrowed, np.array([best.pod])), units)
    assert choice is not None, "a group that fits by rank holds no choice"
    return Found(narrowed, choice)


def _is_one_node(ask: Ask) -> bool:
    """Whether the level to stay in holds one node only."""
    level = ask.request.keep_together
    return level is Level.NODE or (level is Level.NVLINK_DOMAIN and ask.index.is_flat)


def _fewest(values: I64, is_near: Mask, wanted: int) -> int | None:
    """Fewest new groups that hold ``wanted`` units beside the near ones, or None."""
    need = wanted - int(values[is_near].sum())
    if need <= 0:
        return 0
    running = np.cumsum(np.sort(values[~is_near])[::-1])
    if not len(running) or running[-1] < need:
        return None
    return int(np.searchsorted(running, need)) + 1


def _fabric_order(
    ask: Ask, supply: Supply, units: int, nodes: int
) -> list[tuple[tuple[bool, Cost], int, int]]:
    """Fabrics that have the room: a bound of the answer's key, total units, and row; best first."""
    fleet, near = ask.fleet, ask.near
    pod_units = pod_ranks(ask, supply.leaf_units, supply.shape.unit_node_count)
    pod_nodes = pod_ranks(ask, supply.leaf_nodes)
    fabric_of_leaf = fleet.pods.fabric[fleet.leaf_groups.pod]
    order = []
    for fabric in ask.index.fabrics_of_type[supply.shape.type_index]:
        pods = np.flatnonzero(fleet.pods.fabric == fabric)
        leaves = np.flatnonzero(fabric_of_leaf == fabric)
        pod_count = _fewest(pod_units[pods], near.pod[pods], units)
        leaf_count = _fewest(supply.leaf_units[leaves], near.leaf[leaves], units)
        if pod_count is None or leaf_count is None or int(pod_nodes[pods].sum()) < nodes:
            continue
        key = (not bool(near.fabric[fabric]), (pod_count, leaf_count, 0))
        order.append((key, int(pod_units[pods].sum()), fabric))
    return sorted(order)


def _find_in_fabrics(ask: Ask, supply: Supply, units: int, nodes: int) -> Found | None:
    """The best choice over all fabrics; one whose bound is no better is not searched."""
    best: tuple[tuple[bool, Cost], Found] | None = None
    for bound, _, fabric in _fabric_order(ask, supply, units, nodes):
        if best is not None and bound >= best[0]:
            break
        pods = np.flatnonzero(ask.fleet.pods.fabric == fabric)
        choice = find(profiles(ask.index, supply, pods), units)
        assert choice is not None, "a fabric that fits by rank holds no choice"
        key = (bound[0], choice.cost)
        if best is None or key < best[0]:
            best = (key, Found(supply, choice))
    return None if best is None else best[1]


def _find(ask: Ask, supply: Supply) -> Found | None:
    """The best choice at one unit size."""
    units = supply.shape.node_count // supply.shape.unit_node_count
    nodes = supply.shape.node_count + ask.request.spare_count
    if _is_one_node(ask):
        return _find_in_fabrics(ask, supply, units, nodes) if nodes == 1 else None
    if ask.request.keep_together is Level.FABRIC:
        return _find_in_fabrics(ask, supply, units, nodes)
    # A group below the fabric lies in one fabric; those that near uses come first.
    fabric_of_pod = ask.fleet.pods.fabric
    near_pods = np.flatnonzero(ask.near.fabric[fabric_of_pod])
    other_pods = np.flatnonzero(~ask.near.fabric[fabric_of_pod])
    return (len(near_pods) and _find_contained(ask, supply, near_pods, units)) or _find_contained(
        ask, supply, other_pods, units
    )


def find_whole(ask: Ask, shape: Shape) -> Found | None:
    """The best choice for whole nodes of one type over all fabrics, or None."""
    free = free_nodes(ask, shape)
    found = []
    for unit_shape in unit_shapes(ask, shape):
        supply = count_supply(ask.fleet, ask.index, free, (unit_shape, ask.caps, ask.near))
        found.append(_find(ask, supply))
    return min((one for one in found if one), key=lambda one: _key(ask, one), default=None)


def _key(ask: Ask, found: Found) -> tuple[bool, Cost]:
    fabric = ask.fleet.pods.fabric[found.choice.picks[0].pod]
    return (not bool(ask.near.fabric[fabric]), found.choice.cost)


def _group_ranks(ask: Ask, supply: Supply) -> tuple[I64, I64]:
    """int64[G] twice: ranks in units and in nodes of the groups of the level to stay in."""
    unit, caps = supply.shape.unit_node_count, ask.caps
    units, nodes = pod_ranks(ask, supply.leaf_units, unit), pod_ranks(ask, supply.leaf_nodes)
    level = ask.request.keep_together
    if _is_one_node(ask):
        return np.minimum(units, 1), np.minimum(nodes, 1)
    if level is Level.FABRIC:
        fabric, count = ask.fleet.pods.fabric, len(ask.fleet.fabrics)
        both = (np.bincount(fabric, ranks, count) for ranks in (units, nodes))
        of_fabric = tuple(ranks.astype(np.int64) for ranks in both)
        return of_fabric[0], of_fabric[1]
    if level is Level.POD:
        return units, nodes
    if level is Level.LEAF_GROUP:
        units, nodes, cap = supply.leaf_units, supply.leaf_nodes, caps.pod
    else:
        cap = min(caps.leaf_group, caps.pod)
        units, nodes = supply.domain_units, supply.domain_nodes
    return np.minimum(units, cap // unit), np.minimum(nodes, cap)


def most_nodes(ask: Ask, shape: Shape) -> int:
    """Most whole nodes that the same request could have now, at most those wanted."""
    free = free_nodes(ask, shape)
    most = 0
    anything = replace(shape, node_count=0)
    for unit_shape in unit_shapes(ask, anything):
        unit = unit_shape.unit_node_count
        supply = count_supply(ask.fleet, ask.index, free, (unit_shape, ask.caps, ask.near))
        units, nodes = _group_ranks(ask, supply)
        rooms = np.minimum(units, (nodes - ask.request.spare_count) // unit)
        most = max(most, unit * min(int(rooms.max(initial=0)), shape.node_count // unit))
    return most
