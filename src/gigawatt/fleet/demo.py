"""Fleets to start from: the demo fleet, and others of the same make in any size.

List prices are illustrative: they are inputs of an operator, not quotes of a market.
"""

from gigawatt.fleet.builder import BlockSpec, build_fleet
from gigawatt.fleet.model import FabricKind, Fleet, NodeType
from gigawatt.units import GIB, PIB

HGX_H100 = NodeType(
    name="hgx-h100",
    gpu_type="h100",
    gpu_count=8,
    nic_count=8,
    numa_count=2,
    power_w_max=10_200.0,
    memory_bytes=2_048 * GIB,
    cpu_core_count=112,
    dpu_count=2,
    price_micro_usd_per_gpu_hour=2_500_000,
)
"""DGX H100: 10.2 kW, 2 TB, 2 x 56 cores (NVIDIA DGX H100 datasheet)."""

GB200_NVL72_NODE = NodeType(
    name="gb200-nvl72",
    gpu_type="gb200",
    gpu_count=4,
    nic_count=4,
    numa_count=2,
    power_w_max=6_700.0,
    memory_bytes=960 * GIB,
    cpu_core_count=144,
    dpu_count=1,
    price_micro_usd_per_gpu_hour=4_500_000,
)
"""One of 18 compute trays of a rack of about 120 kW (nvidia.com/en-us/data-center/gb200-nvl72)."""


def hgx_fleet(gpu_count: int, *, name: str = "demo") -> Fleet:
    """HGX H100 nodes on one rail-optimised InfiniBand fabric: 32 nodes a leaf group, 8 a pod.

    Args:
        gpu_count: a multiple of 8, up to millions; 10,000 is the demo fleet.
        name: name of the fleet.
    """
    spec = BlockSpec(
        site_id="site-a",
        country="US",
        hall_id="hall-1",
        node_type=HGX_H100,
        node_count=gpu_count // 8,
        node_prefix="h",
        fabric_id="ib0",
        storage_bytes=100 * PIB,
        racks_per_row=40,
    )
    return build_fleet(name, [spec])


def nvl72_fleet(rack_count: int, *, name: str = "nvl72") -> Fleet:
    """GB200 NVL72 racks of 18 nodes, 72 GPUs, on one RoCE fabric: 2 racks a leaf group."""
    spec = BlockSpec(
        site_id="site-b",
        country="NO",
        hall_id="hall-1",
        node_type=GB200_NVL72_NODE,
        node_count=rack_count * 18,
        node_prefix="g",
        fabric_id="eth0",
        fabric_kind=FabricKind.ROCE,
        nodes_per_rack=18,
        nodes_per_domain=18,
        nodes_per_leaf_group=36,
        radix=128,
        storage_bytes=20 * PIB,
    )
    return build_fleet(name, [spec])
