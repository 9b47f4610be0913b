"""Each kind of fault does what it says, where and when its rule says.

Goal: a test that injects a fault and passes must have met that fault.
Method: one call under one rule; look at what the caller got, at the true state and at read-back.
Then any mixture of faults that a retry can cure: repeating each call until it succeeds has to end
in the state that the same calls without faults end in.
"""

import asyncio
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gigawatt.app.clock import ManualClock
from gigawatt.boundary.entries import BmcAccount, Gateway, HostSlice, NetworkPort
from gigawatt.boundary.plane import Plane
from gigawatt.drivers.fake import (
    NO_LATENCY,
    DeviceWorld,
    FaultKind,
    FaultRule,
    Faults,
    Latency,
    dead,
    fake_drivers,
    site_latency,
    unreachable,
)
from gigawatt.drivers.fake.faults import CALLS
from gigawatt.errors import (
    DriverPermanentError,
    DriverRetryableError,
    InputError,
    StaleGenerationError,
)
from gigawatt.fleet.demo import hgx_fleet
from gigawatt.interfaces.driver import Endpoint, Fence

FLEET = hgx_fleet(64)
NODE, OTHER = FLEET.nodes.ids[0], FLEET.nodes.ids[1]
ACCOUNT = BmcAccount(NODE, "ten-a", "secret/1")
FENCE = Fence("clu_a", 1)


class Rig:
    """A world, its drivers and the fault plan between them."""

    def __init__(self, *rules, latency=NO_LATENCY, seed=0):
        self.clock = ManualClock()
        self.world = DeviceWorld(FLEET)
        self.faults = Faults(rules, seed=seed)
        self.drivers = fake_drivers(self.world, self.faults, self.clock, latency)

    def call(self, action, *entries, fence=FENCE):
        driver = self.drivers[entries[0].plane]
        asyncio.run(getattr(driver, action)(entries[0].device, entries, fence))

    def seen(self, entry):
        observation = asyncio.run(self.drivers[entry.plane].observe([entry.device]))
        return None if observation.unreachable else observation.entries[entry.device]

    def truth(self, entry):
        return self.world.entries(entry.device)


@pytest.mark.parametrize(
    ("kind", "error", "has_effect"),
    [
        (FaultKind.REFUSED, DriverPermanentError, False),
        (FaultKind.DEAD, DriverPermanentError, False),
        (FaultKind.BUSY, DriverRetryableError, False),
        (FaultKind.TIMEOUT, DriverRetryableError, False),
        (FaultKind.UNREACHABLE, DriverRetryableError, False),
        (FaultKind.LOST_REPLY, DriverRetryableError, True),
    ],
)
def test_an_error_has_its_class_and_its_effect(kind, error, has_effect):
    rig = Rig(FaultRule(kind, count=2))
    with pytest.raises(error) as caught:
        rig.call("ensure", ACCOUNT)
    assert caught.value.device == ACCOUNT.device
    assert bool(rig.truth(ACCOUNT)) is has_effect
    rig.faults.clear()
    rig.call("ensure", ACCOUNT)
    rig.faults.add(FaultRule(kind))
    with pytest.raises(error):
        rig.call("remove", ACCOUNT)
    assert bool(rig.truth(ACCOUNT)) is not has_effect


def test_busy_ends_after_its_count():
    rig = Rig(FaultRule(FaultKind.BUSY, count=3))
    for _ in range(3):
        with pytest.raises(DriverRetryableError):
            rig.call("ensure", ACCOUNT)
    rig.call("ensure", ACCOUNT)
    assert rig.truth(ACCOUNT) == {ACCOUNT}


def test_a_call_without_effect_does_not_raise_the_fence():
    rig = Rig(FaultRule(FaultKind.TIMEOUT))
    with pytest.raises(DriverRetryableError):
        rig.call("ensure", ACCOUNT, fence=Fence("clu_a", 7))
    rig.call("ensure", ACCOUNT, fence=Fence("clu_a", 6))


def test_a_lost_reply_does_not_hide_a_refusal():
    rig = Rig(FaultRule(FaultKind.LOST_REPLY, skip=1))
    rig.call("ensure", ACCOUNT, fence=Fence("clu_a", 7))
    with pytest.raises(StaleGenerationError):
        rig.call("ensure", ACCOUNT, fence=Fence("clu_a", 6))


def test_slow_waits_by_the_clock_before_its_effect():
    rig = Rig(FaultRule(FaultKind.SLOW, delay_s=90.0))
    rig.call("ensure", ACCOUNT)
    assert rig.clock.now_s() == 90.0
    assert rig.truth(ACCOUNT) == {ACCOUNT}


def test_a_slow_call_has_its_effect_although_the_caller_gave_up():
    rig = Rig(FaultRule(FaultKind.SLOW))

    async def run():
        driver = rig.drivers[Plane.OUT_OF_BAND]
        task = asyncio.create_task(driver.ensure(ACCOUNT.device, [ACCOUNT], FENCE))
        await asyncio.sleep(0)
        assert not rig.truth(ACCOUNT)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    assert rig.truth(ACCOUNT) == {ACCOUNT}


def test_a_lie_shows_what_is_not_there_until_it_is_really_done():
    rig = Rig(FaultRule(FaultKind.LIE))
    rig.call("ensure", ACCOUNT)
    assert rig.seen(ACCOUNT) == {ACCOUNT}
    assert rig.truth(ACCOUNT) == frozenset()
    rig.call("remove", ACCOUNT)
    assert rig.seen(ACCOUNT) == frozenset()


def test_a_lie_hides_what_is_still_there():
    rig = Rig(FaultRule(FaultKind.LIE, calls=frozenset({"remove"})))
    rig.call("ensure", ACCOUNT)
    rig.call("remove", ACCOUNT)
    assert rig.seen(ACCOUNT) == frozenset()
    assert rig.truth(ACCOUNT) == {ACCOUNT}
    rig.faults.clear()
    assert rig.seen(ACCOUNT) == {ACCOUNT}


def test_the_newest_lie_about_a_key_is_what_is_told():
    rig = Rig(FaultRule(FaultKind.LIE, count=3))
    rig.call("remove", ACCOUNT)
    rig.call("ensure", ACCOUNT)
    assert rig.seen(ACCOUNT) == {ACCOUNT}
    rig.call("remove", ACCOUNT)
    assert rig.seen(ACCOUNT) == frozenset()


def test_a_probe_is_not_taken_in_by_a_lie():
    rig = Rig(FaultRule(FaultKind.LIE, device=f"port/{OTHER}"))
    mine = NetworkPort(NODE, 0, 900, "10.0.0.2/20")
    theirs = NetworkPort(OTHER, 0, 900, "10.0.0.3/20")
    rig.call("ensure", mine)
    rig.call("ensure", theirs)
    assert rig.seen(theirs) == {theirs}
    pair = (Endpoint(NODE, 0), Endpoint(OTHER, 0))
    assert asyncio.run(rig.drivers[Plane.IN_BAND].probe([pair])) == (False,)


def test_a_reboot_loses_what_is_not_on_disk():
    running = HostSlice(NODE, 0xFF, False, "h0", "debian-12-gpu", (), "on")
    network = NetworkPort(NODE, 0, 900, "10.0.0.2/20")
    gateway = Gateway("site-a", 900, "10.0.0.0/20", ())
    rig = Rig(FaultRule(FaultKind.REBOOT, count=None))
    for entry in (running, network, gateway, ACCOUNT):
        rig.call("ensure", entry)
    assert rig.truth(running) == {replace(running, power="off")}
    assert rig.truth(network) == frozenset()
    assert rig.truth(gateway) == frozenset()
    assert rig.truth(ACCOUNT) == {ACCOUNT}
    assert rig.world.dirty_gpu_mask(NODE) == 0xFF


def test_old_state_brings_back_what_was_removed_and_the_old_generation():
    rig = Rig(FaultRule(FaultKind.OLD_STATE, skip=2, write_count=2))
    second = BmcAccount(NODE, "ten-a-2", "secret/2")
    rig.call("ensure", ACCOUNT, fence=Fence("clu_a", 1))
    rig.call("ensure", second, fence=Fence("clu_a", 2))
    rig.call("remove", ACCOUNT, fence=Fence("clu_a", 3))
    assert rig.truth(ACCOUNT) == {ACCOUNT}
    rig.call("ensure", second, fence=Fence("clu_a", 1))


@pytest.mark.parametrize(
    ("rule", "error"),
    [
        (unreachable(f"bmc/{NODE}"), DriverRetryableError),
        (dead(f"bmc/{NODE}"), DriverPermanentError),
    ],
)
def test_a_device_that_is_away_answers_nothing_and_the_others_do(rule, error):
    rig = Rig(rule)
    for _ in range(2):
        with pytest.raises(error):
            rig.call("ensure", ACCOUNT)
    assert rig.seen(ACCOUNT) is None
    other = BmcAccount(OTHER, "ten-a", "secret/1")
    rig.call("ensure", other)
    assert rig.seen(other) == {other}
    rig.faults.clear()
    assert rig.seen(ACCOUNT) == frozenset()


def test_a_device_may_restart_just_before_it_is_read_back():
    network = NetworkPort(NODE, 0, 900, "10.0.0.2/20")
    reading = frozenset({"observe"})
    rig = Rig(
        FaultRule(FaultKind.REBOOT, "port/*", calls=reading),
        FaultRule(FaultKind.OLD_STATE, "bmc/*", calls=reading),
        FaultRule(FaultKind.SLOW, "bmc/*", calls=reading, delay_s=7.0),
        FaultRule(FaultKind.LOST_REPLY, "bmc/*", calls=reading),
    )
    rig.call("ensure", network)
    rig.call("ensure", ACCOUNT)
    assert rig.seen(network) == frozenset()
    assert rig.seen(ACCOUNT) == frozenset()
    rig.call("ensure", ACCOUNT)
    assert rig.seen(ACCOUNT) == {ACCOUNT}
    assert rig.clock.now_s() == 7.0
    assert rig.seen(ACCOUNT) is None


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (FaultKind.LIE, {"calls": frozenset({"observe"})}),
        (FaultKind.REBOOT, {"calls": CALLS}),
        (FaultKind.BUSY, {"chance": 1.5}),
    ],
)
def test_a_rule_that_can_do_nothing_is_refused(kind, fields):
    with pytest.raises(InputError, match=kind.value):
        FaultRule(kind, **fields)


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        (FaultKind.TIMEOUT, DriverRetryableError),
        (FaultKind.LOST_REPLY, DriverRetryableError),
        (FaultKind.DEAD, DriverPermanentError),
    ],
)
def test_a_probe_can_fail(kind, error):
    rig = Rig(FaultRule(kind, "probe/fabric", calls=frozenset({"probe"})))
    with pytest.raises(error):
        asyncio.run(rig.drivers[Plane.FABRIC].probe([]))
    assert asyncio.run(rig.drivers[Plane.FABRIC].probe([])) == ()


def test_a_rule_hits_by_ordinal_device_and_call():
    rig = Rig(
        FaultRule(FaultKind.BUSY, device="bmc/*", calls=frozenset({"ensure"}), skip=1),
        FaultRule(FaultKind.REFUSED, calls=CALLS, skip=4),
    )
    rig.call("ensure", Gateway("site-a", 900, "10.0.0.0/20", ()))
    rig.call("ensure", ACCOUNT)
    rig.call("remove", ACCOUNT)
    with pytest.raises(DriverRetryableError):
        rig.call("ensure", ACCOUNT)
    rig.call("ensure", ACCOUNT)
    with pytest.raises(DriverPermanentError):
        rig.call("remove", ACCOUNT)
    assert [(hit.ordinal, hit.call, hit.kind) for hit in rig.faults.hits] == [
        (3, "ensure", FaultKind.BUSY),
        (5, "remove", FaultKind.REFUSED),
    ]


def hits_of(seed, order):
    faults = Faults([FaultRule(FaultKind.BUSY, count=None, chance=0.3)], seed=seed)
    return {
        (device, number)
        for device in order
        for number in range(10)
        if faults.draw("ensure", device) is not None
    }


def test_chance_repeats_with_the_seed_whatever_the_order_of_devices():
    devices = [f"bmc/{name}" for name in FLEET.nodes.ids]
    hits = hits_of(1, devices)
    assert 8 <= len(hits) <= 40
    assert hits == hits_of(1, devices[::-1])
    assert hits != hits_of(2, devices)


def test_latency_repeats_with_its_seed_and_is_spent_on_the_clock():
    rigs = [Rig(latency=site_latency(seed)) for seed in (5, 5, 6)]
    for rig in rigs:
        rig.call("ensure", HostSlice(NODE, 0xFF, False, "h", "debian-12-gpu", (), "on"))
        rig.call("ensure", ACCOUNT)
    first, second, other = (rig.clock.now_s() for rig in rigs)
    assert first == second != other
    assert 60.0 < first < 3600.0


def test_a_constant_latency_is_constant():
    rig = Rig(latency=Latency({"ensure bmc": 2.0}))
    for _ in range(3):
        rig.call("ensure", ACCOUNT)
    rig.seen(ACCOUNT)
    assert rig.clock.now_s() == 6.0


def test_a_boot_takes_its_own_time_and_only_once():
    rig = Rig(latency=Latency({"ensure host": 1.0, "boot host": 100.0, "remove host": 10.0}))
    off = HostSlice(NODE, 0xFF, False, "h0", "debian-12-gpu", (), "off")
    on = replace(off, power="on")
    for entry, at_s in [(off, 1.0), (on, 101.0), (on, 102.0), (off, 103.0), (on, 203.0)]:
        rig.call("ensure", entry)
        assert rig.clock.now_s() == at_s
    rig.call("remove", on)
    assert rig.clock.now_s() == 213.0


CURABLE = [FaultKind.BUSY, FaultKind.TIMEOUT, FaultKind.LOST_REPLY, FaultKind.SLOW]
ACCOUNTS = [BmcAccount(node, name, "s") for node in (NODE, OTHER) for name in ("x", "y")]


@settings(max_examples=60, deadline=None)
@given(
    calls=st.lists(
        st.tuples(st.sampled_from(["ensure", "remove"]), st.sampled_from(ACCOUNTS)), max_size=12
    ),
    rules=st.lists(
        st.builds(
            FaultRule,
            kind=st.sampled_from(CURABLE),
            device=st.sampled_from(["*", f"bmc/{NODE}"]),
            skip=st.integers(0, 4),
            count=st.integers(1, 5),
            chance=st.sampled_from([0.3, 1.0]),
        ),
        max_size=4,
    ),
    seed=st.integers(0, 9),
)
def test_retries_end_where_a_run_without_faults_ends(calls, rules, seed):
    rig, calm = Rig(*rules, seed=seed), Rig()
    for action, entry in calls:
        calm.call(action, entry)
        for _ in range(1 + sum(rule.count for rule in rules)):
            try:
                rig.call(action, entry)
                break
            except DriverRetryableError:
                continue
        else:
            pytest.fail("more faults than the rules allow")
    assert rig.world.everything() == calm.world.everything()
