"""Goal: a fleet survives YAML unchanged, and a wrong file gets one clear sentence with its line.

Method: round trips over demo fleets, random blocks and odd ids; for each kind of fault change one
line of a good file and compare the message.
"""

from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gigawatt.errors import InputError
from gigawatt.fleet.block import BlockSpec
from gigawatt.fleet.builder import build_fleet
from gigawatt.fleet.catalogue import node_types
from gigawatt.fleet.demo import DEMO_FLEETS, HGX_H100, fleet_by_name, hgx_fleet
from gigawatt.fleet.model import FabricKind, Fleet
from gigawatt.fleet.yaml_format import NICS_PER_FILE_MAX, dump_fleet, load_fleet

SHORT = """\
schema: gigawatt/fleet/1
name: demo
blocks:
- site_id: site-a
  country: US
  hall_id: hall-1
  node_type: hgx-h100
  node_count: 1250
  node_prefix: h
  fabric_id: ib0
  storage_bytes: 112589990684262400
  racks_per_row: 40
"""


def tiny() -> Fleet:
    """Four HGX nodes in two racks and two leaf groups."""
    return build_fleet(
        "tiny",
        [
            BlockSpec(
                "s1",
                "NO",
                "h1",
                HGX_H100,
                4,
                "h",
                "ib0",
                nodes_per_rack=2,
                nodes_per_leaf_group=2,
                radix=4,
                storage_bytes=1 << 40,
            )
        ],
    )


def test_bare_metal_survives_the_round_trip() -> None:
    fleet = tiny()
    metal = replace(fleet, node_types=(replace(fleet.node_types[0], is_bare_metal=True),))
    assert load_fleet(dump_fleet(metal)).node_types == metal.node_types
    assert "is_bare_metal" not in dump_fleet(fleet)


def assert_equal(first: Fleet, second: Fleet) -> None:
    """Every table, column and order is the same, and so is every dtype."""
    assert (first.name, first.node_types) == (second.name, second.node_types)
    for field in fields(first):
        one, two = getattr(first, field.name), getattr(second, field.name)
        if field.name in {"name", "node_types"}:
            continue
        for column in fields(one):
            left, right = getattr(one, column.name), getattr(two, column.name)
            if isinstance(left, np.ndarray):
                assert left.dtype == right.dtype, (field.name, column.name)
                np.testing.assert_array_equal(left, right)
            else:
                assert left == right, (field.name, column.name)


def error_of(text: str) -> str:
    with pytest.raises(InputError) as caught:
        load_fleet(text, "fleet.yaml")
    return str(caught.value)


@pytest.mark.parametrize("name", DEMO_FLEETS)
def test_every_demo_fleet_survives(name):
    fleet = fleet_by_name(name)
    assert_equal(load_fleet(dump_fleet(fleet)), fleet)


def test_ten_thousand_gpus_are_a_file_of_a_few_megabytes():
    assert len(dump_fleet(hgx_fleet(10_000))) < 3_000_000


def test_fifteen_lines_are_ten_thousand_gpus():
    assert len(SHORT.splitlines()) <= 15
    assert_equal(load_fleet(SHORT), hgx_fleet(10_000))


@st.composite
def specs(draw, number: int):
    per_domain = draw(st.sampled_from([1, 2]))
    per_rack = per_domain * draw(st.integers(1, 3))
    per_group = per_rack * draw(st.integers(1, 3))
    pod = draw(st.integers(1, 3))
    return BlockSpec(
        f"site-{draw(st.integers(1, 2))}",
        "SE",
        f"hall-{number}",
        draw(st.sampled_from([row.node_type for row in node_types()])),
        draw(st.integers(1, 30)),
        f"n{number}",
        f"f{number}",
        fabric_kind=draw(st.sampled_from(FabricKind)),
        nodes_per_rack=per_rack,
        nodes_per_domain=per_domain,
        nodes_per_leaf_group=per_group,
        leaf_groups_per_pod=pod,
        radix=max(per_group + draw(st.integers(1, 8)), 2 * pod),
        storage_bytes=draw(st.integers(0, (1 << 63) - 1)),
        racks_per_row=draw(st.integers(1, 5)),
    )


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 3).flatmap(lambda n: st.tuples(*(specs(i) for i in range(n)))))
def test_random_fleets_survive(blocks):
    fleet = build_fleet("random", blocks)
    assert_equal(load_fleet(dump_fleet(fleet)), fleet)


ODD_TEXT = st.text(st.characters(blacklist_categories=["C", "Z"]), min_size=1, max_size=20).filter(
    str.isprintable
)
AWKWARD = [
    "NO", "yes", "null", "~", "12", "1.5", "0x10", "12:30", "-", "- a", "a: b", "#x", "{a", "[b]",
    "*c", "&d", "!e", "'", '"', "\\", "a,b", "2024-01-01", "<<", "=", ".inf", "1e3", "é", "節点",
    "🙂", "@x", "%x", "`x", "?", ":", "a:", "a:1", "|", ">", "...", "---",
]  # fmt: skip


@settings(deadline=None, max_examples=150)
@given(st.one_of(ODD_TEXT, st.sampled_from([x for x in AWKWARD if " " not in x])))
def test_any_printable_id_survives(name):
    fleet = tiny()
    nodes = replace(fleet.nodes, ids=(name, *fleet.nodes.ids[1:]))
    switches = replace(fleet.switches, ids=(name, *fleet.switches.ids[1:]))
    odd = replace(fleet, name=name, nodes=nodes, switches=switches)
    assert_equal(load_fleet(dump_fleet(odd)), odd)


@settings(deadline=None, max_examples=50)
@given(st.floats(1e-300, 1e14, exclude_min=True))
def test_any_power_survives(watts):
    fleet = tiny()
    feeds = replace(fleet.power_feeds, capacity_w=fleet.power_feeds.capacity_w + watts)
    changed = replace(fleet, power_feeds=feeds)
    assert_equal(load_fleet(dump_fleet(changed)), changed)


def test_a_country_called_no_is_norway_even_without_quotes():
    text = dump_fleet(tiny()).replace('"NO"', "NO")
    assert load_fleet(text).sites.country == ("NO",)


def test_a_file_may_bring_its_own_node_type():
    own = (
        "node_types:\n- {name: mine, gpu_type: x1, gpu_count: 4, nic_count: 4, numa_count: 1,"
        " power_w_max: 900, memory_bytes: 1000, cpu_core_count: 8, dpu_count: 0,"
        " price_micro_usd_per_gpu_hour: 1}\n"
    )
    fleet = load_fleet(SHORT.replace("blocks:", own + "blocks:").replace("hgx-h100", "mine"))
    assert fleet.node_types[0].gpu_type == "x1"
    assert fleet.gpu_count == 5_000


def line_of(text: str, part: str) -> int:
    """Line number of the first line that has ``part``."""
    return next(i for i, line in enumerate(text.splitlines(), 1) if part in line)


RACK_POWER = "rack 'h-r0000' draw 20.4 kW, its limit is 1.0 kW"

FAULTS = [
    ("rack: h-r0001", "rack: r9", "nodes[2].rack: no rack 'r9'; known: h-r0000, h-r0001"),
    ("rack: h-r0001", "rack: 7", "nodes[2].rack: Input should be a valid string, got 7"),
    ("rack: h-r0001, ", "", "nodes[2].rack: is missing"),
    ("rack: h-r0001", "rack: h-r0001, rak: 1", "nodes[2].rak: this key is not known here"),
    ("rack: h-r0001", "rack: h-r0001, rack: h-r0001", "nodes[2]: key 'rack' is there twice"),
    ("id: h-su001-n00", "id: h-su000-n00", "nodes[2].id: id 'h-su000-n00' is taken by nodes[0]"),
    ("leaf_group: h-su001, bmc", "leaf_group: x, bmc", "nodes[2].leaf_group: no leaf group 'x'"),
    ("[ib0-leaf0008:1,", "[leaf:1,", "nodes[2].nics[0]: no switch 'leaf'; known: ib0-leaf0000,"),
    ("[ib0-leaf0008:1,", "[ib0-leaf0008,", "nodes[2].nics[0]: is 'ib0-leaf0008', wanted SWITCH:"),
    ("[ib0-leaf0008:1,", "[ib0-leaf0008:9,", "nodes[2].nics[0]: switch port 9 of 'ib0-leaf0008'"),
    ("[ib0-leaf0008:1,", "[", "nodes[2].guids: 8 GUIDs for 7 NICs"),
    ("[0x2c90300100010,", "[0x2c90300100000,", "nodes[2].nics[0]: NIC 0 of node 'h-su001-n00' has"),
    ("[0x2c90300100010,", "[-1,", "nodes[2].guids[0]: Input should be greater than or equal to 0"),
    (
        "[0x2c90300100010,",
        "[99999999999999999999999,",
        "nodes[2].guids[0]: Input should be less than 18446744073709551616",
    ),
    ("[0x2c90300100010,", f"[{'9' * 5000},", "nodes[2].guids[0]: number of 5000 digits"),
    ("bmc: 100.64.0.12", "bmc: 100.64.0.300", "nodes[2].bmc: is '100.64.0.300', wanted an IPv4"),
    ("bmc: 100.64.0.12", "bmc: 100.64.0.11", "nodes[2]: BMC address 100.64.0.11 of node"),
    ("[ib0-leaf0000:3,", "[ib0-leaf9:3,", "links[0][0]: no switch 'ib0-leaf9'"),
    ("- [ib0-leaf0000:3, ib0", "- [ib0-leaf0000:3, a:1, ib0", "links[0]: List should have at most"),
    ("row: 0, column: 0, power_w_max: 20400.0", "row: 0, column: 0, power_w_max: 1000.0",
     f"racks[0]: nodes of {RACK_POWER}"),
    ("row: 0, column: 0", "row: 1.5, column: 0", "racks[0].row: Input should be a valid integer"),
    ("row: 0, column: 0", "row: 99999999999, column: 0", "racks[0].row: Input should be less"),
    ("power_w_max: 10200.0", "power_w_max: .nan", "node_types[0].power_w_max: Input should be"),
    ("power_w_max: 10200.0", "power_w_max: 1e999", "node_types[0].power_w_max: Input should be"),
    ("power_w_max: 10200.0", "power_w_max: '10200'", "node_types[0].power_w_max: Input should"),
    ("gpu_count: 8", "gpu_count: 17", "node_types[0]: node type 'hgx-h100' has 17 GPUs"),
    ("kind: infiniband", "kind: token-ring", "fabrics[0].kind: Input should be 'infiniband' or"),
    ("country: \"NO\"", "country: Norway", "sites[0]: country of site 's1' is 'Norway'"),
    ("gigawatt/fleet/1", "gigawatt/fleet/2", "schema: Input should be 'gigawatt/fleet/1'"),
    ("name: tiny", "name: &a tiny", "name: anchor &a is not allowed"),
    ("name: tiny", "name: *a", "name: alias *a is not allowed"),
    ("name: tiny", "name: !!python/name:os.system x", "name: tag tag:yaml.org"),
    ("name: tiny", "name: !!str tiny", "name: tag tag:yaml.org,2002:str is not allowed"),
    ("name: tiny", "name: {a: {b: {c: {d: {e: {f: {g: {h: 1}}}}}}}}", "more than 8 levels deep"),
    ("name: tiny", "name: tiny\n---\nname: b", "a second document starts"),
    ("name: tiny", "? [a]\n: b", "a key is a list or a mapping"),
    ("name: tiny", '"a\\nb": 1\nname: tiny', "'a\\nb': this key is not known here"),
    ("name: tiny", "<<: {a: 1}\nname: tiny", "<<: this key is not known here"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "message"), FAULTS, ids=[m[:40] for _, _, m in FAULTS])
def test_a_fault_is_answered_with_line_place_and_reason(old, new, message):
    good = dump_fleet(tiny())
    assert old in good
    text = good.replace(old, new, 1)
    answer = error_of(text)
    assert message in answer
    line = int(answer.split(" line ")[1].split(":")[0])
    assert line - line_of(good, old) in (range(3) if "\n" in new else {0})
    assert answer.startswith("fleet.yaml line ")
    assert "\n" not in answer


def test_a_cut_file_is_refused_wherever_it_is_cut():
    text = dump_fleet(tiny())
    for end in range(0, len(text) - 1, 97):
        assert error_of(text[:end]).startswith("fleet.yaml line ")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty"),
        ("# nothing\n", "empty"),
        ("just words", "is a str, wanted keys and values"),
        ("- a\n- b\n", "is a list"),
        ("a: b: c", "line 1: not YAML"),
        ("a: [1, 2", "not YAML"),
        ("\x00\x01\x02", "not YAML"),
        ("\ud800", "no Unicode text"),
        ("[" * 300_000, "levels deep"),
        ("{a: " * 300_000, "levels deep"),
        ("- " * 300_000, "levels deep"),
        ("a: &a [x]\nb: [*a, *a]\n", "anchor &a is not allowed"),
        ("%YAML 9.9\n---\na: 1\n", "not YAML"),
    ],
)
def test_text_that_is_no_fleet_is_refused(text, words):
    assert words in error_of(text)


def test_a_text_that_is_too_long_is_refused_before_it_is_read():
    class Endless(str):
        """A text that says that it is long."""

        __slots__ = ()

        def __len__(self) -> int:
            return 257 << 20

    with pytest.raises(InputError, match="characters, wanted"):
        load_fleet(Endless("a: 1"), "fleet.yaml")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("hgx-h100", "hgx-h1000", "line 7: blocks[0].node_type: no node type 'hgx-h1000'; known: "),
        ("1250", "0", "line 3: blocks: block 'ib0': node_count is 0"),
        ("1250", "twelve", "line 8: blocks[0].node_count: Input should be a valid integer"),
        (
            "1250",
            str(NICS_PER_FILE_MAX),
            "line 3: blocks: nodes with 32000000 NICs, wanted <= 4000000",
        ),
        ("  racks_per_row: 40", "  racks_per_row: null", "line 12: blocks[0].racks_per_row"),
        ("  racks_per_row: 40", "  nodes_per_rack: 5", "32 nodes a leaf group is not a multiple"),
        ("  racks_per_row: 40", "  rack_per_row: 40", "line 12: blocks[0].rack_per_row: this key"),
        ("country: US", "country: USA", "country of site 'site-a' is 'USA'"),
        ("name: demo", "name: demo\nnodes: []", "line 3: nodes: this key is not known here"),
    ],
)
def test_wrong_blocks_are_answered_with_line_and_reason(old, new, words):
    assert words in error_of(SHORT.replace(old, new, 1))
