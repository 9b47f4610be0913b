"""Derives tiers, rails, leaf groups and pods from who is cabled to whom.

- tiers: a switch that carries a host is a leaf; its neighbours are spines; theirs are cores.
- leaf group: hosts whose NICs hang on one same set of leaves. A host with fewer NICs, whose
  leaves are a part of exactly one larger set, joins that set: a dead NIC does not move a host.
- rail of a leaf: the NIC number that most hosts have on it. A NIC's rail is its leaf's rail.
- pod: leaf groups that reach each other without a core switch (union-find over the spines).

Source: ours; the layout looked for is NVIDIA's rail-optimised fat tree (DGX SuperPOD reference
architecture). A leaf that has several NICs of one node is accepted: it belongs to no rail (-1), and
the rail of such a node's NICs is their number in the node.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from gigawatt.errors import InputError
from gigawatt.fleet.model import I32, Links, Nics, Switches

_LEAF, _SPINE, _CORE = 0, 1, 2
_TIER_WORD = ("leaf", "spine", "core")


@dataclass(frozen=True, slots=True)
class FoundSwitch:
    """One switch: id, GUID (64 bit) and count of switch ports."""

    id: str
    guid: int
    switch_port_count: int


@dataclass(frozen=True, slots=True)
class FoundLink:
    """One cable between switches (indices), with the switch port (1-based) at both ends."""

    a: int
    a_switch_port: int
    b: int
    b_switch_port: int


@dataclass(frozen=True, slots=True)
class FoundNic:
    """One cabled NIC.

    Fields:
        host: id of its node.
        label: what orders the NICs of a host, e.g. the HCA's description.
        guid: port GUID, 64 bit.
        leaf: index of the switch it hangs on.
        leaf_switch_port: 1-based.
    """

    host: str
    label: str
    guid: int
    leaf: int
    leaf_switch_port: int


@dataclass(frozen=True, slots=True)
class Wiring:
    """One compute fabric in the fleet's own tables; nodes sorted by pod, leaf group and name.

    Fields:
        node_ids: hosts, int32[N] ``group_of_node`` beside them.
        group_of_node: leaf group of each node.
        pod_of_group: int32[G], pod of each leaf group.
        switches, links, nics: as in the fleet; the fabric's index is 0.
        notes: one sentence per cable that does not fit the pattern.
    """

    node_ids: tuple[str, ...]
    group_of_node: I32
    pod_of_group: I32
    switches: Switches
    links: Links
    nics: Nics
    notes: tuple[str, ...]


def natural_key(text: str) -> tuple[tuple[int, str], ...]:
    """Key that sorts numbers inside names as numbers.

    Example:
        >>> sorted(["n10", "n9"], key=natural_key)
        ['n9', 'n10']
    """
    parts = re.split(r"(\d+)", text)
    return tuple((int(p), "") if i % 2 else (-1, p) for i, p in enumerate(parts))


class UnionFind:
    """Disjoint sets of the numbers 0 to count - 1, each named by its smallest member.

    Source: Tarjan, J. ACM 22 (1975) 215; path halving, smaller root wins.
    """

    def __init__(self, count: int) -> None:
        self._parent = list(range(count))

    def find(self, item: int) -> int:
        """Smallest member of the item's set."""
        parent = self._parent
        while parent[item] != item:
            parent[item] = parent[parent[item]]
            item = parent[item]
        return item

    def union(self, a: int, b: int) -> None:
        """Make one set of the sets of ``a`` and ``b``."""
        low, high = sorted((self.find(a), self.find(b)))
        self._parent[high] = low


def _tiers(
    switches: Sequence[FoundSwitch],
    links: Sequence[FoundLink],
    leaves: Collection[int],
    foreign: Collection[int],
) -> dict[int, int]:
    """Tier of every switch that serves the hosts; switches of other machines are left out."""
    near: dict[int, set[int]] = defaultdict(set)
    for link in links:
        near[link.a].add(link.b)
        near[link.b].add(link.a)
    tier = dict.fromkeys(leaves, _LEAF)
    front = set(leaves)
    for level in (_SPINE, _CORE, _CORE + 1):
        front = {far for switch in front for far in near[switch]} - tier.keys()
        if level > _SPINE:
            # A leaf that carries other machines only hangs below a spine, as a core does above it.
            front -= set(foreign)
        if level > _CORE and front:
            raise InputError(
                f"switch {switches[min(front)].id!r} is in a fourth tier; wanted leaf, spine, core"
            )
        tier.update(dict.fromkeys(front, level))
    for link in links:
        if link.a in tier and tier[link.a] == tier.get(link.b):
            raise InputError(
                f"switches {switches[link.a].id!r} and {switches[link.b].id!r} are both in the "
                f"{_TIER_WORD[tier[link.a]]} tier and cabled together; wanted a fat tree",
                next_step="Check the cable; rings, meshes and dragonflies cannot be imported.",
            )
    return tier


def _groups(leaves_of_host: dict[str, frozenset[int]]) -> dict[str, frozenset[int]]:
    """Leaf set of the group that each host belongs to."""
    sets = sorted(set(leaves_of_host.values()), key=lambda s: (-len(s), sorted(s)))
    holders: dict[int, list[frozenset[int]]] = defaultdict(list)
    home: dict[frozenset[int], frozenset[int]] = {}
    for leaves in sets:
        larger = {home[s] for s in holders[min(leaves)] if leaves < s}
        home[leaves] = larger.pop() if len(larger) == 1 else leaves
        for leaf in leaves:
            holders[leaf].append(leaves)
    return {host: home[leaves] for host, leaves in leaves_of_host.items()}


def _pods(
    groups: Sequence[frozenset[int]],
    home_of_leaf: dict[int, int],
    links: Sequence[FoundLink],
    tier: dict[int, int],
) -> tuple[list[int], dict[int, int]]:
    """Pod of each group, and of each spine (keyed by switch); pods in order of first group."""
    spines = sorted(s for s, t in tier.items() if t == _SPINE)
    row = {switch: len(groups) + i for i, switch in enumerate(spines)}
    row |= home_of_leaf
    sets = UnionFind(len(groups) + len(spines))
    for link in links:
        if {tier.get(link.a), tier.get(link.b)} == {_LEAF, _SPINE}:
            sets.union(row[link.a], row[link.b])
    homes = set(home_of_leaf.values())
    roots = [
        # A group that is at home on none of its leaves (one crossed cable) joins the pod of most.
        sets.find(
            g
            if g in homes
            else Counter(home_of_leaf[x] for x in sorted(leaves)).most_common(1)[0][0]
        )
        for g, leaves in enumerate(groups)
    ]
    pod_of_root = {root: pod for pod, root in enumerate(dict.fromkeys(roots))}
    return [pod_of_root[r] for r in roots], {s: pod_of_root[sets.find(row[s])] for s in spines}


def _rails(nics_of_host: dict[str, list[FoundNic]]) -> tuple[dict[int, int], list[str]]:
    """Rail of each leaf, -1 where a node has several NICs on it; notes of NICs on other rails."""
    most = max(len(nics) for nics in nics_of_host.values())
    complete: dict[int, Counter[int]] = defaultdict(Counter)
    partial: dict[int, Counter[int]] = defaultdict(Counter)
    for nics in nics_of_host.values():
        # A host with a dead NIC miscounts the NICs after it: asked only where no other can tell.
        votes = complete if len(nics) == most else partial
        for number, nic in enumerate(nics):
            votes[nic.leaf][number] += 1
    shared = {
        leaf
        for nics in nics_of_host.values()
        for leaf, count in Counter(nic.leaf for nic in nics).items()
        if count > 1
    }
    rail = {
        leaf: -1 if leaf in shared else min(c, key=lambda number: (-c[number], number))
        for leaf, c in (partial | complete).items()
    }
    notes = [
        f"node {host!r}: NIC {number} ({nic.label}) is on a leaf of rail {rail[nic.leaf]}"
        for host, nics in nics_of_host.items()
        for number, nic in enumerate(nics)
        if len(nics) == most and rail[nic.leaf] not in (number, -1)
    ]
    notes += [
        f"node {host!r} shows {len(nics)} NICs, others {most}"
        for host, nics in nics_of_host.items()
        if len(nics) < most
    ]
    return rail, notes


def _nics_by_host(nics: Sequence[FoundNic]) -> dict[str, list[FoundNic]]:
    """NICs of each host in the order of their labels; hosts in natural order."""
    by_host: dict[str, list[FoundNic]] = defaultdict(list)
    for nic in nics:
        by_host[nic.host].append(nic)
    return {
        host: sorted(by_host[host], key=lambda n: (natural_key(n.label), n.guid))
        for host in sorted(by_host, key=natural_key)
    }


def _i32(values: Sequence[int]) -> I32:
    return np.array(values, dtype=np.int32)


def _nic_table(
    hosts: Sequence[str],
    nics_of_host: dict[str, list[FoundNic]],
    rail_of_leaf: dict[int, int],
    switch_row: dict[int, int],
) -> Nics:
    rows: list[tuple[int, int, int, int, int]] = []
    for node, host in enumerate(hosts):
        nics = nics_of_host[host]
        rails = [rail_of_leaf[nic.leaf] for nic in nics]
        if -1 in rails or len(set(rails)) < len(rails):
            rails = list(range(len(nics)))
        rows += sorted(
            (node, rail, nic.guid, switch_row[nic.leaf], nic.leaf_switch_port)
            for rail, nic in zip(rails, nics, strict=True)
        )
    node_of, rail_of, guid, leaf, leaf_switch_port = zip(*rows, strict=True)
    return Nics(
        _i32(node_of), _i32(rail_of), np.array(guid, np.uint64), _i32(leaf), _i32(leaf_switch_port)
    )


def _link_table(
    links: Sequence[FoundLink], tier: dict[int, int], switch_row: dict[int, int]
) -> Links:
    rows = []
    for x in links:
        if x.a not in tier or x.b not in tier:
            continue
        ends = ((x.a, x.a_switch_port), (x.b, x.b_switch_port))
        low, high = ends if tier[x.a] < tier[x.b] else ends[::-1]
        rows.append((switch_row[low[0]], low[1], switch_row[high[0]], high[1]))
    table = np.array(sorted(rows), dtype=np.int32).reshape(-1, 4)
    return Links(*(table[:, i].copy() for i in range(4)))


def _switch_table(
    switches: Sequence[FoundSwitch],
    order: Sequence[int],
    tier: dict[int, int],
    rail: dict[int, int],
    pod: dict[int, int],
) -> Switches:
    kept = [switches[s] for s in order]
    return Switches(
        tuple(s.id for s in kept),
        np.zeros(len(kept), np.int32),
        _i32([tier[s] for s in order]),
        _i32([rail.get(s, -1) for s in order]),
        _i32([pod.get(s, -1) for s in order]),
        _i32([s.switch_port_count for s in kept]),
        np.array([s.guid for s in kept], np.uint64),
    )


def wiring_of(
    switches: Sequence[FoundSwitch],
    links: Sequence[FoundLink],
    nics: Sequence[FoundNic],
    *,
    foreign: Collection[int] = (),
) -> Wiring:
    """The wiring of one compute fabric; see the module docstring for what is derived how.

    Args:
        switches: all that were found, in any order.
        links: cables between them, in any order, each once.
        nics: the hosts' cabled NICs, in any order.
        foreign: switches (indices) that carry machines which are not hosts of the fleet.

    Raises:
        InputError: there is no NIC, a cable joins two switches of one tier, or there is a fourth
            tier. The message names the switches.
    """
    if not nics:
        raise InputError("no NIC of a host is cabled to a switch; wanted at least one")
    nics_of_host = _nics_by_host(nics)
    tier = _tiers(switches, links, sorted({nic.leaf for nic in nics}), foreign)
    leaves_of_host = {h: frozenset(n.leaf for n in own) for h, own in nics_of_host.items()}
    set_of_host = _groups(leaves_of_host)
    groups = list(dict.fromkeys(set_of_host.values()))
    number = {leaves: g for g, leaves in enumerate(groups)}
    votes: dict[int, Counter[int]] = defaultdict(Counter)
    for host, leaves in leaves_of_host.items():
        for leaf in leaves:
            votes[leaf][number[set_of_host[host]]] += 1
    home_of_leaf = {leaf: min(c, key=lambda g: (-c[g], g)) for leaf, c in votes.items()}
    pod_of_group, pod_of_spine = _pods(groups, home_of_leaf, links, tier)
    rail_of_leaf, notes = _rails(nics_of_host)
    notes += [
        f"node {host!r} has NICs on leaves of {len(homes)} leaf groups"
        for host, leaves in leaves_of_host.items()
        if len(homes := {home_of_leaf[leaf] for leaf in leaves}) > 1
    ]

    pod = {leaf: pod_of_group[g] for leaf, g in home_of_leaf.items()} | pod_of_spine
    by_pod = sorted(range(len(groups)), key=lambda g: (pod_of_group[g], g))
    group_row = {g: row for row, g in enumerate(by_pod)}
    hosts = sorted(nics_of_host, key=lambda h: group_row[number[set_of_host[h]]])
    order = sorted(tier, key=lambda s: (tier[s], natural_key(switches[s].id)))
    switch_row = {s: row for row, s in enumerate(order)}
    return Wiring(
        node_ids=tuple(hosts),
        group_of_node=_i32([group_row[number[set_of_host[h]]] for h in hosts]),
        pod_of_group=_i32([pod_of_group[g] for g in by_pod]),
        switches=_switch_table(switches, order, tier, rail_of_leaf, pod),
        links=_link_table(links, tier, switch_row),
        nics=_nic_table(hosts, nics_of_host, rail_of_leaf, switch_row),
        notes=tuple(notes),
    )
