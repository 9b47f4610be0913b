"""Instance types: which slices of which nodes the fleet offers, at what price, and where now.

A name is ``gpu_{n}x_{gpu}`` with the form of the GPU behind it, e.g. ``gpu_8x_h100_sxm5``. Tools
take the third word as the GPU, and read GPU and memory from the description. Node types of one
GPU type share a name; the price is that of the dearest kind and site where it may be launched, so
that no launch costs more than shown.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from gigawatt.api.lambda_cloud import documents as doc
from gigawatt.fleet.catalogue import accelerator, node_types
from gigawatt.fleet.model import U16, Fleet, NodeType
from gigawatt.fleet.slices import aligned_masks, offered_sizes
from gigawatt.intent.prices import Prices
from gigawatt.interfaces.instances import Taken
from gigawatt.units import GIB

MICRO_USD_PER_CENT = 10_000

_FORMS: Mapping[str, tuple[str, str]] = {
    "v100": ("v100", "SXM2"),
    "a100-40": ("a100", "SXM4"),
    "a100": ("a100_80gb", "SXM4"),
    "h100": ("h100", "SXM5"),
    "h100-pcie": ("h100", "PCIe"),
    "h200": ("h200", "SXM5"),
    "gh200": ("gh200", ""),
    "b200": ("b200", "SXM6"),
    "gb200": ("gb200", "NVL72"),
    "b300": ("b300", "SXM6"),
    "gb300": ("gb300", "NVL72"),
    "vr200": ("vr200", "NVL72"),
}
"""Words for a GPU type as Lambda's tools know them, and the form of the GPU. Source: instance types
that SkyPilot 0.14.1 and gpuhunt 0.1.34 read; ours where they know none."""

_LOCAL_STORAGE_GBYTE: Mapping[str, int] = {
    "hgx-v100": 4 * 1_920,
    "hgx-a100-40": 4 * 3_840,
    "hgx-a100": 8 * 3_840,
    "hgx-h100": 8 * 3_840,
    "hgx-h200": 8 * 3_840,
    "hgx-b200": 8 * 3_840,
    "hgx-b300": 8 * 3_840,
}
"""Internal storage of a node by its type, 0 where it is not known. Source: NVIDIA's datasheets of
DGX-1, DGX A100 (320 GB and 640 GB), DGX H100, H200, B200 and B300, "Storage"."""


@dataclass(frozen=True, slots=True)
class TypeOffer:
    """One instance type of a fleet.

    Fields:
        gpu_type, gpu_count: what is asked of the planner.
        masks: GPU masks that can serve it, by row of ``Fleet.node_types``.
        shown: as it is answered.
    """

    gpu_type: str
    gpu_count: int
    masks: Mapping[int, tuple[int, ...]]
    shown: doc.InstanceType


def words_for(gpu_type: str) -> tuple[str, str]:
    """Word of a GPU type in instance types, and the form of the GPU, empty when not known."""
    own = re.sub(r"[^a-z0-9]+", "", gpu_type.lower()) or "gpu"
    return _FORMS.get(gpu_type, (own, ""))


def _memory_of(gpu_type: str) -> int | None:
    """Memory of one GPU in 10**9 bytes, None when the catalogue does not know the type."""
    for row in node_types():
        if row.node_type.gpu_type == gpu_type:
            return round(accelerator(row.accelerator).memory_gbyte)
    return None


def describe(gpu_type: str) -> str:
    """A GPU as tools read it, e.g. ``H100 (80 GB SXM5)``."""
    word, form = words_for(gpu_type)
    memory_gbyte = _memory_of(gpu_type)
    inside = [] if memory_gbyte is None else [f"{memory_gbyte} GB"]
    inside += [form] if form else []
    name = word.partition("_")[0].upper()
    return f"{name} ({' '.join(inside)})" if inside else name


def type_name(gpu_type: str, gpu_count: int) -> str:
    """Name of an instance type, e.g. ``gpu_8x_h100_sxm5``."""
    word, form = words_for(gpu_type)
    return "_".join(["gpu", f"{gpu_count}x", word, *([form.lower()] if form else [])])


def instance_type(fleet_types: Sequence[NodeType], gpu_count: int) -> doc.InstanceType:
    """The type of ``gpu_count`` GPUs on any of some node types (one GPU type, >= 1 of them)."""
    gpu_type = fleet_types[0].gpu_type
    dearest = max(kind.price_micro_usd_per_gpu_hour for kind in fleet_types)
    least = min(fleet_types, key=lambda kind: kind.memory_bytes // kind.gpu_count)
    storage_bytes = _LOCAL_STORAGE_GBYTE.get(least.name, 0) * 1_000_000_000
    described = describe(gpu_type)
    return doc.InstanceType(
        name=type_name(gpu_type, gpu_count),
        description=f"{gpu_count}x {described}",
        gpu_description=described,
        price_cents_per_hour=-(-dearest * gpu_count // MICRO_USD_PER_CENT),
        specs=doc.InstanceTypeSpecs(
            vcpus=max(1, least.cpu_core_count * gpu_count // least.gpu_count),
            memory_gib=least.memory_bytes * gpu_count // least.gpu_count // GIB,
            storage_gib=storage_bytes * gpu_count // least.gpu_count // GIB,
            gpus=gpu_count,
        ),
    )


@lru_cache(maxsize=8)
def offers_of(fleet: Fleet) -> Mapping[str, TypeOffer]:
    """Every instance type of a fleet by its name, in the order of its node types."""
    rows_of: dict[tuple[str, int], list[int]] = {}
    for row, kind in enumerate(fleet.node_types):
        for size in offered_sizes(kind):
            rows_of.setdefault((kind.gpu_type, size), []).append(row)
    offers = {}
    for (gpu_type, size), rows in rows_of.items():
        kinds = [fleet.node_types[row] for row in rows]
        masks = {row: aligned_masks(fleet.node_types[row].gpu_count, size) for row in rows}
        shown = instance_type(kinds, size)
        offers[shown.name] = TypeOffer(gpu_type, size, masks, shown)
    return offers


def at_price(shown: doc.InstanceType, price_micro_usd_per_gpu_hour: int) -> doc.InstanceType:
    """An instance type at a price of its GPUs, rounded up to the cent."""
    cents = -(-price_micro_usd_per_gpu_hour * shown.specs.gpus // MICRO_USD_PER_CENT)
    return shown.model_copy(update={"price_cents_per_hour": cents})


def priced(fleet: Fleet, offer: TypeOffer, prices: Prices) -> doc.InstanceType:
    """What an offer is at the prices of today, wherever it is launched."""
    there = set(zip(fleet.nodes.type.tolist(), fleet.site_of_node.tolist(), strict=True))
    dearest = max(
        prices.amount(fleet.node_types[row], fleet.sites.ids[site])
        for row, site in there
        if row in offer.masks
    )
    return at_price(offer.shown, dearest)


@lru_cache(maxsize=4096)
def type_of_member(fleet: Fleet, row: int, gpu_count: int) -> doc.InstanceType:
    """The instance type that a member on a node of a type (by its row) is of."""
    gpu_type = fleet.node_types[row].gpu_type
    found = offers_of(fleet).get(type_name(gpu_type, gpu_count))
    return instance_type([fleet.node_types[row]], gpu_count) if found is None else found.shown


def free_masks(fleet: Fleet, taken: Taken) -> U16:
    """uint16[N]: GPUs of each node that can be given now."""
    free = fleet.full_gpu_mask_of_node.astype(np.uint16)
    row_of = fleet.nodes.index_of
    held = [(row_of[node], mask) for node, mask in taken.masks.items() if node in row_of]
    rows = np.array([row for row, _ in held], np.int64)
    free[rows] &= ~np.array([mask for _, mask in held], np.uint16)
    free[[row_of[node] for node in taken.blocked if node in row_of]] = 0
    return free


def sites_with_room(fleet: Fleet, offer: TypeOffer, free: U16) -> tuple[str, ...]:
    """Sites where an instance of a type fits now, in the order of the fleet."""
    fits = np.zeros(len(fleet.nodes), np.bool_)
    for row, masks in offer.masks.items():
        is_kind = fleet.nodes.type == row
        for mask in masks:
            fits |= is_kind & ((free & mask) == mask)
    found = set(fleet.site_of_node[fits].tolist())
    return tuple(name for site, name in enumerate(fleet.sites.ids) if site in found)


def has_nodes(fleet: Fleet, offer: TypeOffer, site_id: str) -> bool:
    """Whether a site has nodes of a type at all."""
    everything = fleet.full_gpu_mask_of_node.astype(np.uint16)
    return site_id in sites_with_room(fleet, offer, everything)
