"""The contract of a driver, held against BMCs and a switch of a running lab.

Goal: accounts and routes keep turns, owners and fences as every other device does.
Method: ``contract.DriverContract`` over the out-of-band part of 8 nodes; what is left is taken away
by the operator's hand before each test.
"""

from collections.abc import Iterator

import pytest
from contract import DriverContract, Subject, empty

from gigawatt.boundary.plane import Plane
from running_oob import RunningOob

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def running() -> Iterator[RunningOob]:
    oob = RunningOob(node_count=8)
    yield oob
    oob.close()


class TestOutOfBand(DriverContract):
    kinds = ("bmc_account", "bmc_route")

    @pytest.fixture
    def subject(self, running) -> Subject:
        subject = Subject(
            running.fleet,
            {Plane.OUT_OF_BAND: running.driver},
            accounts_max=10,
            probed=(Plane.OUT_OF_BAND,),
        )
        empty(subject)
        return subject
