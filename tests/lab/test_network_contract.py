"""Goal: on a real EVPN network, with FRR on every switch, a driver keeps its contract.

Method: ``network_contract.NetworkContract`` over switches of Linux in a room.
"""

from collections.abc import Iterator

import pytest
from network_contract import NetworkContract
from running_network import RunningNetwork, running_network

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def network() -> Iterator[RunningNetwork]:
    with running_network("frr") as network:
        yield network


class TestFrr(NetworkContract):
    pass
