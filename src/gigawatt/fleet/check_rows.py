"""Rules that look at one row at a time: ids, quantities, and indices that must name a row.

| rule | broken when |
|---|---|
| duplicate_id | two rows of a table have one id |
| id_shape | an id is empty, longer than 128, or has blanks or unprintable characters |
| dangling_index | an index names no row of its table |
| gpu_count | a node type has less than 1 or more than 16 GPUs |
| node_type | another value of a node type is out of its range |
| quantity | a capacity, limit or position is not finite or out of its range |
| country | a site's country is not two capital letters |
| floor_position | two racks stand in one place of a hall |
| bmc_address | two nodes share a BMC address, or it is 0 |
"""

import re
from collections.abc import Iterator
from ipaddress import IPv4Address
from math import isfinite

import numpy as np

from gigawatt.fleet.model import GPUS_PER_NODE_MAX, TIERS, Fleet, NodeType, Table
from gigawatt.fleet.note import Note, notes_for

ID_LENGTH_MAX = 128
_COUNTRY = re.compile(r"[A-Z]{2}")

TABLES = (
    "sites",
    "power_feeds",
    "halls",
    "racks",
    "fabrics",
    "pods",
    "leaf_groups",
    "nvlink_domains",
    "switches",
    "nodes",
    "storage_pools",
)
"""Tables whose rows have ids, in the order in which a fleet is written down."""

INDICES = (
    ("power_feeds", "site", "sites"),
    ("halls", "site", "sites"),
    ("racks", "hall", "halls"),
    ("racks", "feed", "power_feeds"),
    ("fabrics", "site", "sites"),
    ("pods", "fabric", "fabrics"),
    ("leaf_groups", "pod", "pods"),
    ("nvlink_domains", "leaf_group", "leaf_groups"),
    ("switches", "fabric", "fabrics"),
    ("nodes", "type", "node_types"),
    ("nodes", "rack", "racks"),
    ("nodes", "nvlink_domain", "nvlink_domains"),
    ("nodes", "leaf_group", "leaf_groups"),
    ("nics", "node", "nodes"),
    ("nics", "leaf", "switches"),
    ("links", "lower", "switches"),
    ("links", "upper", "switches"),
    ("storage_pools", "site", "sites"),
)
"""Columns that are indices: table, column, table that they point into."""


def repeated(values: np.ndarray) -> np.ndarray:
    """Rows whose value an earlier row has too, ascending."""
    order = np.argsort(values, kind="stable")
    again = order[1:][values[order][1:] == values[order][:-1]]
    return np.sort(again)


def _is_good_id(name: str) -> bool:
    return 0 < len(name) <= ID_LENGTH_MAX and name.isprintable() and " " not in name


def _id_notes(name: str, ids: tuple[str, ...]) -> Iterator[Note]:
    if len(set(ids)) < len(ids):
        seen: dict[str, int] = {}
        rows = [row for row, this in enumerate(ids) if seen.setdefault(this, row) != row]
        yield from notes_for(
            "duplicate_id",
            np.array(rows),
            lambda row: f"{name}[{row}]",
            lambda row: f"id {ids[row]!r} is taken by {name}[{seen[ids[row]]}] already",
        )
    text = "".join(ids)
    is_plain = text.isprintable() and " " not in text
    if not is_plain or any(not 0 < len(this) <= ID_LENGTH_MAX for this in ids):
        yield from notes_for(
            "id_shape",
            np.array([not _is_good_id(this) for this in ids]),
            lambda row: f"{name}[{row}]",
            lambda row: (
                f"id {ids[row][:40]!r} has {len(ids[row])} characters,"
                f" wanted 1 to {ID_LENGTH_MAX} printable ones without blanks"
            ),
        )


def _node_type_problem(node_type: NodeType) -> tuple[str, str] | None:
    gpus = node_type.gpu_count
    if not 1 <= gpus <= GPUS_PER_NODE_MAX:
        return "gpu_count", f"has {gpus} GPUs, wanted 1 to {GPUS_PER_NODE_MAX}"
    if not (isfinite(node_type.power_w_max) and node_type.power_w_max > 0):
        return "node_type", f"has power_w_max {node_type.power_w_max}, wanted > 0"
    for field, least in (
        ("nic_count", 1),
        ("numa_count", 1),
        ("memory_bytes", 1),
        ("cpu_core_count", 1),
        ("dpu_count", 0),
        ("price_micro_usd_per_gpu_hour", 0),
    ):
        if getattr(node_type, field) < least:
            return "node_type", f"has {field} {getattr(node_type, field)}, wanted >= {least}"
    return None


def _node_type_notes(fleet: Fleet) -> Iterator[Note]:
    for row, node_type in enumerate(fleet.node_types):
        problem = _node_type_problem(node_type)
        if problem:
            rule, sentence = problem
            yield Note(rule, f"node_types[{row}]", f"node type {node_type.name!r} {sentence}")


def _quantity_notes(fleet: Fleet) -> Iterator[Note]:
    racks, feeds, pools, switches = (
        fleet.racks,
        fleet.power_feeds,
        fleet.storage_pools,
        fleet.switches,
    )
    for table, name, field, is_good, wanted in (
        (feeds, "power_feeds", "capacity_w", feeds.capacity_w > 0, "> 0"),
        (racks, "racks", "power_w_max", racks.power_w_max > 0, "> 0"),
        (racks, "racks", "row", racks.row >= 0, ">= 0"),
        (racks, "racks", "column", racks.column >= 0, ">= 0"),
        (pools, "storage_pools", "capacity_bytes", pools.capacity_bytes >= 0, ">= 0"),
        (
            switches,
            "switches",
            "switch_port_count",
            switches.switch_port_count >= 1,
            ">= 1",
        ),
    ):
        column = getattr(table, field)
        yield from notes_for(
            "quantity",
            ~(is_good & np.isfinite(column)),
            lambda row, name=name: f"{name}[{row}]",  # type: ignore[misc]
            lambda row, table=table, field=field, column=column, wanted=wanted: (  # type: ignore[misc]
                f"{field} of {table.ids[row]!r} is {column[row]}, wanted {wanted}"
            ),
        )


def _place_notes(fleet: Fleet) -> Iterator[Note]:
    for row, country in enumerate(fleet.sites.country):
        if not _COUNTRY.fullmatch(country):
            site = fleet.sites.ids[row]
            sentence = f"country of site {site!r} is {country!r}, wanted two capital letters"
            yield Note("country", f"sites[{row}]", sentence)
    racks = fleet.racks
    position = np.stack([racks.hall, racks.row, racks.column]).astype(np.int64)
    _, place = np.unique(position, axis=1, return_inverse=True)
    yield from notes_for(
        "floor_position",
        repeated(place.reshape(-1)),
        lambda row: f"racks[{row}]",
        lambda row: (
            f"rack {racks.ids[row]!r} stands at row {racks.row[row]} column {racks.column[row]},"
            " where another rack of its hall stands"
        ),
    )
    bmc = fleet.nodes.bmc_ipv4
    yield from notes_for(
        "bmc_address",
        np.union1d(repeated(bmc), np.flatnonzero(bmc == 0)),
        lambda row: f"nodes[{row}]",
        lambda row: (
            f"BMC address {IPv4Address(int(bmc[row]))} of node {fleet.nodes.ids[row]!r}"
            " is 0 or another node's, wanted one of its own"
        ),
    )


def row_notes(fleet: Fleet) -> list[Note]:
    """What is wrong with rows taken by themselves."""
    notes: list[Note] = []
    for name in TABLES:
        table: Table = getattr(fleet, name)
        notes.extend(_id_notes(name, table.ids))
    notes.extend(_id_notes("node_types", tuple(t.name for t in fleet.node_types)))
    notes.extend(_node_type_notes(fleet))
    notes.extend(_quantity_notes(fleet))
    notes.extend(_place_notes(fleet))
    return notes


def index_notes(fleet: Fleet) -> list[Note]:
    """Indices that name no row, and tiers and pods of switches that do not fit together."""
    notes: list[Note] = []
    for name, field, target in INDICES:
        column = getattr(getattr(fleet, name), field)
        count = len(getattr(fleet, target))
        notes += notes_for(
            "dangling_index",
            (column < 0) | (column >= count),
            lambda row, name=name: f"{name}[{row}]",  # type: ignore[misc]
            lambda row, field=field, column=column, target=target, count=count: (  # type: ignore[misc]
                f"{field} is row {column[row]} of {target}, which has {count} rows"
            ),
        )
    switches = fleet.switches
    core = len(TIERS) - 1
    is_core = switches.tier == core
    bad_pod = np.where(
        is_core, switches.pod != -1, (switches.pod < 0) | (switches.pod >= len(fleet.pods))
    )
    notes += notes_for(
        "dangling_index",
        bad_pod | (switches.tier < 0) | (switches.tier > core),
        lambda row: f"switches[{row}]",
        lambda row: (
            f"switch {switches.ids[row]!r} has tier {switches.tier[row]} and pod"
            f" {switches.pod[row]}; wanted tier 0 to {core}, a pod below the core and -1 in it"
        ),
    )
    return notes
