"""Goal: the proof has no false alarms on sound clusters, and no single corruption escapes it.

Method: hypothesis draws fleets (InfiniBand or Ethernet), disjoint allocations of whole nodes,
spares and aligned slices, file systems that stand alone and are mounted, inbound rules, and keys
from the pools. As drawn they must be proven, in any order of
entries. Then one entry is dropped, copied to another cluster, or has one field changed: it must
be found, or be one of the few changes that are listed here as harmless. Whatever two clusters
can then reach each other must be named together.
"""

from collections import defaultdict
from dataclasses import fields, replace
from functools import lru_cache

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from gigawatt.boundary.entries import (
    DEFAULT_P_KEY,
    BmcAccount,
    BmcRoute,
    ComputePort,
    Entry,
    Export,
    FileSystem,
    Gateway,
    HostSlice,
    NetworkPort,
    PartitionMember,
    PortLocation,
)
from gigawatt.boundary.keys import keys_of, take_filesystem, take_keys
from gigawatt.boundary.plane import PLANES
from gigawatt.boundary.proof import prove
from gigawatt.boundary.reachability import expected_matrix, reachability
from gigawatt.boundary.render import render
from gigawatt.boundary.target import ClusterTarget, Member, Mount
from gigawatt.fleet.demo import hgx_fleet, nvl72_fleet
from gigawatt.fleet.model import FabricKind, Fleet
from gigawatt.fleet.slices import aligned_masks, slice_sizes
from gigawatt.ids import ClusterId, FabricId, FileSystemId, SiteId, StoragePoolId, TenantId
from gigawatt.intent.firewall import InboundRule
from gigawatt.units import TIB

SSH_IN = InboundRule("tcp", (22, 22), "192.0.2.0/24")
INBOUND = [(), (SSH_IN,), (SSH_IN, InboundRule("all", None, "0.0.0.0/0"))]


@lru_cache
def _fleet(name: str) -> Fleet:
    return {"ib": hgx_fleet(40 * 8), "roce": nvl72_fleet(2)}[name]


@st.composite
def allocations(draw, fleet: Fleet) -> list[list[tuple[int, int, str]]]:
    """Disjoint (node, mask, role) lists: some clusters of whole nodes, some single guests."""
    nodes = draw(st.permutations(range(min(24, len(fleet.nodes)))))
    clusters: list[list[tuple[int, int, str]]] = []
    position = 0
    for _ in range(draw(st.integers(1, 5))):
        count = draw(st.integers(1, 4))
        spares = draw(st.integers(0, 1))
        chosen = nodes[position : position + count + spares]
        position += count + spares
        full = int(fleet.full_gpu_mask_of_node[0])
        clusters.append(
            [(n, full, "member" if i < count else "spare") for i, n in enumerate(chosen)]
        )
    gpu_count = int(fleet.gpu_count_of_node[0])
    for node in nodes[position : position + draw(st.integers(0, 2))]:
        size = draw(st.sampled_from(slice_sizes(gpu_count)[:-1]))
        masks = aligned_masks(gpu_count, size)
        for mask in draw(st.lists(st.sampled_from(masks), min_size=1, max_size=3, unique=True)):
            clusters.append([(node, mask, "member")])
    return [cluster for cluster in clusters if cluster]


@st.composite
def sites(draw) -> tuple[Fleet, tuple[ClusterTarget, ...]]:
    """A fleet and the targets of sound clusters on it."""
    fleet = _fleet(draw(st.sampled_from(["ib", "roce"])))
    taken = defaultdict(set)
    targets = []
    for number, nodes in enumerate(draw(allocations(fleet))):
        storage_bytes = draw(st.sampled_from([0, TIB]))
        pool_id = StoragePoolId(fleet.storage_pools.ids[0]) if storage_bytes else None
        keys = take_keys(
            taken,
            fabric_id=FabricId(fleet.fabrics.ids[0]),
            is_infiniband=fleet.fabrics.kind[0] is FabricKind.INFINIBAND,
            site_id=SiteId(fleet.sites.ids[0]),
            pool_id=pool_id,
        )
        first_index = draw(st.integers(0, 100))
        target = ClusterTarget(
            cluster_id=ClusterId(f"clu_{number}"),
            tenant_id=TenantId(f"ten_{draw(st.integers(0, 3))}"),
            name=f"c{number}",
            site_id=SiteId(fleet.sites.ids[0]),
            fabric_id=FabricId(fleet.fabrics.ids[0]),
            pool_id=pool_id,
            members=tuple(
                Member(fleet.node_id(node), mask, role, first_index + i)
                for i, (node, mask, role) in enumerate(nodes)
            ),
            keys=keys,
            storage_bytes=storage_bytes,
            image="debian-12-gpu",
            ssh_public_keys=(f"ssh-ed25519 key-{number}",),
            egress_cidrs=draw(st.sampled_from([(), ("0.0.0.0/0",), ("192.0.2.0/24",)])),
        )
        for pool, key in keys_of(target):
            taken[pool].add(key)
        targets.append(target)
    holders = draw(file_systems(fleet, taken))
    return fleet, (*(draw(mounting(target, holders)) for target in targets), *holders)


@st.composite
def file_systems(draw, fleet: Fleet, taken) -> list[ClusterTarget]:
    """Up to three file systems that stand alone, of tenants that may have clusters."""
    holders = []
    for number in range(draw(st.integers(0, 3))):
        pool_id = StoragePoolId(fleet.storage_pools.ids[0])
        holder = ClusterTarget(
            ClusterId(f"fsy_{number}"), TenantId(f"ten_{draw(st.integers(0, 3))}"), f"f{number}",
            SiteId(fleet.sites.ids[0]), FabricId(""), pool_id, (),
            take_filesystem(taken, pool_id), TIB, "", (), (),
        )  # fmt: skip
        for pool, key in keys_of(holder):
            taken[pool].add(key)
        holders.append(holder)
    return holders


@st.composite
def mounting(draw, target: ClusterTarget, holders: list[ClusterTarget]) -> ClusterTarget:
    """The cluster with some of its tenant's file systems mounted, and something let in."""
    own = [holder for holder in holders if holder.tenant_id == target.tenant_id]
    chosen = [holder for holder in own if draw(st.booleans())]
    mounts = tuple(
        Mount(FileSystemId(h.cluster_id), h.pool_id, h.keys.filesystem, f"/data/{h.name}")
        for h in chosen
    )
    return replace(target, mounts=mounts, inbound_rules=draw(st.sampled_from(INBOUND)))


def _entries(fleet, targets) -> list[Entry]:
    return [entry for target in targets for entry in render(fleet, target)]


def _locations(fleet) -> list[PortLocation]:
    return [
        PortLocation(FabricId(fleet.fabrics.ids[0]), guid, fleet.switches.ids[leaf], number)
        for guid, leaf, number in zip(
            fleet.nics.guid.tolist(),
            fleet.nics.leaf.tolist(),
            fleet.nics.leaf_switch_port.tolist(),
            strict=True,
        )
    ]


@given(sites(), st.randoms(use_true_random=False), st.sampled_from(["targets", "read_back"]))
@settings(max_examples=80)
def test_sound_clusters_are_never_accused(site, random, scope):
    fleet, targets = site
    entries = _entries(fleet, targets)
    random.shuffle(entries)
    proof = prove(fleet, targets, entries, port_locations=_locations(fleet), scope=scope)
    assert proof.violations == ()
    reach = reachability(fleet, targets, entries)
    for plane in PLANES:
        assert np.array_equal(reach.matrix[plane], expected_matrix(targets)[plane])


@given(sites(), st.data())
@settings(max_examples=30)
def test_the_answer_does_not_depend_on_the_order_of_entries(site, data):
    fleet, targets = site
    entries = _entries(fleet, targets)
    broken = [replace(e, p_key=1) if isinstance(e, PartitionMember) else e for e in entries]
    broken = [replace(e, vni=0x1000) if isinstance(e, NetworkPort) else e for e in broken]
    shuffled = list(broken)
    data.draw(st.randoms(use_true_random=False)).shuffle(shuffled)
    assert prove(fleet, targets, broken) == prove(fleet, targets, shuffled)


def _others(values, own):
    return [value for value in dict.fromkeys(values) if value != own]


def _values(fleet: Fleet, targets, entry: Entry, name: str) -> list:
    """Values to put into one field of one entry: other clusters', free, and senseless ones."""
    nodes = [*fleet.nodes.ids[:26], "nowhere"]
    by_name = {
        "fabric_id": ["ib9"],
        "p_key": [*(t.keys.p_key for t in targets), DEFAULT_P_KEY, 0xFFFF, 0x600, 0],
        "guid": [*fleet.nics.guid[:200].tolist(), 0xBAD],
        "membership": ["limited"],
        "vni": [
            *(
                t.keys.compute_vni if isinstance(entry, ComputePort) else t.keys.vni
                for t in targets
            ),
            0x5000,
        ],
        "node_id": nodes,
        "slot": [0, 1, 2, 3, 4, 6],
        "ipv4": ["10.0.0.1/20", "10.0.0.11/20", "10.0.16.10/20", "nonsense"],
        "site_id": ["site-z"],
        "subnet": ["10.0.0.0/20", "10.0.16.0/20", "10.0.0.0/8", "nonsense"],
        "egress_cidrs": [("0.0.0.0/0",), ("10.0.16.0/20",), ("100.64.0.0/10",), ()],
        "inbound_rules": [
            *INBOUND,
            (replace(SSH_IN, port_range=(22, 23)),),
            (replace(SSH_IN, source_cidr="10.0.16.0/20"),),
            (replace(SSH_IN, source_cidr="everywhere"),),
        ],
        "username": ["root"],
        "secret_ref": ["bmc/clu_0/nowhere"],
        "source": [*(f"cluster:{t.cluster_id}" for t in targets), "bmc:" + nodes[0], "cluster:x"],
        "pool_id": ["fs9"],
        "filesystem": [*(t.keys.filesystem for t in targets if t.keys.filesystem), 99],
        "path": [*(f"/tenants/{t.tenant_id}/{t.cluster_id}" for t in targets), "/tenants"],
        "quota_bytes": [TIB * 2, 1],
        "gpu_mask": [0b1, 0b11, 0b1100, 0b1111, 0xFF, 0b0110],
        "guest": [not getattr(entry, "guest", False)],
        "image": ["other"],
        "ssh_public_keys": [("ssh-ed25519 stranger",)],
    }
    values = [v for v in by_name.get(name, ()) if v is not None]
    return _others(values, getattr(entry, name))


def _is_harmless(before: Entry, after: Entry) -> bool:
    """Changes that open nothing and cut nothing.

    A host slice called "guest" on a whole node is alone on it all the same.
    """
    if isinstance(before, HostSlice) and isinstance(after, HostSlice) and after.guest:
        return replace(after, guest=False) == before
    return False


HARMLESS_FIELDS = {
    "hostname": "a name that only its own cluster resolves",
    "power": "off is no leak, and a spare that is on is fenced like a member",
    "kind": "a constant",
}


@given(sites(), st.data())
@settings(max_examples=200)
def test_no_single_changed_field_escapes(site, data):
    fleet, targets = site
    entries = _entries(fleet, targets)
    kind = data.draw(st.sampled_from(sorted({type(e) for e in entries}, key=lambda k: k.__name__)))
    position = data.draw(
        st.sampled_from([i for i, entry in enumerate(entries) if isinstance(entry, kind)])
    )
    entry = entries[position]
    names = [f.name for f in fields(entry) if f.name not in HARMLESS_FIELDS]
    name = data.draw(st.sampled_from(names))
    values = _values(fleet, targets, entry, name)
    if not values:
        return
    changed = replace(entry, **{name: data.draw(st.sampled_from(values))})
    corrupted = [*entries[:position], changed, *entries[position + 1 :]]
    proof = prove(fleet, targets, corrupted, scope="read_back")
    assert proof.violations or _is_harmless(entry, changed), (entry, changed)
    _check_pairs_are_named(fleet, targets, corrupted, proof)


@given(sites(), st.data())
@settings(max_examples=60)
def test_no_single_lost_entry_escapes(site, data):
    fleet, targets = site
    entries = _entries(fleet, targets)
    position = data.draw(st.integers(0, len(entries) - 1))
    proof = prove(fleet, targets, entries[:position] + entries[position + 1 :])
    assert not proof.is_connected
    breaks = {v.rule for v in proof.violations if v.breaks == "isolation"}
    assert breaks <= {"half_closed"}


@given(sites(), st.data())
@settings(max_examples=150)
def test_no_entry_copied_to_another_cluster_escapes(site, data):
    fleet, targets = site
    entries = _entries(fleet, targets)
    entry = data.draw(st.sampled_from(entries))
    names = {
        PartitionMember: ["p_key", "guid"],
        ComputePort: ["vni", "guid"],
        NetworkPort: ["vni", "node_id"],
        Gateway: ["vni"],
        BmcAccount: ["node_id"],
        BmcRoute: ["source", "node_id"],
        FileSystem: ["filesystem"],
        Export: ["filesystem", "vni"],
        HostSlice: ["node_id", "gpu_mask"],
    }[type(entry)]
    name = data.draw(st.sampled_from(names))
    values = _values(fleet, targets, entry, name)
    if not values:
        return
    copy = replace(entry, **{name: data.draw(st.sampled_from(values))})
    if copy in entries:
        return
    proof = prove(fleet, targets, [*entries, copy], scope="read_back")
    assert not proof.is_isolated, (entry, copy)
    _check_pairs_are_named(fleet, targets, [*entries, copy], proof)


def _check_pairs_are_named(fleet, targets, entries, proof) -> None:
    """Any two clusters that reach each other stand together in an isolation violation.

    Where a file system is reached it may be a cluster that mounts it which is named, and the
    other way round.
    """
    kin = {target.cluster_id: {target.cluster_id} for target in targets}
    for target in targets:
        for mount in target.mounts:
            kin[target.cluster_id].add(mount.file_system_id)
            kin[mount.file_system_id].add(target.cluster_id)
    allowed = expected_matrix(targets)
    row = {target.cluster_id: number for number, target in enumerate(targets)}
    named = {
        frozenset((a, b))
        for violation in proof.violations
        if violation.breaks == "isolation"
        for a in violation.cluster_ids
        for b in violation.cluster_ids
    }
    for plane, a, b in reachability(fleet, targets, entries).pairs:
        if allowed[plane][row[a], row[b]]:
            continue
        assert any(frozenset((x, y)) in named for x in kin[a] for y in kin[b]) or any(
            v.rule == "default_full" and {a, b} & set(v.cluster_ids) for v in proof.violations
        )
