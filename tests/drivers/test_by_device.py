"""Goal: hosts of one cluster reach each other though different drivers have them.

Method: two fake drivers over worlds of their own, so that neither knows the other's hosts.
"""

import asyncio

import pytest

from gigawatt.app.clock import ManualClock
from gigawatt.boundary.entries import HostSlice
from gigawatt.boundary.plane import Plane
from gigawatt.drivers.by_device import DriverByDevice, DriverShare
from gigawatt.drivers.fake import DeviceWorld, Faults, fake_drivers
from gigawatt.errors import DriverPermanentError
from gigawatt.fleet.demo import hgx_fleet
from gigawatt.ids import ClusterId, DeviceId, NodeId
from gigawatt.interfaces.driver import Endpoint, Fence

FLEET = hgx_fleet(64)
NODES = [NodeId(name) for name in FLEET.nodes.ids[:4]]
A, B = ClusterId("clu_a"), ClusterId("clu_b")


def host(node_id: NodeId, power: str = "on") -> HostSlice:
    return HostSlice(node_id, 0xFF, False, "h", "debian-12-gpu", (), power)


@pytest.fixture
def driver() -> DriverByDevice:
    shares = []
    for number in range(2):
        own = fake_drivers(DeviceWorld(FLEET), Faults(), ManualClock())[Plane.HOST]
        devices = frozenset(DeviceId(f"host/{name}") for name in NODES[number::2])
        shares.append(DriverShare(f"host-{number}", own, devices))
    return DriverByDevice(Plane.HOST, FLEET, shares)


def test_hosts_of_one_cluster_with_two_drivers_reach_each_other_and_nobody_else(driver):
    ends = [Endpoint(node_id, 0) for node_id in NODES]

    async def run():
        for node_id, owner in zip(NODES, (A, A, B, A), strict=True):
            entry = host(node_id, "off" if node_id == NODES[3] else "on")
            await driver.ensure(entry.device, [entry], Fence(owner, 1))
        pairs = [(a, b) for a in ends for b in ends]
        return dict(zip(pairs, await driver.probe(pairs), strict=True))

    reached = {pair for pair, is_so in asyncio.run(run()).items() if is_so}
    a0, a1, b0, a_off = ends
    ours = {(a, b) for a in (a0, a1, a_off) for b in (a0, a1)}
    assert reached == ours | {(b0, b0)}


def test_a_host_that_no_driver_has_is_named(driver):
    foreign = Endpoint(NodeId(FLEET.nodes.ids[5]), 0)
    with pytest.raises(DriverPermanentError, match=foreign.node_id):
        asyncio.run(driver.probe([(foreign, Endpoint(NODES[0], 0))]))
