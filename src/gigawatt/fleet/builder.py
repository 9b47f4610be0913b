"""Builds fleets out of blocks: one block is one compute fabric full of one type of node.

A block is wired rail-optimised: NIC r of every node of a leaf group goes to the group's leaf
switch r. Leaves of one rail meet in the pod's spine switches of that rail; like-placed spines of
all pods meet in the core, so that any two pods share core switches. With one pod there is no core
tier. Switch counts follow from the radix without oversubscription (uplinks = downlinks) unless a
leaf has more nodes than half its ports. See ``fleet.block`` for the counts.

Source: NVIDIA DGX SuperPOD reference architecture (32-node scalable unit, 8 rails, radix 64).
"""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, TypeVar

import numpy as np

from gigawatt.errors import InputError
from gigawatt.fleet.block import BlockShape, BlockSpec, block_shape, ceil_div, check_block
from gigawatt.fleet.model import (
    F64,
    I32,
    I64,
    TIERS,
    U32,
    U64,
    FabricKind,
    Fabrics,
    Fleet,
    Halls,
    LeafGroups,
    Links,
    Nics,
    Nodes,
    NodeType,
    NvlinkDomains,
    Pods,
    PowerFeeds,
    Racks,
    Sites,
    StoragePools,
    Switches,
    Table,
    Tier,
)

T = TypeVar("T", bound=Table)

__all__ = ["BMC_NETWORK", "BlockSpec", "build_fleet"]

BMC_NETWORK = 0x64400000
"""100.64.0.0/10 (RFC 6598, shared address space): BMC addresses are drawn from it in node order."""
BMC_ADDRESSES_MAX = (1 << 22) - 16
"""Addresses of a /10, less its first ten and its end."""
MAC_BASE = 0x0200_0000_0000
"""Made-up MACs of RoCE NICs: locally administered (IEEE 802, bit 1 of the first octet)."""
GUID_BASE_NIC = 0x0002_C903_0010_0000
GUID_BASE_SWITCH = 0x0002_C902_0000_0000
"""Made-up GUIDs under the vendor prefix 0002c9 (IEEE OUI of Mellanox), as simulators use."""


_DTYPES: Mapping[Any, type] = {
    I32: np.int32,
    I64: np.int64,
    U32: np.uint32,
    U64: np.uint64,
    F64: np.float64,
}
"""Element type of a column by the type that its table declares."""


class _Columns:
    """Growing columns of the tables while blocks are appended."""

    def __init__(self) -> None:
        self.ids: dict[str, list[str]] = {}
        self.parts: dict[str, list[np.ndarray]] = {}

    def add(self, table: str, ids: Sequence[str], **columns: object) -> None:
        self.ids.setdefault(table, []).extend(ids)
        for name, values in columns.items():
            self.parts.setdefault(f"{table}.{name}", []).append(np.asarray(values))

    def count(self, table: str) -> int:
        return len(self.ids.get(table, ()))

    def column(self, name: str, dtype: type) -> np.ndarray:
        parts = self.parts.get(name, [])
        return np.concatenate(parts).astype(dtype) if parts else np.zeros(0, dtype)

    def names(self, table: str) -> tuple[str, ...]:
        return tuple(self.ids.get(table, ()))


def _add_places(columns: _Columns, spec: BlockSpec) -> tuple[int, int, int]:
    """Site, hall and feed of the block; returns (site, hall, feed) indices."""
    if spec.site_id not in columns.ids.setdefault("sites", []):
        columns.add("sites", [spec.site_id], country=[spec.country])
    site = columns.ids["sites"].index(spec.site_id)
    if spec.hall_id not in columns.ids.setdefault("halls", []):
        columns.add("halls", [spec.hall_id], site=[site])
    hall = columns.ids["halls"].index(spec.hall_id)
    feed = columns.count("feeds")
    racks = ceil_div(spec.node_count, spec.nodes_per_rack)
    capacity_w = racks * spec.nodes_per_rack * spec.node_type.power_w_max
    columns.add("feeds", [f"{spec.fabric_id}-feed"], site=[site], capacity_w=[capacity_w])
    if spec.storage_bytes:
        columns.add(
            "pools", [f"{spec.fabric_id}-fs"], site=[site], capacity_bytes=[spec.storage_bytes]
        )
    return site, hall, feed


def _add_racks(columns: _Columns, spec: BlockSpec, hall: int, feed: int) -> int:
    count = ceil_div(spec.node_count, spec.nodes_per_rack)
    first = columns.count("racks")
    in_hall = int((columns.column("racks.hall", np.int32) == hall).sum())
    position = in_hall + np.arange(count)
    columns.add(
        "racks",
        [f"{spec.node_prefix}-r{i:04d}" for i in range(count)],
        hall=np.full(count, hall),
        feed=np.full(count, feed),
        row=position // spec.racks_per_row,
        column=position % spec.racks_per_row,
        power_w_max=np.full(count, spec.nodes_per_rack * spec.node_type.power_w_max),
    )
    return first


def _add_switches(columns: _Columns, spec: BlockSpec, shape: BlockShape, fabric: int) -> int:
    """Leaves by (group, rail), spines by (pod, rail, number), cores. Returns the first row."""
    first = columns.count("switches")
    first_pod = columns.count("pods")
    tiers = {tier: index for index, tier in enumerate(TIERS)}
    leaf_group, leaf_rail = np.divmod(np.arange(shape.groups * shape.rails), shape.rails)
    spine = np.arange(shape.pods * shape.rails * shape.spines_per_rail)
    per_pod = max(1, shape.rails * shape.spines_per_rail)
    is_infiniband = spec.fabric_kind is FabricKind.INFINIBAND
    kinds = (
        (Tier.LEAF, leaf_rail, first_pod + leaf_group // spec.leaf_groups_per_pod),
        (Tier.SPINE, np.full(len(spine), -1), first_pod + spine // per_pod),
        (Tier.CORE, np.full(shape.core_switches, -1), np.full(shape.core_switches, -1)),
    )
    for tier, rail, pod in kinds:
        count = len(rail)
        row = columns.count("switches")
        columns.add(
            "switches",
            [f"{spec.fabric_id}-{tier.value}{i:04d}" for i in range(count)],
            fabric=np.full(count, fabric),
            tier=np.full(count, tiers[tier]),
            rail=rail,
            pod=pod,
            switch_port_count=np.full(
                count, shape.core_switch_ports if tier is Tier.CORE else spec.radix
            ),
            guid=(GUID_BASE_SWITCH + row + np.arange(count)) * is_infiniband,
        )
    return first


def _add_links(columns: _Columns, spec: BlockSpec, shape: BlockShape, first_switch: int) -> None:
    """Leaf to its rail's spines, evenly; spine to cores, so that each core sees every pod."""
    if not shape.spines_per_rail:
        return
    leaf, up = np.divmod(np.arange(shape.groups * shape.rails * shape.uplinks), shape.uplinks)
    group, rail = np.divmod(leaf, shape.rails)
    pod, in_pod = np.divmod(group, spec.leaf_groups_per_pod)
    spine_number = (pod * shape.rails + rail) * shape.spines_per_rail + up % shape.spines_per_rail
    first_spine = first_switch + shape.groups * shape.rails
    columns.add(
        "links",
        [],
        lower=first_switch + leaf,
        lower_switch_port=spec.nodes_per_leaf_group + up + 1,
        upper=first_spine + spine_number,
        upper_switch_port=in_pod * shape.cables_per_pair + up // shape.spines_per_rail + 1,
    )
    if shape.core_switches:
        _add_core_links(columns, shape, first_spine)


def _add_core_links(columns: _Columns, shape: BlockShape, first_spine: int) -> None:
    """Uplink u of the like-placed spines of all pods goes to one and the same core switch."""
    per_pod = shape.rails * shape.spines_per_rail
    spine, up = np.divmod(np.arange(shape.pods * per_pod * shape.core_uplinks), shape.core_uplinks)
    pod, in_pod = np.divmod(spine, per_pod)
    core, slot = np.divmod(in_pod * shape.core_uplinks + up, shape.uplinks_per_core)
    columns.add(
        "links",
        [],
        lower=first_spine + spine,
        lower_switch_port=shape.core_uplinks + up + 1,
        upper=first_spine + shape.pods * per_pod + core,
        upper_switch_port=slot * shape.pods + pod + 1,
    )


def _add_nodes(columns: _Columns, spec: BlockSpec, type_index: int, first_rack: int) -> None:
    """Nodes with their domains and leaf groups."""
    first_node, first_domain = columns.count("nodes"), columns.count("domains")
    first_group = columns.count("groups") - ceil_div(spec.node_count, spec.nodes_per_leaf_group)
    number = np.arange(spec.node_count)
    group, in_group = np.divmod(number, spec.nodes_per_leaf_group)
    nvlink_domain = number // spec.nodes_per_domain
    domains = int(nvlink_domain[-1]) + 1
    columns.add(
        "domains",
        [f"{spec.node_prefix}-nvl{i:05d}" for i in range(domains)],
        leaf_group=first_group
        + np.arange(domains) * spec.nodes_per_domain // spec.nodes_per_leaf_group,
    )
    columns.add(
        "nodes",
        [
            f"{spec.node_prefix}-su{g:03d}-n{i:02d}"
            for g, i in zip(group.tolist(), in_group.tolist(), strict=True)
        ],
        type=np.full(spec.node_count, type_index),
        rack=first_rack + number // spec.nodes_per_rack,
        nvlink_domain=first_domain + nvlink_domain,
        leaf_group=first_group + group,
        bmc_ipv4=BMC_NETWORK + 10 + first_node + number,
    )


def _add_nics(columns: _Columns, spec: BlockSpec, shape: BlockShape, first_switch: int) -> None:
    first_node = columns.count("nodes") - spec.node_count
    first_nic = sum(len(part) for part in columns.parts.get("nics.node", []))
    base = GUID_BASE_NIC if spec.fabric_kind is FabricKind.INFINIBAND else MAC_BASE
    node, rail = np.divmod(np.arange(spec.node_count * shape.rails), shape.rails)
    group, in_group = np.divmod(node, spec.nodes_per_leaf_group)
    columns.add(
        "nics",
        [],
        node=first_node + node,
        rail=rail,
        guid=np.uint64(base) + (first_nic + np.arange(len(node))).astype(np.uint64),
        leaf=first_switch + group * shape.rails + rail,
        leaf_switch_port=in_group + 1,
    )


def _add_block(columns: _Columns, spec: BlockSpec, types: list[NodeType]) -> None:
    shape = block_shape(spec)
    if spec.node_type not in types:
        types.append(spec.node_type)
    site, hall, feed = _add_places(columns, spec)
    first_rack = _add_racks(columns, spec, hall, feed)
    fabric, first_pod = columns.count("fabrics"), columns.count("pods")
    columns.ids.setdefault("kinds", []).append(spec.fabric_kind.value)
    columns.add("fabrics", [spec.fabric_id], site=[site])
    first_switch = _add_switches(columns, spec, shape, fabric)
    columns.add(
        "pods",
        [f"{spec.fabric_id}-pod{i:03d}" for i in range(shape.pods)],
        fabric=np.full(shape.pods, fabric),
    )
    columns.add(
        "groups",
        [f"{spec.node_prefix}-su{i:03d}" for i in range(shape.groups)],
        pod=first_pod + np.arange(shape.groups) // spec.leaf_groups_per_pod,
    )
    _add_links(columns, spec, shape, first_switch)
    _add_nodes(columns, spec, types.index(spec.node_type), first_rack)
    _add_nics(columns, spec, shape, first_switch)


def _clash(kind: str, value: str, old: object, new: object) -> InputError:
    return InputError(f"blocks disagree on {kind} {value!r}: {old!r} and {new!r}; wanted one")


def _check_together(blocks: Sequence[BlockSpec]) -> None:
    """Refuse blocks that contradict each other."""
    if not blocks:
        raise InputError("a fleet has no blocks; wanted at least one")
    said: dict[tuple[str, str], object] = {}
    for number, spec in enumerate(blocks):
        check_block(spec)
        for kind, key, value in (
            ("the block of fabric", spec.fabric_id, f"block {number}"),
            ("the block of node_prefix", spec.node_prefix, f"block {number}"),
            ("the country of site", spec.site_id, spec.country),
            ("the site of hall", spec.hall_id, spec.site_id),
            ("node type", spec.node_type.name, spec.node_type),
        ):
            if said.setdefault((kind, key), value) != value:
                raise _clash(kind, key, said[kind, key], value)
    nodes = sum(spec.node_count for spec in blocks)
    if nodes > BMC_ADDRESSES_MAX:
        raise InputError(f"{nodes} nodes, but 100.64.0.0/10 has {BMC_ADDRESSES_MAX} BMC addresses")


def _columns(kind: type, name: str, columns: _Columns) -> list[Any]:
    """The array columns that a table class declares, in its order and with its types."""
    return [
        columns.column(f"{name}.{field.name}", _DTYPES[field.type])
        for field in fields(kind)
        if field.name != "ids"
    ]


def _table(kind: type[T], name: str, columns: _Columns) -> T:
    return kind(columns.names(name), *_columns(kind, name, columns))


def build_fleet(name: str, blocks: Sequence[BlockSpec]) -> Fleet:
    """A fleet made of ``blocks`` (>= 1), in order.

    Raises:
        InputError: a block contradicts itself or another; the message names block and field.
    """
    _check_together(blocks)
    c = _Columns()
    types: list[NodeType] = []
    for spec in blocks:
        _add_block(c, spec, types)

    return Fleet(
        name=name,
        sites=Sites(c.names("sites"), tuple(c.column("sites.country", np.str_).tolist())),
        power_feeds=_table(PowerFeeds, "feeds", c),
        halls=_table(Halls, "halls", c),
        racks=_table(Racks, "racks", c),
        fabrics=Fabrics(
            c.names("fabrics"),
            c.column("fabrics.site", np.int32),
            tuple(FabricKind(kind) for kind in c.names("kinds")),
        ),
        pods=_table(Pods, "pods", c),
        leaf_groups=_table(LeafGroups, "groups", c),
        nvlink_domains=_table(NvlinkDomains, "domains", c),
        switches=_table(Switches, "switches", c),
        links=Links(*_columns(Links, "links", c)),
        node_types=tuple(types),
        nodes=_table(Nodes, "nodes", c),
        nics=Nics(*_columns(Nics, "nics", c)),
        storage_pools=_table(StoragePools, "pools", c),
    )
