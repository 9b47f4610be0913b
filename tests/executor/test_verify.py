"""Goal: nothing is handed over that is not, on the devices themselves, what was planned.

Method: a stranger is planted, a device lies about what it did, restarts or comes back old, a NIC is
plugged in elsewhere, a foreign port joins: each at every stage of a launch. The node concerned is
replaced before its tenant has it, or the launch is undone; a probe that is only busy is repeated.
"""

from dataclasses import dataclass, replace

import pytest

from gigawatt.boundary.entries import BmcAccount, NetworkPort, PartitionMember
from gigawatt.boundary.plane import Plane
from gigawatt.drivers.fake.driver import FakeDriver
from gigawatt.drivers.fake.faults import FaultKind, FaultRule
from gigawatt.errors import NoCapacityError
from gigawatt.executor.executor import Executor
from gigawatt.ids import ClusterId, NodeId

STAGES = ["hold the hosts", "close the planes", "boot the hosts"]


def at_stage(site, stage, act):
    """Call ``act`` when the first step of a stage has been done."""
    runner_listener = []

    def listen(progress):
        if progress.stage == stage and not runner_listener:
            runner_listener.append(progress)
            act()

    return listen


def run_with(site, plan, listener):
    operation = site.control.commit(plan)
    return site.run(site.control.run(operation.operation_id, "worker-1", listener))


@pytest.mark.parametrize("stage", STAGES)
def test_a_planted_bmc_account_costs_the_node_before_the_tenant_has_it(site, stage):
    plan = site.plan("train", 16, spare_count=1)
    victim = plan.after.members[0].node_id
    stranger = BmcAccount(victim, "root2", "vault/none")
    listener = at_stage(site, stage, lambda: site.world.plant(stranger))
    operation = run_with(site, plan, listener)
    assert operation.state == "done"
    assert victim not in site.nodes(operation.cluster_id)
    assert victim in site.quarantined()
    assert site.wanting(operation.cluster_id) == []
    report = site.reconcile()
    assert any("root2" in sentence for sentence in report.repaired)
    site.assert_sound()


def test_a_node_with_a_stranger_never_boots_the_tenants_image(site):
    plan = site.plan("train", 16, spare_count=1)
    victim = plan.after.members[0].node_id
    site.world.plant(BmcAccount(victim, "root2", "vault/none"))
    powers = []
    ensure = site.world.ensure

    def listen(device, entries, fence):
        if device == f"host/{victim}":
            powers.extend(entry.power for entry in entries)
        ensure(device, entries, fence)

    site.world.ensure = listen
    assert site.carry_out(plan).state == "done"
    assert powers == ["off"]


@pytest.mark.parametrize("device", ["port", "bmc", "host"])
def test_a_lie_about_a_node_is_found_out(site, device):
    """Read-back repeats the lie of a host or port; a probe does not."""
    plan = site.plan("train", 32, spare_count=1)
    victim = plan.after.members[1].node_id
    skip = 1 if device == "host" else 0
    site.faults.add(FaultRule(FaultKind.LIE, f"{device}/{victim}", skip=skip))
    operation = site.carry_out(plan)
    if device == "bmc":
        # Only a tenant's own log-in could tell that an account is missing: nobody can use it.
        assert operation.state == "done"
        return
    assert operation.state == "done"
    assert victim not in site.nodes(operation.cluster_id)
    assert victim in site.quarantined()


def test_a_lie_about_a_fabric_undoes_the_launch(site):
    """Nobody in the cluster reaches anybody: no node is to blame, so the whole is."""
    plan = site.plan("train", 32)
    site.faults.add(FaultRule(FaultKind.LIE, "fabric/*", frozenset({"ensure"})))
    operation = site.carry_out(plan)
    assert operation.state == "unwound"
    assert "does not reach" in operation.error
    site.assert_sound()


@pytest.mark.parametrize("call", ["ensure", "observe"])
@pytest.mark.parametrize("skip", range(4))
@pytest.mark.parametrize("device", ["port", "host", "gateway", "fabric", "pool", "oob", "bmc"])
@pytest.mark.parametrize("kind", [FaultKind.REBOOT, FaultKind.OLD_STATE])
def test_a_device_that_restarts_during_a_launch_is_put_right(site, kind, device, skip, call):
    site.faults.add(FaultRule(kind, f"{device}/*", frozenset({call}), skip=skip))
    plan = site.plan("train", 16, spare_count=1, storage_bytes=1 << 30)
    operation = site.carry_out(plan)
    assert operation.state in {"done", "unwound"}
    site.faults.clear()
    site.reconcile()
    site.assert_sound()


def test_a_nic_that_is_plugged_in_elsewhere_costs_its_node(site):
    plan = site.plan("train", 16, spare_count=1)
    victim = site.fleet.node_index(plan.after.members[0].node_id)
    guid = int(site.fleet.nics.guid[int(site.fleet.first_nic_of_node[victim])])
    elsewhere = site.world.port_locations("ib0")[-1].switch_id
    site.world.move_nic(guid, elsewhere, 40)
    operation = site.carry_out(plan)
    assert operation.state == "done"
    assert plan.after.members[0].node_id in site.quarantined()


def test_a_foreign_port_in_the_partition_undoes_the_launch_and_is_removed(site):
    site.launch("other", 16)
    plan = site.plan("train", 16)
    foreign = site.fleet.node_index(site.nodes(ClusterId("clu_00000002"))[0])
    guid = int(site.fleet.nics.guid[int(site.fleet.first_nic_of_node[foreign])])
    key = plan.after.keys.p_key
    stranger = PartitionMember(plan.after.fabric_id, key, guid, "full")
    listener = at_stage(site, "boot the hosts", lambda: site.world.plant(stranger))
    operation = run_with(site, plan, listener)
    assert operation.state == "unwound"
    assert site.reconcile().is_converged
    site.assert_sound()


@pytest.mark.parametrize("kind", [FaultKind.BUSY, FaultKind.LOST_REPLY, FaultKind.TIMEOUT])
def test_a_probe_that_is_busy_is_run_again(site, kind):
    site.faults.add(FaultRule(kind, "probe/*", frozenset({"probe"}), count=2))
    site.launch("train", 16)


def test_a_probe_that_never_runs_undoes_the_launch(site):
    site.faults.add(FaultRule(FaultKind.REFUSED, "probe/host", frozenset({"probe"}), count=None))
    operation = site.carry_out(site.plan("train", 16))
    assert operation.state == "unwound"
    assert "probe did not run" in operation.error
    site.assert_sound()


@pytest.mark.parametrize("skip", range(3))
def test_a_fabric_that_misses_one_read_back_costs_nothing(site, skip):
    rule = FaultRule(FaultKind.UNREACHABLE, "fabric/*", frozenset({"observe"}), skip=skip)
    site.faults.add(rule)
    site.launch("train", 16)
    assert site.quarantined() == set()


def test_a_port_in_the_network_of_another_is_reported_as_its_nodes_fault(site):
    plan = site.plan("train", 16, spare_count=1)
    victim = plan.after.members[0].node_id
    wrong = NetworkPort(victim, 0, 77, "10.9.9.9/20")
    listener = at_stage(site, "boot the hosts", lambda: site.world.plant(wrong))
    operation = run_with(site, plan, listener)
    assert operation.state == "done"
    assert victim in site.quarantined()
    site.assert_sound()


def test_the_evidence_says_what_was_looked_at(site):
    cluster_id = site.launch("train", 16, storage_bytes=1 << 30)
    (document,) = site.store.evidence(cluster_id)
    assert document["kind"] == "verification"
    assert document["read_back"]["entries_compared"] > 16
    assert document["read_back"]["silent"] == []
    assert document["proof"]["wrong"] == []
    assert {plane: report["wrong"] for plane, report in document["probes"].items()} == {
        plane: [] for plane in ("fabric", "in_band", "out_of_band", "storage", "host")
    }


@dataclass
class CutCables:
    """The in-band plane: switches say that all is well, and nothing passes the cables of nodes."""

    inner: FakeDriver
    cut: frozenset[NodeId]
    plane = Plane.IN_BAND

    def __getattr__(self, name):
        return getattr(self.inner, name)

    async def probe(self, pairs):
        answers = await self.inner.probe(pairs)
        return tuple(
            is_so and not (a == b and a.node_id in self.cut)
            for (a, b), is_so in zip(pairs, answers, strict=True)
        )


def carried_out(site, plan, *cut):
    """An operation while the cables of some nodes carry nothing."""
    around = site.control.around
    drivers = {**around.drivers, Plane.IN_BAND: CutCables(around.drivers[Plane.IN_BAND], {*cut})}
    executor = Executor(replace(around, drivers=drivers), "worker-1", site.policy)
    return site.run(executor.run(site.control.commit(plan).operation_id))


@pytest.mark.parametrize("gpu_count", [8, 16])
def test_a_node_behind_a_dead_cable_is_replaced_before_the_tenant_has_it(site, gpu_count):
    plan = site.plan("train", gpu_count, spare_count=1)
    victim = plan.after.members[0].node_id
    operation = carried_out(site, plan, victim)
    assert operation.state == "done"
    assert victim not in site.nodes(operation.cluster_id)
    states = site.store.snapshot(site.clock.now_s()).node_states
    assert "does not answer by its cable" in states[victim][1]
    site.assert_sound()


def test_without_a_spare_a_dead_cable_undoes_the_launch(site):
    plan = site.plan("train", 16)
    victim = plan.after.members[1].node_id
    operation = carried_out(site, plan, victim)
    assert operation.state == "unwound"
    assert f"the machine of {victim} does not answer by its cable" in operation.error
    assert site.quarantined() == {victim}
    site.assert_sound()


def test_a_machine_that_its_tenant_switched_off_does_not_bar_the_way_to_another(site):
    """Who has the machine may silence it; only those that come are asked."""
    cluster_id = site.launch("train", 16)
    held = site.nodes(cluster_id)
    operation = carried_out(site, site.control.plan_grow(cluster_id, 16), *held)
    assert operation.state == "done"
    newcomers = set(site.nodes(cluster_id)) - set(held)
    assert len(newcomers) == 2
    assert site.quarantined() == set()
    plan = site.control.plan_replace(cluster_id, [min(newcomers)])
    (other,) = {member.node_id for member in plan.after.members} - {*held, *newcomers}
    assert carried_out(site, plan, other).state == "unwound"
    site.assert_sound()


def test_a_node_whose_bmc_keeps_an_account_is_free_only_when_the_account_is_seen_gone(site):
    cluster_id = site.launch("train", 64)
    victim = site.nodes(cluster_id)[0]
    keeps = FaultRule(FaultKind.REFUSED, f"bmc/{victim}", frozenset({"remove"}), count=None)
    site.faults.add(keeps)
    assert site.release(cluster_id).state == "done"
    (account,) = (entry for entry in site.entries() if entry.device == f"bmc/{victim}")
    state, reason = site.store.snapshot(site.clock.now_s()).node_states[victim]
    assert state == "quarantined"
    assert account.device in reason
    for _ in range(2):
        report = site.reconcile()
        kept = f"{account.device}:{account.key} is under a tombstone: {account.device} refuses"
        assert any(line.startswith(kept) for line in report.remaining)
        assert not report.is_converged
    # An operator's word does not give it to another tenant either.
    site.store.set_node_state(victim, "available", "", site.clock.now_s())
    with pytest.raises(NoCapacityError):
        site.plan("next", 128)
    site.store.set_node_state(victim, "quarantined", reason, site.clock.now_s())
    site.faults.clear()
    assert site.reconcile().is_converged
    assert not any(entry.device == f"bmc/{victim}" for entry in site.entries())
    with pytest.raises(NoCapacityError):
        site.plan("next", 128)
    site.store.set_node_state(victim, "available", "mended", site.clock.now_s())
    site.plan("next", 128)
    site.assert_sound()
