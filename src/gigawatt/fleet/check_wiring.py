"""Rules about what is plugged in where, and about groups that must agree with each other.

| rule | broken when |
|---|---|
| nic_order | NICs are not sorted by node, or a node's rails are not 0, 1, 2, ... to its NIC count |
| nic_guid | a NIC's GUID is 0, another's too, or no MAC (48 bit) on RoCE |
| switch_guid | an InfiniBand switch has no GUID of its own, or an Ethernet switch has one |
| switch_port_range | a cable or NIC is in a port that the switch does not have |
| switch_port_reuse | two cables or NICs are in one port |
| nic_leaf | a NIC is in a switch that is no leaf of its node's fabric and pod |
| nic_rail | a NIC is in a leaf of another rail |
| leaf_set | nodes of one leaf group have NICs of one rail in different leaves |
| link_tier | a cable does not join a tier to the next one |
| link_fabric | a cable joins two fabrics, or two pods below the core |
| domain_leaf_group | an NVLink domain has a node outside its leaf group |
| domain_rack | an NVLink domain has nodes in two racks |
| site | a rack, its feed and its nodes' fabric are not in one site |
"""

from collections.abc import Iterator

import numpy as np

from gigawatt.fleet.check_rows import repeated
from gigawatt.fleet.model import TIERS, FabricKind, Fleet, Tier
from gigawatt.fleet.note import Note, notes_for

MAC_BITS = 48


class _Nics:
    """Names of NICs for places and sentences."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet

    def place(self, row: int) -> str:
        node = int(self.fleet.nics.node[row])
        first = int(np.flatnonzero(self.fleet.nics.node == node)[0])
        return f"nodes[{node}].nics[{row - first}]"

    def name(self, row: int) -> str:
        nics = self.fleet.nics
        return f"NIC {nics.rail[row]} of node {self.fleet.nodes.ids[nics.node[row]]!r}"

    def leaf(self, row: int) -> str:
        return repr(self.fleet.switches.ids[self.fleet.nics.leaf[row]])


def _nic_order(fleet: Fleet, name: _Nics) -> Iterator[Note]:
    nics, nodes = fleet.nics, fleet.nodes
    ahead = np.flatnonzero(np.diff(nics.node) < 0) + 1
    yield from notes_for(
        "nic_order",
        ahead,
        name.place,
        lambda row: f"{name.name(row)} is listed after NICs of later nodes",
    )
    wanted = np.array([t.nic_count for t in fleet.node_types], np.int64)[nodes.type]
    found = np.bincount(nics.node, minlength=len(nodes))
    yield from notes_for(
        "nic_order",
        found != wanted,
        lambda row: f"nodes[{row}]",
        lambda row: f"node {nodes.ids[row]!r} has {found[row]} NICs, its type has {wanted[row]}",
    )
    if not len(ahead):
        number = np.arange(len(nics)) - fleet.first_nic_of_node[nics.node]
        yield from notes_for(
            "nic_order",
            number != nics.rail,
            name.place,
            lambda row: f"{name.name(row)} is number {number[row]} of its node; wanted its rail",
        )


def _guids(fleet: Fleet, name: _Nics) -> Iterator[Note]:
    nics, switches = fleet.nics, fleet.switches
    is_roce = np.array([kind is FabricKind.ROCE for kind in fleet.fabrics.kind], bool)
    bad = (nics.guid == 0) | (
        is_roce[fleet.fabric_of_node[nics.node]] & (nics.guid >> np.uint64(MAC_BITS) > 0)
    )
    bad[repeated(nics.guid)] = True
    yield from notes_for(
        "nic_guid",
        bad,
        name.place,
        lambda row: (
            f"{name.name(row)} has GUID {int(nics.guid[row]):#018x}, which is 0, another NIC's,"
            " or no MAC on RoCE; wanted one of its own"
        ),
    )
    bad_switch = (switches.guid == 0) != is_roce[switches.fabric]
    with_guid = np.flatnonzero(switches.guid)
    bad_switch[with_guid[repeated(switches.guid[with_guid])]] = True
    bad_switch[with_guid[np.isin(switches.guid[with_guid], nics.guid)]] = True
    yield from notes_for(
        "switch_guid",
        bad_switch,
        lambda row: f"switches[{row}]",
        lambda row: (
            f"switch {switches.ids[row]!r} has GUID {int(switches.guid[row]):#018x};"
            " wanted one of its own on InfiniBand, 0 on Ethernet"
        ),
    )


def _switch_ports(fleet: Fleet, name: _Nics) -> Iterator[Note]:
    nics, links, switches = fleet.nics, fleet.links, fleet.switches
    switch = np.concatenate((nics.leaf, links.lower, links.upper)).astype(np.int64)
    number = np.concatenate(
        (nics.leaf_switch_port, links.lower_switch_port, links.upper_switch_port)
    ).astype(np.int64)

    def place(row: int) -> str:
        if row < len(nics):
            return name.place(row)
        return f"links[{(row - len(nics)) % len(links)}]"

    def sentence(row: int) -> str:
        index = switch[row]
        return (
            f"switch port {number[row]} of {switches.ids[index]!r}"
            f" (which has {switches.switch_port_count[index]})"
        )

    out = (number < 1) | (number > switches.switch_port_count[switch])
    yield from notes_for(
        "switch_port_range", out, place, lambda row: f"{sentence(row)} does not exist"
    )
    inside = np.flatnonzero(~out)
    used = switch[inside] << 32 | number[inside]
    yield from notes_for(
        "switch_port_reuse",
        inside[repeated(used)],
        place,
        lambda row: f"{sentence(row)} is used by another cable already",
    )


def _nic_leaves(fleet: Fleet, name: _Nics) -> Iterator[Note]:
    nics, switches = fleet.nics, fleet.switches
    group = fleet.nodes.leaf_group[nics.node]
    pod = fleet.leaf_groups.pod[group]
    is_leaf = switches.tier[nics.leaf] == TIERS.index(Tier.LEAF)
    is_here = (switches.pod[nics.leaf] == pod) & (
        switches.fabric[nics.leaf] == fleet.pods.fabric[pod]
    )
    yield from notes_for(
        "nic_leaf",
        ~(is_leaf & is_here),
        name.place,
        lambda row: (
            f"{name.name(row)} is in switch {name.leaf(row)}; wanted a leaf of pod"
            f" {fleet.pods.ids[pod[row]]!r} and its fabric"
        ),
    )
    rail = switches.rail[nics.leaf]
    yield from notes_for(
        "nic_rail",
        is_leaf & (rail != -1) & (rail != nics.rail),
        name.place,
        lambda row: f"{name.name(row)} is in leaf {name.leaf(row)} of rail {rail[row]}",
    )
    rails = int(nics.rail.max(initial=0)) + 1
    slot = group.astype(np.int64) * rails + nics.rail
    _, first, which = np.unique(slot, return_index=True, return_inverse=True)
    leaf = nics.leaf[first][which]
    yield from notes_for(
        "leaf_set",
        nics.leaf != leaf,
        name.place,
        lambda row: (
            f"{name.name(row)} is in leaf {name.leaf(row)}, others of leaf group"
            f" {fleet.leaf_groups.ids[group[row]]!r} in {switches.ids[leaf[row]]!r}"
        ),
    )


def _links(fleet: Fleet) -> Iterator[Note]:
    links, switches = fleet.links, fleet.switches
    lower, upper = links.lower, links.upper

    def ends(row: int) -> str:
        return f"cable {switches.ids[lower[row]]!r} to {switches.ids[upper[row]]!r}"

    yield from notes_for(
        "link_tier",
        switches.tier[upper] != switches.tier[lower] + 1,
        lambda row: f"links[{row}]",
        lambda row: (
            f"{ends(row)} joins tier {TIERS[switches.tier[lower[row]]]} to"
            f" {TIERS[switches.tier[upper[row]]]}, wanted the next tier up"
        ),
    )
    is_below_core = switches.tier[upper] < TIERS.index(Tier.CORE)
    yield from notes_for(
        "link_fabric",
        (switches.fabric[lower] != switches.fabric[upper])
        | (is_below_core & (switches.pod[lower] != switches.pod[upper])),
        lambda row: f"links[{row}]",
        lambda row: f"{ends(row)} joins two fabrics or two pods",
    )


def _groups(fleet: Fleet) -> Iterator[Note]:
    nodes, domains = fleet.nodes, fleet.nvlink_domains
    yield from notes_for(
        "domain_leaf_group",
        domains.leaf_group[nodes.nvlink_domain] != nodes.leaf_group,
        lambda row: f"nodes[{row}]",
        lambda row: (
            f"node {nodes.ids[row]!r} is in leaf group"
            f" {fleet.leaf_groups.ids[nodes.leaf_group[row]]!r}, its NVLink domain"
            f" {domains.ids[nodes.nvlink_domain[row]]!r} in another"
        ),
    )
    rack_of_domain = np.full(len(domains), -1)
    rack_of_domain[nodes.nvlink_domain[::-1]] = nodes.rack[::-1]
    yield from notes_for(
        "domain_rack",
        rack_of_domain[nodes.nvlink_domain] != nodes.rack,
        lambda row: f"nodes[{row}]",
        lambda row: (
            f"node {nodes.ids[row]!r} is in rack {fleet.racks.ids[nodes.rack[row]]!r}, others of"
            f" its NVLink domain {domains.ids[nodes.nvlink_domain[row]]!r} in another"
        ),
    )


def _sites(fleet: Fleet) -> Iterator[Note]:
    nodes, racks = fleet.nodes, fleet.racks
    site_of_rack = fleet.halls.site[racks.hall]
    yield from notes_for(
        "site",
        fleet.power_feeds.site[racks.feed] != site_of_rack,
        lambda row: f"racks[{row}]",
        lambda row: (
            f"rack {racks.ids[row]!r} is in site {fleet.sites.ids[site_of_rack[row]]!r},"
            f" its feed {fleet.power_feeds.ids[racks.feed[row]]!r} in another"
        ),
    )
    yield from notes_for(
        "site",
        fleet.site_of_node != site_of_rack[nodes.rack],
        lambda row: f"nodes[{row}]",
        lambda row: (
            f"node {nodes.ids[row]!r} stands in site"
            f" {fleet.sites.ids[site_of_rack[nodes.rack[row]]]!r}, its fabric"
            f" {fleet.fabrics.ids[fleet.fabric_of_node[row]]!r} is in another"
        ),
    )


def wiring_notes(fleet: Fleet) -> list[Note]:
    """What is wrong with wiring and groups of a fleet whose indices all name a row."""
    name = _Nics(fleet)
    return [
        *_nic_order(fleet, name),
        *_guids(fleet, name),
        *_switch_ports(fleet, name),
        *_nic_leaves(fleet, name),
        *_links(fleet),
        *_groups(fleet),
        *_sites(fleet),
    ]
