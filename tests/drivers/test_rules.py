"""What the fake devices refuse, one rule at a time.

Goal: a fake must not accept what a real device would refuse, or a plan that is wrong looks right.
Method: for each rule one call that breaks it and nothing else; the device must name the reason and
hold what it held before. Then random calls, after which no rule may be broken.
"""

from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gigawatt.boundary.entries import (
    BmcAccount,
    BmcRoute,
    ComputePort,
    Export,
    FileSystem,
    Gateway,
    HostSlice,
    NetworkPort,
    PartitionMember,
)
from gigawatt.drivers.fake import DeviceWorld
from gigawatt.drivers.fake.rules import P_KEYS_PER_GUID_MAX
from gigawatt.errors import DriverPermanentError, StaleGenerationError
from gigawatt.fleet.demo import hgx_fleet, nvl72_fleet
from gigawatt.ids import ClusterId, DeviceId
from gigawatt.interfaces.driver import OPERATOR, Fence

FLEET = hgx_fleet(64)
ROCE = nvl72_fleet(1)
NODE, OTHER = FLEET.nodes.ids[0], FLEET.nodes.ids[1]
GUID = int(FLEET.nics.guid[0])
POOL = FLEET.storage_pools.ids[0]
CAPACITY = int(FLEET.storage_pools.capacity_bytes[0])
A, B = ClusterId("clu_a"), ClusterId("clu_b")
WHOLE = HostSlice(NODE, 0xFF, False, "h0", "debian-12-gpu", (), "off")
HALF = replace(WHOLE, gpu_mask=0x0F, guest=True)


def ensure(world, *entries, cluster=A, generation=1):
    world.ensure(entries[0].device, entries, Fence(cluster, generation))


def remove(world, *entries, cluster=A, generation=1):
    world.remove(entries[0].device, entries, Fence(cluster, generation))


def refused(world, match, *entries, cluster=A):
    before = world.everything()
    with pytest.raises(DriverPermanentError, match=match) as caught:
        ensure(world, *entries, cluster=cluster)
    assert caught.value.device == entries[0].device
    assert world.everything() == before


@pytest.mark.parametrize(
    ("entry", "match"),
    [
        (PartitionMember("ib0", 0x7FFF, GUID, "limited"), "P_Key is 0x7fff"),
        (PartitionMember("ib0", 0, GUID, "full"), "P_Key is 0x0000"),
        (PartitionMember("ib0", 0x8001, GUID, "full"), "P_Key is 0x8001"),
        (PartitionMember("ib0", 0x10, 12345, "full"), "has no NIC"),
        (ComputePort("ib0", 70, GUID), "is no roce fabric"),
        (NetworkPort(NODE, 0, 0, "10.0.0.2/20"), "VNI is 0"),
        (NetworkPort(NODE, 0, 2**24, "10.0.0.2/20"), "VNI is 16777216"),
        (Gateway("site-a", 0, "10.0.0.0/20", ()), "VNI is 0"),
        (BmcRoute("site-a", "cluster:clu_a", "nowhere"), "no BMC of nowhere"),
        (FileSystem(POOL, 1, "/a", 0), "quota is 0"),
        (FileSystem(POOL, 1, "/a", CAPACITY + 1), "quotas would be"),
        (Export(POOL, 1, 900), "there is no filesystem 1"),
        (replace(WHOLE, gpu_mask=0x1FF), "the node has 0xff"),
        (replace(WHOLE, gpu_mask=0), "GPU mask is 0x0"),
    ],
    ids=str,
)
def test_an_entry_that_makes_no_sense_is_refused(entry, match):
    refused(DeviceWorld(FLEET), match, entry)


def test_a_partition_on_an_ethernet_fabric_is_refused():
    guid = int(ROCE.nics.guid[0])
    refused(DeviceWorld(ROCE), "infiniband", PartitionMember("eth0", 0x10, guid, "full"))


def test_a_compute_vni_out_of_range_is_refused():
    refused(DeviceWorld(ROCE), "VNI is 0", ComputePort("eth0", 0, int(ROCE.nics.guid[0])))


@pytest.mark.parametrize("entry", [NetworkPort("nowhere", 0, 9, "10.0.0.2/20")])
def test_a_network_port_of_an_unknown_node_is_refused(entry):
    refused(DeviceWorld(FLEET), "no such device", entry)


def test_one_key_twice_with_different_content_in_one_call_is_refused():
    refused(
        DeviceWorld(FLEET), "twice", BmcAccount(NODE, "x", "secret/1"), BmcAccount(NODE, "x", "s")
    )


def test_a_full_p_key_table_refuses_and_the_default_partition_takes_one_place():
    world = DeviceWorld(FLEET)
    room = P_KEYS_PER_GUID_MAX - 1
    ensure(world, *(PartitionMember("ib0", k, GUID, "full") for k in range(1, room)))
    two = [PartitionMember("ib0", k, GUID, "full") for k in (room, room + 1)]
    refused(world, "table .* is full", *two)
    ensure(world, two[0])
    refused(world, "table .* is full", two[1])
    ensure(world, replace(two[0], membership="limited"))
    remove(world, two[0])
    ensure(world, two[1])


def test_quotas_together_cannot_exceed_the_capacity():
    world = DeviceWorld(FLEET)
    ensure(world, FileSystem(POOL, 1, "/a", CAPACITY - 10))
    refused(world, "quotas would be", FileSystem(POOL, 2, "/b", 11), cluster=B)
    ensure(world, FileSystem(POOL, 2, "/b", 10), cluster=B)
    refused(world, "quotas would be", FileSystem(POOL, 2, "/b", 11), cluster=B)


def test_a_filesystem_is_not_removed_under_its_exports():
    world = DeviceWorld(FLEET)
    parts = [FileSystem(POOL, 1, "/a", 10), Export(POOL, 1, 900)]
    ensure(world, *parts)
    with pytest.raises(DriverPermanentError, match="still exported"):
        remove(world, parts[0])
    assert world.entries(parts[0].device) == set(parts)
    remove(world, *parts)
    assert world.entries(parts[0].device) == frozenset()


def test_nobody_exports_the_filesystem_of_another_cluster():
    world = DeviceWorld(FLEET)
    ensure(world, FileSystem(POOL, 1, "/a", 10))
    refused(world, "held by clu_a", Export(POOL, 1, 901), cluster=B)


def test_gpus_of_another_slice_are_refused():
    world = DeviceWorld(FLEET)
    ensure(world, replace(HALF, gpu_mask=0xF0))
    refused(world, "GPUs 0xf0 are in another slice", WHOLE, cluster=B)
    refused(world, "GPUs 0xf0 are in another slice", WHOLE)
    ensure(world, HALF, cluster=B)


def test_removing_a_slice_cleans_it():
    world = DeviceWorld(FLEET)
    ensure(world, replace(HALF, power="on"))
    ensure(world, replace(HALF, gpu_mask=0xF0))
    assert (world.dirty_gpu_mask(NODE), world.cleaning_count(NODE)) == (0x0F, 0)
    remove(world, HALF)
    assert (world.dirty_gpu_mask(NODE), world.cleaning_count(NODE)) == (0, 1)
    remove(world, HALF)
    assert world.cleaning_count(NODE) == 1
    ensure(world, HALF, cluster=B)


def test_powering_off_does_not_clean():
    world = DeviceWorld(FLEET)
    ensure(world, replace(WHOLE, power="on"))
    ensure(world, WHOLE)
    assert world.dirty_gpu_mask(NODE) == 0xFF


def test_a_slice_that_was_not_cleaned_refuses_a_new_owner():
    world = DeviceWorld(FLEET)
    world.stuck_dirty(NODE)
    ensure(world, replace(WHOLE, power="on"))
    remove(world, WHOLE)
    assert world.entries(WHOLE.device) == frozenset()
    assert (world.dirty_gpu_mask(NODE), world.cleaning_count(NODE)) == (0xFF, 1)
    refused(world, "GPU 0 was not cleaned since clu_a", HALF, cluster=B)
    ensure(world, HALF)
    world.stuck_dirty(NODE, is_stuck=False)
    remove(world, HALF)
    ensure(world, HALF, cluster=B)
    refused(world, "was not cleaned", replace(HALF, gpu_mask=0xF0), cluster=B)


def test_gpus_that_a_slice_gave_up_while_running_stay_dirty():
    world = DeviceWorld(FLEET)
    ensure(world, replace(WHOLE, power="on"))
    ensure(world, HALF)
    refused(world, "GPU 4 was not cleaned", replace(HALF, gpu_mask=0xF0), cluster=B)


def test_a_planted_entry_may_be_taken_over_or_removed_by_anybody():
    world = DeviceWorld(FLEET)
    planted = BmcAccount(NODE, "x", "attacker")
    world.plant(planted)
    wanted = BmcAccount(NODE, "x", "s")
    ensure(world, wanted)
    assert world.entries(planted.device) == {wanted}
    world.plant(replace(planted, username="y"))
    remove(world, replace(planted, username="y"), cluster=B)
    assert world.entries(planted.device) == {wanted}


def test_an_entry_planted_for_a_cluster_is_that_clusters():
    world = DeviceWorld(FLEET)
    planted = PartitionMember("ib0", 0x10, GUID, "full")
    world.plant(planted, owner=B)
    refused(world, "held by clu_b", planted)
    world.uproot(planted)
    ensure(world, planted)


def test_planting_on_a_device_that_does_not_exist_is_refused():
    world = DeviceWorld(FLEET)
    with pytest.raises(DriverPermanentError, match="no such device"):
        world.plant(BmcAccount("nowhere", "x", "s"))
    with pytest.raises(DriverPermanentError, match="no NIC"):
        world.move_nic(12345, "x", 1)
    with pytest.raises(DriverPermanentError, match="no such device"):
        world.reboot(DeviceId("bmc/nowhere"))


SMALL = [
    *(replace(WHOLE, gpu_mask=m, power=p) for m in (1, 3, 0xF, 0xF0, 0xFF) for p in ("off", "on")),
    *(FileSystem(POOL, n, "/x", q) for n in (1, 2) for q in (CAPACITY // 2, CAPACITY // 2 + 1)),
    *(Export(POOL, n, vni) for n in (1, 2) for vni in (900, 901)),
]


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["ensure", "remove"]),
            st.lists(st.sampled_from(SMALL), min_size=1, max_size=3),
            st.sampled_from([A, B]),
        ),
        max_size=25,
    )
)
def test_no_sequence_of_calls_breaks_a_rule(calls):
    world = DeviceWorld(FLEET)
    for action, entries, cluster in calls:
        same_device = [e for e in entries if e.device == entries[0].device]
        with suppress(DriverPermanentError):
            getattr(world, action)(entries[0].device, same_device, Fence(cluster, 1))
    states = world.states([WHOLE.device, SMALL[-1].device])
    slices = list(states[WHOLE.device].held.values())
    masks = [held.entry.gpu_mask for held in slices]
    assert sum(masks).bit_count() == sum(mask.bit_count() for mask in masks)
    dirty = states[WHOLE.device].facts.dirty
    assert all(
        dirty.get(gpu, held.owner) == held.owner
        for held in slices
        for gpu in range(8)
        if held.entry.gpu_mask >> gpu & 1
    )
    stored = states[SMALL[-1].device].held.values()
    systems = {held.entry.filesystem: held for held in stored if isinstance(held.entry, FileSystem)}
    assert sum(held.entry.quota_bytes for held in systems.values()) <= CAPACITY
    assert all(
        systems[held.entry.filesystem].owner == held.owner
        for held in stored
        if isinstance(held.entry, Export)
    )


def test_a_reconciler_that_woke_late_takes_nothing_that_came_since():
    """It looked at generation 5, slept, and the key was given to a cluster of generation 7."""
    world = DeviceWorld(FLEET)
    ensure(world, WHOLE, generation=7)
    with pytest.raises(StaleGenerationError, match="since generation 7"):
        remove(world, WHOLE, cluster=OPERATOR, generation=5)
    assert world.entries(WHOLE.device) == {WHOLE}
    remove(world, WHOLE, cluster=OPERATOR, generation=7)
    assert world.entries(WHOLE.device) == frozenset()
