"""Constant arrays of a fleet that the search needs, made once per fleet.

Ragged groupings (leaf groups of a pod, NVLink domains of a leaf group) become matrices padded
with the index one past the end, so that a column of zeros appended to any per-row array serves
as "nothing there".
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from gigawatt.fleet.model import I32, I64, Fleet


@dataclass(frozen=True, slots=True, eq=False)
class FleetIndex:
    """Constant arrays of one fleet.

    Fields (N nodes, D NVLink domains, L leaf groups, P pods):
        node_order: int64[N], nodes sorted by leaf group, then domain, then row.
        leaf_of_node, domain_of_node, rack_of_node: int64[N].
        domain_size: int64[D], nodes of each domain.
        leaf_start: int64[L+1], leaf group g has node_order[leaf_start[g]:leaf_start[g+1]].
        leaves_of_pod: int64[P, M], leaf groups of each pod, padded with L.
        domains_of_leaf: int64[L, E], domains of each leaf group, padded with D; empty when flat.
        rack_of_domain, leaf_of_rack: int64, meaningful when ``is_domain_in_rack``.
        domain_of_rack: int64, meaningful when ``is_rack_in_domain``.
        is_flat: every domain has one node at most.
        is_domain_in_rack: no domain straddles racks and no rack straddles leaf groups.
        is_rack_in_domain: no rack straddles domains.
    """

    node_order: I64
    leaf_of_node: I64
    domain_of_node: I64
    rack_of_node: I64
    domain_size: I64
    leaf_start: I64
    leaves_of_pod: I64
    domains_of_leaf: I64
    rack_of_domain: I64
    leaf_of_rack: I64
    domain_of_rack: I64
    is_flat: bool
    is_domain_in_rack: bool
    is_rack_in_domain: bool


def _children(parent: I32, parent_count: int) -> I64:
    """int64[parents, most children]: rows by parent, padded with the count of rows."""
    counts = np.bincount(parent, minlength=parent_count)
    order = np.argsort(parent, kind="stable")
    start = np.concatenate(([0], np.cumsum(counts)))[:-1]
    table = np.full((parent_count, max(1, int(counts.max(initial=0)))), len(parent), np.int64)
    slot = np.arange(len(parent)) - start[parent[order]]
    table[parent[order], slot] = order
    return table


def _map(inner: I64, outer: I64, inner_count: int) -> tuple[I64, bool]:
    """Outer row of each inner row as the nodes tell it, and whether that is a function."""
    outer_of_inner = np.zeros(inner_count, np.int64)
    outer_of_inner[inner] = outer
    return outer_of_inner, bool((outer_of_inner[inner] == outer).all())


@lru_cache(maxsize=8)
def index_fleet(fleet: Fleet) -> FleetIndex:
    """The index of a fleet; cached by identity, which is sound because a fleet never changes."""
    domain = fleet.nodes.nvlink_domain.astype(np.int64)
    leaf = fleet.nodes.leaf_group.astype(np.int64)
    rack = fleet.nodes.rack.astype(np.int64)
    size = np.bincount(domain, minlength=len(fleet.nvlink_domains))
    is_flat = bool(size.max(initial=0) <= 1)
    rack_of_domain, is_domain_in_rack = _map(domain, rack, len(fleet.nvlink_domains))
    leaf_of_rack, is_rack_in_leaf = _map(rack, leaf, len(fleet.racks))
    domain_of_rack, is_rack_in_domain = _map(rack, domain, len(fleet.racks))
    leaf_count = len(fleet.leaf_groups)
    per_leaf = np.bincount(leaf, minlength=leaf_count)
    return FleetIndex(
        node_order=np.lexsort((domain, leaf)).astype(np.int64),
        leaf_of_node=leaf,
        domain_of_node=domain,
        rack_of_node=rack,
        domain_size=size,
        leaf_start=np.concatenate(([0], np.cumsum(per_leaf))),
        leaves_of_pod=_children(fleet.leaf_groups.pod, len(fleet.pods)),
        domains_of_leaf=(
            np.zeros((leaf_count, 0), np.int64)
            if is_flat
            else _children(fleet.nvlink_domains.leaf_group, leaf_count)
        ),
        rack_of_domain=rack_of_domain,
        leaf_of_rack=leaf_of_rack,
        domain_of_rack=domain_of_rack,
        is_flat=is_flat,
        is_domain_in_rack=is_domain_in_rack and is_rack_in_leaf,
        is_rack_in_domain=is_rack_in_domain,
    )
