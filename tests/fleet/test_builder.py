"""Goal: builders wire fleets that a real fabric could have, or refuse.

Method: hypothesis over block specs: the independent checker finds nothing, every rail of a group
meets in one leaf, every two pods share a core switch. Contradictory blocks: one test each.
"""

from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gigawatt.errors import InputError, UnknownIdError
from gigawatt.fleet.block import BlockSpec, block_shape
from gigawatt.fleet.builder import build_fleet
from gigawatt.fleet.catalogue import node_types
from gigawatt.fleet.check import check_fleet
from gigawatt.fleet.demo import (
    DEMO_FLEETS,
    GB200_NVL72_NODE,
    HGX_H100,
    fleet_by_name,
    hgx_fleet,
    mixed_fleet,
    nvl72_fleet,
)
from gigawatt.fleet.model import TIERS, FabricKind, Fleet, Tier

BLOCK = BlockSpec("s1", "US", "hall", HGX_H100, 40, "h", "ib0")


@st.composite
def block_specs(draw):
    per_domain = draw(st.sampled_from([1, 1, 2, 3]))
    per_rack = per_domain * draw(st.integers(1, 3))
    per_group = per_rack * draw(st.integers(1, 4))
    pod = draw(st.integers(1, 6))
    return BlockSpec(
        "s1",
        draw(st.sampled_from(["US", "NO"])),
        "hall",
        draw(st.sampled_from([row.node_type for row in node_types()])),
        draw(st.integers(1, 150)),
        "n",
        "f",
        fabric_kind=draw(st.sampled_from(FabricKind)),
        nodes_per_rack=per_rack,
        nodes_per_domain=per_domain,
        nodes_per_leaf_group=per_group,
        leaf_groups_per_pod=pod,
        radix=max(per_group + draw(st.integers(1, 30)), 2 * pod),
        storage_bytes=draw(st.integers(0, 1 << 50)),
        racks_per_row=draw(st.integers(1, 9)),
    )


def assert_rails_meet_in_one_leaf(fleet: Fleet) -> None:
    nics = fleet.nics
    leaf_of: dict[tuple[int, int], int] = {}
    groups = fleet.nodes.leaf_group[nics.node]
    for group, rail, leaf in zip(
        groups.tolist(), nics.rail.tolist(), nics.leaf.tolist(), strict=True
    ):
        assert leaf_of.setdefault((group, rail), leaf) == leaf
    assert len(set(leaf_of.values())) == len(leaf_of), "two groups or rails share a leaf"


def pods_of_cores(fleet: Fleet) -> dict[int, set[int]]:
    """Pods that each core switch has a cable to."""
    is_core = fleet.switches.tier[fleet.links.upper] == TIERS.index(Tier.CORE)
    pods: dict[int, set[int]] = {}
    for lower, upper in zip(fleet.links.lower[is_core], fleet.links.upper[is_core], strict=True):
        pods.setdefault(int(upper), set()).add(int(fleet.switches.pod[lower]))
    return pods


@settings(deadline=None, max_examples=80)
@given(block_specs())
def test_whatever_is_built_passes_the_checker(spec):
    fleet = build_fleet("any", [spec])
    assert check_fleet(fleet) == ()
    assert fleet.gpu_count == spec.node_count * spec.node_type.gpu_count
    assert_rails_meet_in_one_leaf(fleet)
    for pods in pods_of_cores(fleet).values():
        assert pods == set(range(len(fleet.pods)))


@settings(deadline=None, max_examples=40)
@given(block_specs())
def test_every_leaf_reaches_every_spine_of_its_rail_and_no_cable_is_lost(spec):
    fleet = build_fleet("any", [spec])
    shape = block_shape(spec)
    if shape.groups == 1:
        assert len(fleet.links) == 0
        return
    is_leaf = fleet.switches.tier[fleet.links.lower] == TIERS.index(Tier.LEAF)
    cables = np.bincount(fleet.links.lower[is_leaf])
    assert set(cables.tolist()) == {shape.uplinks}
    reached: dict[int, set[int]] = {}
    for lower, upper in zip(fleet.links.lower[is_leaf], fleet.links.upper[is_leaf], strict=True):
        reached.setdefault(int(lower), set()).add(int(upper))
    assert all(len(spines) == shape.spines_per_rail for spines in reached.values())


def test_a_pod_of_six_groups_keeps_within_the_spines_ports():
    """Six groups of 32 uplinks do not divide evenly among spines of 64 ports."""
    fleet = hgx_fleet(6 * 32 * 8)
    assert fleet.links.upper_switch_port.max() <= 64
    assert check_fleet(fleet) == ()


def test_the_demo_fleet_has_the_shape_of_the_scalable_unit():
    fleet = hgx_fleet(10_000)
    assert (len(fleet.nodes), len(fleet.leaf_groups), len(fleet.pods)) == (1_250, 40, 5)
    assert fleet.switches.switch_port_count.max() == 64
    is_leaf = fleet.switches.tier == TIERS.index(Tier.LEAF)
    assert is_leaf.sum() == 40 * 8


def test_an_nvl72_rack_is_one_domain():
    fleet = nvl72_fleet(4)
    assert len(fleet.nvlink_domains) == len(fleet.racks) == 4
    assert (fleet.nodes.nvlink_domain == fleet.nodes.rack).all()
    assert (fleet.switches.guid == 0).all()
    assert (fleet.nics.guid < 1 << 48).all(), "a NIC on RoCE has a MAC"


def test_the_mixed_fleet_is_what_it_says():
    fleet = mixed_fleet()
    assert fleet.gpu_count == 1_792
    assert set(fleet.sites.country) == {"US", "NO"}
    assert len(fleet.halls) == 3
    assert {t.gpu_type for t in fleet.node_types} == {"h100", "a100", "gb200"}
    assert fleet.fabrics.kind.count(FabricKind.ROCE) == 1


@pytest.mark.parametrize("name", DEMO_FLEETS)
def test_every_demo_fleet_is_flawless(name):
    assert check_fleet(fleet_by_name(name)) == ()


def test_an_unknown_demo_fleet_is_answered_with_the_known_ones():
    with pytest.raises(UnknownIdError) as caught:
        fleet_by_name("nope")
    assert "mixed" in caught.value.next_step


def test_a_million_gpus_fit_in_200_megabytes_and_pass_the_checker():
    fleet = hgx_fleet(1_000_000)
    size = sum(
        column.nbytes
        for table in (getattr(fleet, field.name) for field in fields(fleet))
        if hasattr(table, "__dataclass_fields__")
        for column in (getattr(table, field.name) for field in fields(table))
        if isinstance(column, np.ndarray)
    )
    assert size < 200e6
    assert check_fleet(fleet) == ()


def test_building_twice_gives_the_same():
    first, second = mixed_fleet(), mixed_fleet()
    assert first.nodes.ids == second.nodes.ids
    assert (first.nics.guid == second.nics.guid).all()
    assert (first.links.upper == second.links.upper).all()


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"node_count": 0}, "node_count is 0"),
        ({"node_count": 1 << 40}, "node_count"),
        ({"nodes_per_rack": 0}, "nodes_per_rack is 0"),
        ({"nodes_per_domain": -1}, "nodes_per_domain is -1"),
        ({"nodes_per_leaf_group": 0}, "nodes_per_leaf_group is 0"),
        ({"leaf_groups_per_pod": 0}, "leaf_groups_per_pod is 0"),
        ({"radix": 0}, "radix is 0"),
        ({"racks_per_row": 0}, "racks_per_row is 0"),
        ({"storage_bytes": -1}, "storage_bytes is -1"),
        ({"nodes_per_rack": 5}, "not a multiple of 5 a rack"),
        ({"nodes_per_domain": 3}, "not a multiple of 3 a domain"),
        ({"radix": 16}, "more than the radix 16"),
        ({"radix": 32}, "leaves no port"),
        ({"node_count": 33 * 32 * 33, "leaf_groups_per_pod": 33}, "33 leaf groups"),
        ({"node_count": 3_000 * 32, "leaf_groups_per_pod": 1}, "3000 pods"),
        (
            {
                "node_count": 400_000,
                "nodes_per_leaf_group": 1,
                "nodes_per_rack": 1,
                "leaf_groups_per_pod": 400,
                "radix": 4_000,
            },
            "switches",
        ),
        ({"node_type": replace(HGX_H100, gpu_count=17)}, "17 GPUs"),
        ({"node_type": replace(HGX_H100, nic_count=0)}, "0 NICs"),
        ({"node_type": replace(HGX_H100, nic_count=65)}, "65 NICs, wanted 1 to 64"),
        ({"node_type": replace(HGX_H100, power_w_max=float("nan"))}, "nan W"),
    ],
)
def test_a_block_that_contradicts_itself_is_refused(change, word):
    with pytest.raises(InputError, match=word) as caught:
        build_fleet("bad", [replace(BLOCK, **change)])
    assert "'ib0'" in str(caught.value)


OTHER = replace(BLOCK, node_prefix="g", fabric_id="ib1")
WIDE = {"nodes_per_leaf_group": 64, "leaf_groups_per_pod": 64, "radix": 128}


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"fabric_id": "ib0"}, "fabric 'ib0'"),
        ({"node_prefix": "h"}, "node_prefix 'h'"),
        ({"country": "NO"}, "country of site 's1'"),
        ({"site_id": "s2"}, "site of hall 'hall'"),
        ({"node_type": replace(GB200_NVL72_NODE, name="hgx-h100")}, "node type 'hgx-h100'"),
    ],
)
def test_blocks_that_contradict_each_other_are_refused(change, word):
    assert check_fleet(build_fleet("good", [BLOCK, OTHER])) == ()
    with pytest.raises(InputError, match=word):
        build_fleet("bad", [BLOCK, replace(OTHER, **change)])


def test_no_blocks_and_half_nodes_are_refused():
    with pytest.raises(InputError, match="no blocks"):
        build_fleet("none", [])
    with pytest.raises(InputError, match="multiple of 8"):
        hgx_fleet(100)
    with pytest.raises(InputError, match="BMC"):
        build_fleet(
            "huge", [replace(block, node_count=2_200_000, **WIDE) for block in (BLOCK, OTHER)]
        )
