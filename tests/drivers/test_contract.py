"""What every driver must do, whatever is behind it.

Goal: one suite that any driver of any plane has to pass, so that planner and executor can rely on
the contract alone.
Method: only ``Driver`` is used. ``DRIVER_SETS`` names the sets under test; a further driver is
added there as one more function that gives drivers by plane over ``FLEET`` (a set may serve some
planes only). ``SAMPLES`` has, for each class of device, entries that go together.
"""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from gigawatt.app.clock import ManualClock
from gigawatt.boundary.entries import (
    BmcAccount,
    BmcRoute,
    ComputePort,
    Entry,
    Export,
    FileSystem,
    Gateway,
    HostSlice,
    NetworkPort,
    PartitionMember,
)
from gigawatt.boundary.plane import Plane
from gigawatt.drivers.fake import DeviceWorld, Faults, FileStates, fake_drivers
from gigawatt.errors import DriverPermanentError, StaleGenerationError
from gigawatt.fleet.builder import BlockSpec, build_fleet
from gigawatt.fleet.demo import HGX_H100
from gigawatt.fleet.model import FabricKind
from gigawatt.ids import ClusterId, DeviceId, NodeId
from gigawatt.interfaces.driver import Driver, Endpoint, Fence
from gigawatt.lab.fabric import missing_tools
from gigawatt.units import TIB
from running_fabric import RunningFabric

BLOCK = BlockSpec(
    site_id="site-a",
    country="US",
    hall_id="hall-1",
    node_type=HGX_H100,
    node_count=8,
    node_prefix="h",
    fabric_id="ib0",
    storage_bytes=100 * TIB,
    racks_per_row=4,
    nodes_per_leaf_group=4,
    leaf_groups_per_pod=1,
)
FLEET = build_fleet(
    "contract",
    [
        BLOCK,
        replace(
            BLOCK,
            site_id="site-b",
            hall_id="hall-2",
            node_prefix="r",
            fabric_id="eth0",
            fabric_kind=FabricKind.ROCE,
        ),
    ],
)
NODES = [NodeId(name) for name in FLEET.nodes.ids]
POOL = FLEET.storage_pools.ids[0]
A, B = ClusterId("clu_a"), ClusterId("clu_b")

Drivers = Mapping[Plane, Driver]


def guid(node: int, rail: int) -> int:
    return int(FLEET.nics.guid[int(FLEET.first_nic_of_node[node]) + rail])


def in_memory(_: Path) -> Drivers:
    return fake_drivers(DeviceWorld(FLEET), Faults(), ManualClock())


def on_file(folder: Path) -> Drivers:
    world = DeviceWorld(FLEET, FileStates(folder / "devices.sqlite"))
    return fake_drivers(world, Faults(), ManualClock())


RUNNING = RunningFabric(FLEET)


def on_opensm(_: Path) -> Drivers:
    return {Plane.FABRIC: RUNNING.emptied()}


@pytest.fixture(scope="module", autouse=True)
def running_fabric() -> Iterator[None]:
    yield
    RUNNING.close()


DRIVER_SETS = [
    in_memory,
    on_file,
    pytest.param(
        on_opensm,
        marks=[
            pytest.mark.ibsim,
            pytest.mark.skipif(bool(missing_tools()), reason=missing_tools() or "installed"),
        ],
    ),
]


@dataclass(frozen=True)
class Sample:
    """Entries for one device: two that go together, and the first with other content."""

    first: Entry
    second: Entry
    first_changed: Entry | None

    @property
    def device(self) -> DeviceId:
        return self.first.device

    def __str__(self) -> str:
        return self.device


SLICE = HostSlice(NODES[0], 0x0F, True, "h0", "debian-12-gpu", (), "off")

SAMPLES = [
    Sample(
        PartitionMember("ib0", 0x10, guid(0, 0), "limited"),
        PartitionMember("ib0", 0x11, guid(0, 1), "full"),
        PartitionMember("ib0", 0x10, guid(0, 0), "full"),
    ),
    Sample(
        ComputePort("eth0", 70, guid(8, 0)),
        ComputePort("eth0", 70, guid(8, 1)),
        ComputePort("eth0", 71, guid(8, 0)),
    ),
    Sample(
        NetworkPort(NODES[0], 0, 900, "10.0.0.2/20"),
        NetworkPort(NODES[0], 4, 900, "10.0.0.3/20"),
        NetworkPort(NODES[0], 0, 900, "10.0.0.9/20"),
    ),
    Sample(
        Gateway("site-a", 900, "10.0.0.0/20", ()),
        Gateway("site-a", 901, "10.0.16.0/20", ("192.0.2.0/24",)),
        Gateway("site-a", 900, "10.0.0.0/20", ("198.51.100.0/24",)),
    ),
    Sample(
        BmcAccount(NODES[0], "ten-a", "secret/1"),
        BmcAccount(NODES[0], "ten-a-2", "secret/2"),
        BmcAccount(NODES[0], "ten-a", "secret/3"),
    ),
    Sample(
        BmcRoute("site-a", "cluster:clu_a", NODES[0]),
        BmcRoute("site-a", "cluster:clu_a", NODES[1]),
        None,
    ),
    Sample(
        FileSystem(POOL, 1, "/clusters/a", 10 * TIB),
        FileSystem(POOL, 2, "/clusters/a2", 10 * TIB),
        FileSystem(POOL, 1, "/clusters/a", 20 * TIB),
    ),
    Sample(SLICE, replace(SLICE, gpu_mask=0xF0, hostname="h1"), replace(SLICE, power="on")),
]

each_sample = pytest.mark.parametrize("sample", SAMPLES, ids=str)


@pytest.fixture(params=DRIVER_SETS, ids=lambda make: make.__name__)
def drivers(request, tmp_path) -> Drivers:
    sample = request.node.callspec.params.get("sample")
    if request.param is on_opensm and sample and not isinstance(sample.first, PartitionMember):
        pytest.skip("this set serves InfiniBand only")
    return request.param(tmp_path)


def driver_of(drivers: Drivers, plane: Plane) -> Driver:
    if plane not in drivers:
        pytest.skip(f"this set does not serve {plane}")
    return drivers[plane]


def serving(drivers: Drivers, sample: Sample) -> Driver:
    return driver_of(drivers, sample.first.plane)


async def held(driver: Driver, device: DeviceId) -> frozenset[Entry]:
    observation = await driver.observe([device])
    assert not observation.unreachable
    return observation.entries[device]


@each_sample
def test_what_was_ensured_is_read_back_and_nothing_else(drivers, sample):
    driver = serving(drivers, sample)

    async def run():
        assert await held(driver, sample.device) == frozenset()
        await driver.ensure(sample.device, [sample.first, sample.second], Fence(A, 1))
        assert await held(driver, sample.device) == {sample.first, sample.second}

    asyncio.run(run())


@each_sample
def test_ensure_is_idempotent_and_keeps_what_is_there(drivers, sample):
    driver = serving(drivers, sample)

    async def run():
        for _ in range(2):
            await driver.ensure(sample.device, [sample.first], Fence(A, 1))
        await driver.ensure(sample.device, [sample.second], Fence(A, 1))
        await driver.ensure(sample.device, [], Fence(A, 1))
        assert await held(driver, sample.device) == {sample.first, sample.second}

    asyncio.run(run())


@each_sample
def test_ensure_replaces_what_its_key_held(drivers, sample):
    if sample.first_changed is None:
        pytest.skip("the entry is its key")
    driver = serving(drivers, sample)

    async def run():
        await driver.ensure(sample.device, [sample.first, sample.second], Fence(A, 1))
        await driver.ensure(sample.device, [sample.first_changed], Fence(A, 1))
        assert await held(driver, sample.device) == {sample.first_changed, sample.second}

    asyncio.run(run())


@each_sample
def test_remove_is_idempotent_and_takes_its_keys_only(drivers, sample):
    driver = serving(drivers, sample)

    async def run():
        await driver.remove(sample.device, [sample.first], Fence(A, 1))
        await driver.ensure(sample.device, [sample.first, sample.second], Fence(A, 1))
        for _ in range(2):
            await driver.remove(sample.device, [sample.first], Fence(A, 1))
            assert await held(driver, sample.device) == {sample.second}

    asyncio.run(run())


@each_sample
def test_remove_goes_by_key_not_by_content(drivers, sample):
    if sample.first_changed is None:
        pytest.skip("the entry is its key")
    driver = serving(drivers, sample)

    async def run():
        await driver.ensure(sample.device, [sample.first], Fence(A, 1))
        await driver.remove(sample.device, [sample.first_changed], Fence(A, 1))
        assert await held(driver, sample.device) == frozenset()

    asyncio.run(run())


@each_sample
def test_a_key_of_another_cluster_is_refused_and_the_whole_call_has_no_effect(drivers, sample):
    driver = serving(drivers, sample)

    async def run():
        await driver.ensure(sample.device, [sample.first], Fence(A, 1))
        with pytest.raises(DriverPermanentError, match="clu_a"):
            await driver.ensure(sample.device, [sample.second, sample.first], Fence(B, 9))
        assert await held(driver, sample.device) == {sample.first}

    asyncio.run(run())


@each_sample
def test_remove_leaves_a_key_of_another_cluster_alone(drivers, sample):
    driver = serving(drivers, sample)

    async def run():
        await driver.ensure(sample.device, [sample.first], Fence(A, 1))
        await driver.remove(sample.device, [sample.first], Fence(B, 9))
        assert await held(driver, sample.device) == {sample.first}

    asyncio.run(run())


@each_sample
def test_a_stale_generation_changes_nothing(drivers, sample):
    driver = serving(drivers, sample)

    async def run():
        await driver.ensure(sample.device, [sample.first], Fence(A, 4))
        await driver.ensure(sample.device, [], Fence(A, 5))
        with pytest.raises(StaleGenerationError, match="generation 5"):
            await driver.ensure(sample.device, [sample.second], Fence(A, 4))
        with pytest.raises(StaleGenerationError, match="generation 5"):
            await driver.remove(sample.device, [sample.first], Fence(A, 4))
        assert await held(driver, sample.device) == {sample.first}
        await driver.remove(sample.device, [sample.first], Fence(A, 5))
        assert await held(driver, sample.device) == frozenset()

    asyncio.run(run())


@each_sample
def test_a_stale_worker_cannot_put_back_what_was_removed(drivers, sample):
    driver = serving(drivers, sample)

    async def run():
        await driver.ensure(sample.device, [sample.first], Fence(A, 1))
        await driver.remove(sample.device, [sample.first], Fence(A, 2))
        with pytest.raises(StaleGenerationError):
            await driver.ensure(sample.device, [sample.first], Fence(A, 1))
        assert await held(driver, sample.device) == frozenset()

    asyncio.run(run())


@each_sample
def test_generations_of_different_clusters_do_not_meet(drivers, sample):
    driver = serving(drivers, sample)

    async def run():
        await driver.ensure(sample.device, [sample.first], Fence(A, 100))
        await driver.ensure(sample.device, [sample.second], Fence(B, 1))
        assert await held(driver, sample.device) == {sample.first, sample.second}

    asyncio.run(run())


@each_sample
def test_a_generation_counts_even_when_its_call_was_refused(drivers, sample):
    driver = serving(drivers, sample)

    async def run():
        await driver.ensure(sample.device, [sample.first], Fence(A, 1))
        with pytest.raises(DriverPermanentError):
            await driver.ensure(sample.device, [sample.first], Fence(B, 5))
        with pytest.raises(StaleGenerationError):
            await driver.ensure(sample.device, [sample.second], Fence(B, 4))

    asyncio.run(run())


@each_sample
def test_a_device_that_does_not_exist_is_refused_and_does_not_answer(drivers, sample):
    driver = serving(drivers, sample)
    nowhere = DeviceId(sample.device.partition("/")[0] + "/nowhere")

    async def run():
        with pytest.raises(DriverPermanentError, match="nowhere"):
            await driver.ensure(nowhere, [sample.first], Fence(A, 1))
        with pytest.raises(DriverPermanentError, match="nowhere"):
            await driver.remove(nowhere, [sample.first], Fence(A, 1))
        observation = await driver.observe([nowhere, sample.device])
        assert observation.unreachable == {nowhere}
        assert set(observation.entries) == {sample.device}

    asyncio.run(run())


@pytest.mark.parametrize("plane", list(Plane))
def test_a_driver_serves_its_own_plane_only(drivers, plane):
    driver = driver_of(drivers, plane)
    assert driver.plane is plane
    foreign = next(sample for sample in SAMPLES if sample.first.plane is not plane)

    async def run():
        with pytest.raises(DriverPermanentError):
            await driver.ensure(foreign.device, [foreign.first], Fence(A, 1))
        assert (await driver.observe([foreign.device])).unreachable == {foreign.device}

    asyncio.run(run())


def test_an_entry_of_another_device_is_refused(drivers):
    own, other = BmcAccount(NODES[0], "x", "s"), BmcAccount(NODES[1], "y", "s")

    async def run():
        driver = driver_of(drivers, Plane.OUT_OF_BAND)
        with pytest.raises(DriverPermanentError, match=f"bmc/{NODES[1]}"):
            await driver.ensure(own.device, [own, other], Fence(A, 1))
        assert await held(driver, own.device) == frozenset()

    asyncio.run(run())


def test_calls_on_one_device_at_the_same_time_do_not_lose_each_other(drivers):
    accounts = [BmcAccount(NODES[0], f"u{i}", "s") for i in range(50)]

    async def run():
        driver = driver_of(drivers, Plane.OUT_OF_BAND)
        calls = (driver.ensure(one.device, [one], Fence(A, 1)) for one in accounts)
        await asyncio.gather(*calls)
        assert await held(driver, accounts[0].device) == frozenset(accounts)

    asyncio.run(run())


def test_the_fabric_says_where_each_nic_is(drivers):
    async def run():
        seen = await drivers[Plane.FABRIC].observe([DeviceId("fabric/ib0")])
        switches = FLEET.switches.ids
        ours = {
            (g, switches[leaf], switch_port)
            for g, leaf, switch_port in zip(
                FLEET.nics.guid[:64].tolist(),
                FLEET.nics.leaf[:64].tolist(),
                FLEET.nics.leaf_switch_port[:64].tolist(),
                strict=True,
            )
        }
        assert {(at.guid, at.switch_id, at.switch_port) for at in seen.port_locations} == ours
        elsewhere = await driver_of(drivers, Plane.IN_BAND).observe([DeviceId("gateway/site-a")])
        assert elsewhere.port_locations == ()

    asyncio.run(run())


def cluster_entries(cluster: ClusterId, nodes: range, key: int) -> list[Entry]:
    """What a cluster on whole InfiniBand nodes holds on all planes; ``key`` serves every pool."""
    entries: list[Entry] = [
        FileSystem(POOL, key, f"/{cluster}", TIB),
        Export(POOL, key, key),
        Gateway("site-a", key, "10.0.0.0/20", ()),
    ]
    for n in nodes:
        entries += [PartitionMember("ib0", key, guid(n, rail), "full") for rail in range(8)]
        entries += [
            NetworkPort(NODES[n], 0, key, f"10.0.0.{n + 2}/20"),
            BmcAccount(NODES[n], str(cluster), "s"),
            BmcRoute("site-a", f"cluster:{cluster}", NODES[n]),
            HostSlice(NODES[n], 0xFF, False, f"{cluster}-{n}", "debian-12-gpu", (), "on"),
        ]
    return entries


async def ensure_all(drivers: Drivers, entries: list[Entry], fence: Fence) -> None:
    by_device: dict[tuple[Plane, DeviceId], list[Entry]] = {}
    for entry in entries:
        by_device.setdefault((entry.plane, entry.device), []).append(entry)
    for (plane, device), some in by_device.items():
        await drivers[plane].ensure(device, some, fence)


@pytest.mark.parametrize("plane", list(Plane))
def test_probes_reach_inside_a_cluster_and_never_across(drivers, plane):
    if set(drivers) != set(Plane):
        pytest.skip("needs all planes")
    a0, a1 = Endpoint(NODES[0], 0), Endpoint(NODES[1], 0)
    b0, b1 = Endpoint(NODES[2], 0), Endpoint(NODES[3], 0)
    free = Endpoint(NODES[4], 0)
    inside = [(a0, a1), (a1, a0), (b0, b1), (a0, a0)]
    across = [(a0, b0), (b0, a0), (a1, b1), (a0, free), (free, a0), (free, free)]

    async def run():
        assert await drivers[plane].probe([]) == ()
        assert not any(await drivers[plane].probe(inside + across))
        await ensure_all(drivers, cluster_entries(A, range(2), 0x10), Fence(A, 1))
        await ensure_all(drivers, cluster_entries(B, range(2, 4), 0x11), Fence(B, 1))
        assert all(await drivers[plane].probe(inside))
        assert not any(await drivers[plane].probe(across))

    asyncio.run(run())
