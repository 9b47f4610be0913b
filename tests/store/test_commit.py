"""Goal: a commit reserves all that its plan needs or changes nothing, and never twice.

Method: commit small plans that are right, and plans that are wrong in one point each; compare
the snapshot before and after.
"""

from dataclasses import replace

import pytest

from gigawatt.errors import ConflictError, UnknownIdError
from gigawatt.ids import ClusterId, OperationId, TenantId
from gigawatt.planner.phases import Phase
from gigawatt.planner.plan import OperationKind

LAUNCH, GROW, SHRINK = OperationKind.LAUNCH, OperationKind.GROW, OperationKind.SHRINK
REPLACE, RELEASE = OperationKind.REPLACE, OperationKind.RELEASE
NOW_S = 100.0
OP = OperationId("op_x")


def test_launch_takes_nodes_keys_and_name(store, build):
    target = build.target(nodes=(3, 4), mask=0x0F)
    operation = store.commit(build.plan(LAUNCH, None, target, 0), OP, NOW_S)
    seen = store.snapshot(NOW_S)
    assert operation == store.operation(OP)
    assert (operation.state, operation.generation, seen.generation) == ("applying", 1, 1)
    assert seen.allocations == {
        (build.nodes[3], target.cluster_id): 0x0F,
        (build.nodes[4], target.cluster_id): 0x0F,
    }
    assert {(key.pool_id, key.value, key.state) for key in seen.keys} == {
        ("p_key/ib0", 1, "held"),
        ("vni/site-a", 4_097, "held"),
        ("subnet/site-a", 1, "held"),
    }
    cluster = seen.clusters[target.cluster_id]
    assert (cluster.phase, cluster.target, cluster.created_s) == (Phase.LAUNCHING, target, NOW_S)
    assert [event.kind for event in store.events(target.cluster_id)] == ["committed"]


def test_two_clusters_share_a_node_by_slices(store, build):
    low, high = build.target("a", (0,), mask=0x0F), build.target("b", (0,), number=2, mask=0xF0)
    build.commit(store, LAUNCH, None, low)
    build.commit(store, LAUNCH, None, high)
    assert sorted(store.snapshot(NOW_S).allocations.values()) == [0x0F, 0xF0]


def refused(store, plan, now_s=NOW_S, operation_id=OP):
    """The message of a commit that must fail and change nothing."""
    before = store.snapshot(NOW_S), store.clusters(), store.open_operations(), store.events()
    with pytest.raises(ConflictError) as caught:
        store.commit(plan, operation_id, now_s)
    assert (store.snapshot(NOW_S), store.clusters(), store.open_operations(), store.events()) == (
        before
    )
    return str(caught.value)


def test_a_plan_of_another_generation_is_refused(store, build):
    build.launched(store, build.target("a"))
    other = build.target("b", (5,), number=2)
    assert "at generation 0" in refused(store, build.plan(LAUNCH, None, other, 0))
    assert "at generation 7" in refused(store, build.plan(LAUNCH, None, other, 7))


def test_an_expired_plan_is_refused(store, build):
    plan = build.plan(LAUNCH, None, build.target(), 0, expires_s=NOW_S)
    assert "expired" in refused(store, plan, NOW_S + 0.5)
    store.commit(plan, OP, NOW_S)


def test_a_taken_name_is_refused_until_it_is_free(store, build):
    first = build.target("a")
    build.launched(store, first)
    second = replace(build.target("a", (5,), number=2), cluster_id=ClusterId("clu_b"))
    generation = store.snapshot(NOW_S).generation
    assert "has a cluster 'a'" in refused(store, build.plan(LAUNCH, None, second, generation))
    other_tenant = replace(second, tenant_id=TenantId("ten_y"))
    build.launched(store, replace(other_tenant, cluster_id=ClusterId("clu_c")))
    release = build.commit(store, RELEASE, first, None)
    store.finish(release, "done", {}, NOW_S)
    spare = replace(build.target("a", (9,), number=3), cluster_id=ClusterId("clu_d"))
    build.launched(store, spare)


def test_a_second_open_operation_is_refused(store, build):
    target = build.target()
    build.commit(store, LAUNCH, None, target)
    grown = build.with_nodes(target, (0, 1, 2))
    message = refused(store, build.plan(GROW, target, grown, 1))
    assert "open operation 'op_0'" in message


def test_a_plan_made_from_another_target_is_refused(store, build):
    target = build.target()
    build.launched(store, target)
    wrong, grown = build.with_nodes(target, (0,)), build.with_nodes(target, (0, 1, 2))
    assert "made from" in refused(store, build.plan(GROW, wrong, grown, 1))


def test_a_gpu_that_is_held_is_refused_though_the_generation_fits(store, build):
    build.launched(store, build.target("a", (0, 1)))
    assert "not free" in refused(
        store, build.plan(LAUNCH, None, build.target("b", (1, 2), number=2), 1)
    )


def test_a_key_that_is_held_or_cooling_is_refused(store, build):
    target = build.target("a")
    build.launched(store, target)
    same_keys = build.target("b", (7,), number=1)
    assert "not free" in refused(store, build.plan(LAUNCH, None, same_keys, 1))
    store.finish(build.commit(store, RELEASE, target, None), "done", {}, NOW_S)
    assert "not free" in refused(store, build.plan(LAUNCH, None, same_keys, 2))


@pytest.mark.parametrize("state", ["drained", "quarantined"])
def test_a_node_that_is_not_available_is_refused(store, build, state):
    store.set_node_state(build.nodes[1], state, "fan 3 is dead", NOW_S)
    plan = build.plan(LAUNCH, None, build.target(), 0)
    assert "fan 3 is dead" in refused(store, plan)
    store.set_node_state(build.nodes[1], "available", "", NOW_S)
    store.commit(plan, OP, NOW_S)


def test_an_operation_id_serves_once(store, build):
    store.commit(build.plan(LAUNCH, None, build.target("a"), 0), OP, NOW_S)
    second = build.plan(LAUNCH, None, build.target("b", (5,), number=2), 1)
    assert "opened before" in refused(store, second)


def test_a_cluster_id_serves_once(store, build):
    target = build.target("a")
    build.launched(store, target)
    store.finish(build.commit(store, RELEASE, target, None), "done", {}, NOW_S)
    again = build.target("a", (5,), number=2)
    assert "launched before" in refused(store, build.plan(LAUNCH, None, again, 2))


def test_a_change_of_an_ended_cluster_is_refused(store, build):
    target = build.target("a")
    build.launched(store, target)
    store.finish(build.commit(store, RELEASE, target, None), "done", {}, NOW_S)
    assert "made from" in refused(store, build.plan(GROW, target, target, 2))


def test_a_change_of_an_unknown_cluster_is_refused(store, build):
    with pytest.raises(UnknownIdError, match="clu_a"):
        store.commit(build.plan(RELEASE, build.target(), None, 0), OP, NOW_S)
    assert store.snapshot(NOW_S).generation == 0


@pytest.mark.parametrize(
    ("kind", "nodes", "held"),
    [(GROW, (0, 1, 2), (0, 1, 2)), (SHRINK, (0,), (0, 1)), (REPLACE, (0, 2), (0, 1, 2))],
)
def test_a_change_adds_at_commit_and_lets_go_at_the_end(store, build, kind, nodes, held):
    target = build.target()
    build.launched(store, target)
    after = build.with_nodes(target, nodes)
    operation = build.commit(store, kind, target, after)
    seen = store.snapshot(NOW_S)
    assert {node for node, _ in seen.allocations} == {build.nodes[n] for n in held}
    record = seen.clusters[target.cluster_id]
    assert (record.phase, record.target) == (Phase.CHANGING, after)
    store.finish(operation, "done", {}, NOW_S)
    seen = store.snapshot(NOW_S)
    assert {node for node, _ in seen.allocations} == {build.nodes[n] for n in nodes}
    assert seen.clusters[target.cluster_id].phase is Phase.ACTIVE


def test_a_release_keeps_all_until_it_is_done(store, build):
    target = build.target()
    build.launched(store, target)
    operation = build.commit(store, RELEASE, target, None)
    seen = store.snapshot(NOW_S)
    record = seen.clusters[target.cluster_id]
    assert (record.phase, record.target) == (Phase.RELEASING, target)
    assert len(seen.allocations) == 2
    store.finish(operation, "done", {}, NOW_S)
    seen = store.snapshot(NOW_S)
    assert not seen.allocations
    assert not seen.clusters
    assert store.cluster(target.cluster_id).target is None


def test_nodes_that_a_plan_gives_up_are_quarantined_at_commit(store, build):
    target = build.target()
    build.launched(store, target)
    gone = build.nodes[1]
    after = build.with_nodes(target, (0, 2))
    build.commit(store, REPLACE, target, after, quarantined=(gone,))
    assert store.snapshot(NOW_S).node_states[gone][0] == "quarantined"


def test_an_earlier_reason_of_quarantine_stays(store, build):
    target = build.target()
    build.launched(store, target)
    gone = build.nodes[1]
    store.set_node_state(gone, "quarantined", "XID 79 on GPU 4", NOW_S)
    build.commit(store, REPLACE, target, build.with_nodes(target, (0, 2)), quarantined=(gone,))
    assert store.snapshot(NOW_S).node_states[gone] == ("quarantined", "XID 79 on GPU 4")
