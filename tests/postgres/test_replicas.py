"""Goal: of two replicas on one database, the one that slept through its lease writes nowhere.

Method: two executors in virtual time, each with connections of its own, share one PostgreSQL
database and one device world. The first stops dead before or after a driver call, beyond its
lease; the second takes the operation over and ends it; then the first wakes. Devices, tables and
journal are compared before and after its waking, and each of its writes is tried once more.
"""

import asyncio
from collections.abc import Collection, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace

import pytest

from gigawatt.app.audit import Auditor
from gigawatt.app.control import Control
from gigawatt.app.ids import RandomIds
from gigawatt.boundary.entries import Entry
from gigawatt.drivers.fake.driver import fake_drivers
from gigawatt.drivers.fake.faults import Faults
from gigawatt.drivers.fake.world import DeviceWorld
from gigawatt.errors import ConflictError, StaleGenerationError
from gigawatt.executor.executor import Surroundings
from gigawatt.executor.policy import ExecutorPolicy
from gigawatt.executor.reconcile import devices_of
from gigawatt.fleet.demo import hgx_fleet
from gigawatt.ids import DeviceId, TenantId
from gigawatt.intent.request import ClusterRequest
from gigawatt.interfaces.driver import Driver, Endpoint, Fence, Observation
from gigawatt.planner.phases import Phase
from gigawatt.store.audit import audit_database
from gigawatt.store.operations import LEASE_S
from gigawatt.store.postgres import open_postgres
from gigawatt.store.raw import read_facts
from gigawatt.store.sqlite import open_store
from gigawatt.twin.virtual_time import VirtualClock, VirtualLoop, run_virtual

pytestmark = pytest.mark.postgres


@dataclass
class Sleep:
    """Where a replica stops, and the moments at which it slept and may wake."""

    ordinal: int
    is_after: bool
    count: int = 0
    fence: Fence | None = None
    slept: asyncio.Event = field(default_factory=asyncio.Event)
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    calls: list = field(default_factory=list)


@dataclass
class SleepyDriver:
    """A driver whose replica stops dead at one write."""

    inner: Driver
    sleep: Sleep

    @property
    def plane(self):
        return self.inner.plane

    async def ensure(self, device: DeviceId, entries: Sequence[Entry], fence: Fence) -> None:
        await self._write(self.inner.ensure, device, entries, fence)

    async def remove(self, device: DeviceId, entries: Sequence[Entry], fence: Fence) -> None:
        await self._write(self.inner.remove, device, entries, fence)

    async def observe(self, devices: Collection[DeviceId]) -> Observation:
        return await self.inner.observe(devices)

    async def probe(self, pairs: Sequence[tuple[Endpoint, Endpoint]]) -> tuple[bool, ...]:
        return await self.inner.probe(pairs)

    async def _write(self, call, device, entries, fence) -> None:
        sleep = self.sleep
        sleep.count += 1
        sleep.fence = fence
        if sleep.count != sleep.ordinal:
            # A replica that sleeps does nothing at all: what runs beside the call waits too.
            if sleep.slept.is_set():
                await sleep.wake.wait()
            await call(device, entries, fence)
            return
        if sleep.is_after:
            await call(device, entries, fence)
        sleep.calls.append((call, device, entries, fence))
        sleep.slept.set()
        await sleep.wake.wait()
        if not sleep.is_after:
            await call(device, entries, fence)


class Site:
    """One fleet, its devices and one database, on which replicas work in virtual time."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.fleet = hgx_fleet(128)
        self.world = DeviceWorld(self.fleet)
        self.loop = VirtualLoop()
        self.clock = VirtualClock(self.loop, 1e6)

    def replica(self, store, sleep: Sleep | None = None) -> Control:
        drivers = fake_drivers(self.world, Faults(), self.clock)
        if sleep is not None:
            drivers = {plane: SleepyDriver(d, sleep) for plane, d in drivers.items()}
        around = Surroundings(self.fleet, store, drivers, self.clock)
        return Control(around, RandomIds(), ExecutorPolicy(lease_renewal_s=None))

    def held(self) -> dict:
        states = self.world.states([device for _, device in devices_of(self.fleet)])
        return {device: dict(state.held) for device, state in states.items()}

    def audit(self) -> tuple[str, ...]:
        entries = [h.entry for state in self.held().values() for h in state.values()]
        facts = read_facts(self.url)
        return (*audit_database(self.url), *Auditor(self.fleet, facts).leaks(entries))


def request():
    return ClusterRequest(TenantId("ten_a"), "a", 16, storage_bytes=1 << 40)


def late_store_writes(store, late, plan, now_s):
    return {
        "renew": lambda: store.renew(late, "replica-1", now_s),
        "revise": lambda: store.revise(late, plan, now_s),
        "start_steps": lambda: store.start_steps(late, ["s"], now_s),
        "finish_steps": lambda: store.finish_steps(late, [("s", "done", "")], now_s),
        "bury": lambda: store.bury(late, [], now_s),
        "begin_unwind": lambda: store.begin_unwind(late, "no", now_s),
        "finish": lambda: store.finish(late, "done", {}, now_s),
    }


async def sleep_through_the_lease(site, first, second, sleep):
    """The first replica sleeps, the second ends the operation; then the first wakes."""
    store = second.around.store
    operation = first.commit(first.plan_create(request()))
    task = asyncio.create_task(first.run(operation.operation_id, "replica-1"))
    await sleep.slept.wait()
    late = replace(operation, generation=store.operation(operation.operation_id).generation)
    with pytest.raises(ConflictError):
        await second.run(operation.operation_id, "replica-2")
    await site.clock.sleep(LEASE_S + 1)
    ended = await second.run(operation.operation_id, "replica-2")
    assert ended.state == "done"
    before = (site.held(), store.journal(operation.operation_id), store.events())
    sleep.wake.set()
    with pytest.raises((StaleGenerationError, BaseExceptionGroup)) as caught:
        await task
    assert is_stale(caught.value)
    assert (site.held(), store.journal(operation.operation_id), store.events()) == before
    return late


def is_stale(error):
    """Whether an error is, or all errors of a group are, that of a worker that was overtaken."""
    if isinstance(error, BaseExceptionGroup):
        return all(is_stale(inner) for inner in error.exceptions)
    return isinstance(error, StaleGenerationError)


@pytest.fixture(scope="module")
def write_count():
    """Driver calls of an undisturbed launch."""
    site, sleep = Site(""), Sleep(-1, False)
    with closing(open_store(None)) as store:
        control = site.replica(store, sleep)
        operation = control.commit(control.plan_create(request()))
        run_virtual(site.loop, control.run(operation.operation_id, "w"))
    site.loop.close()
    return sleep.count


@pytest.mark.parametrize("is_after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("share", [0.0, 0.5, 1.0], ids=["first", "middle", "last"])
def test_a_replica_that_slept_through_its_lease_writes_nowhere(url, write_count, share, is_after):
    site = Site(url)
    sleep = Sleep(1 + round(share * (write_count - 1)), is_after)
    with closing(open_postgres(url)) as one, closing(open_postgres(url)) as two:
        first, second = site.replica(one, sleep), site.replica(two)
        late = run_virtual(site.loop, sleep_through_the_lease(site, first, second, sleep))
        now_s = site.clock.now_s()
        before = site.held(), two.snapshot(now_s), two.events()
        for name, write in late_store_writes(one, late, late.plan, now_s).items():
            with pytest.raises(ConflictError):
                write()
            assert (site.held(), two.snapshot(now_s), two.events()) == before, name
        ((call, device, entries, fence),) = sleep.calls
        with pytest.raises(StaleGenerationError):
            run_virtual(site.loop, call(device, entries, fence))
        assert (site.held(), two.snapshot(now_s), two.events()) == before
        assert two.cluster(late.cluster_id).phase is Phase.ACTIVE
    site.loop.close()
    assert site.audit() == ()
