"""How many units are free where, under the caps of a request.

A unit is the nodes that must share one NVLink domain: one node, one segment, or one whole
domain. Every table of units is a *rank*: the most units that can be taken there at once with all
caps kept. Because caps sit on nested groups, taking a node in one place never costs capacity in
another, so ranks add up and greedy choices inside a group are optimal (a laminar matroid).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gigawatt.errors import InputError
from gigawatt.fleet.model import I64, U16, Fleet
from gigawatt.intent.request import ClusterRequest
from gigawatt.placement.index import FleetIndex
from gigawatt.placement.shape import Shape

Mask = NDArray[np.bool_]

NO_CAP = 1 << 40
"""More nodes than any group has."""


@dataclass(frozen=True, slots=True)
class Caps:
    """Most nodes of a cluster in any one rack, leaf group and pod; ``NO_CAP`` when free."""

    rack: int
    leaf_group: int
    pod: int

    @classmethod
    def of(cls, request: ClusterRequest) -> "Caps":
        """The tightest rule of each kind."""

        def tightest(per: str) -> int:
            return min((r.nodes_max for r in request.spread if r.per == per), default=NO_CAP)

        return cls(tightest("rack"), tightest("leaf_group"), tightest("pod"))


@dataclass(frozen=True, slots=True, eq=False)
class Near:
    """Groups that an existing cluster already uses: bool[fabrics, pods, leaf groups, domains].

    The two lower ones end with one extra False, the row that padding points at.
    """

    fabric: Mask
    pod: Mask
    leaf: Mask
    nvlink_domain: Mask

    @classmethod
    def of(cls, fleet: Fleet, nodes: Sequence[int]) -> "Near":
        """Groups of the given nodes."""
        near = cls(
            np.zeros(len(fleet.fabrics), np.bool_),
            np.zeros(len(fleet.pods), np.bool_),
            np.zeros(len(fleet.leaf_groups) + 1, np.bool_),
            np.zeros(len(fleet.nvlink_domains) + 1, np.bool_),
        )
        if len(nodes):
            rows = np.asarray(nodes, np.int64)
            near.fabric[fleet.fabric_of_node[rows]] = True
            near.pod[fleet.pod_of_node[rows]] = True
            near.leaf[fleet.nodes.leaf_group[rows]] = True
            near.nvlink_domain[fleet.nodes.nvlink_domain[rows]] = True
        return near


@dataclass(frozen=True, slots=True, eq=False)
class Supply:
    """Free units of one node type.

    Fields (L leaf groups, P pods, E most domains in a leaf group, M most leaf groups in a pod):
        shape, caps, near: what was asked.
        free: bool[N], nodes that may be taken.
        leaf_nodes: int64[L+1], rank in nodes (units of one, caps kept); last is 0.
        leaf_units: int64[L+1], rank in units; last is 0.
        pod_cap_units: units that any one pod may hold at most.
        domain_nodes, domain_units: int64[D], rank of each domain by itself; empty when every
            domain is one node.
        domain_rows: int64[L, E], domains of a leaf group in the best order: near ones first, then
            by the units they add; padded with D. No columns when every domain is one node.
        domain_gains: int64[L, E], units that each adds when taken in that order.
    """

    shape: Shape
    caps: Caps
    near: Near
    free: Mask
    leaf_nodes: I64
    leaf_units: I64
    pod_cap_units: int
    domain_nodes: I64
    domain_units: I64
    domain_rows: I64
    domain_gains: I64


def usable_nodes(
    fleet: Fleet, free_gpu_mask: U16, request: ClusterRequest, type_index: int
) -> Mask:
    """bool[N]: nodes of the type, at allowed sites, not excluded, whatever is free of them."""
    usable: Mask = (free_gpu_mask > 0) & (fleet.nodes.type == type_index)
    if request.site_ids or request.countries:
        site = [
            (not request.site_ids or site_id in request.site_ids)
            and (not request.countries or country in request.countries)
            for site_id, country in zip(fleet.sites.ids, fleet.sites.country, strict=True)
        ]
        usable &= np.array(site, np.bool_)[fleet.site_of_node]
    if request.excluded_node_ids:
        rows = [fleet.node_index(node_id) for node_id in sorted(request.excluded_node_ids)]
        usable[rows] = False
    return usable


def _count(groups: I64, length: int, weights: I64 | None = None) -> I64:
    """Sum of weights by group; exact, since float64 holds integers below 2**53."""
    total: I64 = np.bincount(groups, weights, minlength=length).astype(np.int64)
    return total


def _rank_by_leaf(fleet: Fleet, index: FleetIndex, domain_units: I64, caps: Caps, unit: int) -> I64:
    """int64[L]: rank of each leaf group from the ranks of its domains."""
    leaf_count = len(fleet.leaf_groups)
    if caps.rack < NO_CAP and index.is_domain_in_rack:
        racks = _count(index.rack_of_domain, len(fleet.racks), domain_units)
        racks = np.minimum(racks, caps.rack // unit)
        leaves = _count(index.leaf_of_rack, leaf_count, racks)
    else:
        parent = fleet.nvlink_domains.leaf_group.astype(np.int64)
        leaves = _count(parent, leaf_count, domain_units)
    rank: I64 = np.minimum(leaves, caps.leaf_group // unit)
    return rank


def _free_by_domain(fleet: Fleet, index: FleetIndex, free: Mask, caps: Caps) -> I64:
    """int64[D]: nodes that one domain can give, a cap per rack kept where racks are inside."""
    rows = np.flatnonzero(free)
    domain_count = len(fleet.nvlink_domains)
    if caps.rack < NO_CAP and not index.is_domain_in_rack:
        racks = np.minimum(_count(index.rack_of_node[rows], len(fleet.racks)), caps.rack)
        return _count(index.domain_of_rack, domain_count, racks)
    return _count(index.domain_of_node[rows], domain_count)


def _units_of_domains(index: FleetIndex, nodes: I64, shape: Shape) -> I64:
    if shape.whole_domains:
        size = shape.unit_node_count
        is_whole: Mask = (nodes == size) & (index.domain_size == size)
        return is_whole.astype(np.int64)
    units: I64 = nodes // shape.unit_node_count
    return units


def _clip_by_rack(index: FleetIndex, units: I64, paid: Mask, cap_units: int) -> I64:
    """int64[D]: what each domain adds when a rack's near and large domains are taken first."""
    order = np.lexsort((-units, paid, index.rack_of_domain))
    rack = index.rack_of_domain[order]
    total = np.cumsum(units[order])
    is_first = np.concatenate(([True], rack[1:] != rack[:-1]))
    before = np.where(is_first, total - units[order], 0)
    in_rack = np.minimum(total - np.maximum.accumulate(before), cap_units)
    previous = np.where(is_first, 0, np.concatenate(([0], in_rack[:-1])))
    gains = np.empty_like(units)
    gains[order] = in_rack - previous
    return gains


def _domain_order(
    index: FleetIndex, units: I64, near: Near, caps: Caps, unit: int
) -> tuple[I64, I64]:
    """``Supply.domain_rows`` and ``Supply.domain_gains``."""
    rows = index.domains_of_leaf
    if index.is_flat:
        return rows, rows
    if caps.rack < NO_CAP and index.is_domain_in_rack:
        units = _clip_by_rack(index, units, ~near.nvlink_domain[:-1], caps.rack // unit)
    padded = np.concatenate((units, [0]))
    # Near domains come first because they cost nothing; then the largest gain.
    keys = padded[rows] + np.where(near.nvlink_domain[rows], NO_CAP, 0)
    order = np.argsort(-keys, axis=1, kind="stable")
    rows = np.take_along_axis(rows, order, axis=1)
    return rows, padded[rows]


def count_supply(
    fleet: Fleet, index: FleetIndex, free: Mask, ask: tuple[Shape, Caps, Near]
) -> Supply:
    """The supply of the free nodes given; ``ask`` is the shape, the caps and the near groups.

    Raises:
        InputError: a cap per rack was asked for, but racks and NVLink domains of this fleet are
            not nested, so that ranks would not add up.
    """
    shape, caps, near = ask
    unit = shape.unit_node_count
    if caps.rack < NO_CAP and not (index.is_domain_in_rack or index.is_rack_in_domain):
        raise InputError(
            f"fleet {fleet.name!r}: a spread rule per rack needs racks that hold whole NVLink "
            "domains or lie inside one",
            next_step="Use a spread rule per leaf_group or per pod.",
        )
    if index.is_flat and unit == 1 and caps.rack == NO_CAP:
        leaves = _count(index.leaf_of_node[np.flatnonzero(free)], len(fleet.leaf_groups))
        leaf_nodes = leaf_units = np.minimum(leaves, caps.leaf_group)
        own_nodes = own_units = leaf_nodes[:0]
        rows = gains = index.domains_of_leaf
    else:
        nodes = _free_by_domain(fleet, index, free, caps)
        units = _units_of_domains(index, nodes, shape)
        leaf_nodes = _rank_by_leaf(fleet, index, nodes, caps, 1)
        leaf_units = _rank_by_leaf(fleet, index, units, caps, unit)
        rows, gains = _domain_order(index, units, near, caps, unit)
        own_nodes = np.minimum(nodes, caps.rack) if index.is_domain_in_rack else nodes
        own_units = np.minimum(units, own_nodes // unit)
    return Supply(
        shape=shape,
        caps=caps,
        near=near,
        free=free,
        leaf_nodes=np.concatenate((leaf_nodes, [0])),
        leaf_units=np.concatenate((leaf_units, [0])),
        pod_cap_units=caps.pod // unit,
        domain_nodes=own_nodes,
        domain_units=own_units,
        domain_rows=rows,
        domain_gains=gains,
    )
