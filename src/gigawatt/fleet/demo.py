"""Fleets to start from: the demo fleet, and others of the same make in any size.

List prices are illustrative: they are inputs of an operator, not quotes of a market.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from gigawatt.errors import InputError, UnknownIdError
from gigawatt.fleet.builder import BlockSpec, build_fleet
from gigawatt.fleet.catalogue import node_type
from gigawatt.fleet.model import FabricKind, Fleet
from gigawatt.units import PIB

HGX_A100 = node_type("hgx-a100")
HGX_H100 = node_type("hgx-h100")
GB200_NVL72_NODE = node_type("gb200-nvl72")
"""One of 18 compute trays of a rack."""


def hgx_fleet(gpu_count: int, *, name: str = "demo") -> Fleet:
    """HGX H100 nodes on one rail-optimised InfiniBand fabric: 32 nodes a leaf group, 8 a pod.

    Args:
        gpu_count: a multiple of 8, up to four million; 10,000 is the demo fleet.
        name: name of the fleet.

    Raises:
        InputError: not whole nodes, none, or too many.
    """
    if gpu_count % HGX_H100.gpu_count:
        raise InputError(f"gpu_count is {gpu_count}, wanted a multiple of {HGX_H100.gpu_count}")
    spec = BlockSpec(
        site_id="site-a",
        country="US",
        hall_id="hall-1",
        node_type=HGX_H100,
        node_count=gpu_count // HGX_H100.gpu_count,
        node_prefix="h",
        fabric_id="ib0",
        storage_bytes=100 * PIB,
        racks_per_row=40,
    )
    return build_fleet(name, [spec])


def nvl72_fleet(rack_count: int, *, name: str = "nvl72") -> Fleet:
    """GB200 NVL72 racks of 18 nodes, 72 GPUs, on one RoCE fabric: 2 racks a leaf group.

    Args:
        rack_count: >= 1.
        name: name of the fleet.

    Raises:
        InputError: no rack, or too many.
    """
    return build_fleet(name, [_nvl72_block("site-b", "hall-1", rack_count)])


def _nvl72_block(site_id: str, hall_id: str, rack_count: int) -> BlockSpec:
    return BlockSpec(
        site_id=site_id,
        country="NO",
        hall_id=hall_id,
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


def mixed_fleet(*, name: str = "mixed") -> Fleet:
    """Two sites in two countries, three halls, 1,792 GPUs of three types on three fabrics.

    1,024 H100 and 480 A100 on InfiniBand in the US, 288 GB200 (4 NVL72 racks) on RoCE in Norway.
    The A100 block is the 20-node scalable unit on 40-port switches of the DGX A100 SuperPOD.
    """
    h100 = BlockSpec(
        site_id="site-a",
        country="US",
        hall_id="hall-1",
        node_type=HGX_H100,
        node_count=128,
        node_prefix="h",
        fabric_id="ib0",
        storage_bytes=10 * PIB,
    )
    a100 = BlockSpec(
        site_id="site-a",
        country="US",
        hall_id="hall-2",
        node_type=HGX_A100,
        node_count=60,
        node_prefix="a",
        fabric_id="ib1",
        nodes_per_leaf_group=20,
        radix=40,
        storage_bytes=4 * PIB,
    )
    return build_fleet(name, [h100, a100, _nvl72_block("site-b", "hall-3", 4)])


DEMO_FLEETS: Mapping[str, Callable[[], Fleet]] = MappingProxyType(
    {
        "demo": lambda: hgx_fleet(10_000),
        "small": lambda: hgx_fleet(512, name="small"),
        "mixed": mixed_fleet,
        "nvl72": lambda: nvl72_fleet(16),
    }
)
"""Fleets that can be asked for by name: 10,000 and 512 H100, the mixed fleet, 16 NVL72 racks."""


def fleet_by_name(name: str) -> Fleet:
    """The demo fleet of this name.

    Raises:
        UnknownIdError: there is none.
    """
    if name not in DEMO_FLEETS:
        raise UnknownIdError(
            f"no demo fleet is called {name!r}", next_step=f"Use one of {', '.join(DEMO_FLEETS)}."
        )
    return DEMO_FLEETS[name]()
