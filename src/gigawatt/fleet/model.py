"""The fleet: a frozen value made of tables whose columns are arrays.

``site -> power feed, hall -> rack -> NVLink domain -> node -> GPU, NIC, DPU, BMC`` and
``leaf -> spine -> core switch``. A row is named by its position (an index, ``int``) inside the
program and by its id (``str``) outside it. A million GPUs are a few tens of megabytes.
Nothing changes a fleet; a change of the site is a new fleet. What is *occupied* is not here.

Two groupings are what placement works with:

- leaf group: the nodes that hang on one same set of leaf switches (a rail group, "SU"): traffic
  inside it crosses one switch. Every node is in exactly one.
- pod: the leaf groups that share spine switches: traffic inside it crosses three switches;
  between pods of one fabric it crosses five, through the core.
"""

from dataclasses import dataclass, fields
from enum import StrEnum
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from gigawatt.errors import UnknownIdError
from gigawatt.ids import NodeId

I32 = NDArray[np.int32]
I64 = NDArray[np.int64]
F64 = NDArray[np.float64]
U16 = NDArray[np.uint16]
U32 = NDArray[np.uint32]
U64 = NDArray[np.uint64]

GPUS_PER_NODE_MAX = 16


class FabricKind(StrEnum):
    """Link layer of a compute fabric."""

    INFINIBAND = "infiniband"
    ROCE = "roce"


class Tier(StrEnum):
    """Tier of a switch."""

    LEAF = "leaf"
    SPINE = "spine"
    CORE = "core"


TIERS = (Tier.LEAF, Tier.SPINE, Tier.CORE)


@dataclass(frozen=True)
class Table:
    """Base of every table: freezes its arrays and checks that columns are equally long."""

    ids: tuple[str, ...]

    def __post_init__(self) -> None:
        """Make arrays read-only; a ragged table is a bug of the builder."""
        for field in fields(self):
            column = getattr(self, field.name)
            assert len(column) == len(self.ids), f"{type(self).__name__}.{field.name} is ragged"
            if isinstance(column, np.ndarray):
                column.setflags(write=False)

    def __len__(self) -> int:
        """Count of rows."""
        return len(self.ids)

    @cached_property
    def index_of(self) -> dict[str, int]:
        """Row index by id."""
        return {name: index for index, name in enumerate(self.ids)}


@dataclass(frozen=True)
class Sites(Table):
    """Places with one address and one storage estate.

    Columns: country (ISO 3166-1 alpha-2).
    """

    country: tuple[str, ...]


@dataclass(frozen=True)
class PowerFeeds(Table):
    """Power feeds of a site. Columns: site (index), capacity_w (W, > 0)."""

    site: I32
    capacity_w: F64


@dataclass(frozen=True)
class Halls(Table):
    """Data halls. Columns: site (index)."""

    site: I32


@dataclass(frozen=True)
class Racks(Table):
    """Racks.

    Columns: hall (index), feed (index of the power feed), row and column (position on the
    hall's floor grid, >= 0), power_w_max (W, what the rack may draw).
    """

    hall: I32
    feed: I32
    row: I32
    column: I32
    power_w_max: F64


@dataclass(frozen=True)
class Fabrics(Table):
    """Compute fabrics (one subnet manager, or one EVPN domain, each). Columns: site, kind."""

    site: I32
    kind: tuple[FabricKind, ...]


@dataclass(frozen=True)
class Pods(Table):
    """Groups of leaf groups that share spine switches. Columns: fabric (index)."""

    fabric: I32


@dataclass(frozen=True)
class LeafGroups(Table):
    """Groups of nodes that hang on the same leaf switches. Columns: pod (index)."""

    pod: I32


@dataclass(frozen=True)
class NvlinkDomains(Table):
    """Sets of GPUs joined by NVLink switches (an HGX node, an NVL72 rack).

    Columns: leaf_group (index). A node with no NVLink to others is a domain of its own.
    """

    leaf_group: I32


@dataclass(frozen=True)
class Switches(Table):
    """Switches of the compute fabrics.

    Columns: fabric (index), tier (index into ``TIERS``), rail (index; -1 above the leaf tier and
    for a leaf that serves several rails), pod (index, -1 for core), switch_port_count, guid
    (64 bit; 0 when Ethernet).
    """

    fabric: I32
    tier: I32
    rail: I32
    pod: I32
    switch_port_count: I32
    guid: U64


@dataclass(frozen=True)
class Links:
    """Cables between switches, lower tier first: switch index and switch port (1-based) at ends."""

    lower: I32
    lower_switch_port: I32
    upper: I32
    upper_switch_port: I32

    def __post_init__(self) -> None:
        """Make arrays read-only."""
        for field in fields(self):
            getattr(self, field.name).setflags(write=False)

    def __len__(self) -> int:
        """Count of cables."""
        return len(self.lower)


@dataclass(frozen=True, slots=True)
class NodeType:
    """What every node of one type has; the values come from the catalogue or the operator.

    Fields:
        name: e.g. "hgx-h100".
        gpu_type: name of the GPU as a tenant asks for it, e.g. "h100".
        gpu_count: GPUs in the node, 1 to 16.
        nic_count: NICs on the compute fabric; NIC i sits beside GPU i * gpu_count // nic_count.
        numa_count: NUMA domains; GPUs are split evenly, in order.
        power_w_max: W, the whole node at full load, at the rack inlet.
        memory_bytes: host memory.
        cpu_core_count: physical CPU cores.
        dpu_count: DPUs on the in-band network.
        price_micro_usd_per_gpu_hour: the operator's list price, micro-USD per GPU-hour.
        is_bare_metal: no hypervisor runs on it, so it is given whole or not at all.
    """

    name: str
    gpu_type: str
    gpu_count: int
    nic_count: int
    numa_count: int
    power_w_max: float
    memory_bytes: int
    cpu_core_count: int
    dpu_count: int
    price_micro_usd_per_gpu_hour: int
    is_bare_metal: bool = False


@dataclass(frozen=True)
class Nodes(Table):
    """Nodes.

    Columns: type (index into ``Fleet.node_types``), rack, nvlink_domain, leaf_group (indices),
    bmc_ipv4 (address of the BMC on the out-of-band network, as an integer; unique).
    """

    type: I32
    rack: I32
    nvlink_domain: I32
    leaf_group: I32
    bmc_ipv4: U32


@dataclass(frozen=True)
class Nics:
    """NICs on the compute fabrics, sorted by node, then by rail.

    Columns: node (index), rail (index, also the NIC's number in its node), guid (port GUID for
    InfiniBand, MAC for RoCE; unique and > 0), leaf (switch index), leaf_switch_port (1-based).
    """

    node: I32
    rail: I32
    guid: U64
    leaf: I32
    leaf_switch_port: I32

    def __post_init__(self) -> None:
        """Make arrays read-only."""
        for field in fields(self):
            getattr(self, field.name).setflags(write=False)

    def __len__(self) -> int:
        """Count of NICs."""
        return len(self.node)


@dataclass(frozen=True)
class StoragePools(Table):
    """Parallel file systems of a site. Columns: site (index), capacity_bytes."""

    site: I32
    capacity_bytes: I64


@dataclass(frozen=True, eq=False)
class Fleet:
    """All there is, at one moment. See the module docstring for the levels."""

    name: str
    sites: Sites
    power_feeds: PowerFeeds
    halls: Halls
    racks: Racks
    fabrics: Fabrics
    pods: Pods
    leaf_groups: LeafGroups
    nvlink_domains: NvlinkDomains
    switches: Switches
    links: Links
    node_types: tuple[NodeType, ...]
    nodes: Nodes
    nics: Nics
    storage_pools: StoragePools

    @cached_property
    def gpu_count_of_node(self) -> I32:
        """int32[N]: GPUs of each node."""
        counts = np.array([t.gpu_count for t in self.node_types], dtype=np.int32)
        return counts[self.nodes.type]

    @cached_property
    def full_gpu_mask_of_node(self) -> U16:
        """uint16[N]: mask with one bit set per GPU of the node."""
        return ((np.int32(1) << self.gpu_count_of_node) - 1).astype(np.uint16)

    @cached_property
    def pod_of_node(self) -> I32:
        """int32[N]: pod index of each node."""
        return self.leaf_groups.pod[self.nodes.leaf_group]

    @cached_property
    def fabric_of_node(self) -> I32:
        """int32[N]: fabric index of each node."""
        return self.pods.fabric[self.pod_of_node]

    @cached_property
    def site_of_node(self) -> I32:
        """int32[N]: site index of each node."""
        return self.fabrics.site[self.fabric_of_node]

    @cached_property
    def first_nic_of_node(self) -> I64:
        """int64[N+1]: NICs of node n are rows [first[n], first[n+1])."""
        counts = np.bincount(self.nics.node, minlength=len(self.nodes))
        return np.concatenate(([0], np.cumsum(counts))).astype(np.int64)

    @cached_property
    def nic_at_switch_port(self) -> dict[tuple[int, int], int]:
        """NIC row by (leaf switch row, switch port)."""
        places = zip(self.nics.leaf.tolist(), self.nics.leaf_switch_port.tolist(), strict=True)
        return {place: nic for nic, place in enumerate(places)}

    @cached_property
    def gpu_count(self) -> int:
        """GPUs in the whole fleet."""
        return int(self.gpu_count_of_node.sum())

    def node_index(self, node_id: NodeId) -> int:
        """Row of a node.

        Raises:
            UnknownIdError: no node has this id.
        """
        try:
            return self.nodes.index_of[node_id]
        except KeyError:
            raise UnknownIdError(
                f"fleet {self.name!r} has no node {node_id!r}",
                next_step="See 'gw fleet show --nodes' for the ids.",
            ) from None

    def node_id(self, index: int) -> NodeId:
        """Id of the node in row ``index``."""
        return NodeId(self.nodes.ids[index])

    def node_type(self, index: int) -> NodeType:
        """Type of the node in row ``index``."""
        return self.node_types[int(self.nodes.type[index])]
