"""Goal: where no routing daemon runs, the driver of networks keeps its contract just the same.

Method: ``contract.DriverContract`` for ports and gateways in-band and for NICs of a RoCE fabric,
over switches of Linux in a room.
"""

import asyncio
from collections.abc import Iterator

import pytest
from contract import DriverContract, Subject, empty
from running_network import FLEET, RunningNetwork, running_network

from gigawatt.boundary.plane import Plane
from gigawatt.ids import DeviceId

pytestmark = [pytest.mark.lab, pytest.mark.slow]

KINDS = ("guest_port", "whole_port", "gateway", "compute_port")


def subject_on(network: RunningNetwork) -> Subject:
    bare = range(1, len(FLEET.nodes))
    subject = Subject(FLEET, network.drivers, guest_nodes=[0], bare_nodes=bare, probed=())
    empty(subject)
    return subject


@pytest.fixture(scope="module")
def with_static() -> Iterator[RunningNetwork]:
    with running_network("static") as network:
        yield network


class TestStatic(DriverContract):
    kinds = KINDS

    @pytest.fixture
    def subject(self, with_static) -> Subject:
        return subject_on(with_static)

    def test_the_fabric_says_where_each_nic_is(self, subject):
        """A switch sees no silent NIC, so nothing is said; its rules pin each MAC to its port."""

        async def run():
            seen = await subject.driver(Plane.FABRIC).observe([DeviceId("fabric/eth0")])
            assert set(seen.entries) == {"fabric/eth0"}
            assert seen.port_locations == ()

        asyncio.run(run())
