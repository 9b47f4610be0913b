"""Imports Slurm's ``topology.conf``: the tree of switches, or NVLink blocks, or both.

    SwitchName=leaf1  Nodes=node[001-032]     a leaf switch is a leaf group
    SwitchName=pod1   Switches=leaf[1-8]      its parent is a pod; what is above joins pods
    BlockName=rack01  Nodes=node[01-18]       a block is an NVLink domain
    BlockSizes=18,72                          the largest size is a pod, where no tree says better

Slurm knows neither rails nor cables nor GUIDs. Per rail of the node type one leaf is therefore
made of each Slurm leaf, one spine of each parent (if it has several children or there are several
pods) and one core switch above several pods, with one cable between each two. All their ids
contain ``assumed``; their GUIDs and the NICs' are locally administered (bit 0x02 of the first
byte), which no vendor's are. The file holds one InfiniBand fabric.

Source: slurm.schedmd.com/topology.conf.html (Slurm 24.11).
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from gigawatt.errors import InputError
from gigawatt.fleet.discovery.assemble import DomainsOfNodes, Place, assemble
from gigawatt.fleet.discovery.grouping import (
    FoundLink,
    FoundNic,
    FoundSwitch,
    Wiring,
    wiring_of,
)
from gigawatt.fleet.discovery.hostlist import HOSTS_MAX, expand_hostlist
from gigawatt.fleet.model import Fleet, LeafGroups, NodeType, Pods

ASSUMED_GUID_SWITCH = 0x0200_0000_0000_0001
ASSUMED_GUID_NIC = 0x0200_0001_0000_0000
"""Locally administered EUI-64 numbers (IEEE 802, U/L bit set): assumed GUIDs count up from here."""
_SWITCH_PORTS_MIN = 64

_KEYS = {
    "switchname": {"switchname", "nodes", "switches", "linkspeed"},
    "blockname": {"blockname", "nodes"},
    "blocksizes": {"blocksizes"},
}


@dataclass(frozen=True, slots=True)
class _Entry:
    """One SwitchName or BlockName line."""

    name: str
    line_number: int
    nodes: tuple[str, ...]
    children: tuple[str, ...]


@dataclass(slots=True)
class _Tree:
    """What the lines say."""

    switches: dict[str, _Entry] = field(default_factory=dict)
    blocks: dict[str, _Entry] = field(default_factory=dict)
    block_sizes: tuple[int, ...] = ()


def _wrong(line_number: int, sentence: str) -> InputError:
    return InputError(
        f"topology.conf line {line_number}: {sentence}",
        next_step="Correct the line; 'scontrol show topology' shows what Slurm itself reads.",
    )


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines without comments, continuation lines joined, numbered by their first line."""
    start = 0
    parts: list[str] = []
    for number, raw in enumerate(text.splitlines(), start=1):
        line = raw.split("#", 1)[0].rstrip()
        start = start if parts else number
        is_continued = line.endswith("\\")
        parts.append(line.removesuffix("\\").strip())
        if not is_continued:
            if joined := " ".join(p for p in parts if p):
                yield start, joined
            parts = []
    if joined := " ".join(p for p in parts if p):
        yield start, joined


def _pairs(number: int, line: str) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for word in line.split():
        key, equals, value = word.partition("=")
        if not equals or not value:
            raise _wrong(number, f"got {word[:60]!r}, wanted KEY=VALUE")
        if key.lower() in pairs:
            raise _wrong(number, f"{key} stands twice")
        pairs[key.lower()] = value
    first = next(iter(pairs))
    allowed = _KEYS.get(first)
    if allowed is None:
        raise _wrong(number, f"got {first!r}, wanted SwitchName, BlockName or BlockSizes")
    if extra := sorted(pairs.keys() - allowed):
        raise _wrong(number, f"{extra[0]!r} is not known beside {first!r}")
    return pairs


def _hosts(number: int, text: str, named: int) -> tuple[str, ...]:
    """Hosts of one list, when ``named`` were named by lines before."""
    try:
        return expand_hostlist(text, hosts_max=HOSTS_MAX - named)
    except InputError as error:
        raise _wrong(number, str(error)) from None


def _take_sizes(number: int, text: str) -> tuple[int, ...]:
    sizes = text.split(",")
    if not all(s.isascii() and s.isdigit() and 0 < int(s) <= HOSTS_MAX for s in sizes):
        raise _wrong(number, f"BlockSizes is {text!r}, wanted counts of nodes")
    return tuple(int(s) for s in sizes)


def _read(text: str) -> _Tree:
    tree = _Tree()
    named: Counter[tuple[bool, str]] = Counter()
    for number, line in _logical_lines(text):
        pairs = _pairs(number, line)
        if "blocksizes" in pairs:
            tree.block_sizes = _take_sizes(number, pairs["blocksizes"])
            continue
        is_switch = "switchname" in pairs
        name = pairs["switchname" if is_switch else "blockname"]
        if ("nodes" in pairs) == ("switches" in pairs):
            raise _wrong(number, f"{name!r} wants either Nodes or Switches")
        entries = tree.switches if is_switch else tree.blocks
        if name in entries:
            raise _wrong(
                number, f"duplicate name {name!r}: line {entries[name].line_number} has it already"
            )
        key = "nodes" if "nodes" in pairs else "switches"
        hosts = _hosts(number, pairs[key], named[is_switch, key])
        named[is_switch, key] += len(hosts)
        is_leaf = key == "nodes"
        entries[name] = _Entry(name, number, hosts if is_leaf else (), () if is_leaf else hosts)
    return tree


def _holder_of_node(entries: Sequence[_Entry]) -> dict[str, _Entry]:
    """Entry that holds each node; a node is in one only."""
    holder: dict[str, _Entry] = {}
    for entry in entries:
        for node in entry.nodes:
            other = holder.setdefault(node, entry)
            if other is not entry:
                raise _wrong(
                    entry.line_number, f"node {node!r} is in {entry.name!r} and in {other.name!r}"
                )
    return holder


def _parents(switches: dict[str, _Entry]) -> dict[str, str]:
    """Parent of each switch; every switch has at most one, and none is above itself."""
    parent: dict[str, str] = {}
    for entry in switches.values():
        for child in entry.children:
            if child not in switches:
                raise _wrong(entry.line_number, f"unknown switch {child!r} below {entry.name!r}")
            if parent.setdefault(child, entry.name) != entry.name:
                raise _wrong(
                    entry.line_number,
                    f"switch {child!r} is below {entry.name!r} and below {parent[child]!r}",
                )
    is_rooted: set[str] = set()
    for name, entry in switches.items():
        path, at = [], name
        while at in parent and at not in is_rooted:
            path.append(at)
            at = parent[at]
            if at == name or len(path) > len(switches):
                raise _wrong(entry.line_number, f"cycle: {name!r} is above itself")
        is_rooted.update(path)
    return parent


@dataclass(frozen=True, slots=True)
class _Grouped:
    """Leaf of each node, pod of each leaf, by name; both in the order of the file."""

    leaf_of_node: dict[str, str]
    pod_of_leaf: dict[str, str]


def _group_by_tree(tree: _Tree) -> _Grouped:
    parent = _parents(tree.switches)
    holder = _holder_of_node(list(tree.switches.values()))
    leaves = dict.fromkeys(entry.name for entry in holder.values())
    for leaf in leaves:
        siblings = tree.switches[parent[leaf]].children if leaf in parent else ()
        if stray := [s for s in siblings if s not in leaves]:
            raise _wrong(
                tree.switches[parent[leaf]].line_number,
                f"{parent[leaf]!r} has the leaf {leaf!r} and the non-leaf {stray[0]!r} below it",
            )
    return _Grouped(
        {node: entry.name for node, entry in holder.items()},
        {leaf: parent.get(leaf, leaf) for leaf in leaves},
    )


def _group_by_block(tree: _Tree) -> _Grouped:
    """Each block a leaf; as many blocks a pod as the largest block size holds of the smallest."""
    holder = _holder_of_node(list(tree.blocks.values()))
    sizes = tree.block_sizes or (1,)
    per_pod = max(1, max(sizes) // min(sizes)) if len(sizes) > 1 else len(tree.blocks)
    return _Grouped(
        {node: entry.name for node, entry in holder.items()},
        {block: f"blocks{i // per_pod:03d}" for i, block in enumerate(tree.blocks)},
    )


class _Assumed:
    """Switches, links and NICs that stand for what the file does not say."""

    def __init__(self, grouped: _Grouped, rails: int) -> None:
        pods = list(dict.fromkeys(grouped.pod_of_leaf.values()))
        leaves_in_pod = Counter(grouped.pod_of_leaf.values())
        self._row: dict[str, int] = {}
        self._used: list[int] = []
        self.links: list[FoundLink] = []
        self.nics: list[FoundNic] = []
        for number, (node, leaf) in enumerate(grouped.leaf_of_node.items()):
            for rail in range(rails):
                row = self._switch(f"{leaf}-assumed-rail{rail}")
                guid = ASSUMED_GUID_NIC + number * rails + rail
                self.nics.append(FoundNic(node, f"hca{rail}", guid, row, self._next(row)))
        for leaf, pod in grouped.pod_of_leaf.items():
            for rail in range(rails if leaves_in_pod[pod] > 1 or len(pods) > 1 else 0):
                spine = self._switch(f"{pod}-assumed-spine-rail{rail}")
                self._cable(self._row[f"{leaf}-assumed-rail{rail}"], spine)
        for pod in pods if len(pods) > 1 else ():
            for rail in range(rails):
                core = self._switch(f"assumed-core-rail{rail}")
                self._cable(self._row[f"{pod}-assumed-spine-rail{rail}"], core)

    def _switch(self, name: str) -> int:
        row = self._row.setdefault(name, len(self._row))
        if row == len(self._used):
            self._used.append(0)
        return row

    def _next(self, row: int) -> int:
        self._used[row] += 1
        return self._used[row]

    def _cable(self, lower: int, upper: int) -> None:
        self.links.append(FoundLink(lower, self._next(lower), upper, self._next(upper)))

    def wiring(self) -> Wiring:
        """The wiring, with switches as large as needed and at least 64 ports."""
        switches = [
            FoundSwitch(name, ASSUMED_GUID_SWITCH + row, max(_SWITCH_PORTS_MIN, self._used[row]))
            for name, row in self._row.items()
        ]
        return wiring_of(switches, self.links, self.nics)


def _domains(tree: _Tree, grouped: _Grouped, node_ids: Sequence[str]) -> DomainsOfNodes | None:
    """NVLink domains of the blocks; a node outside all blocks is a domain of its own."""
    if not tree.blocks:
        return None
    holder = _holder_of_node(list(tree.blocks.values()))
    for block in tree.blocks.values():
        for node in block.nodes:
            if node not in grouped.leaf_of_node:
                raise _wrong(block.line_number, f"node {node!r} of {block.name!r} is below no leaf")
        leaves = sorted({grouped.leaf_of_node[node] for node in block.nodes})
        if len(leaves) > 1:
            raise _wrong(
                block.line_number,
                f"block {block.name!r} lies below {leaves[0]!r} and {leaves[1]!r}",
            )
    names = [holder[n].name if n in holder else f"{n}-nvl" for n in node_ids]
    ids = {name: i for i, name in enumerate(dict.fromkeys(names))}
    return DomainsOfNodes(tuple(ids), np.array([ids[name] for name in names], np.int32))


def fleet_from_slurm_topology(
    text: str, *, name: str, site_id: str, country: str, node_type: NodeType
) -> Fleet:
    """The fleet that a ``topology.conf`` describes; see the module docstring for what is assumed.

    Args:
        text: content of the file; names of leaf groups and pods are its switches' names.
        name: name of the fleet.
        site_id: the site it stands at.
        country: of the site, ISO 3166-1 alpha-2.
        node_type: what every node is; its ``nic_count`` (>= 1) is the count of rails.

    Raises:
        InputError: the text names no node, or a line is malformed, names an unknown switch, puts a
            node below two leaves or a switch below two parents or itself, repeats a name, has a bad
            range, or the file names more than 200,000 nodes. The message names the line.
    """
    tree = _read(text)
    if node_type.nic_count < 1:
        raise InputError(f"node type {node_type.name!r} has no NIC; wanted at least one rail")
    grouped = _group_by_tree(tree) if tree.switches else _group_by_block(tree)
    count = len(grouped.leaf_of_node)
    if not 0 < count <= HOSTS_MAX:
        raise InputError(f"topology.conf names {count} nodes, wanted 1 to {HOSTS_MAX}")
    wiring = _Assumed(grouped, node_type.nic_count).wiring()
    fleet = assemble(
        Place(name, site_id, country),
        wiring,
        [node_type] * count,
        _domains(tree, grouped, wiring.node_ids),
    )
    leaf_of_group = dict(
        zip(
            wiring.group_of_node.tolist(),
            (grouped.leaf_of_node[node] for node in wiring.node_ids),
            strict=True,
        )
    )
    leaves = [leaf_of_group[g] for g in range(len(fleet.leaf_groups))]
    pods = dict(
        zip(wiring.pod_of_group.tolist(), (grouped.pod_of_leaf[x] for x in leaves), strict=True)
    )
    return replace(
        fleet,
        leaf_groups=LeafGroups(tuple(leaves), fleet.leaf_groups.pod),
        pods=Pods(tuple(pods[i] for i in range(len(pods))), fleet.pods.fabric),
    )
