"""Goal: the matrix of who reaches whom is what a pairwise reading of the entries gives.

Method: a differential test. Small soups of random entries (keys of others, limited and full
members, nested paths, overlapping subnets, routes between BMCs, slices over slices) are judged
by brute force: every pair of entries against a plain definition, with ownership found by search.
The grouped matrix must be equal. And wherever two clusters reach, the proof must say so.
"""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from itertools import product

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from gigawatt.boundary.entries import (
    DEFAULT_P_KEY,
    BmcRoute,
    ComputePort,
    Export,
    FileSystem,
    Gateway,
    HostSlice,
    NetworkPort,
    PartitionMember,
)
from gigawatt.boundary.keys import subnet_of
from gigawatt.boundary.plane import PLANES, Plane
from gigawatt.boundary.proof import prove
from gigawatt.boundary.reachability import expected_matrix, reachability, reachability_table
from gigawatt.boundary.render import render
from gigawatt.boundary.target import ClusterTarget, Keys, Member
from gigawatt.fleet.builder import BlockSpec, build_fleet
from gigawatt.fleet.demo import HGX_H100
from gigawatt.fleet.model import FabricKind
from gigawatt.ids import ClusterId, FabricId, SiteId, StoragePoolId, TenantId
from gigawatt.units import PIB, TIB

FLEET = build_fleet(
    "soup",
    [
        BlockSpec("site-a", "US", "hall-1", HGX_H100, 5, "h", "ib0", storage_bytes=PIB),
        BlockSpec("site-a", "US", "hall-1", HGX_H100, 2, "g", "eth0", FabricKind.ROCE),
    ],
)
IB, ETH, SITE, POOL = FabricId("ib0"), FabricId("eth0"), SiteId("site-a"), StoragePoolId("ib0-fs")


def _target(number: int, nodes, keys: Keys, fabric_id=IB) -> ClusterTarget:
    return ClusterTarget(
        cluster_id=ClusterId(f"clu_{number}"),
        tenant_id=TenantId(f"ten_{number}"),
        name=f"c{number}",
        site_id=SITE,
        fabric_id=fabric_id,
        pool_id=POOL,
        members=tuple(
            Member(FLEET.node_id(node), mask, "member", i) for i, (node, mask) in enumerate(nodes)
        ),
        keys=keys,
        storage_bytes=TIB,
        image="debian-12-gpu",
        ssh_public_keys=(),
        egress_cidrs=(),
    )


TARGETS = (
    _target(0, [(0, 0xFF), (1, 0xFF)], Keys(1, None, 0x1000, 0, 1)),
    _target(1, [(2, 0xFF)], Keys(2, None, 0x1001, 1, 2)),
    _target(2, [(3, 0b0011)], Keys(3, None, 0x1002, 2, 3)),
    _target(3, [(3, 0b1100)], Keys(4, None, 0x1003, 3, 4)),
    _target(4, [(5, 0xFF)], Keys(None, 0x80_0000, 0x1004, 4, 5), ETH),
    _target(5, [(6, 0xFF)], Keys(None, 0x80_0001, 0x1005, 5, 6), ETH),
)
SOUND = [entry for target in TARGETS for entry in render(FLEET, target)]
GUIDS = [int(FLEET.nics.guid[node * 8 + rail]) for node in range(7) for rail in (0, 2, 4)]
PATHS = [f"/tenants/ten_{i}/clu_{i}" for i in range(6)] + ["/tenants", "/tenants/ten_1"]
BMC_ADDRESS = [str(IPv4Address(int(address))) for address in FLEET.nodes.bmc_ipv4]
CIDRS = [(), ("0.0.0.0/0",), (subnet_of(1),), ("10.0.0.0/18",), (BMC_ADDRESS[3] + "/32",)]

nodes_ids = st.sampled_from(FLEET.nodes.ids)
vnis = st.sampled_from([0x1000, 0x1001, 0x1002, 0x1004, 0x5000])
soups = st.lists(
    st.one_of(
        st.builds(
            PartitionMember,
            st.sampled_from([IB, ETH]),
            st.sampled_from([1, 2, 3, 0x600, DEFAULT_P_KEY, 0x8002, 0xFFFF]),
            st.sampled_from([*GUIDS, 0xBAD]),
            st.sampled_from(["full", "limited", "limited"]),
        ),
        st.builds(
            ComputePort,
            st.sampled_from([ETH, IB]),
            st.sampled_from([0x80_0000, 0x80_0001, 0x90_0000]),
            st.sampled_from(GUIDS),
        ),
        st.builds(
            NetworkPort, nodes_ids, st.sampled_from([0, 2, 4]), vnis, st.just("10.0.0.77/20")
        ),
        st.builds(
            Gateway,
            st.just(SITE),
            vnis,
            st.sampled_from([subnet_of(i) for i in range(6)] + ["10.0.0.0/18", "x"]),
            st.sampled_from(CIDRS),
        ),
        st.builds(
            BmcRoute,
            st.just(SITE),
            st.sampled_from(
                ["cluster:clu_0", "cluster:clu_2", "cluster:x"]
                + [f"bmc:{name}" for name in FLEET.nodes.ids[:4]]
            ),
            nodes_ids,
        ),
        st.builds(
            FileSystem, st.just(POOL), st.integers(1, 7), st.sampled_from(PATHS), st.just(TIB)
        ),
        st.builds(Export, st.just(POOL), st.integers(1, 7), vnis),
        st.builds(
            HostSlice,
            nodes_ids,
            st.sampled_from([0b1, 0b11, 0b0110, 0b1100, 0xFF]),
            st.booleans(),
            st.just("h-0001"),
            st.just("debian-12-gpu"),
            st.just(()),
            st.just("on"),
        ),
    ),
    max_size=14,
)


def _of_guid(guid: int):
    """Cluster that holds a NIC, by search."""
    rows = np.flatnonzero(FLEET.nics.guid == guid)
    if not len(rows):
        return None
    node, rail = FLEET.node_id(int(FLEET.nics.node[rows[0]])), int(FLEET.nics.rail[rows[0]])
    return next(
        (
            c
            for c, target in enumerate(TARGETS)
            for m in target.members
            if m.node_id == node and m.gpu_mask >> rail & 1
        ),
        None,
    )


def _lowest(mask: int) -> int:
    return next(i for i in range(16) if mask >> i & 1)


def _of_slot(node_id, slot: int):
    return next(
        (
            c
            for c, target in enumerate(TARGETS)
            for m in target.members
            if m.node_id == node_id and _lowest(m.gpu_mask) == slot
        ),
        None,
    )


def _under(node_id, mask: int) -> set[int]:
    return {
        c
        for c, target in enumerate(TARGETS)
        for m in target.members
        if m.node_id == node_id and m.gpu_mask & mask
    }


def _only(entries, kind):
    return [entry for entry in entries if isinstance(entry, kind)]


def _fabric_pairs(entries):
    members = _only(entries, PartitionMember)
    for a, b in product(members, members):
        one = a.fabric_id == b.fabric_id and a.p_key % 0x8000 == b.p_key % 0x8000
        full = any(e.membership == "full" or e.p_key >= 0x8000 for e in (a, b))
        if one and full and (a.guid != b.guid or a is b):
            yield {_of_guid(a.guid)}, {_of_guid(b.guid)}
    for a in members:
        if a.p_key % 0x8000 == DEFAULT_P_KEY and (a.membership == "full" or a.p_key >= 0x8000):
            everyone = {c for c, target in enumerate(TARGETS) if target.fabric_id == a.fabric_id}
            yield {_of_guid(a.guid)}, everyone
            yield everyone, {_of_guid(a.guid)}
    ports = _only(entries, ComputePort)
    for a, b in product(ports, ports):
        if (a.fabric_id, a.vni) == (b.fabric_id, b.vni):
            yield {_of_guid(a.guid)}, {_of_guid(b.guid)}


def _in(entries, vni: int) -> set:
    return {_of_slot(p.node_id, p.slot) for p in _only(entries, NetworkPort) if p.vni == vni}


def _networks(texts):
    return [IPv4Network(text) for text in texts if text != "x"]


def _egress(entries):
    """(gateway, network) of ways out that aim inside."""
    for gateway in _only(entries, Gateway):
        for network in _networks(gateway.egress_cidrs):
            if network.prefixlen >= 8 and str(network).startswith(("10.", "100.64.")):
                yield gateway, network


def _in_band_pairs(entries):
    ports = _only(entries, NetworkPort)
    for a, b in product(ports, ports):
        if a.vni == b.vni:
            yield {_of_slot(a.node_id, a.slot)}, {_of_slot(b.node_id, b.slot)}
    gateways = _only(entries, Gateway)
    for a, b in product(gateways, gateways):
        for one, other in product(_networks([a.subnet]), _networks([b.subnet])):
            if one.overlaps(other):
                yield _in(entries, a.vni), _in(entries, b.vni)
    for (gateway, network), other in product(_egress(entries), gateways):
        if any(network.overlaps(subnet) for subnet in _networks([other.subnet])):
            yield _in(entries, gateway.vni), _in(entries, other.vni)


def _out_of_band_pairs(entries):
    for route in _only(entries, BmcRoute):
        kind, _, name = route.source.partition(":")
        if kind == "bmc":
            sources = _under(name, -1)
        else:
            sources = {c for c, target in enumerate(TARGETS) if target.cluster_id == name}
        yield sources, _under(route.node_id, -1)
    for gateway, network in _egress(entries):
        for node, address in enumerate(BMC_ADDRESS):
            if IPv4Address(address) in network:
                yield _in(entries, gateway.vni), _under(FLEET.node_id(node), -1)


def _owner(filesystem: int) -> set[int]:
    return {c for c, target in enumerate(TARGETS) if target.keys.filesystem == filesystem}


def _storage_pairs(entries):
    filesystems = _only(entries, FileSystem)
    for export in _only(entries, Export):
        yield _in(entries, export.vni), _owner(export.filesystem)
        for a, b in product(filesystems, filesystems):
            paths = sorted((a.path + "/", b.path + "/"), key=len)
            if a.filesystem == export.filesystem and paths[1].startswith(paths[0]):
                yield _in(entries, export.vni), _owner(b.filesystem)


def _host_pairs(entries):
    for host in _only(entries, HostSlice):
        yield (
            _under(host.node_id, 1 << _lowest(host.gpu_mask)),
            _under(host.node_id, host.gpu_mask if host.guest else -1),
        )


PAIRS = {
    Plane.FABRIC: _fabric_pairs,
    Plane.IN_BAND: _in_band_pairs,
    Plane.OUT_OF_BAND: _out_of_band_pairs,
    Plane.STORAGE: _storage_pairs,
    Plane.HOST: _host_pairs,
}


def _brute_force(entries, plane):
    matrix = np.eye(len(TARGETS), dtype=bool)
    for sources, sinks in PAIRS[plane](entries):
        for a, b in product(sources - {None}, sinks - {None}):
            matrix[a, b] = True
    return matrix


@given(soups, st.booleans())
@settings(max_examples=250)
def test_grouped_matrix_equals_the_pairwise_definition(soup, is_on_top_of_sound):
    entries = [*soup, *(SOUND if is_on_top_of_sound and len(soup) < 6 else [])]
    grouped = reachability(FLEET, TARGETS, entries).matrix
    for plane in PLANES:
        assert np.array_equal(grouped[plane], _brute_force(entries, plane)), plane


@given(soups)
@settings(max_examples=250)
def test_whoever_reaches_another_is_accused(soup):
    reach = reachability(FLEET, TARGETS, soup)
    if reach.pairs:
        assert not prove(FLEET, TARGETS, soup, scope="read_back").is_isolated


def test_sound_clusters_reach_themselves_alone():
    matrix = reachability(FLEET, TARGETS, SOUND).matrix
    for plane, expected in expected_matrix(TARGETS).items():
        assert np.array_equal(matrix[plane], expected)


def _reach(*members: PartitionMember) -> set[tuple[str, str]]:
    return {(a, b) for _, a, b in reachability(FLEET, TARGETS, members).pairs}


def test_limited_members_of_one_partition_do_not_talk_and_full_ones_do():
    a, b = GUIDS[0], GUIDS[6]
    both = {("clu_0", "clu_1"), ("clu_1", "clu_0")}
    for first, second, wanted in (
        ("limited", "limited", set()),
        ("full", "limited", both),
        ("limited", "full", both),
        ("full", "full", both),
    ):
        members = PartitionMember(IB, 9, a, first), PartitionMember(IB, 9, b, second)
        assert _reach(*members) == wanted
        assert _reach(members[0], replace(members[1], p_key=8)) == set()
        assert _reach(members[0], replace(members[1], fabric_id=ETH)) == set()


def test_one_full_member_of_the_default_partition_reaches_its_whole_fabric():
    pairs = _reach(PartitionMember(IB, DEFAULT_P_KEY, GUIDS[0], "full"))
    assert pairs == {
        pair
        for other in ("clu_1", "clu_2", "clu_3")
        for pair in (("clu_0", other), (other, "clu_0"))
    }


def test_the_table_shows_who_reaches_whom():
    export = Export(POOL, TARGETS[1].keys.filesystem, TARGETS[0].keys.vni)
    text = reachability_table(reachability(FLEET, TARGETS[:3], [*SOUND, export]))
    assert text == (
        "3 clusters, 6 ordered pairs on 5 planes: 1 reach\n"
        "      clu_0 clu_1 clu_2\n"
        "clu_0 -     ...S. .....\n"
        "clu_1 ..... -     .....\n"
        "clu_2 ..... ..... -\n"
    )


def test_a_wide_table_shows_only_who_crosses():
    many = tuple(
        replace(TARGETS[0], cluster_id=ClusterId(f"c{i}"), members=(), keys=Keys(i, None, i, i, i))
        for i in range(40)
    )
    assert reachability_table(reachability(FLEET, many, ())) == (
        "40 clusters, 1560 ordered pairs on 5 planes: 0 reach\n"
    )
