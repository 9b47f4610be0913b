"""Goal: whatever drifts is put right or said, nobody is harmed meanwhile, and then there is peace.

Method: devices of a site with three clusters are tampered with behind everybody's back, each kind
of drift on each kind of device; a pass of the reconciler must repair it, a second pass must have
nothing to do. Operations are left stuck and half-done and devices heal later.
"""

from dataclasses import replace

import pytest

from gigawatt.boundary.entries import BmcAccount, BmcRoute, HostSlice, PartitionMember
from gigawatt.boundary.keys import COOL_DOWN_S
from gigawatt.boundary.render import render
from gigawatt.drivers.fake.faults import FaultKind, FaultRule, dead, unreachable
from gigawatt.errors import ConflictError
from gigawatt.executor.reconcile import Reconciler
from gigawatt.interfaces.driver import Fence


@pytest.fixture
def lived_in(site):
    """A site with a cluster with storage, another, and a guest."""
    site.big = site.launch("big", 32, storage_bytes=1 << 30, spare_count=1)
    site.other = site.launch("other", 16)
    site.guest = site.launch("guest", 2)
    return site


def entries_of(site, cluster_id):
    return render(site.fleet, site.cluster(cluster_id).target)


def assert_peace(site):
    second = site.reconcile(after_s=1.0)
    assert (second.drift, second.repaired, second.remaining) == ([], [], [])
    assert second.is_converged
    site.assert_sound()


def test_nothing_is_done_where_nothing_drifted(lived_in):
    calls = lived_in.world.everything()
    assert_peace(lived_in)
    assert lived_in.world.everything() == calls


@pytest.mark.parametrize("number", range(8))
def test_every_kind_of_entry_that_is_lost_comes_back(lived_in, number):
    kinds = {entry.kind: entry for entry in entries_of(lived_in, lived_in.big)}
    entry = kinds[sorted(kinds)[number]]
    lived_in.world.uproot(entry)
    report = lived_in.reconcile()
    assert report.repaired == report.drift != []
    assert_peace(lived_in)


def test_the_kinds_above_are_all_kinds_of_an_infiniband_cluster(lived_in):
    assert len({entry.kind for entry in entries_of(lived_in, lived_in.big)}) == 8


@pytest.mark.parametrize("cluster", ["big", "guest"])
def test_an_entry_with_another_value_is_set_right(lived_in, cluster):
    cluster_id = getattr(lived_in, cluster)
    host = next(e for e in entries_of(lived_in, cluster_id) if isinstance(e, HostSlice))
    lived_in.world.plant(replace(host, image="rootkit"), owner=cluster_id)
    report = lived_in.reconcile()
    assert len(report.repaired) == 1
    assert_peace(lived_in)


@pytest.mark.parametrize("device", ["host", "port", "gateway"])
def test_a_device_that_restarted_gets_everything_back(lived_in, device):
    node = lived_in.nodes(lived_in.big)[0]
    name = "site-a" if device == "gateway" else node
    lived_in.world.reboot(f"{device}/{name}")
    report = lived_in.reconcile()
    assert report.repaired == report.drift != []
    assert_peace(lived_in)


def test_a_host_is_not_started_while_one_of_its_planes_is_open(lived_in):
    node = lived_in.nodes(lived_in.big)[0]
    lived_in.world.reboot(f"host/{node}")
    lived_in.world.reboot(f"port/{node}")
    lived_in.faults.add(
        FaultRule(FaultKind.REFUSED, f"port/{node}", frozenset({"ensure"}), count=None)
    )
    assert not lived_in.reconcile().is_converged
    (host,) = lived_in.world.entries(f"host/{node}")
    assert host.power == "off"
    lived_in.faults.clear()
    assert lived_in.reconcile().is_converged
    assert_peace(lived_in)


def strangers_on(site, node):
    row = site.fleet.node_index(node)
    guid = int(site.fleet.nics.guid[int(site.fleet.first_nic_of_node[row])])
    slice_of = next(e for e in entries_of(site, site.other) if isinstance(e, HostSlice))
    return [
        BmcAccount(node, "mallory", "vault/none"),
        BmcRoute("site-a", "cluster:clu_gone", node),
        PartitionMember("ib0", 0x0999, guid, "full"),
        replace(slice_of, node_id=node),
    ]


@pytest.mark.parametrize("number", range(4))
def test_a_stranger_on_a_free_node_goes_and_the_node_is_out_of_service(lived_in, number):
    free = lived_in.fleet.nodes.ids[-1]
    lived_in.world.plant(strangers_on(lived_in, free)[number])
    report = lived_in.reconcile()
    assert len(report.repaired) == 1
    assert lived_in.quarantined() == {free}
    assert_peace(lived_in)


@pytest.mark.parametrize("number", range(3))
def test_a_stranger_on_a_held_node_goes_and_the_tenant_keeps_it(lived_in, number):
    held = lived_in.nodes(lived_in.other)[0]
    lived_in.world.plant(strangers_on(lived_in, held)[number])
    report = lived_in.reconcile()
    assert len(report.repaired) == 1
    assert lived_in.quarantined() == set()
    assert_peace(lived_in)


def test_what_a_device_brings_back_after_a_release_is_removed(lived_in):
    nodes = lived_in.nodes(lived_in.other)
    assert lived_in.release(lived_in.other).state == "done"
    for node in nodes:
        lived_in.world.rewind(f"bmc/{node}", 1)
        lived_in.world.rewind(f"port/{node}", 1)
    lived_in.world.rewind("fabric/ib0", 1)
    assert lived_in.leaks() != ()
    report = lived_in.reconcile()
    assert report.is_converged
    assert lived_in.quarantined() == set(nodes)
    assert_peace(lived_in)


def test_a_silent_device_is_said_and_nothing_is_concluded(lived_in):
    node = lived_in.nodes(lived_in.big)[0]
    lived_in.faults.add(unreachable(f"host/{node}"))
    report = lived_in.reconcile()
    assert report.silent == [f"host/{node}"]
    assert not report.is_converged
    assert report.drift == []
    lived_in.faults.clear()
    assert_peace(lived_in)


def test_a_cluster_with_an_operation_under_way_is_left_to_it(lived_in):
    """Its worker is alive: neither what is missing nor what is too much is touched."""
    site = lived_in
    operation = site.control.commit(site.control.plan_grow(site.big, 16))
    site.store.take_over(operation.operation_id, "alive", site.clock.now_s())
    for entry in entries_of(site, site.big):
        if isinstance(entry, HostSlice):
            site.world.uproot(entry)
    before = site.world.everything()
    report = site.reconcile(after_s=1.0)
    assert report.resumed == []
    assert report.repaired == []
    assert site.world.everything() == before


def test_what_an_operation_is_just_setting_is_no_stranger(lived_in):
    site = lived_in
    plan = site.plan("new", 16)
    operation = site.control.commit(plan)
    taken = site.store.take_over(operation.operation_id, "alive", site.clock.now_s())
    for step in plan.stages[0].steps:
        site.world.ensure(step.device, step.entries, fence_of(taken))
    before = site.world.everything()
    assert site.reconcile(after_s=1.0).drift == []
    assert site.world.everything() == before
    assert site.quarantined() == set()


def fence_of(operation):
    return Fence(operation.cluster_id, operation.generation)


@pytest.mark.parametrize("shared", ["fabric/ib0", "pool/*", "oob/site-a", "gateway/site-a"])
def test_a_stuck_release_holds_everything_and_ends_when_the_device_heals(lived_in, shared):
    site = lived_in
    held = len(site.store.snapshot(site.clock.now_s()).allocations)
    site.faults.add(dead(shared))
    assert site.release(site.big).state == "stuck"
    assert site.cluster(site.big).phase == "stuck"
    assert len(site.store.snapshot(site.clock.now_s()).allocations) == held
    report = site.reconcile()
    assert not report.is_converged
    assert any("stuck" in sentence for sentence in report.remaining)
    site.assert_sound()
    site.faults.clear()
    assert site.reconcile().is_converged
    assert site.cluster(site.big).phase == "released"
    assert_peace(site)


@pytest.mark.parametrize("shared", ["fabric/ib0", "oob/site-a"])
def test_a_stuck_launch_ends_as_failed_when_the_device_heals(lived_in, shared):
    site = lived_in
    operation = site.control.commit(site.plan("new", 16))
    site.faults.add(FaultRule(FaultKind.DEAD, shared, skip=1, count=None))
    site.faults.add(FaultRule(FaultKind.REFUSED, "probe/host", frozenset({"probe"}), count=None))
    site.run(site.control.run(operation.operation_id, "worker-1"))
    assert site.cluster(operation.cluster_id).phase == "stuck"
    site.faults.clear()
    assert site.reconcile().is_converged
    assert site.cluster(operation.cluster_id).phase == "failed"
    assert_peace(site)


@pytest.mark.parametrize("owner", ["bmc", "port", "host"])
def test_tombstones_of_a_dead_device_are_chased_until_it_is_seen_without(lived_in, owner):
    site = lived_in
    victim = site.nodes(site.other)[0]
    site.faults.add(dead(f"{owner}/{victim}"))
    assert site.release(site.other).state == "done"
    snapshot = site.store.snapshot(site.clock.now_s())
    assert {t.entry.device for t in snapshot.tombstones} == {f"{owner}/{victim}"}
    assert (victim, site.other) in snapshot.allocations
    assert not site.reconcile().is_converged
    site.assert_sound()
    site.faults.clear()
    assert site.reconcile().is_converged
    snapshot = site.store.snapshot(site.clock.now_s())
    assert snapshot.tombstones == ()
    assert (victim, site.other) not in snapshot.allocations
    assert victim in snapshot.node_states
    assert_peace(site)


def test_keys_come_back_only_when_all_is_seen_gone_and_they_have_cooled(lived_in):
    site = lived_in
    keys = site.cluster(site.other).target.keys
    victim = site.nodes(site.other)[0]
    site.faults.add(dead(f"bmc/{victim}"))
    site.release(site.other)

    def taken():
        now_s = site.clock.now_s()
        return {(k.pool_id, k.value): k.state for k in site.store.snapshot(now_s).keys}

    place = ("p_key/ib0", keys.p_key)
    site.clock.start_s += 2 * COOL_DOWN_S
    assert taken()[place] == "tombstone"
    site.faults.clear()
    site.reconcile()
    assert taken()[place] == "cooling"
    site.clock.start_s += COOL_DOWN_S - 1
    assert taken()[place] == "cooling"
    site.clock.start_s += 2
    assert place not in taken()


def test_a_repair_that_comes_late_puts_nothing_back(lived_in, monkeypatch):
    """Between the look and the repair the cluster is released; its fence keeps the repair out."""
    site = lived_in
    lost = next(e for e in entries_of(site, site.big) if isinstance(e, PartitionMember))
    site.world.uproot(lost)
    original = Reconciler._repair

    async def late(self, snapshot, drift):
        released = site.control.commit(site.control.plan_release(site.big))
        await site.control.run(released.operation_id, "worker-2")
        await original(self, snapshot, drift)

    monkeypatch.setattr(Reconciler, "_repair", late)
    site.reconcile()
    assert site.cluster(site.big).phase == "released"
    assert site.leaks() == ()


def test_nothing_is_removed_that_a_commit_named_meanwhile(lived_in, monkeypatch):
    site = lived_in
    plan = site.plan("new", 16)
    stranger = next(e for e in render(site.fleet, plan.after) if isinstance(e, PartitionMember))
    site.world.plant(stranger)
    original = Reconciler._repair

    async def late(self, snapshot, drift):
        operation = site.control.commit(site.plan("new", 16))
        await site.control.run(operation.operation_id, "worker-2")
        await original(self, snapshot, drift)

    with monkeypatch.context() as patch:
        patch.setattr(Reconciler, "_repair", late)
        site.reconcile()
    assert site.quarantined() == set()
    assert_peace(site)


def test_a_release_while_another_operation_is_open_is_refused_with_what_to_do(lived_in):
    site = lived_in
    site.faults.add(dead("fabric/ib0"))
    site.release(site.big)
    with pytest.raises(ConflictError) as refused:
        site.control.commit_new(lambda: site.control.plan_release(site.big))
    assert "gw reconcile" in refused.value.next_step
    site.faults.clear()
    operation = site.control.commit(site.plan("new", 16))
    with pytest.raises(ConflictError) as early:
        site.control.plan_release(operation.cluster_id)
    assert "launch" in str(early.value)
