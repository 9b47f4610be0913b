"""The fleet that a lab stands in for."""

from dataclasses import replace

import numpy as np

from gigawatt.errors import InputError
from gigawatt.fleet.builder import BlockSpec, build_fleet
from gigawatt.fleet.demo import HGX_H100
from gigawatt.fleet.model import Fleet
from gigawatt.lab.layout import LabSpec

NODES_PER_LEAF_GROUP = 8
BARE_METAL = replace(HGX_H100, name="bare-metal", is_bare_metal=True)
HYPERVISOR = replace(HGX_H100, name="hypervisor")
"""What the two kinds of node of a lab are called."""
RADIX = 16
"""Small switches, so that 16 nodes have spines above their leaves. Ours."""
LARGE_NODES_PER_LEAF_GROUP, LARGE_RADIX = 32, 64
"""Of a fabric alone. Source: NVIDIA DGX SuperPOD reference architecture."""


def lab_fleet(spec: LabSpec) -> Fleet:
    """HGX H100 nodes, 8 NICs each, on one rail-optimised InfiniBand fabric with spines.

    Rails share no switch, so every rail is a subnet of its own.

    Raises:
        InputError: more or fewer nodes than a lab may have.
    """
    if not 2 <= spec.node_count <= spec.nodes_max:
        raise InputError(
            f"a lab has 2 to {spec.nodes_max:,} nodes, wanted {spec.node_count:,}",
            next_step="Larger compute fabrics run alone: --fabric-only.",
        )
    is_large = spec.is_fabric_only and spec.node_count > LARGE_NODES_PER_LEAF_GROUP
    block = BlockSpec(
        site_id="lab",
        country="US",
        hall_id="hall-1",
        node_type=HGX_H100,
        node_count=spec.node_count,
        node_prefix="h",
        fabric_id="ib0",
        nodes_per_leaf_group=LARGE_NODES_PER_LEAF_GROUP if is_large else NODES_PER_LEAF_GROUP,
        radix=LARGE_RADIX if is_large else RADIX,
        storage_bytes=spec.storage_bytes,
        racks_per_row=8,
    )
    fleet = build_fleet(spec.name, [block])
    if spec.is_fabric_only:
        return fleet
    # Hypervisors come first (see ``Layout``); clusters of whole nodes never mix the two.
    rows = np.arange(len(fleet.nodes)) >= spec.hypervisor_count
    nodes = replace(fleet.nodes, type=rows.astype(np.int32))
    return replace(fleet, node_types=(HYPERVISOR, BARE_METAL), nodes=nodes)
