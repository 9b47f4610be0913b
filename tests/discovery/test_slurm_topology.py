"""Goal: Slurm's topology.conf becomes the same groups of nodes, and every slip is named by line.

Method: a file with all of the syntax, random trees as a property, one broken file per rule, and
host lists against a plain writer of host lists
and, where it is installed, against Slurm's own ``scontrol``.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gigawatt.errors import InputError
from gigawatt.fleet.check import check_fleet
from gigawatt.fleet.demo import GB200_NVL72_NODE, HGX_H100
from gigawatt.fleet.discovery.hostlist import expand_hostlist
from gigawatt.fleet.discovery.slurm_topology import fleet_from_slurm_topology
from gigawatt.fleet.model import Fleet, NodeType

TREE = """\
# the whole site
SwitchName=leaf1 Nodes=node[001-032,040]   # first row
SwitchName=leaf2 LinkSpeed=400 \\
    Nodes=rack[0-1]node[0-7],extra
switchname=leaf3 nodes=m1
SwitchName=pod1 Switches=leaf[1-2]

SwitchName=pod2 Switches=leaf3
SwitchName=top Switches=pod[1-2]
"""


UNEVEN = """\
SwitchName=a Nodes=n1
SwitchName=b Nodes=n2
SwitchName=p Switches=a
SwitchName=q Switches=p,b
"""


def read(text: str, node_type: NodeType = HGX_H100) -> Fleet:
    return fleet_from_slurm_topology(text, name="f", site_id="s", country="US", node_type=node_type)


def members(fleet: Fleet) -> dict[str, set[str]]:
    """Nodes of each leaf group, by id."""
    out: dict[str, set[str]] = {name: set() for name in fleet.leaf_groups.ids}
    for node, group in zip(fleet.nodes.ids, fleet.nodes.leaf_group.tolist(), strict=True):
        out[fleet.leaf_groups.ids[group]].add(node)
    return out


def test_a_tree_becomes_leaf_groups_and_pods() -> None:
    fleet = read(TREE)
    groups = members(fleet)
    assert groups["leaf1"] == {f"node{i:03d}" for i in (*range(1, 33), 40)}
    assert groups["leaf2"] == {f"rack{r}node{n}" for r in (0, 1) for n in range(8)} | {"extra"}
    pod_of = {
        group: fleet.pods.ids[pod]
        for group, pod in zip(fleet.leaf_groups.ids, fleet.leaf_groups.pod.tolist(), strict=True)
    }
    assert pod_of == {"leaf1": "pod1", "leaf2": "pod1", "leaf3": "pod2"}


def test_every_rail_has_a_leaf_and_what_is_assumed_says_so() -> None:
    fleet = read(TREE)
    assert len(fleet.nics) == 8 * len(fleet.nodes)
    assert np.array_equal(fleet.nics.rail, fleet.switches.rail[fleet.nics.leaf])
    assert all("assumed" in name for name in (*fleet.switches.ids, *fleet.racks.ids))
    guids = np.concatenate((fleet.nics.guid, fleet.switches.guid))
    assert len(np.unique(guids)) == len(guids)
    assert all(guid >> 56 & 0x02 for guid in guids.tolist())
    used = np.bincount(fleet.nics.leaf, minlength=len(fleet.switches))
    used += np.bincount(fleet.links.lower, minlength=len(used))
    used += np.bincount(fleet.links.upper, minlength=len(used))
    assert (used <= fleet.switches.switch_port_count).all()


def test_the_same_text_gives_the_same_fleet() -> None:
    one, two = read(TREE), read(TREE)
    assert one.nodes.ids == two.nodes.ids
    assert np.array_equal(one.nics.guid, two.nics.guid)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.lists(st.integers(1, 5), min_size=1, max_size=4), min_size=1, max_size=4))
def test_any_tree_keeps_its_shape(pods: list[list[int]]) -> None:
    lines, want = [], {}
    for p, leaves in enumerate(pods):
        for i, size in enumerate(leaves):
            lines.append(f"SwitchName=l{p}x{i} Nodes=n{p}x{i}x[0-{size - 1}]")
            want[f"l{p}x{i}"] = {f"n{p}x{i}x{n}" for n in range(size)}
        lines.append(f"SwitchName=p{p} Switches=l{p}x[0-{len(leaves) - 1}]")
    fleet = read("\n".join(reversed(lines)))
    assert members(fleet) == want
    assert set(fleet.pods.ids) == {f"p{p}" for p in range(len(pods))}
    assert np.array_equal(np.sort(fleet.nodes.leaf_group), fleet.nodes.leaf_group)
    assert check_fleet(fleet) == ()


def test_blocks_become_nvlink_domains() -> None:
    text = "\n".join(f"BlockName=b{i} Nodes=r{i}n[01-18]" for i in range(4)) + "\nBlockSizes=18,36"
    fleet = read(text, GB200_NVL72_NODE)
    assert fleet.nvlink_domains.ids == ("b0", "b1", "b2", "b3")
    assert np.bincount(fleet.nodes.nvlink_domain).tolist() == [18] * 4
    assert check_fleet(fleet) == ()
    assert fleet.leaf_groups.pod.tolist() == [0, 0, 1, 1]


def test_a_block_stays_in_one_assumed_rack() -> None:
    text = "SwitchName=l1 Nodes=n[1-9]\nBlockName=b1 Nodes=n[1,4,9]\nBlockName=b2 Nodes=n[2,5]"
    fleet = read(text)
    assert check_fleet(fleet) == ()
    assert np.bincount(fleet.nodes.rack).max() <= 4


def test_blocks_inside_a_tree() -> None:
    text = "SwitchName=l1 Nodes=n[1-5]\nBlockName=b1 Nodes=n[1-2]\nBlockName=b2 Nodes=n[3-4]"
    fleet = read(text)
    assert len(fleet.leaf_groups) == 1
    assert fleet.nvlink_domains.ids == ("b1", "b2", "n5-nvl")


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("SwitchName=a Nodes=n1\nSwitchName=t Switches=a,b", 2, "unknown switch 'b'"),
        ("SwitchName=a Nodes=n1\nSwitchName=b Nodes=n1", 2, "node 'n1' is in 'b' and in 'a'"),
        ("SwitchName=a Switches=b\nSwitchName=b Switches=a", 1, "cycle"),
        ("SwitchName=a Switches=a", 1, "cycle"),
        ("SwitchName=a Nodes=n1\nSwitchName=a Nodes=n2", 2, "duplicate name 'a'"),
        ("\n# c\nSwitchName=a Nodes=n[5-1]", 3, "runs backwards"),
        ("SwitchName=a Nodes=n[1-]", 1, "bad range '1-'"),
        ("SwitchName=a Nodes=n[1-999999999]", 1, "at most 200000"),
        ("SwitchName=a Nodes=n[0-999]x[0-999]", 1, "at most 200000"),
        (
            "SwitchName=a Nodes=a[1-150000]\nSwitchName=b Nodes=b[1-150000]",
            2,
            "at most 50000",
        ),
        ("SwitchName=a Nodes=n[1", 1, "brackets"),
        ("SwitchName=a Nodes=n[a[1-2]]", 1, "brackets"),
        ("SwitchName=a Nodes=n1,,n2", 1, "empty part"),
        ("SwitchName=a", 1, "either Nodes or Switches"),
        ("SwitchName=a Nodes=n1 Switches=b", 1, "either Nodes or Switches"),
        ("SwitchName=a Nodes", 1, "wanted KEY=VALUE"),
        ("SwitchName=a Nodes=n1 Nodes=n2", 1, "stands twice"),
        ("SwitchName=a Nodes=n1 Colour=red", 1, "'colour' is not known"),
        ("Nodes=n1 SwitchName=a", 1, "wanted SwitchName"),
        ("SwitchName=a Nodes=n1\nSwitchName=p Switches=a\nSwitchName=q Switches=a", 3, "is below"),
        (UNEVEN, 4, "has the leaf 'b' and the non-leaf 'p'"),
        ("BlockName=a Nodes=n1\nBlockSizes=many", 2, "BlockSizes is 'many'"),
        ("SwitchName=a Nodes=n1\nBlockName=b Nodes=n2", 2, "below no leaf"),
        (
            "SwitchName=a Nodes=n1\nSwitchName=b Nodes=n2\nBlockName=c Nodes=n[1-2]",
            3,
            "lies below 'a' and 'b'",
        ),
    ],
)
def test_a_broken_line_is_named(text: str, line: int, words: str) -> None:
    with pytest.raises(InputError, match=re.escape(words)) as caught:
        read(text)
    assert f"line {line}:" in str(caught.value)


@pytest.mark.parametrize("text", ["", "# nothing\n", "BlockSizes=4"])
def test_a_file_without_nodes_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="names 0 nodes"):
        read(text)


ranges = st.lists(
    st.tuples(st.integers(0, 500), st.integers(0, 12), st.integers(1, 5)), min_size=1, max_size=4
)


@given(
    prefix=st.sampled_from(["n", "rack-a", "x0y"]), parts=ranges, suffix=st.sampled_from(["", "z"])
)
def test_a_host_list_names_what_was_written(
    prefix: str, parts: list[tuple[int, int, int]], suffix: str
) -> None:
    inside = ",".join(f"{low:0{width}d}-{low + more}" for low, more, width in parts)
    want = [
        f"{prefix}{n:0{max(width, len(str(low)))}d}{suffix}"
        for low, more, width in parts
        for n in range(low, low + more + 1)
    ]
    assert list(expand_hostlist(f"{prefix}[{inside}]{suffix}")) == want


@pytest.mark.slurm
@pytest.mark.skipif(shutil.which("scontrol") is None, reason="scontrol (slurm-client) is missing")
def test_slurm_itself_expands_the_same_hosts(tmp_path: Path) -> None:
    (tmp_path / "slurm.conf").write_text("ClusterName=x\nSlurmctldHost=localhost\n")
    for text in (
        "n[08-10,2]",
        "a1,b[2-3]",
        "rack[0-3]node[07-12]",
        "n[001-2]",
        "n[1,1]",
        "a[1-2][3-4]",
    ):
        answer = subprocess.run(
            ["scontrol", "show", "hostnames", text],
            env={"PATH": os.environ["PATH"], "SLURM_CONF": str(tmp_path / "slurm.conf")},
            capture_output=True,
            text=True,
            check=True,
            timeout=20,
        )
        assert list(expand_hostlist(text)) == answer.stdout.split(), text


@given(st.text(alphabet="ab[]-,019 ", max_size=30))
def test_any_host_list_is_expanded_or_refused(text: str) -> None:
    try:
        hosts = expand_hostlist(text, hosts_max=1_000)
    except InputError:
        return
    assert 0 < len(hosts) <= 1_000
    assert all(hosts)
