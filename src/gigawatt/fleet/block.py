"""Blocks: what one is made of, and the switch counts that follow from it.

A block is one compute fabric full of one type of node; ``fleet.builder`` turns blocks into a
fleet.
"""

from dataclasses import dataclass
from math import isfinite

from gigawatt.errors import InputError
from gigawatt.fleet.model import GPUS_PER_NODE_MAX, FabricKind, NodeType

NODES_PER_BLOCK_MAX = 4_000_000
SWITCHES_PER_BLOCK_MAX = 1_000_000
"""Bounds of what is built in memory; ours. Four million HGX nodes are 32 million GPUs."""

NICS_PER_NODE_MAX = 64
"""Bound of ours: the largest node type of the catalogue has 8."""

CORE_SWITCH_PORTS_MAX = 2_048
"""Ports of the largest director switch (NVIDIA Quantum-2 CS9500: 2,048 ports of 400 Gbit/s)."""


@dataclass(frozen=True, slots=True)
class BlockSpec:
    """One block; see the module docstring of ``fleet.builder`` for its wiring.

    Fields:
        site_id, country: where; blocks may share a site (country ISO 3166-1 alpha-2).
        hall_id: hall of the block; blocks of one site may share a hall.
        node_type: what every node is.
        node_count: >= 1; the last groups may be partly filled.
        node_prefix: nodes are called PREFIX-SU-NUMBER; no two blocks share one.
        fabric_id, fabric_kind: the block's compute fabric; no two blocks share one.
        nodes_per_rack, nodes_per_domain: a domain never straddles racks or leaf groups.
        nodes_per_leaf_group: a multiple of nodes_per_rack and of nodes_per_domain.
        leaf_groups_per_pod: >= 1.
        radix: switch ports of every leaf and spine switch.
        storage_bytes: capacity of the site's file system that the block adds.
        racks_per_row: floor grid.
    """

    site_id: str
    country: str
    hall_id: str
    node_type: NodeType
    node_count: int
    node_prefix: str
    fabric_id: str
    fabric_kind: FabricKind = FabricKind.INFINIBAND
    nodes_per_rack: int = 4
    nodes_per_domain: int = 1
    nodes_per_leaf_group: int = 32
    leaf_groups_per_pod: int = 8
    radix: int = 64
    storage_bytes: int = 0
    racks_per_row: int = 20


@dataclass(frozen=True, slots=True)
class BlockShape:
    """Counts that follow from a block's spec.

    Fields:
        groups, pods: leaf groups and pods of the block; rails: NICs of a node.
        uplinks: cables from one leaf to the spines of its pod and rail; as many as downlinks
            where the radix allows it.
        spines_per_rail: spine switches of one rail of one pod, 0 with one leaf group.
        cables_per_pair: switch ports that a spine keeps for each leaf of its pod.
        core_uplinks: cables from one spine to the core, as many as its downlinks; 0 with one pod.
        core_switches: core switches of the block.
        uplinks_per_core: spine uplinks, each with a cable from every pod, that one core takes.
        core_switch_ports: ports of a core switch: the radix, or more (a director switch) where
            there are more pods than that.
    """

    groups: int
    pods: int
    rails: int
    uplinks: int
    spines_per_rail: int
    cables_per_pair: int
    core_uplinks: int
    core_switches: int
    uplinks_per_core: int
    core_switch_ports: int


def ceil_div(dividend: int, divisor: int) -> int:
    """Quotient of two integers (divisor > 0), rounded up."""
    return -(-dividend // divisor)


def block_shape(spec: BlockSpec) -> BlockShape:
    """The shape of a block that ``check_block`` has passed."""
    groups = ceil_div(spec.node_count, spec.nodes_per_leaf_group)
    pods = ceil_div(groups, spec.leaf_groups_per_pod)
    rails = spec.node_type.nic_count
    uplinks = min(spec.nodes_per_leaf_group, spec.radix - spec.nodes_per_leaf_group)
    leaves_per_rail = min(groups, spec.leaf_groups_per_pod)
    # One group needs no spine: its rails meet inside the nodes.
    if groups == 1:
        return BlockShape(groups, pods, rails, uplinks, 0, 0, 0, 0, 0, spec.radix)
    down = _spine_downlinks_max(spec, pods)
    spines = ceil_div(uplinks, max(1, down // leaves_per_rail))
    per_pair = ceil_div(uplinks, spines)
    if pods == 1:
        return BlockShape(groups, pods, rails, uplinks, spines, per_pair, 0, 0, 0, spec.radix)
    core_uplinks = leaves_per_rail * per_pair
    core_ports = max(spec.radix, pods)
    per_core = core_ports // pods
    cores = ceil_div(rails * spines * core_uplinks, per_core)
    return BlockShape(
        groups,
        pods,
        rails,
        uplinks,
        spines,
        per_pair,
        core_uplinks,
        cores,
        per_core,
        core_ports,
    )


def _spine_downlinks_max(spec: BlockSpec, pods: int) -> int:
    return spec.radix if pods == 1 else spec.radix // 2


def _numbers(spec: BlockSpec) -> list[tuple[bool, str]]:
    names = (
        "node_count",
        "nodes_per_rack",
        "nodes_per_domain",
        "nodes_per_leaf_group",
        "leaf_groups_per_pod",
        "radix",
        "racks_per_row",
    )
    values = [(name, getattr(spec, name)) for name in names]
    return [
        *((value < 1, f"{name} is {value}, wanted >= 1") for name, value in values),
        (
            spec.node_count > NODES_PER_BLOCK_MAX,
            f"node_count is {spec.node_count}, wanted <= {NODES_PER_BLOCK_MAX}",
        ),
        (
            not 0 <= spec.storage_bytes < 1 << 63,
            f"storage_bytes is {spec.storage_bytes}, wanted 0 to 2**63 - 1",
        ),
    ]


def _node(node_type: NodeType) -> list[tuple[bool, str]]:
    return [
        (
            not 1 <= node_type.gpu_count <= GPUS_PER_NODE_MAX,
            (
                f"node type {node_type.name!r} has {node_type.gpu_count} GPUs,"
                f" wanted 1 to {GPUS_PER_NODE_MAX}"
            ),
        ),
        (
            not 1 <= node_type.nic_count <= NICS_PER_NODE_MAX,
            (
                f"node type {node_type.name!r} has {node_type.nic_count} NICs,"
                f" wanted 1 to {NICS_PER_NODE_MAX}"
            ),
        ),
        (
            not (isfinite(node_type.power_w_max) and node_type.power_w_max > 0),
            f"node type {node_type.name!r} draws {node_type.power_w_max} W, wanted > 0",
        ),
    ]


def _fit(spec: BlockSpec) -> list[tuple[bool, str]]:
    per_group = spec.nodes_per_leaf_group
    groups = ceil_div(spec.node_count, per_group)
    pods = ceil_div(groups, spec.leaf_groups_per_pod)
    down = _spine_downlinks_max(spec, pods)
    leaves = min(groups, spec.leaf_groups_per_pod)
    return [
        (
            per_group % spec.nodes_per_rack > 0,
            f"{per_group} nodes a leaf group is not a multiple of {spec.nodes_per_rack} a rack",
        ),
        (
            spec.nodes_per_rack % spec.nodes_per_domain > 0,
            (
                f"{spec.nodes_per_rack} nodes a rack is not a multiple of"
                f" {spec.nodes_per_domain} a domain"
            ),
        ),
        (
            per_group > spec.radix,
            f"nodes_per_leaf_group {per_group} is more than the radix {spec.radix}",
        ),
        (
            groups > 1 and per_group == spec.radix,
            (
                f"nodes_per_leaf_group {per_group} leaves no port of the radix {spec.radix}"
                f" to join {groups} leaf groups"
            ),
        ),
        (
            groups > 1 and leaves > down,
            f"a spine has {down} downlinks at radix {spec.radix}, its pod {leaves} leaf groups",
        ),
        (
            pods > CORE_SWITCH_PORTS_MAX,
            f"{pods} pods, but a core switch has at most {CORE_SWITCH_PORTS_MAX} ports",
        ),
    ]


def check_block(spec: BlockSpec) -> None:
    """Refuse a block that contradicts itself.

    Raises:
        InputError: names the block and each field that is wrong, what it is and what was wanted.
    """
    wrong = [sentence for is_wrong, sentence in _numbers(spec) + _node(spec.node_type) if is_wrong]
    if not wrong:
        wrong = [sentence for is_wrong, sentence in _fit(spec) if is_wrong]
    if not wrong:
        shape = block_shape(spec)
        spines = shape.pods * shape.rails * shape.spines_per_rail
        switches = shape.groups * shape.rails + spines + shape.core_switches
        if switches > SWITCHES_PER_BLOCK_MAX:
            wrong = [f"needs {switches} switches, wanted <= {SWITCHES_PER_BLOCK_MAX}"]
    if wrong:
        raise InputError(
            f"block {spec.fabric_id!r}: " + "; ".join(wrong),
            next_step="Correct the block; the fields are explained at fleet.block.BlockSpec.",
        )
