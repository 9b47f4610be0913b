"""Makes real objects: the one place that knows every room."""

import os
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, field

from gigawatt.app.clock import SystemClock
from gigawatt.app.control import Control
from gigawatt.app.home import Home
from gigawatt.app.ids import IdSource, RandomIds
from gigawatt.app.market.notice_settings import notice_policy
from gigawatt.app.market.pricing import Pricing
from gigawatt.boundary.plane import Plane
from gigawatt.drivers.fake.driver import fake_drivers
from gigawatt.drivers.fake.faults import Faults
from gigawatt.drivers.fake.file_states import FileStates
from gigawatt.drivers.fake.latency import NO_LATENCY, Latency
from gigawatt.drivers.fake.world import DeviceWorld
from gigawatt.drivers.opening import Opening
from gigawatt.errors import DataError, InputError
from gigawatt.executor.executor import Surroundings
from gigawatt.executor.progress import UNWATCHED, Watch
from gigawatt.fleet.model import Fleet
from gigawatt.interfaces.clock import Clock
from gigawatt.interfaces.driver import Driver
from gigawatt.store.address import name_of
from gigawatt.store.directory import open_directory
from gigawatt.store.open import is_empty_at, open_store_at
from gigawatt.store.rates import open_rate_book
from gigawatt.store.receipts import open_receipts
from gigawatt.store.store import SqlStore


def worker_name() -> str:
    """A name for this process on leases."""
    return f"{socket.gethostname()}:{os.getpid()}"


def _refuse_lost_store(home: Home) -> None:
    """An empty store beside devices that remember would show every held node as free."""
    has_notes = any(home.drivers_path.glob("*/**/*.json"))
    if (has_notes or home.devices_path.exists()) and is_empty_at(home.store_place):
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
    """How the fake devices of a home behave, and by which clock and with which ids it works.

    Fields: what makes their plan of faults; how long they take; the clock of all of it, so that a
    story of months can be told; where ids come from, so that it can be told twice.
    """

    faults: Callable[[], Faults] = Faults
    latency: Latency = NO_LATENCY
    clock: Clock = field(default_factory=SystemClock)
    ids: IdSource = field(default_factory=RandomIds)


PLAIN_SITE = FakeSite()
"""Devices that always answer, and at once."""


@contextmanager
def open_control(
    home: Home, devices: FakeSite = PLAIN_SITE, watch: Watch = UNWATCHED
) -> Iterator[Control]:
    """The embedded control plane of a home, closed at the end; ``watch`` is told what happens.

    Raises:
        DataError: the store or the devices' file is damaged or out of reach.
        InputError: the fleet's YAML is not a fleet, or the site's no site file.
    """
    home.make()
    _refuse_lost_store(home)
    fleet, clock = home.fleet(), devices.clock
    with closing(open_store_at(home.store_place)) as store:
        drivers = (
            _open_site_of(home, fleet, store, clock, devices)
            if home.site_path.exists()
            else _open_fakes(home, fleet, clock, devices)
        )
        with drivers as opened:
            around = Surroundings(fleet, store, opened, clock, watch)
            pricing = Pricing(fleet, open_rate_book(store), open_directory(store))
            yield Control(
                around, devices.ids, ask_prices=pricing.ask, notice_policy=notice_policy()
            )


@contextmanager
def _open_fakes(
    home: Home, fleet: Fleet, clock: Clock, devices: FakeSite
) -> Iterator[Mapping[Plane, Driver]]:
    with closing(FileStates(home.devices_path)) as states:
        world = DeviceWorld(fleet, states)
        yield fake_drivers(world, devices.faults(), clock, devices.latency)


def _open_site_of(
    home: Home, fleet: Fleet, store: SqlStore, clock: Clock, devices: FakeSite
) -> AbstractContextManager[Mapping[Plane, Driver]]:
    if devices is not PLAIN_SITE:
        raise InputError(
            f"faults and delays are of fake devices, but {home.site_path} names the drivers",
            next_step="Use a GIGAWATT_HOME without site.yaml.",
        )
    from gigawatt.app.secrets_key import open_secrets  # noqa: PLC0415 - not for fake devices
    from gigawatt.app.site import open_site  # noqa: PLC0415

    secrets = open_secrets(home, store, clock)
    opening = Opening(fleet, clock, secrets, open_receipts(store), home.drivers_path)
    return open_site(home, opening)
