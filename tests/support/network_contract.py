"""What the driver of networks keeps over real switches, whoever tells them of each other."""

import asyncio

import pytest
from contract import DriverContract, Subject, empty
from running_network import FLEET

from gigawatt.boundary.plane import Plane
from gigawatt.ids import DeviceId


class NetworkContract(DriverContract):
    """``DriverContract`` for ports and gateways in-band and for NICs of a RoCE fabric.

    A module that tests it has a fixture ``network``.
    """

    kinds = ("guest_port", "whole_port", "gateway", "compute_port")

    @pytest.fixture
    def subject(self, network) -> Subject:
        bare = range(1, len(FLEET.nodes))
        subject = Subject(FLEET, network.drivers, guest_nodes=[0], bare_nodes=bare, probed=())
        empty(subject)
        return subject

    def test_the_fabric_says_where_each_nic_is(self, subject):
        """A switch sees no silent NIC, so nothing is said; its rules pin each MAC to its port."""

        async def run():
            seen = await subject.driver(Plane.FABRIC).observe([DeviceId("fabric/eth0")])
            assert set(seen.entries) == {"fabric/eth0"}
            assert seen.port_locations == ()

        asyncio.run(run())
