"""Goal: a file system outlives its clusters, is open to who mounts it alone, and is never lost.

Method: on a site of the shipped devices, file systems are made, mounted by clusters of one tenant,
filled, resized and deleted; at every write to a device somebody looks at what is open. Auditors
and the isolation proof agree at the end of each test.
"""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gigawatt.boundary.entries import Export, FileSystem, Gateway, HostSlice
from gigawatt.drivers.fake.world import DeviceWorld
from gigawatt.errors import ConflictError, InputError, NoCapacityError
from gigawatt.fleet.builder import BlockSpec, build_fleet
from gigawatt.fleet.demo import HGX_H100
from gigawatt.ids import ClusterId, FileSystemId, SiteId, StoragePoolId, TenantId
from gigawatt.intent.file_system import FileSystemRequest, MountWish
from gigawatt.intent.firewall import InboundRule
from gigawatt.intent.request import ClusterRequest
from gigawatt.planner.configure import Configuration
from gigawatt.units import PIB, TIB

TENANT = TenantId("ten_t")


def make(site, name="data", quota_bytes=TIB, **more) -> FileSystemId:
    request = FileSystemRequest(TENANT, name, quota_bytes, **more)
    operation = site.carry_out(site.control.plan_create_file_system(request))
    assert operation.state == "done", operation.error
    return FileSystemId(operation.cluster_id)


def wish(name: str, gpu_count: int, *mounted: FileSystemId, tenant=TENANT, **more):
    mounts = tuple(MountWish(name) for name in mounted)
    return ClusterRequest(tenant, name, gpu_count, mounts=mounts, **more)


def launch(site, request: ClusterRequest) -> ClusterId:
    plan = site.control.plan_create(request, with_alternatives=False)
    operation = site.carry_out(plan)
    assert operation.state == "done", operation.error
    return operation.cluster_id


def held(site, kind) -> list:
    return [entry for entry in site.entries() if isinstance(entry, kind)]


def used_bytes(site, name: FileSystemId) -> int | None:
    return site.run(site.control.used_bytes(site.cluster(name).target))


def fill(site, name: FileSystemId, count: int) -> None:
    target = site.cluster(name).target
    site.world.fill(target.pool_id, target.keys.filesystem, count)


def test_data_outlives_the_clusters_that_mount_it(site):
    data = make(site)
    first = launch(site, wish("first", 16, data))
    fill(site, data, 123)
    assert site.release(first).state == "done"
    assert held(site, Export) == []
    assert [entry.path for entry in held(site, FileSystem)] == [f"/tenants/{TENANT}/{data}"]
    second = launch(site, wish("second", 8, data))
    assert used_bytes(site, data) == 123
    site.assert_sound()
    site.release(second)
    deleted = site.carry_out(site.control.plan_delete_file_system(data))
    assert deleted.state == "done"
    assert held(site, FileSystem) == []
    again = make(site)
    assert used_bytes(site, again) == 0
    site.assert_sound()


def test_two_clusters_of_a_tenant_share_one_and_meet_nowhere_else(site):
    data = make(site)
    one, other = (launch(site, wish(name, 16, data)) for name in ("one", "other"))
    launch(site, ClusterRequest(TenantId("ten_else"), "stranger", 8, storage_bytes=TIB))
    numbers = {site.cluster(name).target.keys.vni for name in (one, other)}
    number = site.cluster(data).target.keys.filesystem
    assert {e.vni for e in held(site, Export) if e.filesystem == number} == numbers
    site.assert_sound()
    site.release(one)
    assert [e.vni for e in held(site, Export) if e.filesystem == number] == [
        site.cluster(other).target.keys.vni
    ]
    site.assert_sound()


def test_a_foreign_or_unknown_file_system_cannot_be_named(site):
    data = make(site)
    for tenant, name in ((TenantId("ten_else"), data), (TENANT, FileSystemId(ClusterId("fsy_x")))):
        with pytest.raises(InputError, match="has no file system"):
            site.control.plan_create(wish("nosy", 8, name, tenant=tenant))
    cluster = launch(site, wish("own", 8))
    with pytest.raises(InputError, match="has no file system"):
        site.control.plan_create(wish("nosy", 8, FileSystemId(cluster)))


def test_one_in_use_is_not_deleted_whenever_it_is_tried(site):
    """While a cluster launches, runs, grows or is given back; a plan made before is refused."""
    data = make(site)
    early = site.control.plan_delete_file_system(data)
    operation = site.control.commit(site.control.plan_create(wish("user", 8, data)))
    for delete in (
        lambda: site.control.commit(early),
        lambda: site.control.plan_delete_file_system(data),
    ):
        with pytest.raises(ConflictError):
            delete()
    site.run(site.control.run(operation.operation_id, "worker-1"))
    with pytest.raises(ConflictError, match="in use by 1 clusters: user"):
        site.control.plan_delete_file_system(data)
    site.control.commit(site.control.plan_release(operation.cluster_id))
    with pytest.raises(ConflictError, match="in use"):
        site.control.plan_delete_file_system(data)
    site.reconcile()
    assert site.carry_out(site.control.plan_delete_file_system(data)).state == "done"


def test_one_on_its_way_out_is_not_mounted(site):
    data = make(site)
    early = site.control.plan_create(wish("late", 8, data))
    site.control.commit(site.control.plan_delete_file_system(data))
    with pytest.raises(ConflictError, match="releasing"):
        site.control.plan_create(wish("late", 8, data))
    with pytest.raises(ConflictError):
        site.control.commit(early)


def test_growing_shrinking_and_replacing_leave_the_mount_alone(site):
    data = make(site)
    cluster = launch(site, wish("train", 16, data))
    before = held(site, Export)
    site.carry_out(site.control.plan_grow(cluster, 16))
    site.carry_out(site.control.plan_replace(cluster, site.nodes(cluster)[:1]))
    site.carry_out(site.control.plan_shrink(cluster, 16))
    assert held(site, Export) == before
    site.assert_sound()


def looking(site, monkeypatch, look) -> None:
    """Call ``look`` after every write to a device."""
    for name in ("ensure", "remove"):
        real = getattr(DeviceWorld, name)

        def wrapped(world, device, entries, fence, real=real):
            real(world, device, entries, fence)
            look()

        monkeypatch.setattr(DeviceWorld, name, wrapped)


def test_a_release_closes_the_export_before_a_node_is_let_go(site, monkeypatch):
    data = make(site)
    cluster = launch(site, wish("train", 16, data))
    seen = []

    def look():
        state = site.store.snapshot(site.clock.now_s())
        seen.append((len(held(site, Export)), len(held(site, HostSlice)), len(state.allocations)))

    looking(site, monkeypatch, look)
    site.release(cluster)
    assert {nodes for _, _, nodes in seen} == {2}
    assert all(hosts == 2 for exports, hosts, _ in seen if exports)
    assert seen[-1][:2] == (0, 0)


def test_room_is_kept_for_what_was_promised(make_site):
    block = BlockSpec("site-a", "US", "hall-1", HGX_H100, 4, "a", "ib0", storage_bytes=10 * TIB)
    site = make_site(build_fleet("small", [block]))
    make(site, quota_bytes=9 * TIB)
    with pytest.raises(NoCapacityError, match="not free"):
        site.control.plan_create_file_system(FileSystemRequest(TENANT, "more", 2 * TIB))
    with pytest.raises(NoCapacityError, match="not free"):
        site.control.plan_create(ClusterRequest(TENANT, "c", 8, storage_bytes=2 * TIB))
    with pytest.raises(InputError, match="its largest has"):
        site.control.plan_create_file_system(FileSystemRequest(TENANT, "huge", 11 * TIB))


def test_a_quota_grows_and_shrinks_no_further_than_what_is_in_it(site):
    data = make(site)
    for quota_bytes, known in ((2 * TIB, None), (TIB, 0)):
        plan = site.control.plan_resize_file_system(data, quota_bytes, known)
        assert site.carry_out(plan).state == "done"
        assert [entry.quota_bytes for entry in held(site, FileSystem)] == [quota_bytes]
    fill(site, data, 1_000)
    for known in (None, 1_000):
        with pytest.raises(InputError, match="cannot shrink"):
            site.control.plan_resize_file_system(data, 999, known)
    # The tenant wrote on after the look: the device says no, and all is as it was.
    late = site.carry_out(site.control.plan_resize_file_system(data, 999, 10))
    assert late.state == "unwound"
    assert site.cluster(data).target.storage_bytes == TIB
    assert used_bytes(site, data) == 1_000
    site.assert_sound()


def test_names_are_the_tenants_own_and_clusters_have_theirs(site):
    make(site, "data")
    with pytest.raises(InputError, match="has a file system 'data' already"):
        make(site, "data")
    launch(site, wish("data", 8))
    assert site.store.find_cluster(TENANT, "data").is_file_system is False
    assert [record.name for record in site.store.clusters()] == ["data"]
    for bad in ("", "a/b", "a b", "-a", "a" * 64, "a\n"):
        with pytest.raises(InputError, match="letters, digits and hyphens"):
            site.control.plan_create_file_system(FileSystemRequest(TENANT, bad, TIB))


def test_mount_points_are_plain_paths_apart_from_each_other(site):
    data, more = make(site), make(site, "more")
    for points in (
        ("/data/x", "/data/x"), ("/data/x", "/data/x/y"), ("/data/cluster", "/data/y"),
        ("/etc", None), ("/data/../etc", None), ("/data/x y", None), ("/data/", None),
    ):  # fmt: skip
        mounts = tuple(map(MountWish, (data, more), points))
        with pytest.raises(InputError, match="mount point"):
            site.control.plan_create(ClusterRequest(TENANT, "c", 8, mounts=mounts))
    mounts = (MountWish(data, "/data/x"), MountWish(data, "/data/y"))
    with pytest.raises(InputError, match="mounted twice"):
        site.control.plan_create(ClusterRequest(TENANT, "c", 8, mounts=mounts))


@pytest.fixture
def two_sites(make_site):
    """Two sites with storage."""
    return make_site(
        build_fleet(
            "two-sites",
            [
                BlockSpec("site-a", "US", "hall-1", HGX_H100, 4, "a", "ib0", storage_bytes=PIB),
                BlockSpec("site-b", "US", "hall-2", HGX_H100, 4, "b", "ib1", storage_bytes=PIB),
            ],
        )
    )


def test_a_cluster_goes_where_its_file_systems_are(two_sites):
    with pytest.raises(InputError, match="names no site"):
        make(two_sites)
    near, far = (make(two_sites, name, site_id=SiteId(f"site-{name}")) for name in ("a", "b"))
    cluster = launch(two_sites, wish("train", 16, far))
    assert two_sites.cluster(cluster).target.site_id == "site-b"
    with pytest.raises(InputError, match="several sites"):
        two_sites.control.plan_create(wish("torn", 8, near, far))
    with pytest.raises(InputError, match="lie at site 'site-b'"):
        two_sites.control.plan_create(wish("away", 8, far, site_ids=(SiteId("site-a"),)))
    with pytest.raises(InputError, match="no storage pool"):
        make(two_sites, "c", site_id=SiteId("site-a"), pool_id=StoragePoolId("ib1-fs"))
    two_sites.assert_sound()


def test_what_a_storage_pool_forgot_comes_back_in_one_pass(site):
    data = make(site)
    launch(site, wish("train", 8, data))
    lost = held(site, Export) + held(site, FileSystem)
    for entry in lost:
        site.world.uproot(entry)
    report = site.reconcile()
    assert len(report.repaired) == 2
    assert report.is_converged
    site.assert_sound()


def test_an_export_that_was_opened_by_hand_is_found_and_closed(site):
    data = make(site)
    stranger = launch(site, ClusterRequest(TenantId("ten_else"), "stranger", 8))
    target = site.cluster(data).target
    vni = site.cluster(stranger).target.keys.vni
    site.world.plant(Export(target.pool_id, target.keys.filesystem, vni))
    proof, _ = site.run(site.control.prove_devices())
    assert {violation.rule for violation in proof.violations} == {"foreign_export"}
    assert site.leaks() != ()
    site.reconcile()
    site.assert_sound()


RULES = (
    InboundRule("tcp", (22, 22), "192.0.2.0/24"),
    InboundRule("tcp", (443, 443), "0.0.0.0/0"),
    InboundRule("icmp", None, "198.51.100.0/24"),
)
CIDRS = ("0.0.0.0/0", "192.0.2.0/24", "203.0.113.0/24")


def ways(site) -> set:
    """What the gateways let through, out and in."""
    return {
        way for entry in held(site, Gateway) for way in (*entry.egress_cidrs, *entry.inbound_rules)
    }


@given(
    st.lists(
        st.tuples(st.sets(st.sampled_from(CIDRS)), st.sets(st.sampled_from(RULES))), max_size=4
    )
)
@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_gateway_is_never_open_wider_than_before_and_after_together(make_site, wishes):
    site = make_site()
    cluster = launch(site, wish("train", 8))
    assert ways(site) == set()
    allowed, now, look_count = set(), set(), 0

    def look():
        nonlocal look_count
        look_count += 1
        assert ways(site) <= allowed

    with pytest.MonkeyPatch.context() as patch:
        looking(site, patch, look)
        for cidrs, rules in wishes:
            after = {*cidrs, *rules}
            allowed = now | after
            change = Configuration(tuple(sorted(cidrs)), (), tuple(sorted(rules, key=repr)))
            assert site.carry_out(site.control.plan_configure(cluster, change)).state == "done"
            now = after
            assert ways(site) == now
    assert look_count or not any(cidrs or rules for cidrs, rules in wishes)
    site.assert_sound()


def test_a_configuration_that_aims_inside_is_refused(site):
    cluster = launch(site, wish("train", 8))
    for wrong in (
        Configuration(egress_cidrs=("10.0.0.0/20",)),
        Configuration(inbound_rules=(InboundRule("tcp", (22, 22), "100.64.0.0/16"),)),
        Configuration(inbound_rules=(InboundRule("tcp", (9, 2), "192.0.2.0/24"),)),
        Configuration(inbound_rules=(InboundRule("all", (1, 2), "192.0.2.0/24"),)),
    ):
        with pytest.raises(InputError):
            site.control.plan_configure(cluster, wrong)


def test_a_gateway_that_somebody_opened_by_hand_is_shut_again(site):
    cluster = launch(site, wish("train", 8))
    gateway = held(site, Gateway)[0]
    opened = Gateway(gateway.site_id, gateway.vni, gateway.subnet, (), RULES)
    site.world.plant(opened, owner=cluster)
    proof, _ = site.run(site.control.prove_devices())
    assert {violation.rule for violation in proof.violations} == {"wide_ingress"}
    site.reconcile()
    assert ways(site) == set()
    site.assert_sound()
