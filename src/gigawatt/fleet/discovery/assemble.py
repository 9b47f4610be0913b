"""Completes a wiring to a fleet: what no capture of a network says is assumed, and marked so.

Ids of assumed rows contain ``assumed``: racks (4 nodes of one leaf group each, or one NVLink
domain), the hall, the power feed (sized to its racks). BMC addresses are numbered in node order.
An operator who knows better writes the fleet out, corrects these rows and reads it back.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from gigawatt.fleet.builder import BMC_NETWORK
from gigawatt.fleet.discovery.grouping import Wiring
from gigawatt.fleet.model import (
    I32,
    FabricKind,
    Fabrics,
    Fleet,
    Halls,
    LeafGroups,
    Nodes,
    NodeType,
    NvlinkDomains,
    Pods,
    PowerFeeds,
    Racks,
    Sites,
    StoragePools,
)

ASSUMED_NODES_PER_RACK = 4
"""Air-cooled 8-GPU nodes a rack (NVIDIA DGX SuperPOD reference architecture, DGX H100)."""
RACKS_PER_ROW = 20
FABRIC_ID = "ib0"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a discovered fabric stands: fleet name, site id, country (ISO 3166-1 alpha-2)."""

    name: str
    site_id: str
    country: str


@dataclass(frozen=True, slots=True)
class DomainsOfNodes:
    """NVLink domains: ids, and int32[N] the domain of each node."""

    ids: tuple[str, ...]
    domain_of_node: I32


def node_type_with_nics(node_type: NodeType, nic_count: int) -> NodeType:
    """The type with as many NICs as were found; another count makes another name.

    Example:
        >>> from gigawatt.fleet.demo import HGX_H100
        >>> node_type_with_nics(HGX_H100, 7).name
        'hgx-h100-7nic'
    """
    if node_type.nic_count == nic_count:
        return node_type
    return replace(node_type, name=f"{node_type.name}-{nic_count}nic", nic_count=nic_count)


def _racks(
    group_of_node: I32, domain_of_node: I32, power_w_of_node: Sequence[float]
) -> tuple[Racks, I32]:
    """Racks of 4 nodes inside each leaf group, and int32[N] the rack of each node.

    An NVLink domain stays in one rack: a domain of more than 4 nodes has a rack to itself.
    """
    ids: list[str] = []
    power_w: list[float] = []
    load: list[int] = []
    racks_in_group: Counter[int] = Counter()
    newest: dict[int, int] = {}
    rack_of_domain: dict[int, int] = {}
    size_of_domain = np.bincount(domain_of_node).tolist()
    rack_of_node: list[int] = []
    rows = zip(group_of_node.tolist(), domain_of_node.tolist(), power_w_of_node, strict=True)
    for group, domain, node_power_w in rows:
        if domain not in rack_of_domain:
            rack = newest.get(group, -1)
            if rack < 0 or load[rack] + size_of_domain[domain] > ASSUMED_NODES_PER_RACK:
                rack = newest[group] = len(ids)
                ids.append(f"su{group:03d}-assumed-r{racks_in_group[group]:02d}")
                racks_in_group[group] += 1
                power_w.append(0.0)
                load.append(0)
            rack_of_domain[domain] = rack
            load[rack] += size_of_domain[domain]
        rack_of_node.append(rack_of_domain[domain])
        power_w[rack_of_node[-1]] += node_power_w
    zeros = np.zeros(len(ids), np.int32)
    row, column = np.divmod(np.arange(len(ids), dtype=np.int32), np.int32(RACKS_PER_ROW))
    racks = Racks(tuple(ids), zeros, zeros.copy(), row, column, np.array(power_w, np.float64))
    return racks, np.array(rack_of_node, np.int32)


def assemble(
    place: Place,
    wiring: Wiring,
    type_of_node: Sequence[NodeType],
    nvlink_domains: DomainsOfNodes | None = None,
) -> Fleet:
    """The fleet of one site with one InfiniBand fabric.

    Args:
        place: name and site.
        wiring: nodes sorted by leaf group, switches, links and NICs.
        type_of_node: N types, in the order of ``wiring.node_ids``.
        nvlink_domains: one a node; None makes every node a domain of its own. A domain lies inside
            one leaf group.
    """
    node_types = tuple(dict.fromkeys(type_of_node))
    index_of = {node_type: i for i, node_type in enumerate(node_types)}
    count = len(wiring.node_ids)
    if nvlink_domains is None:
        ids = tuple(f"{node_id}-nvl" for node_id in wiring.node_ids)
        nvlink_domains = DomainsOfNodes(ids, np.arange(count, dtype=np.int32))
    group_of_domain = np.zeros(len(nvlink_domains.ids), np.int32)
    group_of_domain[nvlink_domains.domain_of_node] = wiring.group_of_node
    racks, rack_of_node = _racks(
        wiring.group_of_node, nvlink_domains.domain_of_node, [t.power_w_max for t in type_of_node]
    )
    zero = np.zeros(1, np.int32)
    pod_count, group_count = int(wiring.pod_of_group.max()) + 1, len(wiring.pod_of_group)
    return Fleet(
        name=place.name,
        sites=Sites((place.site_id,), (place.country,)),
        power_feeds=PowerFeeds(
            (f"{place.site_id}-assumed-feed",), zero.copy(), np.array([racks.power_w_max.sum()])
        ),
        halls=Halls((f"{place.site_id}-assumed-hall",), zero.copy()),
        racks=racks,
        fabrics=Fabrics((FABRIC_ID,), zero.copy(), (FabricKind.INFINIBAND,)),
        pods=Pods(
            tuple(f"{FABRIC_ID}-pod{i:03d}" for i in range(pod_count)),
            np.zeros(pod_count, np.int32),
        ),
        leaf_groups=LeafGroups(
            tuple(f"su{i:03d}" for i in range(group_count)), wiring.pod_of_group
        ),
        nvlink_domains=NvlinkDomains(nvlink_domains.ids, group_of_domain),
        switches=wiring.switches,
        links=wiring.links,
        node_types=node_types,
        nodes=Nodes(
            wiring.node_ids,
            np.array([index_of[t] for t in type_of_node], np.int32),
            rack_of_node,
            nvlink_domains.domain_of_node,
            wiring.group_of_node,
            (BMC_NETWORK + 10 + np.arange(count)).astype(np.uint32),
        ),
        nics=wiring.nics,
        storage_pools=StoragePools((), np.zeros(0, np.int32), np.zeros(0, np.int64)),
    )
