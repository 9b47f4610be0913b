"""Goal: the checker finds every kind of fault, and names rule and place.

Method: one good fleet with two sites and both kinds of fabric; for every rule break exactly one
thing and assert that this rule fires at this place. Rules that one break must trip together are
listed together; no other rule may fire.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gigawatt.fleet import check, check_rows, check_wiring
from gigawatt.fleet.block import BlockSpec
from gigawatt.fleet.builder import build_fleet
from gigawatt.fleet.check import check_fleet
from gigawatt.fleet.demo import GB200_NVL72_NODE, HGX_H100, hgx_fleet
from gigawatt.fleet.model import FabricKind, Fleet
from gigawatt.fleet.note import NOTES_PER_RULE_MAX


def good() -> Fleet:
    """48 HGX nodes in 6 leaf groups and 3 pods, and 2 NVL racks on RoCE at another site."""
    hgx = BlockSpec(
        "s1",
        "US",
        "h1",
        HGX_H100,
        48,
        "h",
        "ib0",
        nodes_per_rack=2,
        nodes_per_leaf_group=8,
        leaf_groups_per_pod=2,
        radix=16,
        storage_bytes=1 << 50,
    )
    nvl = BlockSpec(
        "s2",
        "NO",
        "h2",
        GB200_NVL72_NODE,
        8,
        "g",
        "eth0",
        fabric_kind=FabricKind.ROCE,
        nodes_per_rack=4,
        nodes_per_domain=4,
        nodes_per_leaf_group=4,
        radix=16,
    )
    return build_fleet("good", [hgx, nvl])


def put(array: np.ndarray, row: int, value: float) -> np.ndarray:
    """The array with one cell changed."""
    changed = array.copy()
    changed[row] = value
    return changed


def with_cell(fleet: Fleet, table: str, column: str, row: int, value: object) -> Fleet:
    """The fleet with one cell of one table changed."""
    old = getattr(fleet, table)
    cells = getattr(old, column)
    if isinstance(cells, tuple):
        new = (*cells[:row], value, *cells[row + 1 :])
    else:
        new = put(cells, row, value)
    return replace(fleet, **{table: replace(old, **{column: new})})


def with_node_type(fleet: Fleet, **values: object) -> Fleet:
    """The fleet with its first node type changed."""
    first, *rest = fleet.node_types
    return replace(fleet, node_types=(replace(first, **values), *rest))


def findings(fleet: Fleet) -> set[tuple[str, str]]:
    return {(note.rule, note.place) for note in check_fleet(fleet)}


def first_of_tier(fleet: Fleet, tier: int) -> int:
    return int(np.flatnonzero(fleet.switches.tier == tier)[0])


def test_the_good_fleet_is_good():
    fleet = good()
    assert check_fleet(fleet) == ()
    assert set(fleet.switches.tier.tolist()) == {0, 1, 2}


IDS = ("sites", "power_feeds", "halls", "racks", "fabrics", "pods", "leaf_groups")
MORE_IDS = ("nvlink_domains", "switches", "nodes")


@pytest.mark.parametrize("table", IDS + MORE_IDS)
def test_a_duplicate_id_is_found(table):
    fleet = good()
    broken = with_cell(fleet, table, "ids", 1, getattr(fleet, table).ids[0])
    assert findings(broken) == {("duplicate_id", f"{table}[1]")}


def test_a_duplicate_pool_and_a_duplicate_node_type_are_found():
    fleet = good()
    pools = fleet.storage_pools
    twice = replace(
        pools,
        ids=pools.ids * 2,
        site=np.repeat(pools.site, 2),
        capacity_bytes=np.repeat(pools.capacity_bytes, 2),
    )
    assert findings(replace(fleet, storage_pools=twice)) == {("duplicate_id", "storage_pools[1]")}
    types = (fleet.node_types[0], replace(fleet.node_types[1], name=fleet.node_types[0].name))
    assert findings(replace(fleet, node_types=types)) == {("duplicate_id", "node_types[1]")}


@pytest.mark.parametrize("name", ["", "a b", "a\nb", "x" * 129, "tab\t"])
def test_an_id_of_bad_shape_is_found(name):
    assert findings(with_cell(good(), "nodes", "ids", 3, name)) == {("id_shape", "nodes[3]")}


def test_a_fleet_name_of_bad_shape_is_found():
    assert findings(replace(good(), name="two\nlines")) == {("id_shape", "name")}


@pytest.mark.parametrize(("table", "column", "target"), check_rows.INDICES)
@pytest.mark.parametrize("is_negative", [True, False])
def test_a_dangling_index_is_found(table, column, target, is_negative):
    fleet = good()
    value = -1 if is_negative else len(getattr(fleet, target))
    broken = with_cell(fleet, table, column, 0, value)
    assert ("dangling_index", f"{table}[0]") in findings(broken)
    assert {rule for rule, _ in findings(broken)} == {"dangling_index"}


@pytest.mark.parametrize(
    ("tier", "column", "value"),
    [(0, "pod", -1), (1, "pod", 99), (2, "pod", 0), (0, "tier", 3), (0, "tier", -1)],
)
def test_a_switch_whose_tier_and_pod_do_not_fit_is_found(tier, column, value):
    fleet = good()
    row = first_of_tier(fleet, tier)
    broken = with_cell(fleet, "switches", column, row, value)
    assert ("dangling_index", f"switches[{row}]") in findings(broken)


@pytest.mark.parametrize("gpu_count", [0, 17])
def test_a_gpu_count_out_of_range_is_found(gpu_count):
    assert findings(with_node_type(good(), gpu_count=gpu_count)) == {("gpu_count", "node_types[0]")}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("numa_count", 0),
        ("memory_bytes", 0),
        ("cpu_core_count", 0),
        ("dpu_count", -1),
        ("price_micro_usd_per_gpu_hour", -1),
        ("power_w_max", 0.0),
        ("power_w_max", float("nan")),
    ],
)
def test_a_node_type_out_of_range_is_found(field, value):
    found = findings(with_node_type(good(), **{field: value}))
    assert found == {("node_type", "node_types[0]")}


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        ("power_feeds", "capacity_w", float("inf")),
        ("racks", "power_w_max", float("inf")),
        ("racks", "row", -1),
        ("racks", "column", -1),
        ("storage_pools", "capacity_bytes", -1),
    ],
)
def test_a_quantity_out_of_range_is_found(table, column, value):
    assert findings(with_cell(good(), table, column, 0, value)) == {("quantity", f"{table}[0]")}


def test_a_switch_without_ports_is_found():
    broken = with_cell(good(), "switches", "switch_port_count", 0, 0)
    assert ("quantity", "switches[0]") in findings(broken)


@pytest.mark.parametrize("country", ["Norway", "no", ""])
def test_a_country_that_is_no_code_is_found(country):
    assert findings(with_cell(good(), "sites", "country", 1, country)) == {("country", "sites[1]")}


def test_two_racks_in_one_place_are_found():
    fleet = good()
    broken = with_cell(fleet, "racks", "column", 1, fleet.racks.column[0])
    assert findings(broken) == {("floor_position", "racks[1]")}


@pytest.mark.parametrize("source", [None, 0])
def test_a_bmc_address_that_is_not_its_own_is_found(source):
    fleet = good()
    address = 0 if source is None else fleet.nodes.bmc_ipv4[source]
    broken = with_cell(fleet, "nodes", "bmc_ipv4", 5, address)
    assert findings(broken) == {("bmc_address", "nodes[5]")}


@pytest.mark.parametrize("source", [None, 0])
def test_a_nic_guid_that_is_not_its_own_is_found(source):
    fleet = good()
    guid = 0 if source is None else fleet.nics.guid[source]
    broken = with_cell(fleet, "nics", "guid", 9, guid)
    assert findings(broken) == {("nic_guid", "nodes[1].nics[1]")}


def test_a_guid_that_is_no_mac_is_found_on_roce():
    fleet = good()
    last = len(fleet.nics) - 1
    broken = with_cell(fleet, "nics", "guid", last, 1 << 48)
    assert findings(broken) == {("nic_guid", f"nodes[{len(fleet.nodes) - 1}].nics[3]")}


def test_a_switch_guid_that_is_not_its_own_is_found():
    fleet = good()
    last = len(fleet.switches) - 1
    for row, guid in (
        (1, 0),
        (1, fleet.switches.guid[0]),
        (1, fleet.nics.guid[0]),
        (last, 1 << 40),
    ):
        broken = with_cell(fleet, "switches", "guid", row, guid)
        assert findings(broken) == {("switch_guid", f"switches[{row}]")}


@pytest.mark.parametrize(
    ("table", "column", "place"),
    [
        ("nics", "leaf_switch_port", "nodes[0].nics[0]"),
        ("links", "lower_switch_port", "links[0]"),
        ("links", "upper_switch_port", "links[0]"),
    ],
)
@pytest.mark.parametrize("switch_port", [0, -1, 17])
def test_a_switch_port_out_of_range_is_found(table, column, place, switch_port):
    broken = with_cell(good(), table, column, 0, switch_port)
    assert findings(broken) == {("switch_port_range", place)}


def test_a_switch_port_used_twice_is_found():
    fleet = good()
    nic = with_cell(fleet, "nics", "leaf_switch_port", 8, fleet.nics.leaf_switch_port[0])
    assert findings(nic) == {("switch_port_reuse", "nodes[1].nics[0]")}
    switch_port = fleet.links.upper_switch_port[0]
    same = np.flatnonzero(fleet.links.upper == fleet.links.upper[0])[1]
    link = with_cell(fleet, "links", "upper_switch_port", int(same), switch_port)
    assert findings(link) == {("switch_port_reuse", f"links[{same}]")}
    against_nic = with_cell(fleet, "links", "lower_switch_port", 0, 1)
    assert findings(against_nic) == {("switch_port_reuse", "links[0]")}


def test_nics_out_of_order_are_found():
    fleet = good()
    order = np.arange(len(fleet.nics))
    order[[0, 8]] = order[[8, 0]]
    nics = replace(
        fleet.nics,
        **{
            name: getattr(fleet.nics, name)[order]
            for name in ("node", "rail", "guid", "leaf", "leaf_switch_port")
        },
    )
    assert {rule for rule, _ in findings(replace(fleet, nics=nics))} == {"nic_order"}


def test_a_missing_nic_is_found():
    fleet = good()
    keep = np.arange(len(fleet.nics)) != 15
    nics = replace(
        fleet.nics,
        **{
            name: getattr(fleet.nics, name)[keep]
            for name in ("node", "rail", "guid", "leaf", "leaf_switch_port")
        },
    )
    assert findings(replace(fleet, nics=nics)) == {("nic_order", "nodes[1]")}


def test_a_nic_with_a_rail_that_is_not_its_number_is_found():
    broken = with_cell(good(), "nics", "rail", 0, 5)
    assert ("nic_order", "nodes[0].nics[0]") in findings(broken)


def test_a_nic_in_a_spine_or_another_pod_or_fabric_is_found():
    fleet = good()
    leaves = np.flatnonzero((fleet.switches.tier == 0) & (fleet.switches.rail == 0))
    spine, far, foreign = first_of_tier(fleet, 1), int(leaves[-3]), int(leaves[-1])
    for leaf in (spine, far, foreign):
        found = findings(with_cell(fleet, "nics", "leaf", 0, leaf))
        assert ("nic_leaf", "nodes[0].nics[0]") in found


def test_swapped_cables_of_two_rails_are_found():
    fleet = good()
    leaf = fleet.nics.leaf.copy()
    leaf[[0, 1]] = leaf[[1, 0]]
    found = findings(replace(fleet, nics=replace(fleet.nics, leaf=leaf)))
    assert {("nic_rail", "nodes[0].nics[0]"), ("nic_rail", "nodes[0].nics[1]")} <= found
    assert {rule for rule, _ in found} == {"nic_rail", "leaf_set"}


def test_a_leaf_that_serves_several_rails_is_allowed_when_it_says_so():
    """Top-of-rack wiring: all NICs of a group in one leaf whose rail is -1."""
    fleet = build_fleet("tor", [BlockSpec("s1", "US", "h1", HGX_H100, 4, "h", "ib0")])
    nics = replace(
        fleet.nics,
        leaf=np.zeros_like(fleet.nics.leaf),
        leaf_switch_port=np.arange(1, len(fleet.nics) + 1, dtype=np.int32),
    )
    wired = replace(fleet, nics=nics)
    assert ("nic_rail", "nodes[0].nics[1]") in findings(wired)
    assert findings(with_cell(wired, "switches", "rail", 0, -1)) == set()


def test_nodes_of_a_leaf_group_on_different_leaves_are_found():
    """Node 1 hangs on the leaf of the pod's other group, on its own rail and a free port."""
    fleet = good()
    leaf = int(fleet.nics.leaf[8 * 8])
    switch_port = int(fleet.switches.switch_port_count[leaf]) + 1
    broken = with_cell(fleet, "nics", "leaf", 8, leaf)
    broken = with_cell(broken, "nics", "leaf_switch_port", 8, switch_port)
    broken = with_cell(broken, "switches", "switch_port_count", leaf, switch_port)
    assert findings(broken) == {("leaf_set", "nodes[1].nics[0]")}


def test_a_cable_that_skips_a_tier_is_found():
    fleet = good()
    core = first_of_tier(fleet, 2)
    count = int(fleet.switches.switch_port_count[core]) + 1
    broken = with_cell(fleet, "links", "upper", 0, core)
    broken = with_cell(broken, "links", "upper_switch_port", 0, count)
    broken = with_cell(broken, "switches", "switch_port_count", core, count)
    assert findings(broken) == {("link_tier", "links[0]")}


def test_a_cable_between_two_pods_below_the_core_is_found():
    fleet = good()
    spine = int(np.flatnonzero((fleet.switches.tier == 1) & (fleet.switches.pod == 1))[0])
    count = int(fleet.switches.switch_port_count[spine]) + 1
    broken = with_cell(fleet, "links", "upper", 0, spine)
    broken = with_cell(broken, "links", "upper_switch_port", 0, count)
    broken = with_cell(broken, "switches", "switch_port_count", spine, count)
    assert findings(broken) == {("link_fabric", "links[0]")}


def test_a_cable_between_two_fabrics_is_found():
    fleet = good()
    links = np.flatnonzero(fleet.switches.tier[fleet.links.upper] == 2)
    core, link = int(fleet.links.upper[links[0]]), int(links[0])
    foreign = int(np.flatnonzero((fleet.switches.tier == 1) & (fleet.switches.fabric == 1))[0])
    count = int(fleet.switches.switch_port_count[foreign]) + 1
    broken = with_cell(fleet, "links", "lower", link, foreign)
    broken = with_cell(broken, "links", "lower_switch_port", link, count)
    broken = with_cell(broken, "switches", "switch_port_count", foreign, count)
    assert fleet.switches.fabric[core] == 0
    assert findings(broken) == {("link_fabric", f"links[{link}]")}


def test_a_switch_in_another_fabric_than_its_pod_is_found():
    fleet = good()
    spine = first_of_tier(fleet, 1)
    found = findings(with_cell(fleet, "switches", "fabric", spine, 1))
    assert ("switch_pod", f"switches[{spine}]") in found
    assert {rule for rule, _ in found} == {"switch_pod", "link_fabric", "switch_guid"}


def test_a_domain_across_leaf_groups_is_found():
    fleet = good()
    nvlink_domain = int(fleet.nodes.nvlink_domain[0])
    broken = with_cell(fleet, "nvlink_domains", "leaf_group", nvlink_domain, 1)
    assert findings(broken) == {("domain_leaf_group", "nodes[0]")}


def test_a_domain_across_racks_is_found():
    fleet = good()
    broken = with_cell(fleet, "nodes", "nvlink_domain", 2, fleet.nodes.nvlink_domain[0])
    assert findings(broken) == {("domain_rack", "nodes[2]")}


def test_a_node_away_from_its_fabrics_site_is_found():
    fleet = good()
    rack = len(fleet.racks) - 1
    roomy = with_cell(fleet, "racks", "power_w_max", rack, 1e9)
    roomy = with_cell(roomy, "power_feeds", "capacity_w", 1, 1e9)
    broken = with_cell(roomy, "nodes", "rack", 0, rack)
    assert findings(broken) == {("site", "nodes[0]")}


def test_a_rack_away_from_its_feeds_site_is_found():
    fleet = with_cell(good(), "power_feeds", "capacity_w", 1, 1e9)
    assert findings(with_cell(fleet, "racks", "feed", 0, 1)) == {("site", "racks[0]")}


def test_a_rack_over_its_limit_is_found():
    fleet = good()
    broken = with_cell(fleet, "racks", "power_w_max", 3, fleet.racks.power_w_max[3] - 1)
    assert findings(broken) == {("rack_power", "racks[3]")}
    assert "20.4 kW" in check_fleet(broken)[0].sentence


def test_a_feed_over_its_capacity_is_found():
    fleet = good()
    broken = with_cell(fleet, "power_feeds", "capacity_w", 0, fleet.power_feeds.capacity_w[0] - 1)
    assert findings(broken) == {("feed_power", "power_feeds[0]")}


def test_many_findings_of_one_rule_are_counted_not_listed():
    fleet = hgx_fleet(2_048)
    guids = np.zeros_like(fleet.nics.guid)
    notes = check_fleet(replace(fleet, nics=replace(fleet.nics, guid=guids)))
    assert len(notes) == NOTES_PER_RULE_MAX
    assert f"and {2_048 - NOTES_PER_RULE_MAX} more" in notes[-1].sentence


def test_every_rule_that_is_documented_is_named_by_a_test():
    documented = {
        line.split("|")[1].strip()
        for module in (check, check_rows, check_wiring)
        for line in (module.__doc__ or "").splitlines()
        if line.startswith("| ") and not line.startswith("| rule")
    }
    text = Path(__file__).read_text(encoding="utf-8")
    assert len(documented) == 25
    assert all(f'"{rule}"' in text for rule in documented)
