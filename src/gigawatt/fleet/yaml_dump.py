"""A fleet as YAML text, one line a row. ``fleet.yaml_format`` explains the format."""

import json
import re
from collections.abc import Iterator
from dataclasses import fields
from ipaddress import IPv4Address

from gigawatt.fleet.model import TIERS, Fleet, NodeType

SCHEMA = "gigawatt/fleet/1"

_PLAIN = re.compile(r"[A-Za-z_]([A-Za-z0-9_.:/-]*[A-Za-z0-9_])?")
_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})
"""Texts that some YAML reader would take for something else."""


def _text(value: str) -> str:
    if _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return value
    return json.dumps(value, ensure_ascii=False)


def _float(value: float) -> str:
    """Shortest text that reads back the same, with the point that YAML 1.1 readers want."""
    text = repr(float(value))
    return text.replace("e", ".0e") if "e" in text and "." not in text else text


def _row(**cells: str) -> str:
    return "- {" + ", ".join(f"{key}: {value}" for key, value in cells.items()) + "}"


class _Names:
    """Ids of a fleet as YAML texts."""

    def __init__(self, fleet: Fleet) -> None:
        self.sites = [_text(x) for x in fleet.sites.ids]
        self.power_feeds = [_text(x) for x in fleet.power_feeds.ids]
        self.halls = [_text(x) for x in fleet.halls.ids]
        self.racks = [_text(x) for x in fleet.racks.ids]
        self.fabrics = [_text(x) for x in fleet.fabrics.ids]
        self.pods = [_text(x) for x in fleet.pods.ids]
        self.leaf_groups = [_text(x) for x in fleet.leaf_groups.ids]
        self.nvlink_domains = [_text(x) for x in fleet.nvlink_domains.ids]


def _places(fleet: Fleet, names: _Names) -> Iterator[str]:
    yield "sites:"
    for site, country in zip(names.sites, fleet.sites.country, strict=True):
        yield _row(id=site, country=_text(country))
    yield "power_feeds:"
    feeds = fleet.power_feeds
    for row, (site, watts) in enumerate(
        zip(feeds.site.tolist(), feeds.capacity_w.tolist(), strict=True)
    ):
        yield _row(id=names.power_feeds[row], site=names.sites[site], capacity_w=_float(watts))
    yield "halls:"
    for hall, site in zip(names.halls, fleet.halls.site.tolist(), strict=True):
        yield _row(id=hall, site=names.sites[site])
    yield "racks:"
    racks = fleet.racks
    for row, name in enumerate(names.racks):
        yield _row(
            id=name,
            hall=names.halls[racks.hall[row]],
            feed=names.power_feeds[racks.feed[row]],
            row=str(racks.row[row]),
            column=str(racks.column[row]),
            power_w_max=_float(racks.power_w_max[row]),
        )
    yield "storage_pools:" if len(fleet.storage_pools) else "storage_pools: []"
    pools = fleet.storage_pools
    for row, storage_pool in enumerate(pools.ids):
        yield _row(
            id=_text(storage_pool),
            site=names.sites[pools.site[row]],
            capacity_bytes=str(pools.capacity_bytes[row]),
        )


def _groups(fleet: Fleet, names: _Names) -> Iterator[str]:
    yield "fabrics:"
    for row, fabric in enumerate(names.fabrics):
        site = names.sites[fleet.fabrics.site[row]]
        yield _row(id=fabric, site=site, kind=fleet.fabrics.kind[row].value)
    yield "pods:"
    for pod, fabric_index in zip(names.pods, fleet.pods.fabric.tolist(), strict=True):
        yield _row(id=pod, fabric=names.fabrics[fabric_index])
    yield "leaf_groups:"
    for group, pod_index in zip(names.leaf_groups, fleet.leaf_groups.pod.tolist(), strict=True):
        yield _row(id=group, pod=names.pods[pod_index])
    yield "nvlink_domains:"
    for nvlink_domain, group_index in zip(
        names.nvlink_domains, fleet.nvlink_domains.leaf_group.tolist(), strict=True
    ):
        yield _row(id=nvlink_domain, leaf_group=names.leaf_groups[group_index])


def _end(switch_id: str, switch_port: int) -> str:
    return _text(f"{switch_id}:{switch_port}")


def _wiring(fleet: Fleet, names: _Names) -> Iterator[str]:
    switches, links = fleet.switches, fleet.links
    yield "switches:" if len(switches) else "switches: []"
    for row, name in enumerate(switches.ids):
        pod = int(switches.pod[row])
        cells = {
            "id": _text(name),
            "fabric": names.fabrics[switches.fabric[row]],
            "tier": TIERS[switches.tier[row]].value,
            "rail": str(switches.rail[row]),
            "pod": names.pods[pod] if pod >= 0 else "null",
            "switch_port_count": str(switches.switch_port_count[row]),
            "guid": f"{int(switches.guid[row]):#x}",
        }
        yield _row(**cells)
    yield "links:" if len(links) else "links: []"
    for lower, lower_switch_port, upper, upper_switch_port in zip(
        links.lower.tolist(),
        links.lower_switch_port.tolist(),
        links.upper.tolist(),
        links.upper_switch_port.tolist(),
        strict=True,
    ):
        ends = (
            _end(switches.ids[lower], lower_switch_port),
            _end(switches.ids[upper], upper_switch_port),
        )
        yield f"- [{ends[0]}, {ends[1]}]"


def _node_type(node_type: NodeType) -> str:
    cells: dict[str, str] = {}
    for field in fields(node_type):
        value = getattr(node_type, field.name)
        if isinstance(value, bool):
            cells |= {field.name: "true"} if value else {}
        elif isinstance(value, str):
            cells[field.name] = _text(value)
        else:
            cells[field.name] = _float(value) if field.name == "power_w_max" else str(value)
    return _row(**cells)


def _nodes(fleet: Fleet, names: _Names) -> Iterator[str]:
    yield "node_types:"
    for node_type in fleet.node_types:
        yield _node_type(node_type)
    yield "nodes:"
    nodes, first = fleet.nodes, fleet.first_nic_of_node.tolist()
    guids = fleet.nics.guid.tolist()
    leaves = [
        _end(fleet.switches.ids[leaf], switch_port)
        for leaf, switch_port in zip(
            fleet.nics.leaf.tolist(), fleet.nics.leaf_switch_port.tolist(), strict=True
        )
    ]
    for row, name in enumerate(nodes.ids):
        mine = slice(first[row], first[row + 1])
        yield _row(
            id=_text(name),
            type=_text(fleet.node_types[nodes.type[row]].name),
            rack=names.racks[nodes.rack[row]],
            nvlink_domain=names.nvlink_domains[nodes.nvlink_domain[row]],
            leaf_group=names.leaf_groups[nodes.leaf_group[row]],
            bmc=str(IPv4Address(int(nodes.bmc_ipv4[row]))),
            nics="[" + ", ".join(leaves[mine]) + "]",
            guids="[" + ", ".join(f"{guid:#x}" for guid in guids[mine]) + "]",
        )


def dump_fleet(fleet: Fleet) -> str:
    """A fleet as YAML text that ``load_fleet`` reads back equal, in every table and order.

    Args:
        fleet: one in which ``check_fleet`` finds nothing.
    """
    names = _Names(fleet)
    lines = [
        f"schema: {SCHEMA}",
        f"name: {_text(fleet.name)}",
        *_places(fleet, names),
        *_groups(fleet, names),
        *_wiring(fleet, names),
        *_nodes(fleet, names),
    ]
    return "\n".join(lines) + "\n"
