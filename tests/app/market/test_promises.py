"""Goal: whatever is bid, booked, launched, given back and left undone, no promise is broken.

Method: hypothesis drives the real store, planner, executor and fake devices of a fleet of 16 nodes
through days of bids, reservations, clusters on demand and on loan, servers that stop between a
notice and what follows from it, and two servers that do everything at once. A ledger that the test
keeps by itself says what was promised and told; it is held against what the store holds after
every step. The cases that chance finds rarely stand in the files beside this one.
"""

from contextlib import suppress

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import Phase as Stage
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from market_site import FLEET, FLOOR, GPUS, A, of, open_site

from gigawatt.errors import ImpossibleError, NoCapacityError
from gigawatt.intent.request import ClusterRequest
from gigawatt.intent.term import Term
from gigawatt.interfaces.reservations import ReservationRecord
from gigawatt.interfaces.spot import Notice
from gigawatt.market.gap import paid_nodes
from gigawatt.planner.phases import Phase
from gigawatt.planner.plan import OperationKind
from gigawatt.units import DAY_S, HOUR_S


class Promises(RuleBasedStateMachine):
    """Days of a small site."""

    @initialize()
    def begin(self) -> None:
        self._context = open_site()
        self.site = self._context.__enter__()
        self.count = 0

    def teardown(self) -> None:
        self._context.__exit__(None, None, None)

    def name(self, letter: str) -> str:
        self.count += 1
        return f"{letter}{self.count}"

    @rule(gpus=GPUS, most=st.integers(300_000, 3_000_000), least=st.booleans(), again=st.booleans())
    def bid(self, gpus: int, most: int, least: bool, again: bool) -> None:
        with suppress(ImpossibleError):
            more = {"gpu_count_min": gpus if least else 0, "returns_to_queue": again}
            self.site.bid(self.name("s"), gpus, most, **more)
        self.site.work()

    @rule(gpus=GPUS, is_lent=st.booleans())
    def launch(self, gpus: int, is_lent: bool) -> None:
        request = ClusterRequest(A, self.name("d"), gpus, "h100", is_lent=is_lent)
        with suppress(NoCapacityError):
            self.site.launch(request)

    @rule(gpus=GPUS)
    def wait(self, gpus: int) -> None:
        self.site.wait(ClusterRequest(A, self.name("w"), gpus, "h100"))
        self.site.work()

    @rule(
        gpus=GPUS,
        growth=st.sampled_from([0, 0, 8]),
        in_s=st.sampled_from([None, HOUR_S, 2 * HOUR_S, DAY_S]),
        hours=st.sampled_from([1, 3, 24]),
        is_lent=st.booleans(),
    )
    def reserve(self, gpus: int, growth: int, in_s: float, hours: int, is_lent: bool) -> None:
        with suppress(NoCapacityError):
            more = {"growth_gpu_count": growth, "is_lent": is_lent}
            self.site.reserve(gpus, in_s, hours * HOUR_S, **more)

    @rule(gpus=GPUS, data=st.data())
    def use(self, gpus: int, data: st.DataObject) -> None:
        running = self.running()
        if running:
            chosen = data.draw(st.sampled_from(running))
            with suppress(NoCapacityError, ImpossibleError):
                self.site.launch(of(chosen, self.name("r"), gpus))

    @rule(data=st.data())
    def give_back(self, data: st.DataObject) -> None:
        found = [c for c in self.site.store.clusters() if c.phase is Phase.ACTIVE]
        if found:
            chosen = data.draw(st.sampled_from(sorted(found, key=lambda c: c.name)))
            self.site.control.commit_new(lambda: self.site.control.plan_release(chosen.cluster_id))
            self.site.carry_on()

    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        now_s = self.site.clock.at_s
        ahead = [r for r in self.booked() if r.promise.from_s > now_s]
        if ahead:
            self.site.market.reservations.cancel(data.draw(st.sampled_from(ahead)).reservation_id)

    @rule(seconds=st.sampled_from([30.0, 130.0, HOUR_S, 3 * HOUR_S]))
    def pass_time(self, seconds: float) -> None:
        self.site.pass_time(seconds, min(600.0, seconds))

    @rule(seconds=st.sampled_from([60.0, 600.0]))
    def stop_the_server_in_between(self, seconds: float) -> None:
        """Notices are given, and nobody is there at their deadlines but the other server."""
        self.site.servers[0].preemption.look()
        self.site.clock.at_s += seconds
        self.site.work(server=1)

    @rule(row=st.integers(0, 15))
    def break_a_node(self, row: int) -> None:
        self.site.judge_node(FLEET.node_id(row), is_broken=True)

    @rule(row=st.integers(0, 15))
    def mend_a_node(self, row: int) -> None:
        self.site.judge_node(FLEET.node_id(row), is_broken=False)

    @rule(data=st.data(), answer=st.sampled_from(["saved", "failed"]))
    def answer_a_notice(self, data: st.DataObject, answer: str) -> None:
        """A hook ran; nobody says so in time, or twice, or to one that is over."""
        notices = self.site.notices()
        if notices:
            chosen = data.draw(st.sampled_from(notices))
            self.site.market.spot.answer(chosen.notice_id, answer, "", self.site.clock.at_s)

    @rule()
    def save_everything(self) -> None:
        for notice in self.site.notices():
            self.site.market.spot.answer(notice.notice_id, "saved", "", self.site.clock.at_s)
        self.site.servers[1].preemption.carry_out()

    @rule()
    def both_at_once(self) -> None:
        """Two servers see the same and do the same, before either knows of the other."""
        for server in self.site.servers:
            server.care.look()
        for server in self.site.servers:
            server.preemption.look()
        for server in self.site.servers:
            server.preemption.carry_out()
        self.site.carry_on()

    def booked(self) -> tuple[ReservationRecord, ...]:
        return self.site.market.reservations.records.booked(0.0)

    def running(self) -> list[ReservationRecord]:
        now_s = self.site.clock.at_s
        return [r for r in self.booked() if r.promise.from_s <= now_s < r.promise.to_s - HOUR_S]

    @invariant()
    def promised_nodes_are_free_or_their_tenants(self) -> None:
        """From its start on, nobody is on a reservation's nodes but its tenant, or on loan.

        Who is on a node that took a broken one's place has notice to leave it.
        """
        stored = self.site.store.snapshot(self.site.clock.at_s)
        for record in self.booked():
            promise, now_s = record.promise, self.site.clock.at_s
            if not promise.from_s <= now_s < promise.to_s:
                continue
            coming = {g.replaced_by for g in record.gaps if g.until_s and now_s < g.until_s}
            for node_id, cluster_id in stored.allocations:
                if node_id not in (promise.node_ids | promise.growth_node_ids) - coming:
                    continue
                target = stored.clusters[cluster_id].target
                assert target is not None
                is_theirs = target.reservation_id == promise.reservation_id
                is_called_back = target.term is Term.SPOT or target.is_lent
                assert is_theirs or (promise.is_lent and is_called_back), (promise, target)

    @invariant()
    def nothing_is_taken_without_notice(self) -> None:
        """Whatever the market took, it took after the deadline of a notice of 120 s or more."""
        store = self.site.store
        told = {notice.operation_id: notice for notice in self.site.notices()}
        demands: dict[tuple[str, str], list[Notice]] = {}
        for notice in told.values():
            demands.setdefault((notice.cause, notice.cause_id), []).append(notice)
        for notice in told.values():
            assert notice.deadline_s - notice.given_s >= 120.0
        for cluster in store.clusters():
            for operation in store.operations_of(cluster.cluster_id):
                if (notice := told.get(operation.operation_id)) is None:
                    continue
                if operation.started_s < notice.deadline_s:
                    # Early only when all who were asked then had said that their work is saved.
                    assert notice.cause != "end"
                    asked = [
                        n
                        for n in demands[notice.cause, notice.cause_id]
                        if n.given_s < operation.started_s
                        and (n.state == "given" or n.state_since_s >= operation.started_s)
                    ]
                    assert all(n.answer == "saved" for n in asked)
                    assert all(n.answered_s <= operation.started_s for n in asked)
                before = {m.node_id for m in operation.plan.before.members}
                after = operation.plan.after
                left = set() if after is None else {m.node_id for m in after.members}
                assert before - left <= notice.node_ids
                assert operation.kind in {OperationKind.SHRINK, OperationKind.RELEASE}

    @invariant()
    def nobody_pays_more_than_they_bid(self) -> None:
        for record in self.site.store.clusters():
            target = record.target
            if target is not None and target.term is Term.SPOT:
                most = target.price_micro_usd_per_gpu_hour_max
                prices = {m.price_micro_usd_per_gpu_hour for m in target.members}
                assert all(FLOOR <= price <= most for price in prices)

    @invariant()
    def nobody_is_shut_out_who_bid_more(self) -> None:
        """Every bid is in every round, so who lost for the price bid less than the last one."""
        last = self.site.market.spot.prices()
        for row in self.site.admission.room.waiting():
            if row.why is not None and row.why.sentence.startswith("the price of the round"):
                most = row.request.price_micro_usd_per_gpu_hour_max
                assert most < last[0].price_micro_usd_per_gpu_hour

    @invariant()
    def a_promise_has_as_many_nodes_as_were_paid_for(self) -> None:
        """What broke is replaced, or stays promised with a gap that is credited."""
        states = self.site.store.snapshot(self.site.clock.at_s).node_states
        for record in self.booked():
            promise = record.promise
            assert len(promise.node_ids) * 8 == record.gpu_count
            assert len(promise.growth_node_ids) * 8 == record.growth_gpu_count
            assert not promise.node_ids & promise.growth_node_ids
            for gap in record.gaps:
                if gap.until_s is None and self.site.clock.at_s < promise.to_s:
                    assert gap.node_id in promise.node_ids | promise.growth_node_ids
            begin_ms, end_ms = round(promise.from_s * 1000), round(promise.to_s * 1000)
            short = record.short_gpu_ms(begin_ms, end_ms)
            assert 0 <= short <= (end_ms - begin_ms) * record.gpu_count
            paid = sum(to_s - from_s for _, from_s, to_s in paid_nodes(promise, record.gaps))
            assert paid <= (promise.to_s - promise.from_s) * len(promise.node_ids) + 1e-3
        assert set(states) <= set(FLEET.nodes.ids)

    @invariant()
    def nodes_are_held_once(self) -> None:
        now_s = self.site.clock.at_s
        held = [node_id for node_id, _ in self.site.store.snapshot(now_s).allocations]
        assert len(held) == len(set(held))


QUICK = settings(
    max_examples=4,
    stateful_step_count=12,
    deadline=None,
    phases=(Stage.explicit, Stage.reuse, Stage.generate),
    suppress_health_check=list(HealthCheck),
)


def test_no_promise_is_broken_in_a_few_days():
    run_state_machine_as_test(Promises, settings=QUICK)


@pytest.mark.slow
def test_no_promise_is_broken_in_many_days():
    run_state_machine_as_test(
        Promises, settings=settings(QUICK, max_examples=200, stateful_step_count=40)
    )
