"""From leaf groups to nodes: which nodes exactly, in rank order, and where the spares stand."""

from collections.abc import Sequence

import numpy as np

from gigawatt.fleet.model import I64, Fleet
from gigawatt.placement.index import FleetIndex
from gigawatt.placement.search import Choice, Pick, domain_prefix
from gigawatt.placement.supply import NO_CAP, Supply


def _allot(supply: Supply, choice: Choice, unit_count: int) -> list[tuple[Pick, int]]:
    """Units per pick: near groups first, then the fullest, so that one tail stays partly free.

    The pod cap is kept too, since a pick's own units do not know it.
    """
    order = sorted(
        choice.picks, key=lambda pick: (not supply.near.leaf[pick.leaf], -pick.units, pick.leaf)
    )
    left_in_pod = {pick.pod: supply.pod_cap_units for pick in order}
    allotted = []
    for pick in order:
        units = min(pick.units, left_in_pod[pick.pod], unit_count)
        left_in_pod[pick.pod] -= units
        unit_count -= units
        if units:
            allotted.append((pick, units))
    assert unit_count == 0, f"the choice is {unit_count} units short"
    return allotted


def _free_in_leaf(index: FleetIndex, supply: Supply, leaf: int) -> I64:
    rows = index.node_order[index.leaf_start[leaf] : index.leaf_start[leaf + 1]]
    return rows[supply.free[rows]]


def _first_under_cap(racks: Sequence[int], cap: int, count: int) -> list[int]:
    """Positions of the first ``count`` nodes with at most ``cap`` in any rack."""
    used: dict[int, int] = {}
    found: list[int] = []
    for position, rack in enumerate(racks):
        if len(found) == count:
            break
        if used.get(rack, 0) < cap:
            used[rack] = used.get(rack, 0) + 1
            found.append(position)
    return found


def _take(index: FleetIndex, supply: Supply, rows: I64, count: int) -> list[int]:
    """``count`` of the free nodes given, the rack cap kept."""
    if supply.caps.rack < NO_CAP:
        racks = index.rack_of_node[rows].tolist()
        rows = rows[_first_under_cap(racks, supply.caps.rack, count)]
    taken: list[int] = rows[:count].tolist()
    assert len(taken) == count, f"{count} nodes were promised, {len(taken)} are free"
    return taken


def _nodes_of_pick(index: FleetIndex, supply: Supply, pick: Pick, units: int) -> list[int]:
    """The nodes of one leaf group, domain by domain."""
    free = _free_in_leaf(index, supply, pick.leaf)
    if index.is_flat:
        return _take(index, supply, free, units)
    _, near_count = domain_prefix(supply, pick.leaf)
    opened = near_count + pick.domain_count
    domains = index.domain_of_node[free]
    nodes: list[int] = []
    for slot in range(opened):
        gain = min(int(supply.domain_gains[pick.leaf, slot]), units)
        units -= gain
        if gain:
            in_domain = free[domains == supply.domain_rows[pick.leaf, slot]]
            count = gain * supply.shape.unit_node_count
            nodes.extend(_take(index, supply, in_domain, count))
    return nodes


def rank_order(fleet: Fleet, nodes: Sequence[int]) -> list[int]:
    """Nodes by pod, leaf group, NVLink domain and row: a ring crosses each border once."""
    rows = np.asarray(nodes, np.int64)
    keys = (rows, fleet.nodes.nvlink_domain[rows], fleet.nodes.leaf_group[rows])
    ordered: list[int] = rows[np.lexsort((*keys, fleet.pod_of_node[rows]))].tolist()
    return ordered


def choose_members(fleet: Fleet, index: FleetIndex, supply: Supply, choice: Choice) -> list[int]:
    """Member nodes in rank order."""
    unit_count = supply.shape.node_count // supply.shape.unit_node_count
    nodes = [
        node
        for pick, units in _allot(supply, choice, unit_count)
        for node in _nodes_of_pick(index, supply, pick, units)
    ]
    return rank_order(fleet, nodes)


class _Room:
    """What the caps still allow around the members; counts down as spares are taken."""

    def __init__(self, fleet: Fleet, index: FleetIndex, supply: Supply, members: list[int]) -> None:
        self._caps = supply.caps
        self._groups = (index.rack_of_node, index.leaf_of_node, fleet.pod_of_node)
        self._used: tuple[dict[int, int], ...] = ({}, {}, {})
        for node in members:
            self.take(node)

    def take(self, node: int) -> bool:
        """Count a node in, if every cap allows it."""
        caps = (self._caps.rack, self._caps.leaf_group, self._caps.pod)
        groups = [int(group_of_node[node]) for group_of_node in self._groups]
        counts = [used.get(group, 0) for used, group in zip(self._used, groups, strict=True)]
        if any(count >= cap for count, cap in zip(counts, caps, strict=True)):
            return False
        for used, group, count in zip(self._used, groups, counts, strict=True):
            used[group] = count + 1
        return True


def choose_spares(
    fleet: Fleet, index: FleetIndex, supply: Supply, members: list[int], spare_count: int
) -> list[int]:
    """Spare nodes of the members' fabric: no new leaf group while a used one has room.

    Leaf groups are tried used ones first, then those of used pods, then the rest; in each class
    the one with most free nodes first, so that few are opened and none is taken down to nothing.

    Returns:
        ``spare_count`` nodes, or fewer when the caps or the free nodes end.
    """
    if not spare_count:
        return []
    free = supply.free.copy()
    free[members] = False
    free &= fleet.fabric_of_node == fleet.fabric_of_node[members[0]]
    rows = np.flatnonzero(free)
    left = np.bincount(index.leaf_of_node[rows], minlength=len(fleet.leaf_groups))
    used_leaves = set(index.leaf_of_node[members].tolist())
    used_pods = set(fleet.pod_of_node[members].tolist())
    order = sorted(
        np.flatnonzero(left).tolist(),
        key=lambda leaf: (
            leaf not in used_leaves,
            int(fleet.leaf_groups.pod[leaf]) not in used_pods,
            -int(left[leaf]),
            leaf,
        ),
    )
    room = _Room(fleet, index, supply, members)
    spares: list[int] = []
    for leaf in order:
        in_leaf = index.node_order[index.leaf_start[leaf] : index.leaf_start[leaf + 1]]
        for node in in_leaf[free[in_leaf]].tolist():
            if len(spares) == spare_count:
                return spares
            if room.take(node):
                spares.append(node)
    return spares
