"""Goal: a fabric read from ibnetdiscover is the fabric that stands there, or is refused by line.

Method: random fleets are written in ibnetdiscover's format and read back, table by table; a real
capture (ibsim, opensm, ibnetdiscover) is read; the real tools are run where installed; and each
rule of the parser and of the grouping has a text that breaks just it.
"""

import os
import re
import shutil
import subprocess
from dataclasses import fields
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gigawatt.errors import InputError
from gigawatt.fleet.builder import BlockSpec, build_fleet
from gigawatt.fleet.check import check_fleet
from gigawatt.fleet.demo import HGX_H100, hgx_fleet, nvl72_fleet
from gigawatt.fleet.discovery.ibnet_writer import ibnet_text
from gigawatt.fleet.discovery.ibnetdiscover import (
    fleet_from_ibnetdiscover,
    host_of_description,
    parse_ibnetdiscover,
    wiring_of_discovered,
)
from gigawatt.fleet.model import Fleet, NodeType

CAPTURE = Path(__file__).parent / "data" / "ibnetdiscover_8x8.txt"
UMAD2SIM = Path("/usr/lib/x86_64-linux-gnu/umad2sim/libumad2sim.so")
TOOL_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


def block(nodes: int, *, per_group: int = 2, per_pod: int = 2, radix: int = 10) -> Fleet:
    spec = BlockSpec(
        site_id="s",
        country="US",
        hall_id="h",
        node_type=HGX_H100,
        node_count=nodes,
        node_prefix="h",
        fabric_id="ib0",
        nodes_per_rack=1,
        nodes_per_leaf_group=per_group,
        leaf_groups_per_pod=per_pod,
        radix=radix,
    )
    return build_fleet("lab", [spec])


def read(text: str, node_type: NodeType = HGX_H100) -> Fleet:
    return fleet_from_ibnetdiscover(
        text, name="lab", site_id="s", country="US", node_type_of=lambda _host, _nics: node_type
    )


def assert_same_wiring(got: Fleet, want: Fleet) -> None:
    """Same rows in every table that a capture can show, ids of groups and pods aside."""
    assert got.nodes.ids == want.nodes.ids
    assert got.switches.ids == want.switches.ids
    assert np.array_equal(got.nodes.leaf_group, want.nodes.leaf_group)
    assert np.array_equal(got.leaf_groups.pod, want.leaf_groups.pod)
    for table in ("nics", "links", "switches"):
        for field in fields(getattr(want, table)):
            if field.name != "ids":
                ours, theirs = (getattr(getattr(f, table), field.name) for f in (got, want))
                assert np.array_equal(ours, theirs), f"{table}.{field.name}"


@settings(max_examples=15, deadline=None)
@given(
    nodes=st.integers(1, 24),
    per_group=st.sampled_from([1, 2, 4]),
    per_pod=st.sampled_from([1, 2, 4]),
    radix=st.sampled_from([8, 16]),
    random=st.randoms(use_true_random=False),
)
def test_fleet_to_text_to_fleet(
    nodes: int, per_group: int, per_pod: int, radix: int, random: Random
) -> None:
    fleet = block(nodes, per_group=per_group, per_pod=per_pod, radix=radix)
    blocks = ibnet_text(fleet, 0).split("\n\n")
    random.shuffle(blocks)  # ibnetdiscover prints devices in no order one may rely on
    got = read("\n\n".join(blocks))
    assert_same_wiring(got, fleet)
    assert check_fleet(got) == ()


def test_the_demo_fleet_comes_back() -> None:
    fleet = hgx_fleet(10_000)
    assert_same_wiring(read(ibnet_text(fleet, 0)), fleet)


def test_a_real_capture_is_read() -> None:
    fleet = read(CAPTURE.read_text())
    want = block(8)
    assert check_fleet(fleet) == ()
    assert fleet.nodes.ids == want.nodes.ids
    for column in ("node", "rail", "guid", "leaf", "leaf_switch_port"):
        assert np.array_equal(getattr(fleet.nics, column), getattr(want.nics, column)), column
    assert np.bincount(fleet.switches.tier).tolist() == [32, 16, 8]
    assert len(fleet.links) == 144
    assert (len(fleet.nodes), len(fleet.leaf_groups), len(fleet.pods)) == (8, 4, 2)
    assert fleet.gpu_count == 64
    assert all("assumed" in rack for rack in fleet.racks.ids)


def _missing_tool() -> str:
    for tool in ("ibsim", "ibnetdiscover"):
        if shutil.which(tool, path=TOOL_PATH) is None:
            return f"{tool} is not installed (apt-get install ibsim-utils infiniband-diags)"
    return "" if UMAD2SIM.exists() else "libumad2sim0 is not installed"


@pytest.mark.ibsim
@pytest.mark.skipif(bool(_missing_tool()), reason=_missing_tool() or "installed")
def test_the_real_tools_read_what_we_write(tmp_path: Path) -> None:
    fleet = block(24, per_group=4, per_pod=2)
    (tmp_path / "net").write_text(ibnet_text(fleet, 0))
    env = {"PATH": TOOL_PATH, "IBSIM_SOCKNAME": f"gigawatt-test-{os.getpid()}"}
    pipe = subprocess.PIPE
    command = ["ibsim", "-s", "-N", "2000", "net"]
    with subprocess.Popen(
        command, cwd=tmp_path, env=env, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL
    ) as ibsim:
        assert ibsim.stdout is not None
        try:
            assert any(b"simulator ready" in line for line in ibsim.stdout), "ibsim did not start"
            captures = discover_every_subnet(fleet, tmp_path, env)
        finally:
            ibsim.kill()
    assert_same_wiring(read(captures), fleet)


def discover_every_subnet(fleet: Fleet, folder: Path, env: dict[str, str]) -> str:
    """What ibnetdiscover prints from the NICs of the first node; rails may be separate subnets."""
    text = ""
    for rail in range(fleet.node_type(0).nic_count):
        if f'# "{fleet.nodes.ids[0]} hca{rail}"' in text:
            continue
        client = {"LD_PRELOAD": str(UMAD2SIM), "SIM_HOST": f"{fleet.nodes.ids[0]} hca{rail}"}
        text += subprocess.run(
            ["ibnetdiscover", "-C", "ibsim0"],
            cwd=folder,
            env=env | client,
            capture_output=True,
            text=True,
            check=True,
            timeout=30,
        ).stdout
    return text


SMALL = ibnet_text(block(4), 0)
LINES = SMALL.splitlines()
FIRST_CABLE = next(i for i, line in enumerate(LINES) if line.startswith("["))
FIRST_CA = next(i for i, line in enumerate(LINES) if line.startswith("Ca"))


def with_line(index: int, *replacement: str) -> str:
    return "\n".join([*LINES[:index], *replacement, *LINES[index + 1 :]])


NEXT_GUID_LINE = next(
    i for i, line in enumerate(LINES) if i > FIRST_CABLE and line.startswith("switchguid")
)
SECOND_GUID = next(line for line in LINES if line.startswith("switchguid"))


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        (with_line(FIRST_CABLE, "[1] to nowhere"), FIRST_CABLE, "wanted a device"),
        (with_line(FIRST_CABLE, '[1]\t"H-99"[1](9)'), FIRST_CABLE, "'H-99' does not exist"),
        (with_line(FIRST_CABLE, '[1]\t"H-99"[1](zz)'), FIRST_CABLE, "wanted a device"),
        (with_line(NEXT_GUID_LINE, SECOND_GUID), NEXT_GUID_LINE + 1, "duplicate GUID"),
        (with_line(FIRST_CABLE, "[99]" + LINES[FIRST_CABLE][3:]), FIRST_CABLE, "has 10 ports"),
        (
            with_line(FIRST_CABLE, LINES[FIRST_CABLE], LINES[FIRST_CABLE]),
            FIRST_CABLE + 1,
            "is cabled in line",
        ),
        (LINES[FIRST_CABLE], 0, "before the first device"),
        ('Switch 4 "S-what" # "x"', 0, "has no GUID"),
        (with_line(FIRST_CA, 'Ca\t1 "S-0002c90200000000"'), FIRST_CA, "stands in line"),
    ],
)
def test_a_broken_line_is_named(text: str, line: int, words: str) -> None:
    with pytest.raises(InputError, match=re.escape(words)) as caught:
        parse_ibnetdiscover(text)
    assert f"line {line + 1}:" in str(caught.value)


def test_ends_that_disagree_are_refused() -> None:
    ca_cable = FIRST_CA + 1
    moved = LINES[ca_cable].replace('"[1]\t', '"[2]\t')
    assert moved != LINES[ca_cable]
    with pytest.raises(InputError, match=r"is cabled to .* which has"):
        parse_ibnetdiscover(with_line(ca_cable, moved))


def test_a_cable_told_by_one_end_only_is_refused() -> None:
    with pytest.raises(InputError, match="which has no cable"):
        parse_ibnetdiscover(with_line(FIRST_CA + 1))


def test_a_port_guid_twice_is_refused() -> None:
    cables = [i for i, line in enumerate(LINES) if line.startswith("[1](")]
    own = re.search(r"\((\w+)\)", LINES[cables[0]])
    assert own is not None
    twice = re.sub(r"\(\w+\)", own[0], LINES[cables[1]], count=1)
    with pytest.raises(InputError, match=f"line {cables[1] + 1}: duplicate GUID"):
        parse_ibnetdiscover(with_line(cables[1], twice))


@pytest.mark.parametrize("text", ["", "\n\n", "# only a comment\n"])
def test_an_empty_text_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="empty"):
        parse_ibnetdiscover(text)


@given(st.text(alphabet='SwitchCa[]()"-#=0x19 \t\nguid', max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        parse_ibnetdiscover(text)
    except InputError:
        return


def without_hca(text: str, description: str) -> str:
    """The capture as it is when one HCA is dead: its block and the line at its leaf are gone."""
    blocks = [b for b in text.split("\n\n") if f'\t\t# "{description}"\n' not in b]
    lines = "\n\n".join(blocks).splitlines()
    return "\n".join(x for x in lines if f'# "{description}"' not in x)


def test_a_dead_nic_does_not_move_its_node() -> None:
    fleet = read(without_hca(CAPTURE.read_text(), "h-su000-n00 hca2"))
    want = block(8)
    assert np.array_equal(fleet.nodes.leaf_group, want.nodes.leaf_group)
    assert len(fleet.pods) == 2
    assert {t.name for t in fleet.node_types} == {"hgx-h100", "hgx-h100-7nic"}
    assert fleet.node_type(0).nic_count == 7
    assert fleet.nics.rail[:7].tolist() == [0, 1, 3, 4, 5, 6, 7]


def test_crossed_cables_are_noted_and_rails_follow_the_leaf() -> None:
    swap = {"hca2": "hca3", "hca3": "hca2"}
    text = re.sub(
        "h-su000-n00 (hca2|hca3)",
        lambda m: f"h-su000-n00 {swap[m[1]]}",
        ibnet_text(block(12, per_group=4), 0),
    )
    wiring = wiring_of_discovered(parse_ibnetdiscover(text))
    assert [n for n in wiring.notes if "NIC 2" in n and "rail 3" in n and "h-su000-n00" in n]
    assert len(wiring.notes) == 2
    assert np.array_equal(wiring.nics.rail, wiring.switches.rail[wiring.nics.leaf])


def test_one_cable_into_another_pod_does_not_join_the_pods() -> None:
    whole = block(16, per_group=4)
    swap = {"h-su000-n00": "h-su002-n00", "h-su002-n00": "h-su000-n00"}
    text = re.sub(
        "(h-su000-n00|h-su002-n00) hca0", lambda m: f"{swap[m[1]]} hca0", ibnet_text(whole, 0)
    )
    wiring = wiring_of_discovered(parse_ibnetdiscover(text))
    assert len(whole.pods) == wiring.pod_of_group.max() + 1 == 2
    assert sorted(wiring.notes) == [
        "node 'h-su000-n00' has NICs on leaves of 2 leaf groups",
        "node 'h-su002-n00' has NICs on leaves of 2 leaf groups",
    ]
    others = [n for n in whole.nodes.ids if n not in swap]
    pod = {
        n: int(wiring.pod_of_group[g])
        for n, g in zip(wiring.node_ids, wiring.group_of_node.tolist(), strict=True)
    }
    assert all(pod[n] == whole.pod_of_node[whole.nodes.index_of[n]] for n in others)


def switch(name: str, *ends: str, ports: int = 8) -> str:
    lines = [f'[{i}]\t{end}\t# "x"' for i, end in enumerate(ends, start=1)]
    return "\n".join([f'Switch {ports} "S-{name}"\t\t# "sw{name}"', *lines])


def hca(name: str, description: str, *ends: str) -> str:
    lines = [f"[{i}]({name}{i}) \t{end}" for i, end in enumerate(ends, start=1)]
    return "\n".join([f'Ca\t{len(ends)} "H-{name}"\t\t# "{description}"', *lines])


def test_all_nics_on_one_switch() -> None:
    text = "\n\n".join(
        [
            switch("a1", '"H-b1"[1](b11)', '"H-b1"[2](b12)', '"H-c1"[1](c11)', '"H-c1"[2](c12)'),
            hca("b1", "n1 mlx5_0", '"S-a1"[1]', '"S-a1"[2]'),
            hca("c1", "n2 mlx5_0", '"S-a1"[3]', '"S-a1"[4]'),
        ]
    )
    fleet = read(text)
    assert fleet.nics.rail.tolist() == [0, 1, 0, 1]
    assert fleet.switches.rail.tolist() == [-1]
    assert len(fleet.leaf_groups) == len(fleet.pods) == 1


def test_machines_that_are_no_nodes_are_left_out() -> None:
    text = "\n\n".join(
        [
            switch("a1", '"H-b1"[1](b11)', '"S-a2"[1]', '"H-d1"[1](d11)'),
            switch("a2", '"S-a1"[2]', '"S-a3"[1]', '"H-e1"[1](e11)'),
            switch("a3", '"S-a2"[2]', '"H-c1"[1](c11)'),
            hca("b1", "n1 hca0", '"S-a1"[1]'),
            hca("c1", "storage1 hca0", '"S-a3"[2]'),
            hca("d1", "Mellanox Technologies Aggregation Node", '"S-a1"[3]'),
            hca("e1", "Quantum Aggregation Node", '"S-a2"[3]'),
        ]
    )
    fleet = fleet_from_ibnetdiscover(
        text,
        name="f",
        site_id="s",
        country="US",
        node_type_of=lambda node, _nics: None if node.startswith("storage") else HGX_H100,
    )
    assert fleet.nodes.ids == ("n1",)
    assert fleet.switches.ids == ("swa1", "swa2")
    assert fleet.switches.tier.tolist() == [0, 1]


def test_switches_that_are_no_fat_tree_are_refused() -> None:
    ring = "\n\n".join(
        [
            switch("a1", '"H-b1"[1](b11)', '"S-a2"[2]'),
            switch("a2", '"H-c1"[1](c11)', '"S-a1"[2]'),
            hca("b1", "n1", '"S-a1"[1]'),
            hca("c1", "n2", '"S-a2"[1]'),
        ]
    )
    with pytest.raises(InputError, match="both in the leaf tier"):
        read(ring)


def test_a_fourth_tier_is_refused() -> None:
    chain = "\n\n".join(
        [
            switch("a1", '"H-b1"[1](b11)', '"S-a2"[1]'),
            switch("a2", '"S-a1"[2]', '"S-a3"[1]'),
            switch("a3", '"S-a2"[2]', '"S-a4"[1]'),
            switch("a4", '"S-a3"[2]'),
            hca("b1", "n1", '"S-a1"[1]'),
        ]
    )
    with pytest.raises(InputError, match="'swa4' is in a fourth tier"):
        read(chain)


def test_a_fabric_without_nodes_is_refused() -> None:
    with pytest.raises(InputError, match="no NIC"):
        read(switch("a1"))


def test_two_hosts_cabled_to_one_another_are_refused() -> None:
    text = "\n\n".join([hca("b1", "n1", '"H-c1"[1](c11)'), hca("c1", "n2", '"H-b1"[1](b11)')])
    with pytest.raises(InputError, match="cabled to no switch"):
        read(text)


@pytest.mark.parametrize(
    ("description", "host"),
    [
        ("node0003 hca2", "node0003"),
        ("node0003-hca2", "node0003"),
        ("node0003_mlx5_2", "node0003"),
        ("h-su000-n00 hca7", "h-su000-n00"),
        ("gpu-a-17.example.org mlx5_bond_0", "gpu-a-17.example.org"),
        ("", None),
        ("Mellanox Technologies Aggregation Node", None),
    ],
)
def test_host_of_a_description(description: str, host: str | None) -> None:
    assert host_of_description(description) == host


def test_only_infiniband_is_written() -> None:
    with pytest.raises(InputError, match="not InfiniBand"):
        ibnet_text(nvl72_fleet(1), 0)
    with pytest.raises(InputError, match="no fabric 3"):
        ibnet_text(hgx_fleet(8), 3)
