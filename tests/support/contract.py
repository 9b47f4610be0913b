"""What every driver must do, whatever is behind it: one suite for any planes over any fleet.

Goal: planner and executor can rely on the contract alone.
Method: only ``Driver`` is used. A test module derives a class and says what is under test:

    from contract import DriverContract, Subject

    class TestRedfish(DriverContract):
        kinds = ("bmc_account", "bmc_route")

        @pytest.fixture
        def subject(self, lab) -> Subject:
            return Subject(lab.fleet, {Plane.OUT_OF_BAND: lab.driver}, accounts_max=8)

``kinds`` names the samples (of ``SAMPLES``) that the drivers can hold. The devices must be empty
at the start of each test; what has no faster way of its own calls ``empty(subject)`` first (it
takes everything away by the operator's hand). Ledgers need not be emptied: every test has cluster
ids of its own. ``Subject`` says which nodes run guests and which are bare metal, and what else a
small lab can hold.
"""

import asyncio
import re
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import ClassVar

import pytest
from contract_subject import PLANE_OF_KIND, SAMPLES, Sample, Subject, cluster_entries, empty

from gigawatt.boundary.entries import (
    BmcAccount,
    Entry,
    Export,
    FileSystem,
    HostSlice,
)
from gigawatt.boundary.plane import Plane
from gigawatt.errors import DriverPermanentError, StaleGenerationError
from gigawatt.fleet.model import FabricKind
from gigawatt.ids import DeviceId
from gigawatt.interfaces.driver import OPERATOR, Driver, Endpoint, Fence

__all__ = ["DriverContract", "Sample", "Subject", "empty"]


async def held(driver: Driver, device: DeviceId) -> frozenset[Entry]:
    observation = await driver.observe([device])
    assert not observation.unreachable, f"{device} does not answer"
    return observation.entries[device]


async def holds(driver: Driver, device: DeviceId, wanted: Collection[Entry]) -> None:
    """Hold the device to ``wanted`` exactly, and say what differs."""
    found = await held(driver, device)
    lacks, strange = set(wanted) - found, found - set(wanted)
    assert not lacks | strange, f"{device} lacks {lacks} and holds besides {strange}"


async def ensure_all(on: Subject, entries: Sequence[Entry], fence: Fence) -> None:
    """Ensure those of ``entries`` whose plane is served."""
    by_device: dict[tuple[Plane, DeviceId], list[Entry]] = {}
    for entry in entries:
        if entry.plane in on.drivers:
            by_device.setdefault((entry.plane, entry.device), []).append(entry)
    for (plane, device), some in by_device.items():
        await on.drivers[plane].ensure(device, some, fence)


class DriverContract:
    """The suite. Derive ``Test...`` from it, with a fixture ``subject``; see the module."""

    kinds: ClassVar[Sequence[str]] = tuple(SAMPLES)

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        kinds = metafunc.cls.kinds
        if "kind" in metafunc.fixturenames:
            metafunc.parametrize("kind", kinds)
        if "plane" in metafunc.fixturenames:
            metafunc.parametrize("plane", list(dict.fromkeys(PLANE_OF_KIND[k] for k in kinds)))

    def test_what_was_ensured_is_read_back_and_nothing_else(self, subject, kind):
        driver, sample = _given(subject, kind)

        async def run():
            await holds(driver, sample.device, [])
            await driver.ensure(sample.device, sample.entries, Fence(subject.a, 1))
            await holds(driver, sample.device, sample.entries)

        asyncio.run(run())

    def test_ensure_is_idempotent_and_keeps_what_is_there(self, subject, kind):
        driver, sample = _given(subject, kind)

        async def run():
            for _ in range(2):
                await driver.ensure(sample.device, [sample.first], Fence(subject.a, 1))
            await driver.ensure(sample.device, sample.entries[1:], Fence(subject.a, 1))
            await driver.ensure(sample.device, [], Fence(subject.a, 1))
            await holds(driver, sample.device, sample.entries)

        asyncio.run(run())

    def test_ensure_replaces_what_its_key_held(self, subject, kind):
        driver, sample = _given(subject, kind)
        changed = _changed(sample)

        async def run():
            await driver.ensure(sample.device, sample.entries, Fence(subject.a, 1))
            await driver.ensure(sample.device, [changed], Fence(subject.a, 1))
            await holds(driver, sample.device, {changed, *sample.rest})

        asyncio.run(run())

    def test_remove_is_idempotent_and_takes_its_keys_only(self, subject, kind):
        driver, sample = _given(subject, kind)

        async def run():
            await driver.remove(sample.device, [sample.first], Fence(subject.a, 1))
            await driver.ensure(sample.device, sample.entries, Fence(subject.a, 1))
            for _ in range(2):
                await driver.remove(sample.device, [sample.first], Fence(subject.a, 1))
                await holds(driver, sample.device, sample.rest)

        asyncio.run(run())

    def test_remove_goes_by_key_not_by_content(self, subject, kind):
        driver, sample = _given(subject, kind)
        changed = _changed(sample)

        async def run():
            await driver.ensure(sample.device, [sample.first], Fence(subject.a, 1))
            await driver.remove(sample.device, [changed], Fence(subject.a, 1))
            await holds(driver, sample.device, [])

        asyncio.run(run())

    def test_a_key_of_another_cluster_is_refused_and_the_whole_call_has_no_effect(
        self, subject, kind
    ):
        driver, sample = _given(subject, kind)

        async def run():
            await driver.ensure(sample.device, [sample.first], Fence(subject.a, 1))
            both = [*sample.rest, sample.first]
            with pytest.raises(DriverPermanentError, match=re.escape(subject.a)):
                await driver.ensure(sample.device, both, Fence(subject.b, 9))
            await holds(driver, sample.device, [sample.first])

        asyncio.run(run())

    def test_remove_leaves_a_key_of_another_cluster_alone(self, subject, kind):
        driver, sample = _given(subject, kind)

        async def run():
            await driver.ensure(sample.device, [sample.first], Fence(subject.a, 1))
            await driver.remove(sample.device, [sample.first], Fence(subject.b, 9))
            await holds(driver, sample.device, [sample.first])

        asyncio.run(run())

    def test_the_operators_hand_takes_what_a_cluster_holds_but_never_late(self, subject, kind):
        driver, sample = _given(subject, kind)

        async def run():
            await driver.ensure(sample.device, [sample.first], Fence(subject.a, 2 * 10**15))
            with pytest.raises(StaleGenerationError):
                await driver.remove(sample.device, [sample.first], Fence(OPERATOR, 10**15))
            await holds(driver, sample.device, [sample.first])
            await driver.remove(sample.device, [sample.first], Fence(subject.a, 2 * 10**15))
            await driver.ensure(sample.device, [sample.first], Fence(subject.b, 1))
            await driver.remove(sample.device, [sample.first], Fence(OPERATOR, 10**15))
            await holds(driver, sample.device, [])

        asyncio.run(run())

    def test_a_stale_generation_changes_nothing(self, subject, kind):
        driver, sample = _given(subject, kind)
        other = sample.entries[-1:]

        async def run():
            await driver.ensure(sample.device, [sample.first], Fence(subject.a, 4))
            await driver.ensure(sample.device, [], Fence(subject.a, 5))
            with pytest.raises(StaleGenerationError, match="generation 5"):
                await driver.ensure(sample.device, other, Fence(subject.a, 4))
            with pytest.raises(StaleGenerationError, match="generation 5"):
                await driver.remove(sample.device, [sample.first], Fence(subject.a, 4))
            await holds(driver, sample.device, [sample.first])
            await driver.remove(sample.device, [sample.first], Fence(subject.a, 5))
            await holds(driver, sample.device, [])

        asyncio.run(run())

    def test_a_stale_worker_cannot_put_back_what_was_removed(self, subject, kind):
        driver, sample = _given(subject, kind)

        async def run():
            await driver.ensure(sample.device, [sample.first], Fence(subject.a, 1))
            await driver.remove(sample.device, [sample.first], Fence(subject.a, 2))
            with pytest.raises(StaleGenerationError):
                await driver.ensure(sample.device, [sample.first], Fence(subject.a, 1))
            await holds(driver, sample.device, [])

        asyncio.run(run())

    def test_generations_of_different_clusters_do_not_meet(self, subject, kind):
        driver, sample = _given(subject, kind)
        if sample.second is None:
            pytest.skip("the device has one key only")

        async def run():
            await driver.ensure(sample.device, [sample.first], Fence(subject.a, 100))
            await driver.ensure(sample.device, [sample.second], Fence(subject.b, 1))
            await holds(driver, sample.device, sample.entries)

        asyncio.run(run())

    def test_what_one_cluster_gave_back_another_may_have(self, subject, kind):
        driver, sample = _given(subject, kind)

        async def run():
            await driver.ensure(sample.device, [sample.first], Fence(subject.a, 7))
            await driver.remove(sample.device, [sample.first], Fence(subject.a, 7))
            await driver.ensure(sample.device, [sample.first], Fence(subject.b, 1))
            await holds(driver, sample.device, [sample.first])

        asyncio.run(run())

    def test_a_generation_counts_even_when_its_call_was_refused(self, subject, kind):
        driver, sample = _given(subject, kind)

        async def run():
            await driver.ensure(sample.device, [sample.first], Fence(subject.a, 1))
            with pytest.raises(DriverPermanentError):
                await driver.ensure(sample.device, [sample.first], Fence(subject.b, 5))
            with pytest.raises(StaleGenerationError):
                await driver.ensure(sample.device, sample.entries[-1:], Fence(subject.b, 4))

        asyncio.run(run())

    def test_a_device_that_does_not_exist_is_refused_and_does_not_answer(self, subject, kind):
        driver, sample = _given(subject, kind)
        nowhere = DeviceId(sample.device.partition("/")[0] + "/nowhere")

        async def run():
            with pytest.raises(DriverPermanentError, match="nowhere"):
                await driver.ensure(nowhere, [sample.first], Fence(subject.a, 1))
            with pytest.raises(DriverPermanentError, match="nowhere"):
                await driver.remove(nowhere, [sample.first], Fence(subject.a, 1))
            observation = await driver.observe([nowhere, sample.device])
            assert observation.unreachable == {nowhere}
            assert set(observation.entries) == {sample.device}

        asyncio.run(run())

    def test_one_call_that_names_a_key_twice_is_refused(self, subject, kind):
        driver, sample = _given(subject, kind)
        changed = _changed(sample)

        async def run():
            with pytest.raises(DriverPermanentError, match="twice"):
                await driver.ensure(sample.device, [sample.first, changed], Fence(subject.a, 1))
            await holds(driver, sample.device, [])

        asyncio.run(run())

    def test_an_entry_of_another_device_is_refused(self, subject, kind):
        driver, sample = _given(subject, kind)
        is_in_band = PLANE_OF_KIND[kind] is Plane.IN_BAND
        foreign = subject.sample("bmc_account" if is_in_band else "gateway")

        async def run():
            both = [sample.first, foreign.first]
            with pytest.raises(DriverPermanentError, match=re.escape(foreign.device)):
                await driver.ensure(sample.device, both, Fence(subject.a, 1))
            await holds(driver, sample.device, [])

        asyncio.run(run())

    def test_a_driver_serves_its_own_plane_only(self, subject, plane):
        driver = subject.driver(plane)
        assert driver.plane is plane
        foreign = subject.sample("gateway" if plane is not Plane.IN_BAND else "bmc_account")

        async def run():
            with pytest.raises(DriverPermanentError):
                await driver.ensure(foreign.device, [foreign.first], Fence(subject.a, 1))
            assert (await driver.observe([foreign.device])).unreachable == {foreign.device}

        asyncio.run(run())

    def test_calls_on_one_device_at_the_same_time_do_not_lose_each_other(self, subject):
        node_id = subject.node_id(0)
        accounts = [
            BmcAccount(node_id, f"u{i}", f"secret/u{i}") for i in range(subject.accounts_max)
        ]
        driver = subject.driver(Plane.OUT_OF_BAND)

        async def run():
            calls = (driver.ensure(one.device, [one], Fence(subject.a, 1)) for one in accounts)
            await asyncio.gather(*calls)
            await holds(driver, accounts[0].device, accounts)

        asyncio.run(run())

    def test_an_export_stands_and_falls_with_its_file_system(self, subject):
        driver = subject.driver(Plane.STORAGE)
        files = FileSystem(subject.pool, 1, "/clusters/a", subject.bytes_each)
        export = Export(subject.pool, 1, 900)

        async def run():
            with pytest.raises(DriverPermanentError, match="no filesystem 1"):
                await driver.ensure(export.device, [export], Fence(subject.a, 1))
            await driver.ensure(export.device, [files, export], Fence(subject.a, 1))
            with pytest.raises(DriverPermanentError, match="still exported"):
                await driver.remove(export.device, [files], Fence(subject.a, 1))
            theirs = Export(subject.pool, 1, 901)
            with pytest.raises(DriverPermanentError, match=re.escape(subject.a)):
                await driver.ensure(export.device, [theirs], Fence(subject.b, 1))
            await holds(driver, export.device, [files, export])
            await driver.remove(export.device, [files, export], Fence(subject.a, 1))
            await holds(driver, export.device, [])

        asyncio.run(run())

    def test_a_storage_pool_never_promises_more_than_it_has(self, subject):
        driver = subject.driver(Plane.STORAGE)
        capacity_bytes = int(subject.fleet.storage_pools.capacity_bytes[0])
        some = FileSystem(subject.pool, 1, "/clusters/a", subject.bytes_each)
        too_much = FileSystem(subject.pool, 2, "/clusters/b", capacity_bytes)

        async def run():
            await driver.ensure(some.device, [some], Fence(subject.a, 1))
            with pytest.raises(DriverPermanentError, match="bytes"):
                await driver.ensure(some.device, [too_much], Fence(subject.b, 1))
            await holds(driver, some.device, [some])

        asyncio.run(run())

    def test_slices_that_share_a_gpu_are_refused(self, subject):
        driver = subject.driver(Plane.HOST)
        sample = subject.sample("guest_slice")
        assert isinstance(sample.first, HostSlice)
        whole = replace(sample.first, gpu_mask=sample.first.gpu_mask << 1)

        async def run():
            await driver.ensure(sample.device, [sample.first], Fence(subject.a, 1))
            with pytest.raises(DriverPermanentError):
                await driver.ensure(sample.device, [whole], Fence(subject.b, 1))
            await holds(driver, sample.device, [sample.first])

        asyncio.run(run())

    def test_the_fabric_says_where_each_nic_is(self, subject):
        driver = subject.driver(Plane.FABRIC)
        is_ours = "partition_member" in self.kinds
        wanted = FabricKind.INFINIBAND if is_ours else FabricKind.ROCE
        fleet = subject.fleet
        row = int(fleet.fabric_of_node[subject.node_on(wanted)])
        nics = fleet.nics
        is_here = fleet.fabric_of_node[nics.node] == row
        ours = {
            (guid, fleet.switches.ids[leaf], switch_port)
            for guid, leaf, switch_port in zip(
                nics.guid[is_here].tolist(),
                nics.leaf[is_here].tolist(),
                nics.leaf_switch_port[is_here].tolist(),
                strict=True,
            )
        }

        async def run():
            seen = await driver.observe([DeviceId(f"fabric/{fleet.fabrics.ids[row]}")])
            assert {(at.guid, at.switch_id, at.switch_port) for at in seen.port_locations} == ours

        asyncio.run(run())

    def test_probes_reach_inside_a_cluster_and_never_across(self, subject, plane):
        probed = subject.probed
        if probed is None:
            probed = tuple(Plane) if set(subject.drivers) == set(Plane) else ()
        if plane not in probed or len(subject.bare) < 5:
            pytest.skip("needs all planes, and five whole nodes")
        nodes = subject.bare[:5]
        a0, a1, b0, b1, free = (Endpoint(subject.node_id(n), 0) for n in nodes)
        inside = [(a0, a1), (a1, a0), (b0, b1), (a0, a0)]
        across = [(a0, b0), (b0, a0), (a1, b1), (a0, free), (free, a0), (free, free)]
        driver = subject.driver(plane)

        async def run():
            assert await driver.probe([]) == ()
            assert not any(await driver.probe(inside + across))
            ours = cluster_entries(subject, subject.a, nodes[:2], 0x10)
            await ensure_all(subject, ours, Fence(subject.a, 1))
            theirs = cluster_entries(subject, subject.b, nodes[2:4], 0x11)
            await ensure_all(subject, theirs, Fence(subject.b, 1))
            assert await driver.probe(inside) == (True,) * len(inside)
            assert await driver.probe(across) == (False,) * len(across)

        asyncio.run(run())


def _given(subject: Subject, kind: str) -> tuple[Driver, Sample]:
    return subject.driver(PLANE_OF_KIND[kind]), subject.sample(kind)


def _changed(sample: Sample) -> Entry:
    if sample.first_changed is None:
        pytest.skip("the entry is its key")
    return sample.first_changed
