"""Goal: whatever happens in whatever order, nothing is held twice, leaked or freed too early.

Method: hypothesis drives random commits, revisions, tombstones, observations, unwinds, ends and
waits against a store on each engine and a model of sets in this module; after each step the
snapshot is the model and the auditor has nothing to say. PostgreSQL gets fewer lives in the quick
run, because every step opens a connection for the auditor.
"""

from dataclasses import dataclass, field, replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from gigawatt.boundary.entries import PartitionMember
from gigawatt.boundary.keys import COOL_DOWN_S, keys_of
from gigawatt.boundary.target import ClusterTarget
from gigawatt.errors import ConflictError
from gigawatt.ids import ClusterId, OperationId
from gigawatt.interfaces.store import OperationRecord
from gigawatt.planner.phases import ENDED
from gigawatt.planner.plan import OperationKind
from gigawatt.store.audit import audit_database
from gigawatt.store.open import open_store_at
from gigawatt.store.operations import LEASE_S

NODE_COUNT = 6
NODES = st.sets(st.integers(0, NODE_COUNT - 1), min_size=1, max_size=3)
KINDS = st.sampled_from(list(OperationKind))


@dataclass
class Known:
    """What the model knows of one cluster."""

    target: ClusterTarget | None
    operation: OperationRecord | None = None
    held: set = field(default_factory=set)
    waiting: set = field(default_factory=set)
    keys: set = field(default_factory=set)
    waiting_keys: set = field(default_factory=set)
    buried: dict = field(default_factory=dict)

    def names(self, node_id):
        """Whether a tombstone may name this node."""
        entries = self.buried.values()
        return any(
            isinstance(entry, PartitionMember) or getattr(entry, "node_id", None) == node_id
            for entry in entries
        )


def nodes_of(target):
    return set() if target is None else {member.node_id for member in target.members}


def key_set(target):
    return set() if target is None else set(keys_of(target))


def can_end(operation, state):
    """Whether an operation may end so: back only if it can go back, a launch never half."""
    is_launch = operation.kind is OperationKind.LAUNCH
    allowed = {
        "applying": {"done"} if is_launch else {"done", "stuck"},
        "unwinding": {"unwound", "stuck"},
        "stuck": {"stuck"}
        | (set() if is_launch else {"done"})
        | ({"unwound"} if operation.kind.is_reversible else set()),
    }
    return state in allowed[operation.state]


class Life(RuleBasedStateMachine):
    """Random lives of clusters."""

    def __init__(self, build, engine):
        super().__init__()
        self.build = build
        self.engine = engine
        self.place = engine.new()
        self.store = open_store_at(self.place)
        self.known: dict[ClusterId, Known] = {}
        self.cooling: dict = {}
        self.quarantined: set = set()
        self.now_s = 0.0
        self.count = 0

    def teardown(self):
        self.store.close()
        self.engine.drop(self.place)

    def taken_nodes(self):
        return {node for known in self.known.values() for node in known.held | known.waiting}

    def taken_keys(self):
        held = {key for known in self.known.values() for key in known.keys | known.waiting_keys}
        return held | {key for key, free_s in self.cooling.items() if free_s > self.now_s}

    def try_commit(self, kind, known, after):
        """Commit; the model says whether it must succeed."""
        held, keys = (known.held, known.keys) if known else (set(), set())
        new_nodes, new_keys = nodes_of(after) - held, key_set(after) - keys
        fits = not (
            new_nodes & (self.taken_nodes() | self.quarantined) or new_keys & self.taken_keys()
        )
        before = known.target if known else None
        generation = self.store.snapshot(self.now_s).generation
        plan = self.build.plan(kind, before, after, generation)
        try:
            operation = self.store.commit(plan, OperationId(f"op_{generation}"), self.now_s)
        except ConflictError:
            assert not fits
            return
        assert fits
        if known is None:
            known = self.known[operation.cluster_id] = Known(after)
        known.operation = operation
        known.held |= nodes_of(after)
        known.keys |= key_set(after)
        self.cooling = {key: s for key, s in self.cooling.items() if s > self.now_s}
        if kind is not OperationKind.RELEASE:
            known.target = after

    @rule(nodes=NODES, number=st.integers(1, 4))
    def launch(self, nodes, number):
        self.count += 1
        target = self.build.target(f"c{self.count}", sorted(nodes), number=number)
        self.try_commit(OperationKind.LAUNCH, None, target)

    def idle(self):
        return [k for k in self.known.values() if k.target is not None and k.operation is None]

    def busy(self):
        return [k for k in self.known.values() if k.operation is not None]

    @precondition(idle)
    @rule(data=st.data(), kind=KINDS, nodes=NODES)
    def change(self, data, kind, nodes):
        known = data.draw(st.sampled_from(self.idle()))
        if kind is OperationKind.LAUNCH:
            kind = OperationKind.RELEASE
        after = self.build.with_nodes(known.target, sorted(nodes))
        self.try_commit(kind, known, None if kind is OperationKind.RELEASE else after)

    @precondition(busy)
    @rule(data=st.data(), nodes=NODES)
    def revise(self, data, nodes):
        known = data.draw(st.sampled_from(self.busy()))
        plan = known.operation.plan
        if plan.after is None:
            return
        after = self.build.with_nodes(plan.after, sorted(nodes))
        gone = tuple(sorted(nodes_of(plan.after) - nodes_of(after)))
        revised = replace(plan, after=after, quarantined=gone)
        fits = not (nodes_of(after) - known.held) & (self.taken_nodes() | self.quarantined)
        try:
            known.operation = self.store.revise(known.operation, revised, self.now_s)
        except ConflictError:
            assert not fits
            return
        assert fits
        known.target = after
        known.held |= nodes_of(after)
        self.quarantined |= set(gone)

    @precondition(busy)
    @rule(data=st.data())
    def bury(self, data):
        known = data.draw(st.sampled_from(self.busy()))
        plan = known.operation.plan
        entries = self.build.entries(plan.before or plan.after, nics=True)
        chosen = data.draw(st.lists(st.sampled_from(entries), max_size=4))
        self.store.bury(known.operation, chosen, self.now_s)
        known.buried.update({(entry.device, entry.key): entry for entry in chosen})

    @rule(data=st.data())
    def observe(self, data):
        pairs = sorted({pair for known in self.known.values() for pair in known.buried})
        if not pairs:
            return
        gone = data.draw(st.sets(st.sampled_from(pairs)))
        self.store.observe_absent(sorted(gone), self.now_s)
        for known in self.known.values():
            known.buried = {pair: e for pair, e in known.buried.items() if pair not in gone}
            known.waiting = {node for node in known.waiting if known.names(node)}
            if not known.buried:
                self.cool(known.waiting_keys)
                known.waiting_keys = set()

    def cool(self, keys):
        self.cooling.update(dict.fromkeys(keys, self.now_s + COOL_DOWN_S))

    @precondition(busy)
    @rule(data=st.data())
    def unwind(self, data):
        known = data.draw(st.sampled_from(self.busy()))
        fits = known.operation.kind.is_reversible and known.operation.state != "stuck"
        try:
            known.operation = self.store.begin_unwind(known.operation, "no", self.now_s)
        except ConflictError:
            assert not fits
            return
        assert fits

    @precondition(busy)
    @rule(data=st.data())
    def take_over(self, data):
        known = data.draw(st.sampled_from(self.busy()))
        self.now_s += LEASE_S
        late = known.operation
        known.operation = self.store.take_over(late.operation_id, f"w{self.now_s}", self.now_s)
        try:
            self.store.start_steps(late, ["x"], self.now_s)
        except ConflictError:
            return
        raise AssertionError("a late worker wrote")

    @precondition(busy)
    @rule(data=st.data(), state=st.sampled_from(["done", "unwound", "stuck"]))
    def finish(self, data, state):
        known = data.draw(st.sampled_from(self.busy()))
        leaving = sorted(nodes_of(known.target) | known.held)
        broken = data.draw(st.sets(st.sampled_from(leaving), max_size=1))
        reasons = dict.fromkeys(broken, "no answer")
        fits = can_end(known.operation, state)
        try:
            self.store.finish(known.operation, state, reasons, self.now_s)
        except ConflictError:
            assert not fits
            return
        assert fits
        self.quarantined |= broken
        record = self.store.operation(known.operation.operation_id)
        if state == "stuck":
            known.operation = record
            return
        known.operation = None
        plan = record.plan
        known.target = plan.after if state == "done" else plan.before
        left = known.held - nodes_of(known.target)
        known.held -= left
        known.waiting |= {node for node in left if known.names(node)}
        left_keys = known.keys - key_set(known.target)
        known.keys -= left_keys
        if known.buried:
            known.waiting_keys |= left_keys
        else:
            self.cool(left_keys)

    @rule(wait_s=st.sampled_from([1.0, LEASE_S, COOL_DOWN_S / 2, COOL_DOWN_S]))
    def wait(self, wait_s):
        self.now_s += wait_s

    @rule()
    def mend(self):
        for node_id in sorted(self.quarantined):
            self.store.set_node_state(node_id, "available", "", self.now_s)
        self.quarantined = set()

    @invariant()
    def the_snapshot_is_the_model(self):
        seen = self.store.snapshot(self.now_s)
        assert dict(seen.allocations) == {
            (node, cluster_id): 0xFF
            for cluster_id, known in self.known.items()
            for node in known.held | known.waiting
        }
        assert {(key.pool_id, key.value) for key in seen.keys} == self.taken_keys()
        assert set(seen.node_states) == self.quarantined
        for cluster_id, known in self.known.items():
            record = self.store.cluster(cluster_id)
            assert record.target == known.target
            assert (record.phase in ENDED) == (known.target is None)
            holds = known.target or known.waiting or known.waiting_keys or known.buried
            assert (cluster_id in seen.clusters) == bool(holds)

    @invariant()
    def the_auditor_is_silent(self):
        assert audit_database(self.place) == ()


def live(build, engine, life_count):
    run_state_machine_as_test(
        lambda: Life(build, engine),
        settings=settings(max_examples=life_count, stateful_step_count=25, deadline=None),
    )


def test_random_lives_agree_with_the_model(build, engine):
    live(build, engine, engine.life_count)


@pytest.mark.slow
def test_many_random_lives_agree_with_the_model(build, engine):
    live(build, engine, 100)
