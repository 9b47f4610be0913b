"""Goal: the files describe the cluster that was placed, and all of them the same one.

Method: random members (any order, any host index, with spares) of a small InfiniBand fleet with
two pods and of an NVL72 fleet are rendered; every file is parsed with the reader of its format
and compared with the fleet. Slices, odd names and the comment on spares have tests of their own.
"""

import re
import shlex
from xml.etree import ElementTree

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from gigawatt.artefacts.names import distinct_words, hostlist, safe_word
from gigawatt.artefacts.nccl_topology import nccl_topology
from gigawatt.artefacts.render import render_artefacts
from gigawatt.artefacts.shape import shape_of
from gigawatt.boundary.entries import HostSlice, NetworkPort, PartitionMember
from gigawatt.boundary.render import render
from gigawatt.boundary.target import ClusterTarget, Keys, Member
from gigawatt.errors import InputError, UnknownIdError
from gigawatt.fleet.builder import BlockSpec, build_fleet
from gigawatt.fleet.demo import HGX_H100, nvl72_fleet
from gigawatt.fleet.model import Fleet, NodeType
from gigawatt.fleet.slices import aligned_masks, nics_of_mask, slice_sizes
from gigawatt.ids import ClusterId, FabricId, NodeId, SiteId, TenantId

INFINIBAND = build_fleet(
    "ib",
    [
        BlockSpec(
            "s", "US", "hall", HGX_H100, 32, "n", "ib",
            nodes_per_leaf_group=4, leaf_groups_per_pod=4,
        )
    ],
)  # fmt: skip
NVL72 = nvl72_fleet(3)
FILES = {
    "ssh_config", "hosts", "hostfile", "nccl.env", "nccl-topo.xml", "slurm.conf", "gres.conf",
    "cgroup.conf", "topology.conf", "topology.yaml", "slurm.sh", "torchrun.sh",
    "kubernetes-labels.yaml",
}  # fmt: skip


def make_target(
    fleet: Fleet, members: tuple[Member, ...], *, name: str = "train", cluster_id: str = "clu_1"
) -> ClusterTarget:
    keys = Keys(0x123, None, 5000, 17, None) if fleet is INFINIBAND else Keys(
        None, 0x800007, 5000, 17, None)  # fmt: skip
    return ClusterTarget(ClusterId(cluster_id), TenantId("ten_1"), name,
                         SiteId(fleet.sites.ids[0]), FabricId(fleet.fabrics.ids[0]), None, members,
                         keys, 0, "image", ("ssh-ed25519 AAAA",), ())  # fmt: skip


def whole(fleet: Fleet, *nodes: int) -> tuple[Member, ...]:
    return tuple(
        Member(fleet.node_id(n), int(fleet.full_gpu_mask_of_node[n]), "member", i)
        for i, n in enumerate(nodes)
    )


@st.composite
def clusters(draw: st.DrawFn) -> tuple[Fleet, ClusterTarget]:
    fleet = draw(st.sampled_from([INFINIBAND, NVL72]))
    count = draw(st.integers(1, 20))
    nodes = draw(st.permutations(range(len(fleet.nodes))))[: count + 2]
    indices = draw(st.permutations(range(260)))[: count + 2]
    spares = draw(st.integers(0, 2))
    members = [
        Member(
            fleet.node_id(node),
            int(fleet.full_gpu_mask_of_node[node]),
            "spare" if place >= count else "member",
            index,
        )
        for place, (node, index) in enumerate(zip(nodes, indices, strict=True))
    ]
    return fleet, make_target(fleet, tuple(members[: count + spares]))


def expand(text: str) -> list[str]:
    """Names of a Slurm hostlist with one bracket per name, in order."""
    names = []
    for part in re.findall(r"[^,\[]+(?:\[[^\]]*\])?", text):
        stem, _, inside = part.strip(",").partition("[")
        if not inside:
            names.append(stem)
            continue
        for span in inside.rstrip("]").split(","):
            first, _, last = span.partition("-")
            numbers = range(int(first), int(last or first) + 1)
            names.extend(f"{stem}{n:0{len(first)}d}" for n in numbers)
    return names


def pairs(line: str) -> dict[str, str]:
    return dict(word.split("=", 1) for word in line.split())


def truth(fleet: Fleet, target: ClusterTarget) -> list[tuple[str, str, int]]:
    """(host name, address, node) in rank order, from what the devices are told."""
    entries = render(fleet, target)
    names = {e.node_id: e.hostname for e in entries if isinstance(e, HostSlice)}
    addresses = {e.node_id: e.ipv4 for e in entries if isinstance(e, NetworkPort)}
    return [
        (names[m.node_id], addresses[m.node_id].split("/")[0], fleet.node_index(m.node_id))
        for m in target.active_members
    ]


def groups_by(names: list[str], rows: list[int]) -> list[set[str]]:
    return [
        {n for n, r in zip(names, rows, strict=True) if r == row} for row in dict.fromkeys(rows)
    ]


@settings(max_examples=60, deadline=None)
@given(clusters())
def test_every_file_names_the_same_hosts_in_rank_order(case: tuple[Fleet, ClusterTarget]) -> None:
    fleet, target = case
    files = render_artefacts(fleet, target)
    assert set(files) - {"topology-block.conf"} == FILES
    expected = truth(fleet, target)
    names, addresses = [t[0] for t in expected], [t[1] for t in expected]
    gpus = [int(fleet.gpu_count_of_node[t[2]]) for t in expected]

    assert re.findall(r"(?m)^Host (\S+)$", files["ssh_config"]) == names
    assert re.findall(r"HostName (\S+)", files["ssh_config"]) == addresses
    rows = [line.split("\t") for line in files["hosts"].splitlines() if line[0] != "#"]
    assert rows == [[a, n] for n, a in zip(names, addresses, strict=True)]
    assert files["hostfile"].splitlines() == [
        f"{n} slots={g}" for n, g in zip(names, gpus, strict=True)
    ]
    lines = [pairs(x) for x in files["slurm.conf"].splitlines() if x.startswith("NodeName")]
    assert [n for line in lines for n in expand(line["NodeName"])] == names
    assert [a for line in lines for a in expand(line["NodeAddr"])] == addresses
    assert {line["Gres"] for line in lines} == {
        f"gpu:{t.gpu_type}:{t.gpu_count}" for t in fleet.node_types
    }
    gres = [pairs(line) for line in files["gres.conf"].splitlines()]
    assert all(expand(line["NodeName"]) == names for line in gres)
    assert [line["File"] for line in gres] == [f"/dev/nvidia{i}" for i in range(gpus[0])]
    documents = list(yaml.safe_load_all(files["kubernetes-labels.yaml"]))
    assert [d["metadata"]["name"] for d in documents] == names
    assert f"hosts=({' '.join(names)})" in files["torchrun.sh"]
    assert f"gpus=({' '.join(map(str, gpus))})" in files["torchrun.sh"]
    assert f"--rdzv-endpoint={addresses[0]}:29500" in files["torchrun.sh"]


@settings(max_examples=60, deadline=None)
@given(clusters())
def test_topology_files_have_the_groups_of_the_fleet(case: tuple[Fleet, ClusterTarget]) -> None:
    fleet, target = case
    files = render_artefacts(fleet, target)
    expected = truth(fleet, target)
    names, nodes = [t[0] for t in expected], [t[2] for t in expected]
    leaf_rows = [int(fleet.nodes.leaf_group[n]) for n in nodes]
    domain_rows = [int(fleet.nodes.nvlink_domain[n]) for n in nodes]
    lines = [pairs(line) for line in files["topology.conf"].splitlines()]
    leaves = {x["SwitchName"]: set(expand(x["Nodes"])) for x in lines if "Nodes" in x}
    assert list(leaves.values()) == groups_by(names, leaf_rows)
    upper = {x["SwitchName"]: x["Switches"].split(",") for x in lines if "Switches" in x}
    root = next(reversed(upper))
    pods = [{h for leaf in upper[pod] for h in leaves[leaf]} for pod in upper[root]]
    assert pods == groups_by(names, [int(fleet.pod_of_node[n]) for n in nodes])

    tree, *block = yaml.safe_load(files["topology.yaml"])
    switches = {s["switch"]: s for s in tree["tree"]["switches"]}
    assert {k: set(expand(s["nodes"])) for k, s in switches.items() if "nodes" in s} == leaves
    assert {k: s["children"].split(",") for k, s in switches.items() if "children" in s} == upper
    documents = yaml.safe_load_all(files["kubernetes-labels.yaml"])
    labels = [d["metadata"]["labels"] for d in documents]
    prefix = "network.topology.nvidia.com/"
    assert [x[prefix + "leaf"] for x in labels] == [fleet.leaf_groups.ids[r] for r in leaf_rows]
    pod_rows = [int(fleet.pod_of_node[n]) for n in nodes]
    assert [x[prefix + "spine"] for x in labels] == [fleet.pods.ids[r] for r in pod_rows]
    assert {x[prefix + "core"] for x in labels} == {fleet.fabrics.ids[0]}
    assert [x[prefix + "accelerator"] for x in labels] == [
        fleet.nvlink_domains.ids[r] for r in domain_rows
    ]

    domains = groups_by(names, domain_rows)
    if max(map(len, domains)) == 1:
        assert not block
        assert "topology-block.conf" not in files
        return
    *rows, size = [pairs(line) for line in files["topology-block.conf"].splitlines()]
    assert [set(expand(row["Nodes"])) for row in rows] == domains
    assert int(size["BlockSizes"]) == min(map(len, domains))
    assert [set(expand(b["nodes"])) for b in block[0]["block"]["blocks"]] == domains


def test_spares_are_in_no_file_but_a_comment() -> None:
    plain = whole(INFINIBAND, 0, 1)
    spare = Member(INFINIBAND.node_id(5), 0xFF, "spare", 2)
    files = render_artefacts(INFINIBAND, make_target(INFINIBAND, (*plain, spare)))
    without = render_artefacts(INFINIBAND, make_target(INFINIBAND, plain))
    for name, text in files.items():
        lines = [line for line in text.splitlines() if not line.startswith("# 1 spare(s)")]
        assert lines == without[name].splitlines(), name
    assert "# 1 spare(s) held" in files["hosts"]


def env_of(text: str) -> dict[str, str]:
    return dict(
        line.split("=", 1) for line in text.splitlines() if line and not line.startswith("#")
    )


def test_nccl_env_of_infiniband_names_nics_and_the_key() -> None:
    env = env_of(
        render_artefacts(INFINIBAND, make_target(INFINIBAND, whole(INFINIBAND, 0, 1)))["nccl.env"]
    )
    assert env["NCCL_IB_HCA"] == "=" + ",".join(f"mlx5_{i}" for i in range(8))
    assert env["UCX_NET_DEVICES"] == ",".join(f"mlx5_{i}:1" for i in range(8))
    assert env["NCCL_IB_PKEY"] == "1"
    assert int(env["UCX_IB_PKEY"], 16) == 0x123
    assert env["NCCL_SOCKET_IFNAME"] == "=eth0"
    assert "NCCL_IB_GID_INDEX" not in env
    assert "NCCL_TOPO_FILE" not in env


def test_nccl_env_of_roce_has_a_gid_index_and_no_key() -> None:
    env = env_of(render_artefacts(NVL72, make_target(NVL72, whole(NVL72, 0, 1)))["nccl.env"])
    assert env["NCCL_IB_GID_INDEX"] == env["UCX_IB_GID_INDEX"] == "3"
    assert not {name for name in env if "PKEY" in name}
    assert len(env["NCCL_IB_HCA"].split(",")) == 4


def test_nccl_env_without_nics_turns_rdma_off() -> None:
    pairs_share = NodeType("pcie", "l40s", 4, 2, 1, 2_000.0, 1 << 38, 32, 1, 1)
    fleet = build_fleet("f", [BlockSpec("s", "US", "h", pairs_share, 2, "n", "ib")])
    second_of_a_pair = Member(fleet.node_id(0), 0b10, "member", 0)
    target = make_target(fleet, (second_of_a_pair,))
    files = render_artefacts(fleet, target)
    assert env_of(files["nccl.env"])["NCCL_IB_DISABLE"] == "1"
    assert "Links" not in files["gres.conf"]


@pytest.mark.parametrize("mask", [m for s in slice_sizes(8) for m in aligned_masks(8, s)])
def test_a_slice_sees_its_own_gpus_and_nics_only(mask: int) -> None:
    member = Member(INFINIBAND.node_id(3), mask, "member", 0)
    target = make_target(INFINIBAND, (member,))
    files = render_artefacts(INFINIBAND, target)
    gpu_count = mask.bit_count()
    nics = [e for e in render(INFINIBAND, target) if isinstance(e, PartitionMember)]
    tree = ElementTree.fromstring(files["nccl-topo.xml"])  # noqa: S314 - our own text
    assert [g.get("dev") for g in tree.iter("gpu")] == [str(i) for i in range(gpu_count)]
    assert [n.get("name") for n in tree.iter("net")] == [f"mlx5_{i}" for i in range(len(nics))]
    env = env_of(files["nccl.env"])
    assert len(env["NCCL_IB_HCA"].split(",")) == len(nics)
    assert ("NCCL_TOPO_FILE" in env) == (gpu_count < 8)
    node = next(pairs(x) for x in files["slurm.conf"].splitlines() if x.startswith("NodeName"))
    assert int(node["Sockets"]) * int(node["CoresPerSocket"]) == 112 * gpu_count // 8
    assert int(node["RealMemory"]) <= (2_048 << 10) * gpu_count // 8
    assert len(files["gres.conf"].splitlines()) == gpu_count


@given(gpus=st.integers(1, 16), nics=st.integers(0, 16), numas=st.integers(1, 4), data=st.data())
def test_nccl_topology_puts_nics_beside_their_gpus(
    gpus: int, nics: int, numas: int, data: st.DataObject
) -> None:
    node_type = NodeType("t", "h100", gpus, nics, min(numas, gpus), 1.0, 1 << 40, 64, 1, 1)
    size = data.draw(st.sampled_from(slice_sizes(gpus)))
    mask = data.draw(st.sampled_from(aligned_masks(gpus, size)))
    shape = shape_of(node_type, mask)
    tree = ElementTree.fromstring(nccl_topology(shape, is_infiniband=True))  # noqa: S314
    assert (tree.tag, tree.get("version")) == ("system", "1")
    addresses = [pci.get("busid") for pci in tree.iter("pci")]
    assert len(addresses) == len(set(addresses))
    assert all(re.fullmatch(r"0000:[0-9a-f]{2}:00\.0", a or "") for a in addresses)
    own_gpus = [g for g in range(gpus) if mask >> g & 1]
    own_nics = nics_of_mask(node_type, mask)
    seen_gpus, seen_nics = [], []
    for bridge in (b for cpu in tree for b in cpu):
        assert bridge.get("class") == "0x060400"
        below = [own_gpus[int(g.get("dev") or -1)] for g in bridge.iter("gpu")]
        assert below
        seen_gpus += below
        for net in bridge.iter("net"):
            nic = own_nics[int(net.get("dev") or -1)]
            seen_nics.append(nic)
            assert nic * gpus // nics in below
            served = range(nic * gpus // nics, (nic + 1) * gpus // nics)
            assert set(served) & set(own_gpus) <= set(below)
    assert seen_gpus == own_gpus
    assert sorted(seen_nics) == list(own_nics)
    assert [int(c.get("numaid") or -1) for c in tree] == list(range(shape.numa_count))


ODD = ["x; rm -rf /", "a\nHost *", "$(id)", "Train", "-a", "a-", "", "é", "a b", "a" * 64, "a`b`"]


@pytest.mark.parametrize("name", ODD)
def test_a_cluster_name_that_would_need_quoting_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="RFC 1123"):
        render_artefacts(INFINIBAND, make_target(INFINIBAND, whole(INFINIBAND, 0), name=name))


def test_odd_ids_of_the_fleet_stay_inside_their_field() -> None:
    odd_type = NodeType("t", "h100 [x]", 8, 8, 2, 1e4, 1 << 41, 112, 2, 1)
    fleet = build_fleet(
        "f",
        [BlockSpec("s", "US", "h", odd_type, 8, "n,m [a]=\n#", "ib $(id)",
                   nodes_per_leaf_group=4)],
    )  # fmt: skip
    odd = make_target(fleet, whole(fleet, 0, 1, 4), cluster_id="clu '$(id)\n")
    files = render_artefacts(fleet, odd)
    for line in files["topology.conf"].splitlines():
        assert set(pairs(line)) <= {"SwitchName", "Nodes", "Switches"}
        assert re.fullmatch(r"[A-Za-z0-9_.\-]+", pairs(line)["SwitchName"])
    for document in yaml.safe_load_all(files["kubernetes-labels.yaml"]):
        for value in document["metadata"]["labels"].values():
            assert re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9_.\-]{0,61}[A-Za-z0-9])?", value)
    node = next(pairs(x) for x in files["slurm.conf"].splitlines() if x.startswith("NodeName"))
    assert re.fullmatch(r"gpu:[\w.\-]+:8", node["Gres"])
    start = files["torchrun.sh"].index("exec torchrun")
    words = shlex.split(files["torchrun.sh"][start:].replace("\\\n", " "))
    assert "--rdzv-id=clu '$(id)\n" in words
    assert "known_hosts.clu---" in files["ssh_config"]


@given(st.lists(st.text(max_size=80), unique=True, max_size=8))
def test_distinct_words_are_words_and_distinct(names: list[str]) -> None:
    words = distinct_words(names, taken=["ib0"])
    assert list(words) == names
    assert len(set(words.values()) | {"ib0"}) == len(names) + 1
    for word in words.values():
        assert re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9_.\-]{0,61}[A-Za-z0-9])?", word)


def test_safe_word_keeps_a_plain_name() -> None:
    assert safe_word("ib0-pod003") == "ib0-pod003"
    assert safe_word("a b") != safe_word("a,b")


@given(
    st.lists(
        st.builds("{}{:0{}d}".format, st.sampled_from(["a-", "b.", "n"]), st.integers(0, 99),
                  st.integers(1, 4)),
        min_size=1,
    )
)  # fmt: skip
def test_a_hostlist_expands_to_what_it_was_made_from(names: list[str]) -> None:
    assert expand(hostlist(names)) == names


def test_hostlist_takes_a_name_without_a_number() -> None:
    assert hostlist(["login", "n1", "n2"]) == "login,n[1-2]"


def test_a_target_without_members_or_with_a_strange_node_is_refused() -> None:
    spare = Member(INFINIBAND.node_id(5), 0xFF, "spare", 0)
    with pytest.raises(InputError, match="clu_1"):
        render_artefacts(INFINIBAND, make_target(INFINIBAND, (spare,)))
    stranger = Member(NodeId("nowhere"), 0xFF, "member", 0)
    with pytest.raises(UnknownIdError, match="nowhere"):
        render_artefacts(INFINIBAND, make_target(INFINIBAND, (stranger,)))


def test_rendering_is_a_function() -> None:
    target = make_target(INFINIBAND, whole(INFINIBAND, 7, 3, 20))
    assert render_artefacts(INFINIBAND, target) == render_artefacts(INFINIBAND, target)
