"""Fleets as YAML, in and out: ``schema: gigawatt/fleet/1``. Reading is strict.

A file says a fleet in one of two ways. The short way is blocks (see ``fleet.block.BlockSpec``)::

    schema: gigawatt/fleet/1
    name: my-site
    blocks:
    - {site_id: site-a, country: US, hall_id: hall-1, node_type: hgx-h100, node_count: 1250,
       node_prefix: h, fabric_id: ib0}

where ``node_type`` names a row of the file's own ``node_types`` or of the catalogue. The full way
is every table of ``fleet.model``, one line a row, with ids in place of indices. A node's ``nics``
are ``LEAF:PORT`` in the order of its rails, its ``guids`` in the same order; a link is
``[LOWER:PORT, UPPER:PORT]``. Text that the checker finds fault with is refused.
"""

import re
from collections.abc import Mapping, Sequence
from ipaddress import AddressValueError, IPv4Address
from typing import Annotated, Literal, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gigawatt.errors import InputError
from gigawatt.fleet.block import BlockSpec
from gigawatt.fleet.builder import build_fleet
from gigawatt.fleet.catalogue import node_types
from gigawatt.fleet.check import check_fleet
from gigawatt.fleet.model import (
    TIERS,
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
    Tier,
)
from gigawatt.fleet.yaml_dump import SCHEMA, dump_fleet
from gigawatt.fleet.yaml_tree import Path, YamlTree, read_yaml, shorten

__all__ = ["SCHEMA", "dump_fleet", "load_fleet"]

NICS_PER_FILE_MAX = 4_000_000
"""NICs that the blocks of one file may ask for; ours: four million GPUs in HGX nodes."""
_KNOWN_SHOWN = 5

Name = Annotated[str, Field(min_length=1, max_length=128)]
Number = Annotated[int, Field(ge=-1, lt=1 << 31)]
Count = Annotated[int, Field(ge=0, lt=1 << 31)]
Bytes = Annotated[int, Field(ge=0, lt=1 << 63)]
Guid = Annotated[int, Field(ge=0, lt=1 << 64)]
Watts = Annotated[float, Field(gt=0, lt=1e15)]


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class _Site(_Row):
    id: Name
    country: str


class _PowerFeed(_Row):
    id: Name
    site: Name
    capacity_w: Watts


class _Hall(_Row):
    id: Name
    site: Name


class _Rack(_Row):
    id: Name
    hall: Name
    feed: Name
    row: Count
    column: Count
    power_w_max: Watts


class _Fabric(_Row):
    id: Name
    site: Name
    kind: Literal["infiniband", "roce"]


class _Pod(_Row):
    id: Name
    fabric: Name


class _LeafGroup(_Row):
    id: Name
    pod: Name


class _NvlinkDomain(_Row):
    id: Name
    leaf_group: Name


class _Switch(_Row):
    id: Name
    fabric: Name
    tier: Literal["leaf", "spine", "core"]
    rail: Number
    pod: Name | None
    switch_port_count: Count
    guid: Guid


class _NodeType(_Row):
    name: Name
    gpu_type: Name
    gpu_count: Count
    nic_count: Count
    numa_count: Count
    power_w_max: Watts
    memory_bytes: Bytes
    cpu_core_count: Count
    dpu_count: Count
    price_micro_usd_per_gpu_hour: Bytes
    is_bare_metal: bool = False


class _Node(_Row):
    id: Name
    type: Name
    rack: Name
    nvlink_domain: Name
    leaf_group: Name
    bmc: str
    nics: list[str]
    guids: list[Guid]


class _StoragePool(_Row):
    id: Name
    site: Name
    capacity_bytes: Bytes


class _Block(_Row):
    # Defaults are never used: only what a file says goes on to BlockSpec, which has its own.
    site_id: Name
    country: str
    hall_id: Name
    node_type: Name
    node_count: Count
    node_prefix: Name
    fabric_id: Name
    fabric_kind: Literal["infiniband", "roce"] = "infiniband"
    nodes_per_rack: Count = 0
    nodes_per_domain: Count = 0
    nodes_per_leaf_group: Count = 0
    leaf_groups_per_pod: Count = 0
    radix: Count = 0
    storage_bytes: Bytes = 0
    racks_per_row: Count = 0


class _Document(_Row):
    schema_name: Literal["gigawatt/fleet/1"] = Field(alias="schema")
    name: Name


class _BlocksDocument(_Document):
    node_types: list[_NodeType] = []
    blocks: list[_Block] = Field(min_length=1, max_length=10_000)


class _TablesDocument(_Document):
    sites: list[_Site]
    power_feeds: list[_PowerFeed]
    halls: list[_Hall]
    racks: list[_Rack]
    fabrics: list[_Fabric]
    pods: list[_Pod]
    leaf_groups: list[_LeafGroup]
    nvlink_domains: list[_NvlinkDomain]
    switches: list[_Switch]
    links: list[Annotated[list[str], Field(min_length=2, max_length=2)]]
    node_types: list[_NodeType]
    nodes: list[_Node] = Field(min_length=1)
    storage_pools: list[_StoragePool] = []


_D = TypeVar("_D", bound=_Document)


def _validated(kind: type[_D], tree: YamlTree) -> _D:
    try:
        return kind.model_validate(tree.data)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_context=False)
        first = problems[0]
        path = first["loc"]
        known = {"extra_forbidden": "this key is not known here", "missing": "is missing"}
        sentence = known.get(first["type"])
        if sentence is None:
            sentence = f"{first['msg']}, got {shorten(repr(first['input']))}"
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise tree.wrong(path, sentence + more) from None


class _Index:
    """Rows by id, table by table; refuses an id that is there twice and one that is not there."""

    def __init__(self, tree: YamlTree) -> None:
        self.tree = tree
        self.tables: dict[str, dict[str, int]] = {}

    def add(self, table: str, ids: Sequence[str], field: str = "id") -> tuple[str, ...]:
        rows: dict[str, int] = {}
        for row, name in enumerate(ids):
            if rows.setdefault(name, row) != row:
                raise self.tree.wrong(
                    (table, row, field), f"id {name!r} is taken by {table}[{rows[name]}] already"
                )
        self.tables[table] = rows
        return tuple(ids)

    def find(self, table: str, name: str, path: Path) -> int:
        rows = self.tables[table]
        if name not in rows:
            known = ", ".join(list(rows)[:_KNOWN_SHOWN]) or "none"
            more = len(rows) - _KNOWN_SHOWN
            known += f" and {more} more" if more > 0 else ""
            what = table.removesuffix("s").replace("switche", "switch").replace("_", " ")
            raise self.tree.wrong(path, f"no {what} {name!r}; known: {known}")
        return rows[name]

    def column(self, table: str, field: str, names: Sequence[str], target: str) -> np.ndarray:
        rows = self.tables[target]
        found = [rows.get(name, -1) for name in names]
        if -1 in found:
            row = found.index(-1)
            self.find(target, names[row], (table, row, field))
        return np.array(found, dtype=np.int32)

    def end(self, text: str, path: Path) -> tuple[int, int]:
        """Switch index and switch port of ``SWITCH:PORT``."""
        name, _, number = text.rpartition(":")
        if not re.fullmatch("[0-9]{1,9}", number) or not number.isascii():
            raise self.tree.wrong(path, f"is {shorten(text)!r}, wanted SWITCH:PORT")
        return self.find("switches", name, path), int(number)


def _i32(values: Sequence[int]) -> np.ndarray:
    return np.array(values, dtype=np.int32)


def _node_type(row: _NodeType) -> NodeType:
    return NodeType(**row.model_dump())


def _places(
    doc: _TablesDocument, index: _Index
) -> tuple[Sites, PowerFeeds, Halls, Racks, StoragePools]:
    sites = Sites(
        index.add("sites", [r.id for r in doc.sites]), tuple(r.country for r in doc.sites)
    )

    def site(table: str, rows: Sequence[_PowerFeed | _Hall | _StoragePool]) -> np.ndarray:
        return index.column(table, "site", [row.site for row in rows], "sites")

    feeds = PowerFeeds(
        index.add("power_feeds", [r.id for r in doc.power_feeds]),
        site("power_feeds", doc.power_feeds),
        np.array([r.capacity_w for r in doc.power_feeds], dtype=np.float64),
    )
    halls = Halls(index.add("halls", [r.id for r in doc.halls]), site("halls", doc.halls))
    racks = Racks(
        index.add("racks", [r.id for r in doc.racks]),
        index.column("racks", "hall", [r.hall for r in doc.racks], "halls"),
        index.column("racks", "feed", [r.feed for r in doc.racks], "power_feeds"),
        _i32([r.row for r in doc.racks]),
        _i32([r.column for r in doc.racks]),
        np.array([r.power_w_max for r in doc.racks], dtype=np.float64),
    )
    pools = StoragePools(
        index.add("storage_pools", [r.id for r in doc.storage_pools]),
        site("storage_pools", doc.storage_pools),
        np.array([r.capacity_bytes for r in doc.storage_pools], dtype=np.int64),
    )
    return sites, feeds, halls, racks, pools


def _groups(doc: _TablesDocument, index: _Index) -> tuple[Fabrics, Pods, LeafGroups, NvlinkDomains]:
    fabrics = Fabrics(
        index.add("fabrics", [r.id for r in doc.fabrics]),
        index.column("fabrics", "site", [r.site for r in doc.fabrics], "sites"),
        tuple(FabricKind(r.kind) for r in doc.fabrics),
    )
    pods = Pods(
        index.add("pods", [r.id for r in doc.pods]),
        index.column("pods", "fabric", [r.fabric for r in doc.pods], "fabrics"),
    )
    groups = LeafGroups(
        index.add("leaf_groups", [r.id for r in doc.leaf_groups]),
        index.column("leaf_groups", "pod", [r.pod for r in doc.leaf_groups], "pods"),
    )
    domains = NvlinkDomains(
        index.add("nvlink_domains", [r.id for r in doc.nvlink_domains]),
        index.column(
            "nvlink_domains",
            "leaf_group",
            [r.leaf_group for r in doc.nvlink_domains],
            "leaf_groups",
        ),
    )
    return fabrics, pods, groups, domains


def _wiring(doc: _TablesDocument, index: _Index) -> tuple[Switches, Links]:
    tiers = {tier: number for number, tier in enumerate(TIERS)}
    pods = [
        -1 if r.pod is None else index.find("pods", r.pod, ("switches", row, "pod"))
        for row, r in enumerate(doc.switches)
    ]
    switches = Switches(
        index.add("switches", [r.id for r in doc.switches]),
        index.column("switches", "fabric", [r.fabric for r in doc.switches], "fabrics"),
        _i32([tiers[Tier(r.tier)] for r in doc.switches]),
        _i32([r.rail for r in doc.switches]),
        _i32(pods),
        _i32([r.switch_port_count for r in doc.switches]),
        np.array([r.guid for r in doc.switches], dtype=np.uint64),
    )
    ends = np.array(
        [
            [index.end(end, ("links", row, side)) for side, end in enumerate(link)]
            for row, link in enumerate(doc.links)
        ],
        dtype=np.int32,
    ).reshape(-1, 4)
    return switches, Links(*(ends[:, column].copy() for column in range(4)))


def _bmc(tree: YamlTree, row: int, text: str) -> int:
    try:
        return int(IPv4Address(text))
    except AddressValueError:
        path = ("nodes", row, "bmc")
        raise tree.wrong(path, f"is {shorten(text)!r}, wanted an IPv4 address") from None


def _nodes(doc: _TablesDocument, index: _Index) -> tuple[Nodes, Nics]:
    rows = doc.nodes
    index.add("node_types", [r.name for r in doc.node_types], "name")
    nodes = Nodes(
        index.add("nodes", [r.id for r in rows]),
        index.column("nodes", "type", [r.type for r in rows], "node_types"),
        index.column("nodes", "rack", [r.rack for r in rows], "racks"),
        index.column("nodes", "nvlink_domain", [r.nvlink_domain for r in rows], "nvlink_domains"),
        index.column("nodes", "leaf_group", [r.leaf_group for r in rows], "leaf_groups"),
        np.array([_bmc(index.tree, row, r.bmc) for row, r in enumerate(rows)], dtype=np.uint32),
    )
    for row, r in enumerate(rows):
        if len(r.guids) != len(r.nics):
            sentence = f"{len(r.guids)} GUIDs for {len(r.nics)} NICs, wanted one each"
            raise index.tree.wrong(("nodes", row, "guids"), sentence)
    ends = np.array(
        [
            index.end(end, ("nodes", row, "nics", rail))
            for row, r in enumerate(rows)
            for rail, end in enumerate(r.nics)
        ],
        dtype=np.int32,
    ).reshape(-1, 2)
    counts = [len(r.nics) for r in rows]
    nics = Nics(
        np.repeat(np.arange(len(rows), dtype=np.int32), counts),
        _i32([rail for count in counts for rail in range(count)]),
        np.array([guid for r in rows for guid in r.guids], dtype=np.uint64),
        ends[:, 0].copy(),
        ends[:, 1].copy(),
    )
    return nodes, nics


def _from_tables(tree: YamlTree) -> Fleet:
    doc = _validated(_TablesDocument, tree)
    index = _Index(tree)
    sites, feeds, halls, racks, pools = _places(doc, index)
    fabrics, pods, groups, domains = _groups(doc, index)
    switches, links = _wiring(doc, index)
    nodes, nics = _nodes(doc, index)
    return Fleet(
        name=doc.name,
        sites=sites,
        power_feeds=feeds,
        halls=halls,
        racks=racks,
        fabrics=fabrics,
        pods=pods,
        leaf_groups=groups,
        nvlink_domains=domains,
        switches=switches,
        links=links,
        node_types=tuple(_node_type(r) for r in doc.node_types),
        nodes=nodes,
        nics=nics,
        storage_pools=pools,
    )


def _block(row: _Block, node_type: NodeType) -> BlockSpec:
    said = row.model_dump(exclude_unset=True)
    return BlockSpec(**{**said, "node_type": node_type, "fabric_kind": FabricKind(row.fabric_kind)})


def _from_blocks(tree: YamlTree) -> Fleet:
    doc = _validated(_BlocksDocument, tree)
    index = _Index(tree)
    own = [_node_type(row) for row in doc.node_types]
    index.add("node_types", [t.name for t in own], "name")
    # The file's own types come last, so that they win.
    types: Mapping[str, NodeType] = {t.name: t for t in [r.node_type for r in node_types()] + own}
    index.add("node_types", list(types))
    specs: list[BlockSpec] = []
    for number, row in enumerate(doc.blocks):
        index.find("node_types", row.node_type, ("blocks", number, "node_type"))
        specs.append(_block(row, types[row.node_type]))
    nics = sum(spec.node_count * spec.node_type.nic_count for spec in specs)
    if nics > NICS_PER_FILE_MAX:
        raise tree.wrong(("blocks",), f"nodes with {nics} NICs, wanted <= {NICS_PER_FILE_MAX}")
    try:
        return build_fleet(doc.name, specs)
    except InputError as error:
        raise tree.wrong(("blocks",), str(error)) from error


def _path_of(place: str) -> Path:
    """The path of a note's place."""
    parts = re.findall(r"[a-z_]+|\[[0-9]+\]", place)
    return tuple(int(part[1:-1]) if part.startswith("[") else part for part in parts)


def load_fleet(text: str, source: str = "<text>") -> Fleet:
    """The fleet that a YAML text says.

    Args:
        text: at most 256 Mi characters; see the module docstring for the format.
        source: what to call the text in complaints, e.g. its file name.

    Raises:
        InputError: the text is no YAML, does not keep the schema, names an id that is not there,
            or says a fleet that ``check_fleet`` finds fault with. The message names line and
            place: ``fleet.yaml line 12: nodes[3].rack: no rack 'r9'; known: r1, r2``.
    """
    tree = read_yaml(text, source)
    if not isinstance(tree.data, dict):
        raise tree.wrong((), f"is a {type(tree.data).__name__}, wanted keys and values")
    fleet = _from_blocks(tree) if "blocks" in tree.data else _from_tables(tree)
    notes = check_fleet(fleet)
    if notes:
        more = f" (and {len(notes) - 1} more)" if len(notes) > 1 else ""
        raise tree.wrong(_path_of(notes[0].place), notes[0].sentence + more)
    return fleet
