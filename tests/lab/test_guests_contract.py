"""Goal: guests of a real libvirt keep the contract of a host plane's driver.

Method: the contract suite over a lab with two hypervisors, which are emptied before each test.
"""

from collections.abc import Iterator

import pytest
from contract import DriverContract, Subject, empty

from gigawatt.boundary.plane import Plane
from running_guests import RunningGuests, running_guests

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def running(tmp_path_factory) -> Iterator[RunningGuests]:
    with running_guests(tmp_path_factory.mktemp("guests")) as guests:
        yield guests


class TestGuests(DriverContract):
    kinds = ("guest_slice", "whole_slice")

    @pytest.fixture
    def subject(self, running) -> Subject:
        fleet = running.lab.fleet
        subject = Subject(
            fleet,
            {Plane.HOST: running.open()},
            guest_nodes=range(2),
            bare_nodes=range(2),
            probed=[Plane.HOST],
        )
        empty(subject)
        return subject
