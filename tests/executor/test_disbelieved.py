"""What a device that is not believed costs a pass of the reconciler.

Goal: it costs its own time, once; the pass says which device it is and why, and nothing else waits.
Method: in virtual time the host and the BMC of a node refuse to let go, each after half a minute,
as a driver does whose device says yes and still lists what left; or take a quarter of an hour; or
never answer. What a pass asks of each device is counted, and its moments are those of its clock.
"""

import asyncio
from collections import Counter

from gigawatt.boundary.entries import BmcAccount, NetworkPort
from gigawatt.boundary.render import render
from gigawatt.drivers.fake.faults import FaultKind, FaultRule
from gigawatt.drivers.fake.latency import Latency
from gigawatt.executor.policy import ExecutorPolicy
from gigawatt.ids import ClusterId

ANSWER_S = 30.0
"""Longest wait for a host to go off, and for a BMC to answer: the drivers' defaults."""

SLOW = Latency({"remove host": ANSWER_S, "remove bmc": ANSWER_S})
REMOVE = frozenset({"remove"})


def released(site, *rules):
    """A cluster that stays, and nodes of one that was released while the rules held."""
    site.stays = site.launch("stays", 16)
    gone = site.launch("gone", 16)
    site.victim, site.other = site.nodes(gone)
    for kind, device, more in rules:
        site.faults.add(FaultRule(kind, f"{device}/{site.victim}", REMOVE, count=None, **more))
    assert site.release(gone).state == "done"
    return site


def asked(site, since):
    """How often each device was asked to remove something."""
    return Counter(h.device for h in site.faults.hits[since:] if h.call == "remove")


def lost_entry(site):
    """An entry of the cluster that stays, which its port has lost."""
    target = site.cluster(site.stays).target
    entry = next(e for e in render(site.fleet, target) if isinstance(e, NetworkPort))
    site.world.uproot(entry)
    return entry


def pass_watched(site, at_s, look):
    """A pass; what ``look`` sees after so many seconds of it; and how long the pass took."""

    async def run():
        began_s = site.clock.now_s()
        work = asyncio.ensure_future(site.control.reconcile("reconciler"))
        await site.clock.sleep(at_s)
        seen = look()
        return await work, seen, site.clock.now_s() - began_s

    site.clock.start_s += 60.0
    return site.run(run())


def test_a_device_that_lets_go_of_nothing_is_asked_once_and_named(make_site):
    refused = [(FaultKind.REFUSED, device, {}) for device in ("host", "bmc")]
    site = released(make_site(latency=SLOW), *refused)
    before = len(site.faults.hits)
    report, _, took_s = pass_watched(site, 0.0, lambda: None)
    assert asked(site, before) == {f"host/{site.victim}": 1, f"bmc/{site.victim}": 1}
    assert took_s == ANSWER_S
    assert not report.is_converged
    assert report.drift == []
    for device in ("host", "bmc"):
        [said] = [line for line in report.remaining if line.startswith(f"{device}/{site.victim}:")]
        assert f"is under a tombstone: {device}/{site.victim} refuses remove" in said
    assert site.victim in site.quarantined()
    site.assert_sound()
    site.faults.clear()
    assert site.reconcile().is_converged
    assert site.victim in site.quarantined()
    site.assert_sound()


def test_what_drifted_elsewhere_is_mended_while_a_device_takes_its_time(make_site):
    site = released(make_site(), (FaultKind.REFUSED, "host", {}))
    site.faults.clear()
    site.faults.add(FaultRule(FaultKind.SLOW, f"host/{site.victim}", REMOVE, delay_s=800.0))
    lost = lost_entry(site)
    report, is_back, took_s = pass_watched(
        site, 5.0, lambda: lost in site.world.entries(lost.device)
    )
    assert is_back
    assert took_s == 800.0
    assert len(report.repaired) == 1
    assert report.is_converged


def test_what_others_let_go_of_is_noted_while_a_device_takes_its_time(make_site):
    site = make_site()
    gone = [site.launch(name, 8) for name in ("slow", "fast")]
    slow, fast = (site.nodes(cluster_id)[0] for cluster_id in gone)
    site.faults.add(FaultRule(FaultKind.REFUSED, "host/*", REMOVE, count=None))
    for cluster_id in gone:
        site.release(cluster_id)
    site.faults.clear()
    site.faults.add(FaultRule(FaultKind.SLOW, f"host/{slow}", REMOVE, delay_s=800.0))

    def allocated():
        allocations = site.store.snapshot(site.clock.now_s()).allocations
        return {node_id for node_id, _ in allocations}

    assert allocated() == {slow, fast}
    _, meanwhile, _ = pass_watched(site, 5.0, allocated)
    assert meanwhile == {slow}
    assert allocated() == set()


def test_a_device_that_never_answers_is_not_tried_for_long(make_site):
    site = released(
        make_site(latency=SLOW, policy=ExecutorPolicy()), (FaultKind.TIMEOUT, "bmc", {})
    )
    before = len(site.faults.hits)
    lost_entry(site)
    report, _, took_s = pass_watched(site, 0.0, lambda: None)
    assert asked(site, before) == {f"bmc/{site.victim}": 2}
    assert took_s <= 2 * ANSWER_S + 1.0
    assert len(report.repaired) == 1
    assert any("did not answer remove" in line for line in report.remaining)


def test_what_a_driver_takes_for_anothers_goes_by_the_operators_hand(make_site):
    site = released(make_site(), (FaultKind.REFUSED, "bmc", {}))
    site.faults.clear()
    [account] = [e for e in site.world.entries(f"bmc/{site.victim}") if isinstance(e, BmcAccount)]
    site.world.uproot(account)
    site.world.plant(account, owner=ClusterId("clu_somebody"))
    report = site.reconcile()
    assert report.repaired == report.drift != []
    assert report.is_converged
    site.assert_sound()
