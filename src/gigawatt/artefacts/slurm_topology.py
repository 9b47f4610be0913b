"""Where the hosts are, for Slurm: ``topology.conf`` and ``topology.yaml``.

The tree has a switch for every leaf group, pod and fabric that the cluster touches. The rails of
a leaf group are one switch, because Slurm cannot express that a host hangs on eight. Where NVLink
domains join several hosts, there is a block variant with a block per domain.

Source: topology.conf(5), topology.yaml(5) (Slurm 25.05 and later; it overrides topology.conf).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import yaml

from gigawatt.artefacts.hosts import MemberHost
from gigawatt.artefacts.names import distinct_words, hostlist
from gigawatt.fleet.model import Fleet


@dataclass(frozen=True, slots=True)
class Group:
    """Hosts (rank order) that share one place, by name."""

    name: str
    hostnames: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ClusterTopology:
    """The places that a cluster touches.

    Fields:
        leaf_groups: hosts of each leaf group, in order of their first rank.
        pods: names of leaf groups by pod name, likewise.
        fabric: name of the root.
        blocks: hosts of each NVLink domain; empty when no domain has two hosts of the cluster.
    """

    leaf_groups: tuple[Group, ...]
    pods: tuple[tuple[str, tuple[str, ...]], ...]
    fabric: str
    blocks: tuple[Group, ...]


def _gather(hosts: Sequence[MemberHost], rows: Sequence[int]) -> dict[int, list[str]]:
    gathered: dict[int, list[str]] = {}
    for host, row in zip(hosts, rows, strict=True):
        gathered.setdefault(row, []).append(host.hostname)
    return gathered


def cluster_topology(fleet: Fleet, hosts: Sequence[MemberHost]) -> ClusterTopology:
    """The places of ``hosts`` (>= 1, of one fabric), under names that Slurm can read."""
    leaf_groups = _gather(hosts, [host.leaf_group for host in hosts])
    domains = _gather(hosts, [host.nvlink_domain for host in hosts])
    leaf_names = distinct_words([fleet.leaf_groups.ids[row] for row in leaf_groups])
    pod_rows = list(dict.fromkeys(int(fleet.leaf_groups.pod[row]) for row in leaf_groups))
    pod_names = distinct_words([fleet.pods.ids[row] for row in pod_rows], leaf_names.values())
    fabric_id = fleet.fabrics.ids[int(fleet.pods.fabric[pod_rows[0]])]
    taken = (*leaf_names.values(), *pod_names.values())
    block_names = distinct_words([fleet.nvlink_domains.ids[row] for row in domains])
    has_blocks = any(len(names) > 1 for names in domains.values())
    return ClusterTopology(
        leaf_groups=tuple(
            Group(leaf_names[fleet.leaf_groups.ids[row]], tuple(names))
            for row, names in leaf_groups.items()
        ),
        pods=tuple(
            (
                pod_names[fleet.pods.ids[pod]],
                tuple(
                    leaf_names[fleet.leaf_groups.ids[row]]
                    for row in leaf_groups
                    if int(fleet.leaf_groups.pod[row]) == pod
                ),
            )
            for pod in pod_rows
        ),
        fabric=distinct_words([fabric_id], taken)[fabric_id],
        blocks=tuple(
            Group(block_names[fleet.nvlink_domains.ids[row]], tuple(names))
            for row, names in domains.items()
        )
        if has_blocks
        else (),
    )


def topology_conf(topology: ClusterTopology) -> str:
    """The tree: leaf groups, pods, root."""
    lines = [f"SwitchName={g.name} Nodes={hostlist(g.hostnames)}" for g in topology.leaf_groups]
    lines += [f"SwitchName={name} Switches={','.join(kids)}" for name, kids in topology.pods]
    lines.append(f"SwitchName={topology.fabric} Switches={','.join(n for n, _ in topology.pods)}")
    return "\n".join(lines) + "\n"


def _block_size(topology: ClusterTopology) -> int:
    """Base block: every block must have at least as many hosts (topology.conf(5))."""
    return min(len(block.hostnames) for block in topology.blocks)


def topology_block_conf(topology: ClusterTopology) -> str:
    """The blocks, for ``TopologyPlugin=topology/block`` (Slurm 23.11 and later)."""
    assert topology.blocks, "a cluster without blocks has no block variant"
    lines = [f"BlockName={b.name} Nodes={hostlist(b.hostnames)}" for b in topology.blocks]
    return "\n".join([*lines, f"BlockSizes={_block_size(topology)}"]) + "\n"


def topology_yaml(topology: ClusterTopology) -> str:
    """Tree, and blocks if there are any, as two named topologies; the tree is the default."""
    switches: list[dict[str, str]] = [
        {"switch": g.name, "nodes": hostlist(g.hostnames)} for g in topology.leaf_groups
    ]
    switches += [{"switch": name, "children": ",".join(kids)} for name, kids in topology.pods]
    pods = ",".join(name for name, _ in topology.pods)
    switches.append({"switch": topology.fabric, "children": pods})
    document: list[dict[str, object]] = [
        {"topology": "tree", "cluster_default": True, "tree": {"switches": switches}}
    ]
    if topology.blocks:
        blocks = [{"block": b.name, "nodes": hostlist(b.hostnames)} for b in topology.blocks]
        block = {"block_sizes": [_block_size(topology)], "blocks": blocks}
        document.append({"topology": "block", "cluster_default": False, "block": block})
    return yaml.safe_dump(document, sort_keys=False, width=10_000)
