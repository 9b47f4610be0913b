"""Goal: a target renders to all that the five planes need, no more, and always the same.

Method: one cluster of every make (whole nodes with spares, a guest, RoCE, no storage), with the
entries counted and read per plane; determinism and splitting are properties over random members.
"""

import re
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gigawatt.boundary.entries import (
    BmcAccount,
    BmcRoute,
    ComputePort,
    Export,
    FileSystem,
    Gateway,
    HostSlice,
    NetworkPort,
    PartitionMember,
)
from gigawatt.boundary.names import bmc_username_of, hostname_of
from gigawatt.boundary.render import render, render_member, render_shared
from gigawatt.boundary.target import ClusterTarget, Keys, Member
from gigawatt.errors import UnknownIdError
from gigawatt.fleet.demo import hgx_fleet, nvl72_fleet
from gigawatt.ids import ClusterId, FabricId, NodeId, SiteId, StoragePoolId, TenantId

FLEET = hgx_fleet(64 * 8)
ROCE_FLEET = nvl72_fleet(2)
WHOLE = 0xFF


def _target(members, **changes) -> ClusterTarget:
    values = {
        "cluster_id": ClusterId("clu_1"),
        "tenant_id": TenantId("ten_1"),
        "name": "train",
        "site_id": SiteId("site-a"),
        "fabric_id": FabricId("ib0"),
        "pool_id": StoragePoolId("ib0-fs"),
        "members": tuple(members),
        "keys": Keys(5, None, 5000, 2, 9),
        "storage_bytes": 1 << 40,
        "image": "debian-12-gpu",
        "ssh_public_keys": ("ssh-ed25519 AAAA me",),
        "egress_cidrs": ("0.0.0.0/0",),
    }
    return ClusterTarget(**(values | changes))


def _member(node: int, index: int, mask: int = WHOLE, role="member", fleet=FLEET) -> Member:
    return Member(fleet.node_id(node), mask, role, index)


def test_whole_nodes_are_fenced_on_every_rail_and_plane():
    entries = render(FLEET, _target(_member(n, i) for i, n in enumerate((3, 4, 9))))
    assert Counter(type(entry) for entry in entries) == {
        PartitionMember: 24,
        NetworkPort: 3,
        BmcAccount: 3,
        BmcRoute: 3,
        HostSlice: 3,
        Gateway: 1,
        FileSystem: 1,
        Export: 1,
    }
    partition = [entry for entry in entries if isinstance(entry, PartitionMember)]
    rows = [int(row) for n in (3, 4, 9) for row in range(n * 8, n * 8 + 8)]
    assert [entry.guid for entry in partition] == FLEET.nics.guid[rows].tolist()
    assert {(entry.p_key, entry.membership) for entry in partition} == {(5, "full")}
    assert len({(entry.device, entry.key) for entry in entries}) == len(entries)


def test_entries_carry_what_the_tenant_asked_for():
    entries = render(FLEET, _target([_member(3, 7)]))
    (host,) = (entry for entry in entries if isinstance(entry, HostSlice))
    assert host == HostSlice(
        FLEET.node_id(3),
        WHOLE,
        False,
        "train-0007",
        "debian-12-gpu",
        ("ssh-ed25519 AAAA me",),
        "on",
    )
    assert NetworkPort(FLEET.node_id(3), 0, 5000, "10.0.32.17/20") in entries
    assert Gateway(SiteId("site-a"), 5000, "10.0.32.0/20", ("0.0.0.0/0",)) in entries
    assert FileSystem(StoragePoolId("ib0-fs"), 9, "/tenants/ten_1/clu_1", 1 << 40) in entries
    assert Export(StoragePoolId("ib0-fs"), 9, 5000) in entries
    assert BmcRoute(SiteId("site-a"), "cluster:clu_1", FLEET.node_id(3)) in entries


def test_a_guest_has_its_own_nics_only_and_no_way_to_the_bmc():
    entries = render(FLEET, _target([_member(3, 0, mask=0b1100)], storage_bytes=0, pool_id=None))
    assert Counter(type(entry) for entry in entries) == {
        PartitionMember: 2,
        NetworkPort: 1,
        HostSlice: 1,
        Gateway: 1,
    }
    guids = [entry.guid for entry in entries if isinstance(entry, PartitionMember)]
    assert guids == FLEET.nics.guid[3 * 8 + 2 : 3 * 8 + 4].tolist()
    (host,) = (entry for entry in entries if isinstance(entry, HostSlice))
    assert (host.guest, host.slot) == (True, 2)


def test_spares_stay_off_and_everything_is_off_until_it_is_closed():
    target = _target([_member(3, 0), _member(4, 1, role="spare")])
    power = {
        asked: [e.power for e in render(FLEET, target, power=asked) if isinstance(e, HostSlice)]
        for asked in ("on", "off")
    }
    assert power == {"on": ["on", "off"], "off": ["off", "off"]}
    without_hosts = [
        [e for e in render(FLEET, target, power=asked) if not isinstance(e, HostSlice)]
        for asked in ("on", "off")
    ]
    assert without_hosts[0] == without_hosts[1]


def test_an_ethernet_fabric_gets_compute_ports():
    target = _target(
        [_member(0, 0, mask=0xF, fleet=ROCE_FLEET)],
        site_id=SiteId("site-b"),
        fabric_id=FabricId("eth0"),
        pool_id=StoragePoolId("eth0-fs"),
        keys=Keys(None, 0x80_0000, 5000, 0, 1),
    )
    ports = [e for e in render(ROCE_FLEET, target) if isinstance(e, ComputePort)]
    guids = ROCE_FLEET.nics.guid[:4].tolist()
    assert ports == [ComputePort(FabricId("eth0"), 0x80_0000, guid) for guid in guids]


@given(st.lists(st.integers(0, 63), min_size=1, max_size=12, unique=True))
def test_members_and_shared_parts_add_up_to_the_whole(nodes):
    target = _target(_member(node, index) for index, node in enumerate(nodes))
    parts = [e for m in target.members for e in render_member(FLEET, target, m, "on")]
    assert render(FLEET, target) == (*parts, *render_shared(FLEET, target))


@given(st.from_regex(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?", fullmatch=True), st.integers(0, 4_084))
def test_host_names_are_labels_that_end_in_the_index(name, index):
    hostname = hostname_of(name, index)
    assert re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", hostname)
    assert hostname.endswith(f"-{index:04d}")


@given(st.sets(st.from_regex(r"clu_[a-z0-9]{1,12}", fullmatch=True), min_size=2, max_size=20))
def test_bmc_accounts_differ_between_clusters_and_fit_ipmi(ids):
    names = {bmc_username_of(ClusterId(name)) for name in ids}
    assert len(names) == len(ids)
    assert {len(name) for name in names} == {16}


@pytest.mark.parametrize(
    ("changes", "missing"),
    [
        ({"members": (Member(NodeId("nowhere"), WHOLE, "member", 0),)}, "nowhere"),
        ({"site_id": SiteId("site-x")}, "site-x"),
        ({"pool_id": StoragePoolId("fs-x")}, "fs-x"),
        ({"pool_id": None}, "None"),
    ],
)
def test_what_the_fleet_lacks_is_named(changes, missing):
    members = changes.get("members", (_member(0, 0),))
    others = {name: value for name, value in changes.items() if name != "members"}
    with pytest.raises(UnknownIdError, match=missing):
        render(FLEET, _target(members, **others))
