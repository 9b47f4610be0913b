"""Goal: keys never collide, pools say when they are empty, addresses stay inside their network.

Method: hypothesis draws what is taken; the answers are checked against Python's ``ipaddress``.
"""

from ipaddress import IPv4Interface, IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gigawatt.boundary.keys import (
    HOST_INDEX_MAX,
    address_of,
    key_range,
    keys_of,
    subnet_of,
    take_keys,
)
from gigawatt.boundary.target import ClusterTarget, Keys
from gigawatt.errors import InputError, NoCapacityError
from gigawatt.ids import ClusterId, FabricId, KeyPoolId, SiteId, StoragePoolId, TenantId

FABRIC, SITE, POOL = FabricId("ib0"), SiteId("site-a"), StoragePoolId("fs0")
POOLS = [
    KeyPoolId(name)
    for name in ("p_key/ib0", "compute_vni/ib0", "vni/site-a", "subnet/site-a", "filesystem/fs0")
]


def _take(taken, *, is_infiniband=True, pool_id=POOL) -> Keys:
    return take_keys(
        taken, fabric_id=FABRIC, is_infiniband=is_infiniband, site_id=SITE, pool_id=pool_id
    )


def _target(keys: Keys, pool_id=POOL) -> ClusterTarget:
    return ClusterTarget(
        cluster_id=ClusterId("clu_1"),
        tenant_id=TenantId("ten_1"),
        name="train",
        site_id=SITE,
        fabric_id=FABRIC,
        pool_id=pool_id,
        members=(),
        keys=keys,
        storage_bytes=1,
        image="debian-12-gpu",
        ssh_public_keys=(),
        egress_cidrs=(),
    )


def test_ranges_are_what_the_standards_allow():
    assert key_range(KeyPoolId("p_key/ib0")) == range(0x0001, 0x7FFF)
    assert key_range(KeyPoolId("subnet/site-a")) == range(4096)
    assert key_range(KeyPoolId("filesystem/fs0")) == range(1, 2**31)
    in_band, compute = key_range(KeyPoolId("vni/a")), key_range(KeyPoolId("compute_vni/a"))
    assert in_band.start > 4095
    assert in_band.stop <= compute.start
    assert compute.stop <= 2**24


@pytest.mark.parametrize("name", ["vlan/site-a", "p_key", "p_key/", ""])
def test_an_unknown_pool_is_refused_by_name(name):
    with pytest.raises(InputError, match=f"key pool '{name}' is not known"):
        key_range(KeyPoolId(name))


def test_first_cluster_gets_the_first_key_of_every_pool():
    assert _take({}) == Keys(1, None, 0x1000, 0, 1)
    assert _take({}, is_infiniband=False, pool_id=None) == Keys(None, 0x80_0000, 0x1000, 0, None)


@given(
    st.dictionaries(
        st.sampled_from(POOLS), st.lists(st.integers(0, 40), max_size=40).map(tuple), max_size=5
    ),
    st.booleans(),
)
def test_taken_keys_are_the_lowest_free_ones(offsets, is_infiniband):
    taken = {
        pool: {key_range(pool).start + offset for offset in values}
        for pool, values in offsets.items()
    }
    for pool, key in keys_of(_target(_take(taken, is_infiniband=is_infiniband))):
        used = taken.get(pool, set())
        assert key in key_range(pool)
        assert key not in used
        assert all(lower in used for lower in range(key_range(pool).start, key))


@given(st.integers(1, 60))
def test_a_row_of_clusters_never_shares_a_key(count):
    taken: dict[KeyPoolId, set[int]] = {}
    for _ in range(count):
        for pool, key in keys_of(_target(_take(taken))):
            assert key not in taken.setdefault(pool, set())
            taken[pool].add(key)


@pytest.mark.parametrize("name", ["p_key/ib0", "subnet/site-a"])
def test_an_empty_pool_is_named(name):
    pool = KeyPoolId(name)
    with pytest.raises(NoCapacityError, match=f"key pool '{name}' is exhausted"):
        _take({pool: key_range(pool)})


def test_keys_of_names_every_pool_and_skips_absent_keys():
    assert keys_of(_target(Keys(7, None, 5000, 3, 9))) == (
        ("p_key/ib0", 7),
        ("vni/site-a", 5000),
        ("subnet/site-a", 3),
        ("filesystem/fs0", 9),
    )
    assert keys_of(_target(Keys(None, 0x80_0001, 5000, 3, None), None)) == (
        ("compute_vni/ib0", 0x80_0001),
        ("vni/site-a", 5000),
        ("subnet/site-a", 3),
    )


@given(st.integers(0, 4095), st.integers(0, 4095))
def test_networks_are_disjoint_parts_of_ten_slash_eight(first, second):
    one, other = IPv4Network(subnet_of(first)), IPv4Network(subnet_of(second))
    assert one.subnet_of(IPv4Network("10.0.0.0/8"))
    assert one.overlaps(other) == (first == second)


@given(st.integers(0, 4095), st.integers(0, HOST_INDEX_MAX))
def test_addresses_lie_in_their_network_clear_of_gateway_and_services(index, host_index):
    network = IPv4Network(subnet_of(index))
    address = IPv4Interface(address_of(str(network), host_index))
    assert address.network == network
    host_part = int(address.ip) - int(network.network_address)
    assert host_part == host_index + 10
    assert address.ip != network.broadcast_address


def test_four_thousand_hosts_fit_and_the_first_that_does_not_is_refused():
    assert HOST_INDEX_MAX >= 4_000
    with pytest.raises(NoCapacityError, match=r"10\.0\.0\.0/20 has no address for host 4085"):
        address_of(subnet_of(0), HOST_INDEX_MAX + 1)
    with pytest.raises(InputError, match="network 4096 does not exist"):
        subnet_of(4096)
