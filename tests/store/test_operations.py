"""Goal: one worker at a time writes for an operation, and what it wrote is read back as it was.

Method: two workers with virtual time between them; every write of the one that was overtaken is
tried; journal, evidence and trail are read back.
"""

from dataclasses import replace

import pytest

from gigawatt.errors import ConflictError, InputError, UnknownIdError
from gigawatt.ids import ClusterId, OperationId, TenantId
from gigawatt.planner.plan import OperationKind
from gigawatt.store.operations import LEASE_S

LAUNCH, GROW, RELEASE = OperationKind.LAUNCH, OperationKind.GROW, OperationKind.RELEASE
NOW_S = 100.0


@pytest.fixture
def operation(store, build):
    return build.commit(store, LAUNCH, None, build.target())


def test_take_over_waits_for_the_lease_and_raises_the_fence(store, operation):
    first = store.take_over(operation.operation_id, "w1", NOW_S)
    with pytest.raises(ConflictError, match="'w1' holds operation"):
        store.take_over(operation.operation_id, "w2", NOW_S + LEASE_S - 1)
    second = store.take_over(operation.operation_id, "w2", NOW_S + LEASE_S)
    assert operation.generation < first.generation < second.generation
    assert second.plan == operation.plan


def test_the_fence_is_newer_than_every_commit(store, build, operation):
    other = build.commit(store, LAUNCH, None, build.target("b", (5,), number=2))
    taken = store.take_over(operation.operation_id, "w1", NOW_S)
    assert taken.generation > other.generation
    assert store.snapshot(NOW_S).generation == taken.generation


def test_a_worker_that_starts_again_takes_its_own_lease_over(store, operation):
    first = store.take_over(operation.operation_id, "w1", NOW_S)
    again = store.take_over(operation.operation_id, "w1", NOW_S + 1)
    assert again.generation > first.generation


def test_renew_keeps_the_lease_alive(store, operation):
    mine = store.take_over(operation.operation_id, "w1", NOW_S)
    store.renew(mine, "w1", NOW_S + 20)
    with pytest.raises(ConflictError):
        store.take_over(operation.operation_id, "w2", NOW_S + 20 + LEASE_S - 1)
    with pytest.raises(ConflictError, match="not 'w2'"):
        store.renew(mine, "w2", NOW_S + 21)
    store.take_over(operation.operation_id, "w2", NOW_S + 20 + LEASE_S)


def test_the_end_gives_the_lease_back(store, operation):
    mine = store.take_over(operation.operation_id, "w1", NOW_S)
    turned = store.begin_unwind(mine, "no", NOW_S)
    store.finish(turned, "stuck", {}, NOW_S)
    store.take_over(operation.operation_id, "reconciler", NOW_S)


def late_writes(store, operation, plan):
    return {
        "renew": lambda: store.renew(operation, "w1", NOW_S),
        "revise": lambda: store.revise(operation, plan, NOW_S),
        "start_steps": lambda: store.start_steps(operation, ["s"], NOW_S),
        "finish_steps": lambda: store.finish_steps(operation, [("s", "done", "")], NOW_S),
        "bury": lambda: store.bury(operation, [], NOW_S),
        "begin_unwind": lambda: store.begin_unwind(operation, "no", NOW_S),
        "finish": lambda: store.finish(operation, "done", {}, NOW_S),
    }


WRITES = ["renew", "revise", "start_steps", "finish_steps", "bury", "begin_unwind", "finish"]


@pytest.mark.parametrize("write", WRITES)
def test_an_overtaken_worker_cannot_write(store, operation, write):
    newer = store.take_over(operation.operation_id, "w2", NOW_S)
    with pytest.raises(ConflictError, match=f"at generation {newer.generation}"):
        late_writes(store, operation, operation.plan)[write]()
    late_writes(store, newer, operation.plan)["start_steps"]()


@pytest.mark.parametrize("write", WRITES)
def test_nobody_writes_for_an_ended_operation(store, operation, write):
    store.finish(operation, "done", {}, NOW_S)
    with pytest.raises(ConflictError, match="has ended: done"):
        late_writes(store, operation, operation.plan)[write]()
    with pytest.raises(ConflictError, match="has ended: done"):
        store.take_over(operation.operation_id, "w2", NOW_S)


@pytest.mark.parametrize("write", WRITES)
def test_nobody_writes_for_an_unknown_operation(store, operation, write):
    unknown = replace(operation, operation_id=OperationId("op_none"))
    with pytest.raises(UnknownIdError, match="op_none"):
        late_writes(store, unknown, operation.plan)[write]()


def test_unknown_ids_are_named(store, operation):
    unknown = replace(operation, operation_id=OperationId("op_none"))
    with pytest.raises(UnknownIdError, match="op_none"):
        store.take_over(OperationId("op_none"), "w", NOW_S)
    with pytest.raises(UnknownIdError, match="op_none"):
        store.operation(OperationId("op_none"))
    with pytest.raises(UnknownIdError, match="op_none"):
        store.add_evidence(unknown, "verify", {}, NOW_S)
    with pytest.raises(UnknownIdError, match="op_none"):
        store.add_event("note", "text", NOW_S, operation=unknown)
    with pytest.raises(UnknownIdError, match="clu_none"):
        store.cluster(ClusterId("clu_none"))


def test_the_journal_keeps_first_order_and_last_state(store, operation):
    store.start_steps(operation, ["b", "a"], NOW_S)
    store.finish_steps(operation, [("a", "failed", "timeout"), ("b", "done", "")], NOW_S)
    store.start_steps(operation, ["a", "c"], NOW_S)
    store.finish_steps(operation, [("a", "done", "2nd try")], NOW_S)
    assert list(store.journal(operation.operation_id).items()) == [
        ("b", ("done", "")),
        ("a", ("done", "2nd try")),
        ("c", ("started", "")),
    ]
    assert store.journal(OperationId("op_none")) == {}


def test_a_revised_plan_holds_the_old_and_the_new_until_the_end(store, build, operation):
    gone, target = build.nodes[1], build.target()
    after = build.with_nodes(target, (0, 2))
    plan = build.plan(LAUNCH, None, after, 0, quarantined=(gone,))
    revised = store.revise(operation, plan, NOW_S)
    assert revised.plan == plan == store.operation(operation.operation_id).plan
    assert revised.generation == operation.generation
    seen = store.snapshot(NOW_S)
    assert {node for node, _ in seen.allocations} == set(build.nodes[:3])
    assert seen.node_states[gone][0] == "quarantined"
    assert seen.clusters[target.cluster_id].target == after
    store.finish(revised, "done", {}, NOW_S)
    seen = store.snapshot(NOW_S)
    assert {node for node, _ in seen.allocations} == {build.nodes[0], build.nodes[2]}
    assert seen.clusters[target.cluster_id].target == after


def test_a_revised_plan_cannot_take_what_others_hold(store, build, operation):
    build.launched(store, build.target("b", (2,), number=2))
    before = store.snapshot(NOW_S)
    after = build.with_nodes(build.target(), (0, 2))
    with pytest.raises(ConflictError, match="not free"):
        store.revise(operation, build.plan(LAUNCH, None, after, 0), NOW_S)
    assert store.snapshot(NOW_S) == before


def test_a_revised_release_keeps_its_target(store, build):
    target = build.target()
    build.launched(store, target)
    release = build.commit(store, RELEASE, target, None)
    store.revise(release, build.plan(RELEASE, target, None, 1), NOW_S)
    assert store.cluster(target.cluster_id).target == target


def test_operations_are_listed_oldest_first(store, build):
    first, second = build.target("a"), build.target("b", (5,), number=2)
    build.launched(store, first)
    launch = build.commit(store, LAUNCH, None, second)
    grow = build.commit(store, GROW, first, build.with_nodes(first, (0, 1, 2)))
    assert store.open_operations() == (launch, grow)
    assert [o.kind for o in store.operations_of(first.cluster_id)] == [LAUNCH, GROW]
    assert [c.name for c in store.clusters()] == ["b", "a"]


def test_a_cluster_is_found_by_name(store, build):
    old = build.target("a")
    build.launched(store, old)
    store.finish(build.commit(store, RELEASE, old, None), "done", {}, NOW_S)
    assert store.find_cluster(None, "a").cluster_id == old.cluster_id
    live = replace(build.target("a", (5,), number=2), cluster_id=ClusterId("clu_2"))
    build.launched(store, live)
    assert store.find_cluster(None, "a").cluster_id == "clu_2"
    assert store.find_cluster(live.tenant_id, "a").cluster_id == "clu_2"
    other = build.target("a", (7,), number=3, tenant="ten_y")
    build.launched(store, replace(other, cluster_id=ClusterId("clu_3")))
    assert store.find_cluster(TenantId("ten_y"), "a").cluster_id == "clu_3"
    with pytest.raises(UnknownIdError, match="2 tenants have a cluster 'a': ten_x, ten_y"):
        store.find_cluster(None, "a")
    with pytest.raises(UnknownIdError, match="'a' of tenant 'ten_z'"):
        store.find_cluster(TenantId("ten_z"), "a")
    with pytest.raises(UnknownIdError, match="'b'"):
        store.find_cluster(None, "b")


def test_a_live_cluster_is_found_before_an_ended_one_of_another_tenant(store, build):
    build.launched(store, build.target("a"))
    other = build.target("a", (5,), number=2, tenant="ten_y")
    other = replace(other, cluster_id=ClusterId("clu_2"))
    build.launched(store, other)
    store.finish(build.commit(store, RELEASE, other, None), "done", {}, NOW_S)
    assert store.find_cluster(None, "a").cluster_id == "clu_a"
    assert store.find_cluster(other.tenant_id, "a").cluster_id == "clu_2"


def test_evidence_is_kept_with_the_cluster(store, operation):
    store.add_evidence(operation, "verify", {"pairs": 12, "reached": [True, False]}, NOW_S)
    store.finish(operation, "done", {}, NOW_S)
    store.add_evidence(operation, "probe", {}, NOW_S + 1)
    assert store.evidence(operation.cluster_id) == (
        {"kind": "verify", "at_s": NOW_S, "pairs": 12, "reached": [True, False]},
        {"kind": "probe", "at_s": NOW_S + 1},
    )
    assert store.evidence(ClusterId("clu_none")) == ()


def test_the_trail_is_read_in_pages(store, operation):
    for index in range(5):
        store.add_event("note", f"line {index}", NOW_S, data={"index": index})
    store.add_event("step", "of the cluster", NOW_S, operation=operation)
    first, *rest = store.events(limit=4)
    assert first.kind == "committed"
    assert [event.data for event in rest] == [{"index": 0}, {"index": 1}, {"index": 2}]
    assert [e.message for e in store.events(after_sequence=rest[-1].sequence)] == [
        "line 3",
        "line 4",
        "of the cluster",
    ]
    assert [e.kind for e in store.events(operation.cluster_id)] == ["committed", "step"]


@pytest.mark.parametrize("limit", [0, -1, 10_001])
def test_a_page_has_bounds(store, limit):
    with pytest.raises(InputError, match="1 to 10,000"):
        store.events(limit=limit)


def test_an_unknown_node_state_is_refused(store, build):
    with pytest.raises(InputError, match="broken"):
        store.set_node_state(build.nodes[0], "broken", "", NOW_S)
    assert not store.snapshot(NOW_S).node_states
