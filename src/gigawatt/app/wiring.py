"""Makes real objects: the one place that knows every room."""

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from gigawatt.app.clock import SystemClock
from gigawatt.app.control import Control
from gigawatt.app.home import Home
from gigawatt.app.ids import RandomIds
from gigawatt.drivers.fake.driver import fake_drivers
from gigawatt.drivers.fake.faults import Faults
from gigawatt.drivers.fake.file_states import FileStates
from gigawatt.drivers.fake.latency import NO_LATENCY, Latency
from gigawatt.drivers.fake.world import DeviceWorld
from gigawatt.errors import DataError
from gigawatt.executor.executor import Surroundings
from gigawatt.executor.progress import UNWATCHED, Watch
from gigawatt.fleet.model import Fleet
from gigawatt.store.address import name_of
from gigawatt.store.open import is_empty_at, open_store_at


def worker_name() -> str:
    """A name for this process on leases."""
    return f"{socket.gethostname()}:{os.getpid()}"


def _refuse_lost_store(home: Home) -> None:
    """An empty store beside devices that remember would show every held node as free."""
    if home.devices_path.exists() and is_empty_at(home.store_place):
        raise DataError(
            f"{name_of(home.store_place)} is gone or empty, but the devices remember clusters",
            next_step="Run 'gw restore FILE' with a copy, or start over in an empty GIGAWATT_HOME.",
        )


@contextmanager
def open_world(home: Home, fleet: Fleet) -> Iterator[DeviceWorld]:
    """The fake devices of a home from their own side, to tamper with; closed at the end.

    Raises:
        DataError: the devices' file is damaged.
    """
    states = FileStates(home.devices_path)
    try:
        yield DeviceWorld(fleet, states)
    finally:
        states.close()


@dataclass(frozen=True, slots=True)
class FakeSite:
    """How the fake devices of a home behave.

    Fields: what makes their plan of faults; how long they take.
    """

    faults: Callable[[], Faults] = Faults
    latency: Latency = NO_LATENCY


PLAIN_SITE = FakeSite()
"""Devices that always answer, and at once."""


@contextmanager
def open_control(
    home: Home, devices: FakeSite = PLAIN_SITE, watch: Watch = UNWATCHED
) -> Iterator[Control]:
    """The embedded control plane of a home, closed at the end; ``watch`` is told what happens.

    Raises:
        DataError: the store or the devices' file is damaged or out of reach.
        InputError: the fleet's YAML is not a fleet.
    """
    home.make()
    _refuse_lost_store(home)
    fleet = home.fleet()
    clock = SystemClock()
    store = open_store_at(home.store_place)
    states = FileStates(home.devices_path)
    try:
        world = DeviceWorld(fleet, states)
        drivers = fake_drivers(world, devices.faults(), clock, devices.latency)
        yield Control(Surroundings(fleet, store, drivers, clock, watch), RandomIds())
    finally:
        states.close()
        store.close()
