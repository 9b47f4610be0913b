"""Goal: of several workers on one operation, one at a time counts; a late one harms nothing.

Method: two executors over one store and one world in one virtual loop; the first pauses for longer
than its lease in the middle of a driver call, the second takes over, the first wakes up. Clusters
beside each other on one node are launched at the same time.
"""

import asyncio
from dataclasses import dataclass, replace

import pytest

from gigawatt.drivers.fake.latency import Latency
from gigawatt.errors import ConflictError, StaleGenerationError
from gigawatt.executor.executor import Executor
from gigawatt.executor.policy import ExecutorPolicy
from gigawatt.interfaces.driver import Driver
from gigawatt.planner.configure import Configuration
from gigawatt.planner.plan import OperationKind

PAUSE_S = 100.0
QUIET = ExecutorPolicy(attempt_count_max=3, lease_renewal_s=None)


@dataclass
class Sleeper:
    """A driver that sleeps before its n-th write, then goes on as if nothing had happened."""

    inner: Driver
    counter: list[int]
    nap_at: int

    @property
    def plane(self):
        return self.inner.plane

    async def ensure(self, device, entries, fence):
        await self._nap()
        await self.inner.ensure(device, entries, fence)

    async def remove(self, device, entries, fence):
        await self._nap()
        await self.inner.remove(device, entries, fence)

    async def observe(self, devices):
        return await self.inner.observe(devices)

    async def probe(self, pairs):
        return await self.inner.probe(pairs)

    async def _nap(self):
        self.counter[0] += 1
        if self.counter[0] == self.nap_at:
            await asyncio.sleep(PAUSE_S)


def sleepy(site, nap_at):
    """An executor whose process is paused at a write, with its lease not renewed meanwhile."""
    counter = [0]
    drivers = {p: Sleeper(d, counter, nap_at) for p, d in site.control.around.drivers.items()}
    return Executor(replace(site.control.around, drivers=drivers), "sleeper", QUIET)


async def race(site, operation_id, nap_at):
    """Run the sleeper, take over from it in its sleep, let it wake up; how both ended."""
    first = asyncio.create_task(sleepy(site, nap_at).run(operation_id))
    await asyncio.sleep(PAUSE_S / 2)
    if first.done():
        return first.result().state, None
    second = await Executor(site.control.around, "second", QUIET).run(operation_id)
    books = site.store.snapshot(site.clock.now_s())
    devices = site.world.everything()
    with pytest.raises(StaleGenerationError) as late:
        await first
    assert site.store.snapshot(site.clock.now_s()) == books
    assert site.world.everything() == devices
    return second.state, late.value


def plans(site):
    cluster_id = site.launch("old", 32, spare_count=1)
    failed = site.nodes(cluster_id)[0]
    return {
        OperationKind.LAUNCH: lambda: site.plan("new", 16, storage_bytes=1 << 30),
        OperationKind.GROW: lambda: site.control.plan_grow(cluster_id, 16),
        OperationKind.SHRINK: lambda: site.control.plan_shrink(cluster_id, 8),
        OperationKind.REPLACE: lambda: site.control.plan_replace(cluster_id, [failed]),
        OperationKind.CONFIGURE: lambda: site.control.plan_configure(
            cluster_id, Configuration(egress_cidrs=("192.0.2.0/24",))
        ),
        OperationKind.RELEASE: lambda: site.control.plan_release(cluster_id),
    }


@pytest.mark.parametrize("nap_at", [1, 2, 3, 5, 6, 8, 9, 12, 15])
@pytest.mark.parametrize("kind", list(OperationKind))
def test_a_worker_that_was_overtaken_changes_nothing(site, kind, nap_at):
    operation = site.control.commit(plans(site)[kind]())
    state, _ = site.run(race(site, operation.operation_id, nap_at))
    assert state == "done"
    site.assert_sound()


def test_a_paused_worker_is_really_overtaken_in_the_tests_above(site):
    operation = site.control.commit(plans(site)[OperationKind.LAUNCH]())
    _, late = site.run(race(site, operation.operation_id, 3))
    assert late is not None


def test_a_lease_that_is_renewed_keeps_others_out_as_long_as_it_takes(make_site):
    slow = Latency(median_s={"boot host": 400.0})
    site = make_site(latency=slow, policy=ExecutorPolicy(attempt_count_max=3))
    operation = site.control.commit(site.plan("train", 16))

    async def try_often():
        first = asyncio.create_task(site.control.run(operation.operation_id, "first"))
        refused = 0
        while True:
            await asyncio.sleep(20.0)
            if first.done():
                return (await first).state, refused
            with pytest.raises(ConflictError):
                await site.control.run(operation.operation_id, "second")
            refused += 1

    state, refused = site.run(try_often())
    assert state == "done"
    assert refused > 5


def test_a_store_that_is_busy_is_not_taken_for_another_worker(site, monkeypatch):
    """Its error is said as it is, and what is left open is finished later."""
    operation = site.control.commit(site.plan("train", 16))

    def busy(*_args):
        raise ConflictError("another process holds the store")

    with monkeypatch.context() as patch:
        patch.setattr(site.store, "finish", busy)
        with pytest.raises(ConflictError):
            site.run(site.control.run(operation.operation_id, "first"))
    assert site.reconcile().resumed == [operation.operation_id]
    site.assert_sound()


def test_guests_that_come_to_one_node_at_the_same_time_are_no_strangers(make_site):
    waits = Latency(median_s={"ensure host": 5.0, "boot host": 60.0, "ensure port": 3.0})
    site = make_site(latency=waits)

    async def come():
        running = []
        for number in range(4):
            plan = site.plan(f"guest-{number}", 2)
            operation = site.control.commit(plan)
            running.append(
                asyncio.create_task(site.control.run(operation.operation_id, f"worker-{number}"))
            )
            await asyncio.sleep(4.0 * number)
        return [await task for task in running]

    ended = site.run(come())
    assert [operation.state for operation in ended] == ["done"] * 4
    assert len({site.nodes(operation.cluster_id)[0] for operation in ended}) == 1
    site.assert_sound()


def test_a_second_worker_does_not_switch_running_hosts_off(site):
    operation = site.control.commit(site.plan("train", 16))
    told: list[str] = []
    both_run = asyncio.Event()
    ensure = site.world.ensure

    def listen(device, entries, fence):
        told.extend(entry.power for entry in entries if device.startswith("host/"))
        ensure(device, entries, fence)
        if told.count("on") == 2:
            both_run.set()

    async def stopped_in_confirmation():
        policy = replace(QUIET, negative_probe_count_max=0)
        first = asyncio.create_task(
            Executor(site.control.around, "first", policy).run(operation.operation_id)
        )
        await both_run.wait()
        first.cancel()
        await asyncio.wait([first])

    site.world.ensure = listen
    site.run(stopped_in_confirmation())
    assert site.store.operation(operation.operation_id).state == "applying"
    site.reconcile()
    assert site.store.operation(operation.operation_id).state == "done"
    assert told.count("off") == 2
    site.assert_sound()
