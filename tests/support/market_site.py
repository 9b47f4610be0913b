"""A site of 16 nodes with a market: the real store, planner and executor on fake devices."""

import asyncio
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass

from hypothesis import strategies as st

from gigawatt.app.admission import Admission, Wish
from gigawatt.app.clock import ManualClock
from gigawatt.app.control import Control
from gigawatt.app.firewall import FirewallFollower
from gigawatt.app.ids import RandomIds
from gigawatt.app.market.opening import OpenMarket, open_market
from gigawatt.drivers.fake.driver import fake_drivers
from gigawatt.drivers.fake.faults import Faults
from gigawatt.drivers.fake.world import DeviceWorld
from gigawatt.errors import ConflictError
from gigawatt.executor.executor import Surroundings
from gigawatt.fleet.demo import hgx_fleet
from gigawatt.fleet.model import Fleet
from gigawatt.identity.accounts import Organisation, OrganisationId, Project
from gigawatt.ids import ClusterId, NodeId, OperationId, TenantId
from gigawatt.intent.prices import GpuPrice, PriceQuestion, Prices
from gigawatt.intent.request import ClusterRequest
from gigawatt.intent.reservation import ReservationRequest
from gigawatt.intent.term import Term
from gigawatt.interfaces.directory import Reach
from gigawatt.interfaces.reservations import ReservationRecord
from gigawatt.interfaces.spot import Notice
from gigawatt.interfaces.waiting import WaitingRequest
from gigawatt.store.directory import open_directory
from gigawatt.store.firewall import SqlFirewallRulesets
from gigawatt.store.limits import open_limit_book
from gigawatt.store.sqlite import open_store
from gigawatt.store.storage_quota import SqlStorageQuotas
from gigawatt.store.store import SqlStore
from gigawatt.store.turned_away import open_turned_away_book
from gigawatt.store.waiting import open_waiting_room
from gigawatt.units import DAY_S

NOW_S = 1_000_000_000.0
A, B = TenantId("ten_a"), TenantId("ten_b")
FLOOR, ON_DEMAND = 500_000, 2_500_000
FLEET = hgx_fleet(128)
EVERYBODY = Reach(None)
ALL = 1 << 60
GPUS = st.sampled_from([8, 16, 32, 64])


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
