"""Goal: whatever is bid, booked, launched, given back and left undone, no promise is broken.

Method: hypothesis drives the real store, planner, executor and fake devices of a fleet of 16 nodes
through days of bids, reservations, clusters on demand and on loan, servers that stop between a
notice and what follows from it, and two servers that do everything at once. A ledger that the test
keeps by itself says what was promised and told; it is held against what the store holds after
every step. Beside it the cases that chance finds rarely, each by itself.
"""

import asyncio
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import Phase as Stage
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from gigawatt.app.admission import Admission, Wish
from gigawatt.app.clock import ManualClock
from gigawatt.app.control import Control
from gigawatt.app.firewall import FirewallFollower
from gigawatt.app.ids import RandomIds
from gigawatt.app.market.capacity import capacity_view
from gigawatt.app.market.charges import ChargeSource
from gigawatt.app.market.offers import Offers, PriceWish, make_offers
from gigawatt.app.market.opening import OpenMarket, open_market
from gigawatt.drivers.fake.driver import fake_drivers
from gigawatt.drivers.fake.faults import Faults
from gigawatt.drivers.fake.world import DeviceWorld
from gigawatt.errors import (
    ConflictError,
    ImpossibleError,
    InputError,
    NoCapacityError,
    QuotaError,
)
from gigawatt.executor.executor import Surroundings
from gigawatt.fleet.demo import hgx_fleet
from gigawatt.fleet.model import Fleet
from gigawatt.identity.accounts import Organisation, OrganisationId, Project
from gigawatt.ids import ClusterId, NodeId, OperationId, ReservationId, TenantId
from gigawatt.intent.amounts import minute_words
from gigawatt.intent.prices import GpuPrice, PriceQuestion, Prices
from gigawatt.intent.request import ClusterRequest, Level
from gigawatt.intent.reservation import ReservationRequest
from gigawatt.intent.term import Term
from gigawatt.interfaces.directory import Reach
from gigawatt.interfaces.reservations import ReservationRecord
from gigawatt.interfaces.spot import Notice
from gigawatt.interfaces.usage import UsageQuery
from gigawatt.interfaces.waiting import WaitingRequest
from gigawatt.market.gap import paid_nodes
from gigawatt.market.rates import Rate, RateCard
from gigawatt.planner.phases import ENDED, Phase
from gigawatt.planner.plan import OperationKind
from gigawatt.store.directory import open_directory
from gigawatt.store.firewall import SqlFirewallRulesets
from gigawatt.store.limits import open_limit_book
from gigawatt.store.sqlite import open_store
from gigawatt.store.storage_quota import SqlStorageQuotas
from gigawatt.store.store import SqlStore
from gigawatt.store.turned_away import open_turned_away_book
from gigawatt.store.waiting import open_waiting_room
from gigawatt.units import DAY_S, HOUR_S

NOW_S = 1_000_000_000.0
A, B = TenantId("ten_a"), TenantId("ten_b")
FLOOR, ON_DEMAND = 500_000, 2_500_000
FLEET = hgx_fleet(128)
EVERYBODY = Reach(None)
ALL = 1 << 60


def ask(question: PriceQuestion) -> Prices:
    """A rate card of one row for each term."""
    price = {Term.ON_DEMAND: ON_DEMAND, Term.SPOT: FLOOR, Term.RESERVED: 0}[question.term]
    return Prices(question.term, {("h100", "site-a"): GpuPrice(price, "card")})


@dataclass
class Site:
    """A control plane with devices, its market, and a second server on the same store."""

    store: SqlStore
    clock: ManualClock
    control: Control
    admission: Admission
    servers: tuple[OpenMarket, OpenMarket]

    @property
    def market(self):
        return self.servers[0].market

    def carry_on(self) -> None:
        """Bring every operation that is open to its end."""
        for operation in self.store.open_operations():
            with suppress(ConflictError):
                asyncio.run(self.control.run(operation.operation_id, "worker"))

    def pass_time(self, seconds: float, step_s: float = 600.0) -> None:
        """Let servers work while time passes."""
        until_s = self.clock.at_s + seconds
        while self.clock.at_s < until_s:
            self.clock.at_s = min(until_s, self.clock.at_s + step_s)
            self.work()

    def work(self, server: int = 0) -> None:
        self.servers[server].care.run_if_due()
        self.servers[server].preemption.run_if_due()
        self.servers[server].pump.run_if_due()
        self.carry_on()

    def wait(self, request: ClusterRequest) -> WaitingRequest:
        operation_id = OperationId(self.control.new_id("op"))
        return self.admission.wait(Wish(request, None, None, None, 30 * DAY_S), operation_id)

    def bid(self, name: str, gpu_count: int, most: int, **more) -> WaitingRequest:
        return self.wait(spot(name, gpu_count, most, **more))

    def launch(self, request: ClusterRequest) -> ClusterId:
        operation = self.control.commit_new(
            lambda: self.control.plan_create(request, with_alternatives=False),
            admit=self.admission.judge,
        )
        self.carry_on()
        return operation.cluster_id

    def reserve(self, gpu_count: int, in_s: float | None, length_s: float, **more):
        from_s = None if in_s is None else self.clock.at_s + in_s
        wish = ReservationRequest(
            more.pop("tenant", B), "block", gpu_count, "h100", from_s, length_s, **more
        )
        return self.market.reservations.create(wish)

    def judge_node(self, node_id: NodeId, *, is_broken: bool) -> None:
        state = "quarantined" if is_broken else "available"
        self.store.set_node_state(node_id, state, "the test says so", self.clock.at_s)

    def booked(self, reservation: ReservationRecord) -> ReservationRecord:
        """A reservation as it is now."""
        return self.market.reservations.records.get(reservation.reservation_id)

    def notices(self) -> tuple[Notice, ...]:
        return self.market.spot.page(EVERYBODY, ALL, 1_000, with_ended=True)

    def named(self, name: str):
        """The newest cluster of a name."""
        return next(record for record in self.store.clusters() if record.name == name)


def spot(name: str, gpu_count: int, most: int, **more) -> ClusterRequest:
    return ClusterRequest(
        more.pop("tenant", A),
        name,
        gpu_count,
        "h100",
        term=Term.SPOT,
        price_micro_usd_per_gpu_hour_max=most,
        **more,
    )


def of(reservation: ReservationRecord, name: str, gpu_count: int) -> ClusterRequest:
    return ClusterRequest(
        reservation.project_id,
        name,
        gpu_count,
        "h100",
        term=Term.RESERVED,
        reservation_id=reservation.reservation_id,
    )


@contextmanager
def open_site(fleet: Fleet = FLEET) -> Iterator[Site]:
    with closing(open_store(None)) as store:
        clock = ManualClock(NOW_S)
        drivers = fake_drivers(DeviceWorld(fleet), Faults(), clock)
        around = Surroundings(fleet, store, drivers, clock)
        control = Control(around, RandomIds(), ask_prices=ask)
        directory = open_directory(store)
        directory.add_organisation(Organisation(OrganisationId("org"), "o", NOW_S))
        for tenant in (A, B):
            directory.add_project(Project(tenant, OrganisationId("org"), tenant, 4_096, NOW_S))
        admission = Admission(
            control,
            directory,
            open_waiting_room(store),
            open_turned_away_book(store),
            open_limit_book(store),
            SqlStorageQuotas(store.database),
            FirewallFollower(control, SqlFirewallRulesets(store.database)),
        )
        servers = (open_market(admission, store, "one"), open_market(admission, store, "two"))
        yield Site(store, clock, control, admission, servers)


@pytest.fixture
def site() -> Iterator[Site]:
    with open_site() as made:
        yield made


GPUS = st.sampled_from([8, 16, 32, 64])


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


def test_bids_pay_one_price_and_losers_wait(site):
    """Of three that want half the fleet each, the two best win at what the third would pay."""
    for name, most in (("good", 900_000), ("best", 1_000_000), ("less", 800_000)):
        site.bid(name, 64, most)
    site.work()
    live = {record.name: record.target for record in site.store.clusters()}
    assert set(live) == {"good", "best"}
    prices = {m.price_micro_usd_per_gpu_hour for target in live.values() for m in target.members}
    assert prices == {800_000}
    (round_,) = site.market.spot.prices()
    assert (round_.offered_gpu_count, round_.sold_gpu_count, round_.bid_count) == (128, 128, 3)
    assert [row.request.name for row in site.admission.room.waiting()] == ["less"]


def test_a_bid_below_the_floor_or_without_a_price_is_refused(site):
    with pytest.raises(ImpossibleError, match="at most"):
        site.bid("cheap", 8, FLOOR - 1)
    with pytest.raises(InputError, match="spot needs the highest price"):
        site.wait(replace(spot("none", 8, 1), price_micro_usd_per_gpu_hour_max=None))
    with pytest.raises(InputError, match="not created but bid for"):
        site.launch(spot("now", 8, 1_000_000))


def test_a_bid_that_cannot_be_placed_does_not_make_the_price(site):
    """It would pay most, and no leaf group is that large: those who can start pay the floor."""
    site.launch(ClusterRequest(A, "there", 8, "h100"))
    site.bid("whole", 128, 3_000_000)
    site.bid("small", 8, 600_000)
    site.work()
    member = site.named("small").target.members[0]
    assert member.price_micro_usd_per_gpu_hour == FLOOR
    assert "whole" not in {record.name for record in site.store.clusters()}


def test_spot_gives_way_by_exactly_what_is_needed_and_after_notice(site):
    site.bid("spot", 128, 1_000_000, returns_to_queue=True)
    site.work()
    site.wait(ClusterRequest(B, "mine", 16, "h100"))
    site.work()
    site.pass_time(20.0, 5.0)
    (notice,) = site.notices()
    assert len(notice.node_ids) == 2
    assert notice.deadline_s - notice.given_s == 120.0
    site.clock.at_s = notice.deadline_s - 1.0
    site.work()
    assert len(site.named("spot").target.members) == 16
    site.pass_time(900.0, 60.0)
    assert len(site.named("spot").target.members) == 14
    assert site.named("mine").phase is Phase.ACTIVE
    assert [notice.state for notice in site.notices()] == ["done"]


def test_who_saved_last_is_asked_first(site):
    for name in ("one", "two"):
        site.bid(name, 64, 1_000_000)
    site.work()
    site.clock.at_s += 10 * HOUR_S
    site.market.spot.note_saved(site.named("one").cluster_id, site.clock.at_s)
    site.wait(ClusterRequest(B, "mine", 8, "h100"))
    site.work()
    site.pass_time(20.0, 5.0)
    assert [notice.cluster_id for notice in site.notices()] == [site.named("one").cluster_id]


def test_a_cluster_that_needs_all_it_has_is_taken_whole_and_bids_again(site):
    site.bid("spot", 128, 1_000_000, gpu_count_min=128, returns_to_queue=True)
    site.work()
    site.wait(ClusterRequest(B, "mine", 8, "h100"))
    site.work()
    site.pass_time(900.0, 60.0)
    assert site.named("mine").phase is Phase.ACTIVE
    assert site.named("spot").phase is Phase.RELEASED
    (again,) = site.admission.room.waiting()
    assert again.request.name == "spot"


def test_a_notice_is_withdrawn_when_nobody_waits_any_more(site):
    site.bid("spot", 128, 1_000_000)
    site.work()
    waiting = site.wait(ClusterRequest(B, "mine", 8, "h100"))
    site.work()
    site.pass_time(20.0, 5.0)
    now_s = site.clock.at_s
    site.admission.room.end(waiting.waiting_id, "withdrawn", "changed mind", now_s, None)
    site.pass_time(600.0, 60.0)
    assert [notice.state for notice in site.notices()] == ["withdrawn"]
    assert len(site.named("spot").target.members) == 16


def asked_back(site) -> tuple[Notice, Notice]:
    """Notices to two spot clusters, for one request that needs a node more than each has."""
    for name in ("one", "two"):
        site.bid(name, 64, 1_000_000)
    site.work()
    site.wait(ClusterRequest(B, "mine", 72, "h100"))
    site.work()
    site.pass_time(20.0, 5.0)
    first, second = sorted(site.notices(), key=lambda n: n.cluster_id)
    return first, second


def test_nodes_are_taken_at_once_when_all_who_are_asked_have_saved(site):
    """And they cost nothing from then on; of one alone nothing is taken early."""
    first, second = asked_back(site)
    site.market.spot.answer(first.notice_id, "saved", "", site.clock.at_s)
    site.pass_time(10.0, 1.0)
    assert [n.state for n in site.notices()] == ["given", "given"]
    assert site.clock.at_s < first.deadline_s - 30.0
    site.market.spot.answer(second.notice_id, "saved", "step 7", site.clock.at_s)
    said_s = site.clock.at_s
    site.servers[0].preemption.carry_out()
    assert {n.state for n in site.notices()} == {"begun"}
    for notice in (first, second):
        (_, taken) = site.store.operations_of(notice.cluster_id)
        assert taken.started_s == said_s < notice.deadline_s
        records = site.market.usage.usages(UsageQuery(0, 1 << 53, cluster_id=notice.cluster_id))
        ends = {r.to_ms for r in records if r.node_id in notice.node_ids}
        assert ends == {round(said_s * 1000)}
    messages = [e.message for e in site.store.events(None, 0, 1_000) if e.kind == "notice.saved"]
    assert messages[1].endswith("nodes is saved: step 7")
    site.pass_time(900.0, 60.0)
    assert site.named("mine").phase is Phase.ACTIVE


@pytest.mark.parametrize("answers", [("saved", None), ("saved", "failed"), ("failed", "failed")])
def test_a_hook_that_fails_or_never_comes_changes_nothing_of_the_deadline(site, answers):
    notices = asked_back(site)
    for notice, answer in zip(notices, answers, strict=True):
        if answer is not None:
            site.market.spot.answer(notice.notice_id, answer, "", site.clock.at_s)
    site.clock.at_s = notices[0].deadline_s - 0.5
    site.work()
    assert [n.state for n in site.notices()] == ["given", "given"]
    site.clock.at_s = max(n.deadline_s for n in notices)
    site.servers[0].preemption.carry_out()
    assert [n.state for n in site.notices()] == ["begun", "begun"]


def test_who_failed_can_still_save_and_who_saved_cannot_unsay_it(site):
    first, _ = asked_back(site)
    spot = site.market.spot
    assert spot.answer(first.notice_id, "failed", "disk full", NOW_S).answer == "failed"
    assert spot.answer(first.notice_id, "saved", "", NOW_S + 1.0).answer == "saved"
    again = spot.answer(first.notice_id, "failed", "", NOW_S + 2.0)
    assert (again.answer, again.answered_s) == ("saved", NOW_S + 1.0)
    assert first.cluster_id in spot.saved()
    kinds = [e.kind for e in site.store.events(first.cluster_id, 0, 100)]
    assert [k for k in kinds if k in {"notice.saved", "notice.failed"}] == [
        "notice.failed",
        "notice.saved",
    ]


def test_the_end_of_ones_own_time_is_never_early(site):
    reservation = site.reserve(32, None, 2 * DAY_S)
    site.launch(of(reservation, "train", 32))
    site.pass_time(DAY_S + HOUR_S, HOUR_S)
    (notice,) = site.notices()
    site.market.spot.answer(notice.notice_id, "saved", "", site.clock.at_s)
    site.pass_time(HOUR_S, 600.0)
    assert [n.state for n in site.notices()] == ["given"]


def test_a_server_that_stops_between_the_answer_and_the_taking_changes_nothing(site):
    """The answers are durable, and the other server takes the nodes, once."""
    for notice in asked_back(site):
        site.market.spot.answer(notice.notice_id, "saved", "", site.clock.at_s)
    for server in (1, 0):
        site.servers[server].preemption.carry_out()
    site.carry_on()
    site.pass_time(300.0, 60.0)
    for notice in site.notices():
        kinds = [o.kind for o in site.store.operations_of(notice.cluster_id)]
        assert len(kinds) == 2
        assert notice.state == "done"


def test_a_server_that_stops_after_the_commit_takes_nothing_twice(site):
    """The operation is committed under the notice's own id, and nobody has written that down."""
    site.bid("spot", 128, 1_000_000)
    site.work()
    site.wait(ClusterRequest(B, "mine", 8, "h100"))
    site.work()
    site.pass_time(20.0, 5.0)
    (notice,) = site.notices()
    site.clock.at_s = notice.deadline_s + 1.0
    site.control.commit_new(
        lambda: site.control.plan_give_up(notice.cluster_id, notice.node_ids),
        operation_id=notice.operation_id,
    )
    site.work(server=1)
    site.pass_time(600.0, 60.0)
    assert len(site.named("spot").target.members) == 15
    kinds = [o.kind for o in site.store.operations_of(notice.cluster_id)]
    assert kinds == [OperationKind.LAUNCH, OperationKind.SHRINK]


def test_a_reservation_starts_on_nodes_that_spot_has_left(site):
    site.bid("spot", 128, 1_000_000)
    site.work()
    reservation = site.reserve(64, 3 * HOUR_S, DAY_S)
    site.pass_time(3 * HOUR_S, 300.0)
    held = {node_id for node_id, _ in site.store.snapshot(NOW_S).allocations}
    assert not held & reservation.promise.node_ids
    cluster_id = site.launch(of(reservation, "train", 64))
    target = site.store.cluster(cluster_id).target
    assert {m.node_id for m in target.members} == reservation.promise.node_ids
    assert {m.price_micro_usd_per_gpu_hour for m in target.members} == {0}
    assert len(site.named("spot").target.members) == 8


def test_a_promise_keeps_nobody_off_other_nodes(site):
    """A plan for more nodes than are promised is judged by its own nodes alone."""
    site.reserve(8, None, DAY_S)
    site.launch(ClusterRequest(A, "rest", 120, "h100"))
    assert len(site.named("rest").target.members) == 15


def test_on_demand_keeps_off_promised_nodes_and_on_loan_it_does_not(site):
    site.reserve(120, 8 * HOUR_S, DAY_S)
    with pytest.raises(NoCapacityError):
        site.launch(ClusterRequest(A, "free", 16, "h100"))
    plan = site.control.plan_create(ClusterRequest(A, "loan", 128, "h100", is_lent=True))
    assert plan.report.until_s == NOW_S + 8 * HOUR_S - site.control.notice_policy.clear_s
    assert any("asked back" in reason for reason in plan.report.reasons)
    site.launch(ClusterRequest(A, "loan", 128, "h100", is_lent=True))
    site.pass_time(8 * HOUR_S, 600.0)
    assert len(site.named("loan").target.members) == 1


def test_who_lends_gets_its_nodes_back_when_it_wants_them(site):
    reservation = site.reserve(128, None, 10 * DAY_S, is_lent=True)
    site.bid("spot", 128, 1_000_000)
    site.work()
    assert site.named("spot").phase is Phase.ACTIVE
    with pytest.raises(NoCapacityError):
        site.launch(of(reservation, "train", 32))
    site.wait(of(reservation, "train", 32))
    site.work()
    site.pass_time(900.0, 60.0)
    assert site.named("train").phase is Phase.ACTIVE
    assert len(site.named("spot").target.members) == 12


def test_who_does_not_lend_has_its_nodes_to_itself(site):
    site.reserve(128, None, DAY_S)
    site.bid("spot", 8, 1_000_000)
    site.work()
    assert not site.store.clusters()
    with pytest.raises(NoCapacityError):
        site.launch(ClusterRequest(A, "loan", 8, "h100", is_lent=True))


def test_growth_takes_what_is_paid_for_first_then_growth_room(site):
    reservation = site.reserve(32, None, DAY_S, growth_gpu_count=16)
    cluster_id = site.launch(of(reservation, "train", 24))

    def grow(gpu_count: int) -> tuple[Term, int | None]:
        plan = site.control.plan_grow(cluster_id, gpu_count)
        site.control.commit(plan)
        site.carry_on()
        return plan.report.term, plan.report.price_micro_usd_per_gpu_hour

    assert grow(8) == (Term.RESERVED, 0)
    assert grow(16) == (Term.ON_DEMAND, ON_DEMAND)
    with pytest.raises(NoCapacityError):
        grow(8)
    with pytest.raises(NoCapacityError):
        site.launch(of(reservation, "other", 8))


def test_a_cluster_ends_with_its_reservation_and_is_told_before(site):
    reservation = site.reserve(32, None, 2 * DAY_S)
    cluster_id = site.launch(of(reservation, "train", 32))
    site.pass_time(DAY_S + HOUR_S, HOUR_S)
    (notice,) = site.notices()
    assert (notice.cause, notice.deadline_s) == ("end", reservation.promise.to_s)
    site.pass_time(DAY_S, HOUR_S)
    assert site.store.cluster(cluster_id).phase in ENDED


def test_spot_does_not_grow(site):
    site.bid("spot", 8, 1_000_000)
    site.work()
    with pytest.raises(InputError, match="does not grow"):
        site.control.plan_grow(site.named("spot").cluster_id, 8)


def test_a_broken_promised_node_is_replaced_by_the_nearest_that_is_free(site):
    reservation = site.reserve(32, None, DAY_S)
    broken = min(reservation.promise.node_ids)
    site.judge_node(broken, is_broken=True)
    site.pass_time(60.0, 30.0)
    now = site.booked(reservation)
    assert broken not in now.promise.node_ids
    assert len(now.promise.node_ids) == 4
    (gap,) = now.gaps
    (new,) = now.promise.node_ids - reservation.promise.node_ids
    assert (gap.node_id, gap.replaced_by) == (broken, new)
    assert gap.since_s <= gap.until_s <= NOW_S + 60.0
    cluster_id = site.launch(of(reservation, "train", 32))
    target = site.store.cluster(cluster_id).target
    assert {m.node_id for m in target.members} == now.promise.node_ids
    # The old one is mended, and anybody's.
    site.judge_node(broken, is_broken=False)
    site.launch(ClusterRequest(A, "rest", 96, "h100"))


def test_a_cluster_on_a_broken_promised_node_moves_to_the_one_that_took_its_place(site):
    reservation = site.reserve(32, None, DAY_S)
    cluster_id = site.launch(of(reservation, "train", 32))
    broken = min(reservation.promise.node_ids)
    site.judge_node(broken, is_broken=True)
    site.pass_time(60.0, 30.0)
    site.control.commit(site.control.plan_replace(cluster_id, [broken]))
    site.carry_on()
    target = site.store.cluster(cluster_id).target
    assert {m.node_id for m in target.members} == site.booked(reservation).promise.node_ids
    assert {(m.term, m.price_micro_usd_per_gpu_hour) for m in target.members} == {
        (Term.RESERVED, 0)
    }
    assert site.market.usage.check().differences == ()


def test_spot_on_the_node_that_takes_the_place_gets_its_notice(site):
    reservation = site.reserve(64, None, DAY_S)
    site.bid("spot", 64, 1_000_000)
    site.work()
    assert site.named("spot").phase is Phase.ACTIVE
    site.judge_node(min(reservation.promise.node_ids), is_broken=True)
    site.pass_time(60.0, 30.0)
    now = site.booked(reservation)
    (gap,) = now.gaps
    assert gap.replaced_by in {m.node_id for m in site.named("spot").target.members}
    assert gap.until_s > site.clock.at_s
    (notice,) = site.notices()
    assert notice.node_ids == {gap.replaced_by}
    assert (notice.cause, notice.deadline_s - notice.given_s) == ("reservation", 120.0)
    site.clock.at_s = notice.deadline_s - 1.0
    site.work()
    assert len(site.named("spot").target.members) == 8
    site.pass_time(gap.until_s - site.clock.at_s, 60.0)
    assert len(site.named("spot").target.members) == 7
    site.launch(of(reservation, "train", 64))


def test_a_reservation_that_nothing_fits_is_short_by_name_and_credited(site):
    site.launch(ClusterRequest(A, "rest", 64, "h100"))
    reservation = site.reserve(64, None, DAY_S)
    broken = min(reservation.promise.node_ids)
    broken_s = site.clock.at_s
    site.judge_node(broken, is_broken=True)
    site.pass_time(HOUR_S, 600.0)
    said = [e for e in site.store.events(None, 0, 1_000) if e.kind == "reservation.short"]
    assert len(said) == 1
    assert said[0].message == (
        f"'block' is 8 GPUs short, that are credited: {broken} is out of use and no other one fits"
    )
    site.judge_node(broken, is_broken=False)
    site.pass_time(60.0, 30.0)
    now = site.booked(reservation)
    (gap,) = now.gaps
    assert (gap.node_id, gap.replaced_by, gap.since_s) == (broken, None, broken_s)
    assert now.promise == reservation.promise
    ever = (0, round(1000 * reservation.promise.to_s))
    assert now.short_gpu_ms(*ever) == 8 * round(1000 * (gap.until_s - broken_s))
    owners = {B: OrganisationId("org")}
    source = ChargeSource("2001-09", {}, ())
    (charge,) = source.reservation_charges([now], owners, *ever)
    whole_ms = 64 * round(1000 * DAY_S)
    assert charge.quantity_parts == whole_ms - now.short_gpu_ms(*ever)


def test_what_was_to_stay_together_stays_together():
    """All else of its leaf group is out of use: a node of another group is no replacement."""
    fleet = hgx_fleet(512)
    group_of = dict(zip(fleet.nodes.ids, fleet.nodes.leaf_group.tolist(), strict=True))
    for level, is_replaced in ((Level.LEAF_GROUP, False), (Level.FABRIC, True)):
        with open_site(fleet) as site:
            reservation = site.reserve(16, None, DAY_S, keep_together=level)
            first, second = sorted(reservation.promise.node_ids)
            for node_id, group in group_of.items():
                if group == group_of[second] and node_id != second:
                    site.judge_node(node_id, is_broken=True)
            site.work()
            assert (first not in site.booked(reservation).promise.node_ids) == is_replaced


def test_nothing_of_a_far_reservation_is_replaced(site):
    reservation = site.reserve(32, 5 * DAY_S, DAY_S)
    site.judge_node(min(reservation.promise.node_ids), is_broken=True)
    site.work()
    assert site.booked(reservation) == reservation
    site.clock.at_s += 4 * DAY_S + HOUR_S
    site.work()
    assert len(site.booked(reservation).gaps) == 1
    now = site.booked(reservation)
    assert now.short_gpu_ms(0, round(1000 * now.promise.to_s)) == 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"in_s": -60.0},
        {"in_s": 1e12},
        {"in_s": float("nan")},
        {"length_s": 60.0},
        {"length_s": -DAY_S},
        {"length_s": 100 * 365 * DAY_S},
        {"length_s": float("inf")},
        {"gpu_count": 0},
        {"gpu_count": -8},
        {"gpu_count": 12},
        {"gpu_count": 4},
        {"growth_gpu_count": -8},
        {"price_micro_usd_per_gpu_hour_max": -1},
        {"gpu_type": "h900"},
    ],
)
def test_absurd_reservations_are_refused(site, wrong):
    given = {"gpu_count": 8, "in_s": HOUR_S, "length_s": DAY_S, "gpu_type": "h100", **wrong}
    from_s = site.clock.at_s + given.pop("in_s")
    request = ReservationRequest(B, "block", from_s=from_s, **given)
    with pytest.raises(InputError):
        site.market.reservations.create(request)
    assert site.market.reservations.records.booked(0.0) == ()


def test_a_reservation_costs_no_more_than_was_said_and_no_more_than_is_granted(site):
    with pytest.raises(ImpossibleError, match="costs"):
        site.reserve(8, HOUR_S, DAY_S, price_micro_usd_per_gpu_hour_max=ON_DEMAND - 1)
    site.reserve(8, HOUR_S, DAY_S, price_micro_usd_per_gpu_hour_max=ON_DEMAND)
    small = Project(TenantId("ten_small"), OrganisationId("org"), "s", 16, NOW_S)
    site.admission.directory.add_project(small)
    site.reserve(16, HOUR_S, DAY_S, tenant=small.project_id)
    with pytest.raises(QuotaError):
        site.reserve(8, 2 * HOUR_S, DAY_S, tenant=small.project_id)
    site.reserve(16, 3 * DAY_S, DAY_S, tenant=small.project_id)


def test_one_id_books_once(site):
    wish = ReservationRequest(B, "block", 8, "h100", None, DAY_S)
    drawn = ReservationId("res_drawn")
    first = site.market.reservations.create(wish, None, drawn)
    assert site.market.reservations.create(wish, None, drawn) == first
    assert len(site.market.reservations.records.booked(NOW_S)) == 1


def priced(site, **wish) -> Offers:
    """What ``gw price`` says of a day of 64 GPUs."""
    asked = PriceWish(tenant_id=A, gpu_count=64, gpu_type="h100", duration_s=DAY_S)
    pricing = CardOf(FLEET)
    room = site.market.reservations.room()
    return make_offers(site.admission, pricing, replace(asked, **wish), room)


class CardOf:
    """The test's rate card as a ``Pricing``."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet

    def card(self, _tenant_id: TenantId, term: Term) -> RateCard:
        rows = {Term.ON_DEMAND: ON_DEMAND, Term.SPOT: FLOOR}
        return RateCard([Rate("h100", term, rows[term], NOW_S)] if term in rows else [])

    def prices(self, card: RateCard, question: PriceQuestion, _month_count: int = 0) -> Prices:
        price = card.rates[0].price_micro_usd_per_gpu_hour
        return Prices(question.term, {("h100", "site-a"): GpuPrice(price, "card")})


def test_a_price_with_a_later_start_is_what_the_calendar_says(site):
    """Half is promised for a day from tomorrow on, and on demand holds nothing."""
    taken = site.reserve(96, DAY_S, DAY_S)
    free = priced(site)
    assert (free.first.term, free.first.is_free_now) == (Term.ON_DEMAND, True)
    assert all(offer.month_count or offer.term is not Term.RESERVED for offer in free.others)
    for in_s, starts_s in (
        (DAY_S, taken.clear_until_s),
        (DAY_S / 2, taken.clear_until_s),
        (3 * DAY_S, NOW_S + 3 * DAY_S),
    ):
        found = priced(site, from_s=NOW_S + in_s)
        assert found.first.is_free_now is None
        (block,) = (o for o in found.others if o.term is Term.RESERVED)
        assert block.starts_s == starts_s
        assert block.price.price_micro_usd_per_gpu_hour == ON_DEMAND
        totals = [o.total_micro_usd(DAY_S) for o in found.others]
        assert totals == sorted(totals)


def test_what_is_not_free_now_can_be_reserved_for_later_if_the_calendar_says_so(site):
    site.launch(ClusterRequest(B, "lent", 128, "h100", is_lent=True))
    found = priced(site)
    assert found.first.is_free_now is False
    (block,) = (o for o in found.others if o.term is Term.RESERVED)
    lead_s = site.control.notice_policy.lead_s
    assert block.starts_s == site.clock.at_s + lead_s
    refused = ClusterRequest(A, "mine", 64, "h100")
    with pytest.raises(NoCapacityError) as error, site.admission.recorded(refused, "plan", "x"):
        site.control.plan_create(refused)
    said = minute_words(block.starts_s)
    assert f"the same of h100 for 24 h from {said}, reserved" in error.value.would_fit
    # Somebody who has no end: nothing is known, so nothing is said.
    with open_site() as other:
        other.launch(ClusterRequest(B, "there", 128, "h100"))
        found = priced(other)
        (block,) = (o for o in found.others if o.term is Term.RESERVED)
        assert (block.starts_s, block.is_free_now) == (None, None)
        with (
            pytest.raises(NoCapacityError) as error,
            other.admission.recorded(refused, "plan", "x"),
        ):
            other.control.plan_create(refused)
        assert not any("reserved" in sentence for sentence in error.value.would_fit)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    taken=st.lists(
        st.tuples(GPUS, st.sampled_from([1, 5, 24, 30]), st.sampled_from([1, 12, 36])), max_size=5
    ),
    gpus=GPUS,
    in_h=st.sampled_from([0, 3, 24, 50]),
    hours=st.sampled_from([1, 24, 100]),
)
def test_the_start_that_a_price_names_can_be_booked_and_no_earlier_one(taken, gpus, in_h, hours):
    with open_site() as site:
        for count, in_hours, length in taken:
            with suppress(NoCapacityError):
                site.reserve(count, in_hours * HOUR_S, length * HOUR_S)
        wish = {"gpu_count": gpus, "term": Term.RESERVED, "duration_s": hours * HOUR_S}
        first = priced(site, from_s=NOW_S + in_h * HOUR_S, **wish).first
        assert first.starts_s is not None
        for early_s in range(in_h, int((first.starts_s - NOW_S) // HOUR_S)):
            with pytest.raises(NoCapacityError):
                site.reserve(gpus, early_s * HOUR_S, hours * HOUR_S)
        booked = site.reserve(gpus, first.starts_s - NOW_S, hours * HOUR_S)
        assert booked.promise.from_s == first.starts_s
        assert booked.price_micro_usd_per_gpu_hour == first.price.price_micro_usd_per_gpu_hour


def test_the_view_says_when_there_is_room(site):
    """Half is promised for a day from tomorrow on: all of it could start after that."""
    reservation = site.reserve(64, DAY_S, DAY_S)
    room = site.market.reservations.room()

    def starts(gpu_count: int, hours: float) -> float | None:
        wish = ReservationRequest(A, "v", gpu_count, "h100", None, hours * HOUR_S)
        return capacity_view(room, wish).starts_s

    assert starts(128, 12) == NOW_S
    assert starts(64, 48) == NOW_S
    assert starts(128, 48) == reservation.clear_until_s
    cluster_id = site.launch(ClusterRequest(A, "there", 8, "h100"))
    assert site.store.cluster(cluster_id).target.members[0].node_id not in (
        reservation.promise.node_ids
    )
    room = site.market.reservations.room()
    assert starts(128, 48) is None
    wish = ReservationRequest(A, "v", 64, "h100", None, 48 * HOUR_S)
    counts = [window.free_gpu_count for window in capacity_view(room, wish).windows]
    assert counts == [56, 120]
