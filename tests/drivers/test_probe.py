"""Probes find out who really reaches whom.

Goal: a probe is the last proof that a boundary is closed, so it must find every way through that
can be planted in the world, and must not be satisfied by half a fabric.
Method: two clusters of two nodes each in a world; plant one way through (or take one entry away)
and look at the plane concerned, at the pair concerned and at all others.
"""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gigawatt.boundary.entries import (
    BmcRoute,
    ComputePort,
    Export,
    FileSystem,
    HostSlice,
    NetworkPort,
    PartitionMember,
)
from gigawatt.boundary.plane import Plane
from gigawatt.drivers.fake import DeviceWorld
from gigawatt.drivers.fake.probe import probe
from gigawatt.errors import DriverPermanentError
from gigawatt.fleet.demo import hgx_fleet, nvl72_fleet
from gigawatt.interfaces.driver import Endpoint

FLEET = hgx_fleet(64)
NODES = FLEET.nodes.ids
POOL = FLEET.storage_pools.ids[0]
A0, A1, B0, B1 = (Endpoint(NODES[n], 0) for n in range(4))
KEY_OF = {"clu_a": 0x10, "clu_b": 0x11}


def guid(node, rail, fleet=FLEET):
    return int(fleet.nics.guid[int(fleet.first_nic_of_node[node]) + rail])


def two_clusters():
    world = DeviceWorld(FLEET)
    for n, cluster in enumerate(["clu_a", "clu_a", "clu_b", "clu_b"]):
        key = KEY_OF[cluster]
        for rail in range(8):
            world.plant(PartitionMember("ib0", key, guid(n, rail), "full"), owner=cluster)
        for entry in (
            NetworkPort(NODES[n], 0, key, f"10.0.0.{n + 2}/20"),
            BmcRoute("site-a", f"cluster:{cluster}", NODES[n]),
            HostSlice(NODES[n], 0xFF, False, f"n{n}", "debian-12-gpu", (), "on"),
            FileSystem(POOL, key, f"/{cluster}", 10),
            Export(POOL, key, key),
        ):
            world.plant(entry, owner=cluster)
    return world


PAIRS = [(a, b) for a in (A0, A1, B0, B1) for b in (A0, A1, B0, B1) if a != b]
INSIDE = {(A0, A1), (A1, A0), (B0, B1), (B1, B0)}


def reached(world, plane):
    return {pair for pair, is_on in zip(PAIRS, probe(world, plane, PAIRS), strict=True) if is_on}


@pytest.mark.parametrize("plane", list(Plane))
def test_clusters_reach_themselves_only(plane):
    assert reached(two_clusters(), plane) == INSIDE


def test_one_rail_missing_is_a_cluster_that_does_not_reach_itself():
    world = two_clusters()
    world.uproot(PartitionMember("ib0", 0x10, guid(1, 5), "full"))
    assert reached(world, Plane.FABRIC) == INSIDE - {(A0, A1), (A1, A0)}


@pytest.mark.parametrize("rail", [0, 7])
def test_one_foreign_nic_in_a_partition_is_a_leak(rail):
    world = two_clusters()
    world.plant(PartitionMember("ib0", 0x11, guid(0, rail), "limited"), owner="clu_a")
    leak = {(A0, B0), (B0, A0), (A0, B1), (B1, A0)}
    assert reached(world, Plane.FABRIC) == INSIDE | leak


def test_a_full_member_of_the_default_partition_reaches_everybody():
    world = two_clusters()
    world.plant(PartitionMember("ib0", 0x7FFF, guid(0, 3), "full"))
    leak = {(A0, B0), (B0, A0), (A0, B1), (B1, A0)}
    assert reached(world, Plane.FABRIC) == INSIDE | leak


def test_two_limited_members_do_not_talk():
    world = two_clusters()
    for rail in range(8):
        world.plant(PartitionMember("ib0", 0x10, guid(0, rail), "limited"), owner="clu_a")
    assert reached(world, Plane.FABRIC) == INSIDE
    for rail in range(8):
        world.plant(PartitionMember("ib0", 0x10, guid(1, rail), "limited"), owner="clu_a")
    assert reached(world, Plane.FABRIC) == INSIDE - {(A0, A1), (A1, A0)}


def test_a_host_in_a_foreign_network_is_a_leak_on_in_band_and_storage():
    world = two_clusters()
    world.plant(NetworkPort(NODES[0], 0, 0x11, "10.0.0.2/20"), owner="clu_a")
    leak = {(A0, B0), (B0, A0), (A0, B1), (B1, A0)}
    broken = {(A0, A1), (A1, A0)}
    assert reached(world, Plane.IN_BAND) == (INSIDE | leak) - broken
    assert reached(world, Plane.STORAGE) == (INSIDE | {(A0, B0), (A0, B1)}) - {(A0, A1)}


def test_an_export_to_a_foreign_network_is_a_leak():
    world = two_clusters()
    world.plant(Export(POOL, 0x11, 0x10), owner="clu_b")
    leak = {(a, b) for a in (A0, A1) for b in (B0, B1)}
    assert reached(world, Plane.STORAGE) == INSIDE | leak


def test_an_export_of_a_filesystem_that_is_gone_is_no_mount():
    world = two_clusters()
    world.uproot(FileSystem(POOL, 0x10, "/clu_a", 10))
    assert reached(world, Plane.STORAGE) == INSIDE - {(A0, A1), (A1, A0)}


def test_a_foreign_route_to_a_bmc_is_a_leak():
    world = two_clusters()
    world.plant(BmcRoute("site-a", "cluster:clu_a", NODES[2]))
    assert reached(world, Plane.OUT_OF_BAND) == INSIDE | {(A0, B0), (A1, B0)}


def test_a_route_from_bmc_to_bmc_is_followed():
    world = two_clusters()
    world.plant(BmcRoute("site-a", f"bmc:{NODES[0]}", NODES[7]))
    world.plant(BmcRoute("site-a", f"bmc:{NODES[7]}", NODES[3]))
    world.plant(BmcRoute("site-a", f"bmc:{NODES[3]}", NODES[7]))
    assert reached(world, Plane.OUT_OF_BAND) == INSIDE | {(A0, B1), (A1, B1)}


def test_a_host_that_is_off_is_not_reached():
    world = two_clusters()
    world.reboot(f"host/{NODES[1]}")
    assert reached(world, Plane.HOST) == INSIDE - {(A0, A1)}


def test_an_ethernet_fabric_joins_by_vni():
    fleet = nvl72_fleet(1)
    ends = [Endpoint(name, 0) for name in fleet.nodes.ids[:3]]
    world = DeviceWorld(fleet)
    for n, vni in enumerate([70, 70, 71]):
        held = HostSlice(ends[n].node_id, 0xF, False, "h", "debian-12-gpu", (), "on")
        world.plant(held, owner=f"clu_{vni}")
        for rail in range(4):
            world.plant(ComputePort("eth0", vni, guid(n, rail, fleet)), owner=f"clu_{vni}")
    pairs = [(ends[0], ends[1]), (ends[0], ends[2]), (ends[2], ends[2])]
    assert probe(world, Plane.FABRIC, pairs) == (True, False, True)


def test_slices_of_one_node_use_their_own_nics():
    world = DeviceWorld(FLEET)
    low, high, far = Endpoint(NODES[0], 0), Endpoint(NODES[0], 4), Endpoint(NODES[1], 4)
    for endpoint, mask, cluster in ((low, 0x0F, "a"), (high, 0xF0, "b"), (far, 0xF0, "b")):
        held = HostSlice(endpoint.node_id, mask, True, "h", "debian-12-gpu", (), "on")
        world.plant(held, owner=cluster)
    for rail in range(4):
        world.plant(PartitionMember("ib0", 0x10, guid(0, rail), "full"))
        world.plant(PartitionMember("ib0", 0x11, guid(0, rail + 4), "full"))
        world.plant(PartitionMember("ib0", 0x11, guid(1, rail + 4), "full"))
    pairs = [(high, far), (low, high), (low, far)]
    assert probe(world, Plane.FABRIC, pairs) == (True, False, False)


def test_a_moved_nic_is_seen_where_it_is():
    world = DeviceWorld(FLEET)
    expected = world.port_locations("ib0")
    leaf = expected[-1].switch_id
    world.move_nic(guid(0, 0), leaf, 40)
    changed = set(world.port_locations("ib0")) - set(expected)
    assert [(at.guid, at.switch_id, at.switch_port) for at in changed] == [(guid(0, 0), leaf, 40)]


@pytest.mark.parametrize("plane", list(Plane))
def test_a_node_that_does_not_exist_cannot_be_probed(plane):
    with pytest.raises(DriverPermanentError, match="no node 'nowhere'"):
        probe(DeviceWorld(FLEET), plane, [(A0, Endpoint("nowhere", 0))])


def naive_fabric(held, a, b, *, is_one_cluster):
    """Who is joined, straight from the words: NIC by NIC, membership by membership."""

    def joined(left, right):
        keys = {key for key, owner in held if owner in {left, right}} | {0x7FFF}
        levels = lambda key, g: held.get((key, g), "limited" if key == 0x7FFF else None)  # noqa: E731
        return any(
            None not in (both := (levels(key, left), levels(key, right))) and "full" in both
            for key in keys
        )

    lefts, rights = ([guid(n, rail) for rail in range(8)] for n in (a, b))
    if is_one_cluster:
        return all(joined(x, y) for x, y in zip(lefts, rights, strict=True))
    return any(joined(x, y) for x in lefts for y in rights)


memberships = st.dictionaries(
    st.tuples(
        st.sampled_from([0x10, 0x11, 0x7FFF]),
        st.sampled_from([guid(n, rail) for n in range(3) for rail in range(8)]),
    ),
    st.sampled_from(["full", "limited"]),
    max_size=12,
)


@settings(max_examples=60, deadline=None)
@given(memberships, st.booleans())
def test_fabric_probes_agree_with_a_naive_reading(extra, is_base_there):
    base = {(0x10, guid(n, rail)): "full" for n in range(2) for rail in range(8)}
    held = (base if is_base_there else {}) | extra
    world = DeviceWorld(FLEET)
    for n, cluster in enumerate(["clu_a", "clu_a", "clu_b"]):
        one = HostSlice(NODES[n], 0xFF, False, "h", "debian-12-gpu", (), "on")
        world.plant(one, owner=cluster)
    for (p_key, nic), membership in held.items():
        world.plant(PartitionMember("ib0", p_key, nic, membership))
    rows = [(0, 1), (1, 0), (0, 2), (2, 1)]
    pairs = [(Endpoint(NODES[a], 0), Endpoint(NODES[b], 0)) for a, b in rows]
    expected = tuple(naive_fabric(held, a, b, is_one_cluster=2 not in {a, b}) for a, b in rows)
    assert probe(world, Plane.FABRIC, pairs) == expected
