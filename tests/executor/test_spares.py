"""Goal: nodes that fail during an operation are replaced or everything is undone; nothing leaks.

Method: devices of chosen nodes die for good at every moment of an operation, one or several, with
too few or enough spares; then auditors that share no code look at devices and books, the outcome
is what the spares allow, and nobody can be given what failed.
"""

import pytest

from gigawatt.drivers.fake.faults import CALLS, FaultKind, FaultRule, dead
from gigawatt.errors import NoCapacityError

OWN = ["host", "port", "bmc"]


def dies(device: str, after_calls: int) -> FaultRule:
    return FaultRule(FaultKind.DEAD, device, CALLS, skip=after_calls, count=None)


@pytest.mark.parametrize("after_calls", range(7))
@pytest.mark.parametrize("owner", OWN)
def test_a_spare_takes_the_rank_of_a_node_that_dies(site, owner, after_calls):
    plan = site.plan("train", 32, spare_count=1)
    victim = plan.after.members[1].node_id
    site.faults.add(dies(f"{owner}/{victim}", after_calls))
    operation = site.carry_out(plan)
    assert operation.state == "done"
    died = any(hit.device == f"{owner}/{victim}" for hit in site.faults.hits)
    nodes = site.nodes(operation.cluster_id)
    assert (victim in nodes) is not died
    if died:
        assert nodes[1] == plan.after.members[-1].node_id
        assert victim in site.quarantined()
    site.assert_sound()


def test_the_moments_of_death_above_reach_past_the_last_look(site):
    for owner in OWN:
        site.faults.add(dies(f"{owner}/*", 10_000))
    site.launch("train", 8)
    for owner in OWN:
        node_calls = [site.faults._calls_on[d, c] for d, c in site.faults._calls_on if owner in d]
        assert sum(node_calls) <= 6


@pytest.mark.parametrize("dead_count", [1, 2, 3, 4])
@pytest.mark.parametrize("spare_count", [0, 1, 2, 3])
def test_as_many_nodes_may_die_as_there_are_spares(site, spare_count, dead_count):
    plan = site.plan("train", 32, spare_count=spare_count)
    victims = [member.node_id for member in plan.after.members[:dead_count]]
    for number, victim in enumerate(victims):
        site.faults.add(dies(f"{OWN[number % 3]}/{victim}", 2 * (number % 2)))
    operation = site.carry_out(plan)
    assert operation.state == ("done" if dead_count <= spare_count else "unwound")
    assert set(victims) <= site.quarantined() or operation.state == "unwound"
    site.assert_sound()
    snapshot = site.store.snapshot(site.clock.now_s())
    if operation.state == "unwound":
        assert site.cluster(operation.cluster_id).phase == "failed"
        assert {node for node, _ in snapshot.allocations} <= set(victims)


@pytest.mark.parametrize("first", OWN)
@pytest.mark.parametrize("second", OWN)
def test_a_node_lost_first_is_cleaned_though_another_is_lost_later(site, first, second):
    """The first node's entries leave with the revised plan; a second revision keeps that."""
    plan = site.plan("train", 16, spare_count=2)
    early, late = (member.node_id for member in plan.after.members[:2])
    site.faults.add(dies(f"{first}/{early}", 0))
    site.faults.add(dies(f"{second}/{late}", 2))
    operation = site.carry_out(plan)
    assert operation.state == "done"
    assert site.leaks() == ()
    held = {entry.key for entry in site.entries() if entry.device.startswith("fabric/")}
    row = site.fleet.node_index(early)
    first_nic = int(site.fleet.first_nic_of_node[row])
    guid = int(site.fleet.nics.guid[first_nic])
    assert not any(key.endswith(f"{guid:#018x}") for key in held)


def test_a_spare_that_dies_is_only_missed(site):
    plan = site.plan("train", 16, spare_count=2)
    spare = plan.after.members[-1].node_id
    site.faults.add(dead(f"host/{spare}"))
    operation = site.carry_out(plan)
    assert operation.state == "done"
    assert len(site.nodes(operation.cluster_id)) == 3
    assert spare in site.quarantined()
    site.assert_sound()


def test_a_node_left_behind_is_not_given_to_anybody(site):
    cluster_id = site.launch("train", 64)
    victim = site.nodes(cluster_id)[0]
    site.faults.add(dead(f"*/{victim}"))
    assert site.release(cluster_id).state == "done"
    assert site.cluster(cluster_id).phase == "released"
    assert victim in site.quarantined()
    with pytest.raises(NoCapacityError):
        site.plan("next", 128)
    other = site.launch("next", 120)
    assert victim not in site.nodes(other)
    site.assert_sound()


def test_a_node_left_behind_stays_held_though_somebody_calls_it_available(site):
    """The operator's word does not outweigh what may still be on the device."""
    cluster_id = site.launch("train", 64)
    victim = site.nodes(cluster_id)[0]
    site.faults.add(dead(f"*/{victim}"))
    site.release(cluster_id)
    site.store.set_node_state(victim, "available", "", site.clock.now_s())
    with pytest.raises(NoCapacityError):
        site.plan("next", 128)


@pytest.mark.parametrize("after_calls", range(6))
@pytest.mark.parametrize("owner", OWN)
def test_a_grow_that_loses_its_newcomer_leaves_the_cluster_as_it_was(site, owner, after_calls):
    cluster_id = site.launch("train", 16, storage_bytes=1 << 30)
    before = site.cluster(cluster_id).target
    plan = site.control.plan_grow(cluster_id, 16)
    newcomer = plan.after.members[-1].node_id
    site.faults.add(dies(f"{owner}/{newcomer}", after_calls))
    operation = site.carry_out(plan)
    if operation.state == "unwound":
        assert site.cluster(cluster_id).target == before
        assert newcomer in site.quarantined()
    else:
        assert not site.faults.hits or newcomer in site.quarantined()
    assert site.cluster(cluster_id).phase == "active"
    site.assert_sound()


@pytest.mark.parametrize("after_calls", range(6))
@pytest.mark.parametrize("owner", OWN)
def test_a_replace_that_finds_no_good_node_ends_as_it_began(site, owner, after_calls):
    """Neither waits for ever nor takes the tenant's other nodes away."""
    cluster_id = site.launch("train", 16, storage_bytes=1 << 30)
    before = site.cluster(cluster_id).target
    failed = site.nodes(cluster_id)[0]
    plan = site.control.plan_replace(cluster_id, [failed])
    newcomer = plan.after.members[0].node_id
    site.faults.add(dies(f"{owner}/{newcomer}", after_calls))
    operation = site.carry_out(plan)
    assert operation.state in {"done", "unwound"}
    assert site.cluster(cluster_id).phase == "active"
    if operation.state == "unwound":
        assert site.cluster(cluster_id).target == before
        assert {failed, newcomer} <= site.quarantined()
    site.assert_sound()
    if operation.state == "unwound":
        again = site.carry_out(site.control.plan_replace(cluster_id, [failed]))
        assert again.state == "done"


def test_a_replace_that_is_undone_leaves_no_newcomer_behind_when_the_old_node_is_dead(site):
    """Setting the old node again fails; undoing goes on with the others all the same."""
    cluster_id = site.launch("train", 16)
    failed = site.nodes(cluster_id)[0]
    site.faults.add(dead(f"*/{failed}"))
    plan = site.control.plan_replace(cluster_id, [failed])
    newcomer = plan.after.members[0].node_id
    site.faults.add(dies(f"host/{newcomer}", 4))
    operation = site.carry_out(plan)
    assert operation.state == "unwound"
    assert site.leaks() == ()
    snapshot = site.store.snapshot(site.clock.now_s())
    left = {t.entry.device for t in snapshot.tombstones}
    assert left <= {f"host/{newcomer}"}
    assert site.wanting(cluster_id, but=[failed]) == []


def test_a_shrink_ends_though_another_node_has_died(site):
    cluster_id = site.launch("train", 32)
    nodes = site.nodes(cluster_id)
    plan = site.control.plan_shrink(cluster_id, 8)
    victim = plan.after.members[0].node_id
    site.faults.add(dead(f"*/{victim}"))
    operation = site.carry_out(plan)
    assert operation.state == "done"
    assert site.cluster(cluster_id).phase == "active"
    assert victim in site.quarantined()
    assert len(site.nodes(cluster_id)) == len(nodes) - 1
    assert site.carry_out(site.control.plan_replace(cluster_id, [victim])).state == "done"
    assert site.leaks() == ()


def test_hosts_that_run_are_not_started_again_when_a_spare_steps_in(site):
    plan = site.plan("train", 32, spare_count=1)
    victim = plan.after.members[0].node_id
    site.faults.add(dies(f"host/{victim}", 2))
    starts = record_power(site)
    assert site.carry_out(plan).state == "done"
    others = [m.node_id for m in plan.after.members[1:-1]]
    assert {node: starts[node] for node in others} == {node: ["off", "on"] for node in others}


def record_power(site) -> dict:
    """Powers in the order in which each host was told them."""
    told: dict = {}
    ensure = site.world.ensure

    def listen(device, entries, fence):
        ensure(device, entries, fence)
        for entry in entries:
            if device.startswith("host/"):
                told.setdefault(entry.node_id, []).append(entry.power)

    site.world.ensure = listen
    return told
