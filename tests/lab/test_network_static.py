"""Goal: where no routing daemon runs, the driver of networks keeps its contract just the same.

Method: ``network_contract.NetworkContract`` over switches of Linux in a room.
"""

from collections.abc import Iterator

import pytest
from network_contract import NetworkContract
from running_network import RunningNetwork, running_network

pytestmark = [pytest.mark.lab, pytest.mark.slow]


@pytest.fixture(scope="module")
def network() -> Iterator[RunningNetwork]:
    with running_network("static") as network:
        yield network


class TestStatic(NetworkContract):
    pass
