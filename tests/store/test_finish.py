"""Goal: what a cluster lets go is free only after every device was observed without it.

Method: end operations with and without tombstones and quarantined nodes, and look at what the
snapshot calls free; then observe absence and let time pass.
"""

import pytest

from gigawatt.boundary.keys import COOL_DOWN_S
from gigawatt.errors import ConflictError
from gigawatt.planner.phases import Phase
from gigawatt.planner.plan import OperationKind

LAUNCH, GROW, SHRINK = OperationKind.LAUNCH, OperationKind.GROW, OperationKind.SHRINK
RELEASE = OperationKind.RELEASE
NOW_S = 100.0


def pairs(entries):
    return [(entry.device, entry.key) for entry in entries]


def node_ids(snapshot):
    return {node for node, _ in snapshot.allocations}


def key_states(snapshot):
    return {key.state for key in snapshot.keys}


def releasing(store, build, entries=()):
    target = build.target()
    build.launched(store, target)
    operation = build.commit(store, RELEASE, target, None)
    store.bury(operation, entries, NOW_S)
    return target, operation


def test_released_keys_cool_down_then_serve_again(store, build):
    _target, operation = releasing(store, build)
    store.finish(operation, "done", {}, NOW_S)
    cooling = store.snapshot(NOW_S).keys
    assert {(key.state, key.free_at_s) for key in cooling} == {("cooling", NOW_S + COOL_DOWN_S)}
    assert store.snapshot(NOW_S + COOL_DOWN_S - 1).keys == cooling
    later_s = NOW_S + COOL_DOWN_S
    assert store.snapshot(later_s).keys == ()
    build.commit(store, LAUNCH, None, build.target("b"), now_s=later_s)
    assert key_states(store.snapshot(later_s)) == {"held"}


def test_a_node_under_a_tombstone_stays_held_and_so_do_the_keys(store, build):
    target = build.target()
    _port, account, _host = build.entries(build.with_nodes(target, (1,)))[1:]
    _, operation = releasing(store, build, build.entries(target))
    gone = [e for e in build.entries(target) if e.device != account.device]
    store.observe_absent(pairs(gone), NOW_S)
    store.finish(operation, "done", {build.nodes[1]: "its BMC does not answer"}, NOW_S)
    seen = store.snapshot(NOW_S + 10 * COOL_DOWN_S)
    assert node_ids(seen) == {build.nodes[1]}
    assert key_states(seen) == {"tombstone"}
    assert seen.clusters[target.cluster_id].phase is Phase.RELEASED
    assert [tombstone.entry.key for tombstone in seen.tombstones] == [account.key]
    store.observe_absent(pairs([account]), 5_000.0)
    seen = store.snapshot(5_000.0)
    assert not seen.allocations
    assert {(key.state, key.free_at_s) for key in seen.keys} == {("cooling", 5_000 + COOL_DOWN_S)}
    assert seen.node_states == {build.nodes[1]: ("quarantined", "its BMC does not answer")}
    assert not seen.clusters


def test_a_node_under_a_tombstone_that_nobody_quarantined_frees_itself(store, build):
    target = build.target()
    last = build.entries(target)[-1]
    _, operation = releasing(store, build, [last])
    store.finish(operation, "done", {}, NOW_S)
    assert node_ids(store.snapshot(NOW_S)) == {build.nodes[1]}
    store.observe_absent(pairs([last]), NOW_S)
    assert not store.snapshot(NOW_S).allocations
    assert not store.snapshot(NOW_S).node_states


def test_a_nic_left_in_a_partition_holds_every_node_that_left(store, build):
    target = build.target(nodes=(0, 1, 2))
    build.launched(store, target)
    after = build.with_nodes(target, (0,))
    operation = build.commit(store, SHRINK, target, after)
    nic = build.entries(build.with_nodes(target, (2,)), nics=True)[-1]
    store.bury(operation, [nic], NOW_S)
    store.finish(operation, "done", {}, NOW_S)
    assert node_ids(store.snapshot(NOW_S)) == set(build.nodes[:3])
    store.observe_absent(pairs([nic]), NOW_S)
    assert node_ids(store.snapshot(NOW_S)) == {build.nodes[0]}
    assert key_states(store.snapshot(NOW_S)) == {"held"}


def test_an_observation_of_other_entries_frees_nothing(store, build):
    target = build.target()
    last = build.entries(target)[-1]
    _, operation = releasing(store, build, [last])
    store.finish(operation, "done", {}, NOW_S)
    before = store.snapshot(NOW_S)
    store.observe_absent([(last.device, "slot/4"), *pairs(build.entries(target)[:2])], NOW_S)
    assert store.snapshot(NOW_S) == before


def test_a_quarantined_node_without_tombstone_is_let_go_but_blocked(store, build):
    _target, operation = releasing(store, build)
    store.finish(operation, "done", {build.nodes[0]: "cleaning failed"}, NOW_S)
    seen = store.snapshot(NOW_S)
    assert not seen.allocations
    assert seen.node_states == {build.nodes[0]: ("quarantined", "cleaning failed")}
    with pytest.raises(ConflictError, match="cleaning failed"):
        build.commit(store, LAUNCH, None, build.target("b", number=2))


def test_a_stuck_operation_holds_everything_until_it_ends(store, build):
    target, operation = releasing(store, build)
    before = store.snapshot(NOW_S)
    store.finish(operation, "stuck", {build.nodes[0]: "no answer"}, NOW_S)
    seen = store.snapshot(NOW_S)
    assert (seen.allocations, seen.keys) == (before.allocations, before.keys)
    assert seen.clusters[target.cluster_id].phase is Phase.STUCK
    assert [o.state for o in store.open_operations()] == ["stuck"]
    again = store.take_over(operation.operation_id, "reconciler", NOW_S)
    store.finish(again, "done", {}, NOW_S)
    assert store.cluster(target.cluster_id).phase is Phase.RELEASED
    assert not store.snapshot(NOW_S).allocations


def test_a_failed_launch_is_unwound_to_nothing(store, build):
    target = build.target()
    operation = build.commit(store, LAUNCH, None, target)
    turned = store.begin_unwind(operation, "fabric/ib0 refused", NOW_S)
    assert (turned.state, turned.error) == ("unwinding", "fabric/ib0 refused")
    record = store.cluster(target.cluster_id)
    assert (record.phase, record.target) == (Phase.UNWINDING, target)
    assert "fabric/ib0 refused" in record.phase_reason
    store.finish(turned, "unwound", {}, NOW_S)
    record = store.cluster(target.cluster_id)
    assert (record.phase, record.target) == (Phase.FAILED, None)
    assert not store.snapshot(NOW_S).allocations
    ended = store.operation(operation.operation_id)
    assert (ended.state, ended.finished_s) == ("unwound", NOW_S)


def test_a_failed_grow_is_unwound_to_what_was(store, build):
    target = build.target()
    build.launched(store, target)
    operation = build.commit(store, GROW, target, build.with_nodes(target, (0, 1, 2)))
    turned = store.begin_unwind(operation, "no", NOW_S)
    store.finish(turned, "unwound", {}, NOW_S)
    record = store.cluster(target.cluster_id)
    assert (record.phase, record.target) == (Phase.ACTIVE, target)
    assert node_ids(store.snapshot(NOW_S)) == set(build.nodes[:2])


def test_begin_unwind_twice_is_once(store, build):
    operation = build.commit(store, LAUNCH, None, build.target())
    first = store.begin_unwind(operation, "first", NOW_S)
    assert store.begin_unwind(operation, "second", NOW_S) == first


def test_what_only_goes_forward_cannot_unwind(store, build):
    _, operation = releasing(store, build)
    with pytest.raises(ConflictError, match="release failed"):
        store.begin_unwind(operation, "no", NOW_S)
    with pytest.raises(ConflictError, match="cannot end as unwound"):
        store.finish(operation, "unwound", {}, NOW_S)
    assert store.operation(operation.operation_id).state == "applying"


def test_an_unwinding_launch_cannot_be_done(store, build):
    operation = build.commit(store, LAUNCH, None, build.target())
    turned = store.begin_unwind(operation, "no", NOW_S)
    with pytest.raises(ConflictError, match="cannot end as done"):
        store.finish(turned, "done", {}, NOW_S)


def test_a_stuck_launch_can_only_be_unwound(store, build):
    operation = build.commit(store, LAUNCH, None, build.target())
    turned = store.begin_unwind(operation, "no", NOW_S)
    store.finish(turned, "stuck", {}, NOW_S)
    with pytest.raises(ConflictError, match="launch done"):
        store.finish(turned, "done", {}, NOW_S)
    with pytest.raises(ConflictError, match="is stuck"):
        store.begin_unwind(turned, "no", NOW_S)
    store.finish(turned, "unwound", {}, NOW_S)


def test_an_ended_operation_ends_once(store, build):
    operation = build.commit(store, LAUNCH, None, build.target())
    store.finish(operation, "done", {}, NOW_S)
    with pytest.raises(ConflictError, match="has ended: done"):
        store.finish(operation, "done", {}, NOW_S)


def test_burying_twice_keeps_the_newest_content(store, build):
    target, operation = releasing(store, build)
    entries = build.entries(target)
    store.bury(operation, entries[:3], NOW_S)
    newer = store.take_over(operation.operation_id, "w2", NOW_S)
    store.bury(newer, entries[2:], NOW_S)
    seen = {t.entry: t.generation for t in store.snapshot(NOW_S).tombstones}
    assert seen == {
        e: operation.generation if e in entries[:2] else newer.generation for e in entries
    }
