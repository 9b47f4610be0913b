"""The meter on the real store, against an oracle that knows only the log.

Goal: whatever happens in whatever order, on two servers whose clocks disagree and jump, no
millisecond of a node is billed twice and none is lost.
Method: hypothesis drives random operations, node states, cuts and restarts against one database
through two stores. The oracle is in this module: it walks the audit trail and the plans of the
operations and marks, millisecond by millisecond, what each node cost; after every step the records
with what is under way are exactly that. Then the same lives with a record doubled or dropped, to
see that the oracle notices.
"""

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from gigawatt.errors import ConflictError
from gigawatt.ids import NodeId, OperationId
from gigawatt.intent.term import Term
from gigawatt.interfaces.usage import UsageQuery
from gigawatt.planner.plan import OperationKind
from gigawatt.store import nodes, usage_notes
from gigawatt.store.open import open_store_at
from gigawatt.store.usage_records import SqlUsageBook

NODE_COUNT = 5
NODES = st.sets(st.integers(0, NODE_COUNT - 1), min_size=1, max_size=3)
CHANGES = st.sampled_from([kind for kind in OperationKind if kind is not OperationKind.LAUNCH])
TERMS = st.sampled_from([Term.ON_DEMAND, Term.ON_DEMAND, Term.SPOT, Term.RESERVED])
PRICES = st.sampled_from([1_000_000, 2_490_000, 7])


def price_of(members, member):
    return members[member.node_id].price_micro_usd_per_gpu_hour


def ms_of(at_s):
    return round(at_s * 1000)


class Oracle:
    """What each millisecond of each node cost, from the trail alone."""

    def __init__(self, store):
        self.cost: Counter = Counter()
        self.time: dict = {}
        self.members: dict = {}
        self.ended: set = set()
        self.broken: set = set()
        for event in store.events(limit=10_000):
            self.take(store, event)

    def live_until(self, cluster_id, at_ms):
        """Go on to a moment; nothing happens when it is not later."""
        start = self.time[cluster_id]
        self.time[cluster_id] = max(start, at_ms)
        for ms in range(start, self.time[cluster_id]):
            for node, (gpu_count, _, price) in self.members[cluster_id].items():
                if node not in self.broken and cluster_id not in self.ended:
                    self.cost[cluster_id, node, ms] += gpu_count * price

    def take(self, store, event):
        at_ms, name = ms_of(event.at_s), event.cluster_id
        if event.kind == "node":
            self.judge(event.data["node_id"], at_ms, event.data["state"] == "quarantined")
        elif event.kind == "usage_cut":
            for cluster_id, members in self.members.items():
                if cluster_id not in self.ended and members.keys() - self.broken:
                    self.live_until(cluster_id, event.data["at_ms"])
        elif event.kind in {"committed", "revised", "done", "unwound", "stuck"}:
            operation = store.operation(event.operation_id)
            if name in self.time and event.kind in {"committed", "revised"}:
                self.give_back(operation.kind, name, event.data.get("leaving", ()), at_ms)
            for node in event.data.get("quarantined", ()):
                self.judge(node, at_ms, is_broken=True)
            if event.kind == "done":
                self.verify(operation.plan, at_ms)

    def judge(self, node, at_ms, is_broken):
        if (node in self.broken) != is_broken:
            for cluster_id in [c for c, members in self.members.items() if node in members]:
                self.live_until(cluster_id, at_ms)
            (self.broken.add if is_broken else self.broken.discard)(node)

    def give_back(self, kind, name, leaving, at_ms):
        if kind is OperationKind.RELEASE:
            self.live_until(name, at_ms)
            self.ended.add(name)
        elif kind is OperationKind.SHRINK:
            self.live_until(name, at_ms)
            for node in leaving:
                self.members[name].pop(node, None)

    def verify(self, plan, at_ms):
        name, held = plan.cluster_id, plan.after.members if plan.after else ()
        self.time.setdefault(name, at_ms)
        old = self.members.setdefault(name, {})
        self.live_until(name, at_ms)
        new = {}
        for member in held:
            known, terms = old.get(member.node_id), (member.gpu_mask.bit_count(), member.term)
            price = member.price_micro_usd_per_gpu_hour * (member.term is not Term.RESERVED)
            is_known = known is not None and known[:2] == terms
            new[member.node_id] = known if is_known else (*terms, price)
        self.members[name] = new


def cost_of(records):
    found = Counter()
    for record in records:
        cost = record.gpu_count * record.price_micro_usd_per_gpu_hour
        for ms in range(record.from_ms, record.to_ms):
            found[record.cluster_id, record.node_id, ms] += cost
    return found


def billed(book, oracle):
    """What the book says, up to the moment that the oracle knows of each cluster."""
    everything = UsageQuery(0, 1 << 40)
    records = list(book.usages(everything))
    for cluster_id, at_ms in oracle.time.items():
        query = replace(everything, cluster_id=cluster_id)
        records += list(book.under_way(at_ms, query))
    return cost_of(records)


class Life(RuleBasedStateMachine):
    """Random lives of clusters on two servers."""

    def __init__(self, build, engine):
        super().__init__()
        self.build, self.engine, self.place = build, engine, engine.new()
        self.stores = [open_store_at(self.place), open_store_at(self.place)]
        self.now_ms, self.count = 1_000, 0
        self.names: dict = {}

    def teardown(self):
        for store in self.stores:
            store.close()
        self.engine.drop(self.place)

    def pick(self, data):
        """One of the servers, and its clock."""
        server = data.draw(st.integers(0, 1), label="server")
        return self.stores[server], (self.now_ms + 30 * server) / 1000

    def try_commit(self, data, kind, before, after, name=None):
        store, now_s = self.pick(data)
        generation = store.snapshot(now_s).generation
        after = None if after is None else self.bound(data, before, after)
        plan = self.build.plan(kind, before, after, generation)
        try:
            store.commit(plan, name or OperationId(f"op_{generation}"), now_s)
        except ConflictError:
            return False
        return True

    def bound(self, data, before, after):
        """A target whose newcomers have terms and prices of their own; the others keep theirs."""
        keeps = before is not None and data.draw(st.integers(0, 5), label="keeps its terms") > 0
        known = {m.node_id: m for m in before.members} if keeps else {}
        term, price = data.draw(TERMS, label="term"), data.draw(PRICES, label="price")
        members = tuple(
            replace(m, term=known[m.node_id].term, price_micro_usd_per_gpu_hour=price_of(known, m))
            if m.node_id in known
            else replace(m, term=term, price_micro_usd_per_gpu_hour=price)
            for m in after.members
        )
        return replace(after, members=members)

    def clusters(self, *, is_open):
        busy = {operation.cluster_id for operation in self.stores[0].open_operations()}
        return [
            record
            for record in sorted(self.stores[0].clusters(), key=lambda r: r.cluster_id)
            if record.target is not None and (record.cluster_id in busy) == is_open
        ]

    @rule(data=st.data(), nodes=NODES, is_slice=st.booleans())
    def launch(self, data, nodes, is_slice):
        self.count += 1
        mask = 0x0F << 4 * (self.count % 2) if is_slice and len(nodes) == 1 else 0xFF
        target = self.build.target(f"c{self.count}", sorted(nodes), number=self.count, mask=mask)
        self.try_commit(data, OperationKind.LAUNCH, None, target)

    @rule(data=st.data(), kind=CHANGES, nodes=NODES)
    def change(self, data, kind, nodes):
        idle = self.clusters(is_open=False)
        if not idle:
            return
        before = data.draw(st.sampled_from(idle), label="cluster").target
        mask = before.members[0].gpu_mask
        after = self.build.target(before.name, sorted(nodes), mask=mask).members
        if kind is OperationKind.SHRINK:
            after = before.members[: max(1, len(before.members) - 1)]
        if kind is OperationKind.GROW:
            held = {member.node_id for member in before.members}
            after = before.members + tuple(m for m in after if m.node_id not in held)
        changed = None if kind is OperationKind.RELEASE else replace(before, members=after)
        self.try_commit(data, kind, before, changed)

    @rule(data=st.data())
    def commit_that_fails_late(self, data):
        idle, known = self.clusters(is_open=False), self.stores[0].events(limit=10_000)
        used = [event.operation_id for event in known if event.operation_id]
        if idle:
            before = data.draw(st.sampled_from(idle)).target
            assert not self.try_commit(data, OperationKind.RELEASE, before, None, used[0])

    def busy(self, data):
        found = self.stores[0].open_operations()
        return data.draw(st.sampled_from(found), label="operation") if found else None

    @rule(data=st.data(), nodes=NODES)
    def revise(self, data, nodes):
        operation = self.busy(data)
        if operation is None or operation.plan.after is None:
            return
        store, now_s = self.pick(data)
        members = self.build.target("x", sorted(nodes)).members
        old = operation.plan.before or operation.plan.after
        after = self.bound(data, old, replace(operation.plan.after, members=members))
        held = {member.node_id for member in members}
        lost = [m.node_id for m in operation.plan.after.members if m.node_id not in held]
        plan = replace(operation.plan, after=after, quarantined=tuple(lost))
        try:
            store.revise(operation, plan, now_s)
        except ConflictError:
            return

    @rule(data=st.data())
    def unwind(self, data):
        operation = self.busy(data)
        if operation is not None:
            store, now_s = self.pick(data)
            try:
                store.begin_unwind(operation, "no", now_s)
            except ConflictError:
                return

    @rule(data=st.data(), state=st.sampled_from(["done", "done", "done", "unwound", "stuck"]))
    def finish(self, data, state):
        operation = self.busy(data)
        if operation is None:
            return
        store, now_s = self.pick(data)
        broken = data.draw(st.sets(st.sampled_from(self.build.nodes[:NODE_COUNT]), max_size=1))
        try:
            store.finish(operation, state, dict.fromkeys(broken, "no answer"), now_s)
        except ConflictError:
            return

    @rule(data=st.data(), node=st.integers(0, NODE_COUNT - 1))
    def judge(self, data, node):
        store, now_s = self.pick(data)
        state = data.draw(st.sampled_from(["quarantined", "available", "drained"]))
        store.set_node_state(NodeId(self.build.nodes[node]), state, "", now_s)

    @rule(passed_ms=st.integers(1, 60))
    def wait(self, passed_ms):
        self.now_ms += passed_ms

    @rule(jump_ms=st.integers(-200, 200))
    def jump(self, jump_ms):
        self.now_ms = max(0, self.now_ms + jump_ms)

    @rule(data=st.data(), behind_ms=st.integers(0, 50))
    def cut(self, data, behind_ms):
        store, now_s = self.pick(data)
        SqlUsageBook(store.database).cut(max(0, ms_of(now_s) - behind_ms))

    @rule(server=st.integers(0, 1))
    def lose_the_process(self, server):
        self.stores[server].close()
        self.stores[server] = open_store_at(self.place)

    @invariant()
    def every_millisecond_is_billed_once_or_not_at_all(self):
        oracle, book = Oracle(self.stores[0]), SqlUsageBook(self.stores[1].database)
        assert billed(book, oracle) == +oracle.cost

    def check_at_the_end(self):
        book = SqlUsageBook(self.stores[0].database)
        assert book.check().differences == ()
        assert audit_numbers(book) == []


def audit_numbers(book):
    """Clusters whose records are not numbered 0, 1, 2, ..."""
    numbers: dict = {}
    for record in book.usages(UsageQuery(0, 1 << 40)):
        numbers.setdefault(record.cluster_id, []).append(record.number)
    return [name for name, found in numbers.items() if found != list(range(len(found)))]


class CheckedLife(Life):
    """The same, with the operator's own check at the end."""

    def teardown(self):
        self.check_at_the_end()
        super().teardown()


def live(build, engine, life_count):
    run_state_machine_as_test(
        lambda: CheckedLife(build, engine),
        settings=settings(max_examples=life_count, stateful_step_count=30, deadline=None),
    )


def test_random_lives_are_billed_to_the_millisecond(build, engine):
    live(build, engine, engine.life_count)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_many_random_lives_are_billed_to_the_millisecond(build, engine):
    live(build, engine, 100)


# ── What the oracle must notice ────────────────────────────────────────────────────────────────


def lived(build, store):
    """One life with everything in it: guests, growth, a shrink, a broken node, a release."""
    plans = iter(range(100))

    def done(kind, before, after, at_s):
        bound = None if after is None else replace(after, members=priced(after.members))
        plan = build.plan(kind, before, bound, store.snapshot(at_s).generation)
        operation = store.commit(plan, OperationId(f"op_{next(plans)}"), at_s)
        store.finish(operation, "done", {}, at_s + 0.01)
        return bound

    first = done(OperationKind.LAUNCH, None, build.target("a", (0, 1)), 1.0)
    bigger = replace(first, members=(*first.members, *build.target("a", (2,)).members))
    bigger = done(OperationKind.GROW, first, bigger, 1.1)
    store.set_node_state(build.nodes[0], "quarantined", "", 1.2)
    store.set_node_state(build.nodes[0], "available", "", 1.25)
    smaller = replace(bigger, members=bigger.members[:2])
    smaller = done(OperationKind.SHRINK, bigger, smaller, 1.3)
    done(OperationKind.RELEASE, smaller, None, 1.4)


def priced(members):
    return tuple(replace(m, price_micro_usd_per_gpu_hour=2_490_000) for m in members)


def agrees(store):
    oracle, book = Oracle(store), SqlUsageBook(store.database)
    assert oracle.cost, "something was billed"
    is_same = billed(book, oracle) == +oracle.cost
    assert is_same == (book.check().differences == ()), (
        "the operator's check sees what the oracle sees"
    )
    return is_same


def test_a_life_with_everything_in_it_agrees(build, store):
    lived(build, store)
    assert agrees(store)


PLANTED = """
INSERT INTO usage_record (cluster_id, number, project_id, node_id, gpu_type, site_id, term,
  gpu_count, price_micro_usd_per_gpu_hour, from_ms, to_ms)
SELECT cluster_id, number + 100, project_id, node_id, gpu_type, site_id, term, gpu_count,
  price_micro_usd_per_gpu_hour, from_ms, to_ms FROM usage_record WHERE number = {number}
"""


@pytest.mark.parametrize("number", range(4))
@pytest.mark.parametrize("statement", [PLANTED, "DELETE FROM usage_record WHERE number = {number}"])
def test_the_oracle_notices_any_record_doubled_or_dropped(build, engine, statement, number):
    place = engine.new()
    store = open_store_at(place)
    lived(build, store)
    allow = "" if isinstance(place, str) else "DROP TRIGGER usage_record_no_delete; "
    engine.execute(place, allow + statement.format(number=number))
    assert not agrees(store)
    store.close()
    engine.drop(place)


@pytest.mark.parametrize("deaf", [(nodes, "note_node"), (usage_notes, "_note_leaving")])
def test_the_oracle_notices_a_meter_that_is_not_told(build, store, monkeypatch, deaf):
    monkeypatch.setattr(*deaf, lambda *_: None)
    lived(build, store)
    monkeypatch.undo()
    assert not agrees(store)
