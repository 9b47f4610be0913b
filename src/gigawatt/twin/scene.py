"""What a replay happens in: the real control plane over fake devices, in virtual time."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from math import inf
from pathlib import Path
from tempfile import TemporaryDirectory

from gigawatt.app.control import Control
from gigawatt.app.ids import CountingIds
from gigawatt.boundary.plane import Plane
from gigawatt.drivers.fake.driver import fake_drivers
from gigawatt.drivers.fake.latency import site_latency
from gigawatt.drivers.fake.world import DeviceWorld
from gigawatt.executor.executor import Surroundings
from gigawatt.executor.policy import ExecutorPolicy
from gigawatt.fleet.model import Fleet
from gigawatt.interfaces.driver import Driver
from gigawatt.store.sqlite import open_store
from gigawatt.twin.failures import FailureRates, TwinFaults
from gigawatt.twin.virtual_time import VirtualClock, VirtualLoop

START_S = 1_767_225_600.0
"""Unix time at which a replay begins: 2026-01-01T00:00:00Z."""

MEMORY_FOLDER = Path("/dev/shm")  # noqa: S108 - a folder of its own is made below it
"""Storage in memory, where a system has some."""

TWIN_LEASE_S = 300.0
"""Ten times the product's: a worker that dies is followed later, and a replay renews less often."""

TWIN_POLICY = ExecutorPolicy(
    call_timeout_s=3_600.0,
    flush_s=inf,
    negative_probe_count_max=16,
    is_proving=False,
    lease_renewal_s=TWIN_LEASE_S - 1.0,
)
"""As in production, but isolation is proven for the whole fleet at every check and not at every
hand-over, with fewer probes to other tenants each time; leases are renewed as late as is safe
where no process ever pauses; nobody watches a stage, so all of it is journaled together; and the
longest cleaning of a host is waited for."""

Wrap = Callable[[Mapping[Plane, Driver]], Mapping[Plane, Driver]]


def as_they_are(drivers: Mapping[Plane, Driver]) -> Mapping[Plane, Driver]:
    """The drivers themselves."""
    return drivers


@dataclass(frozen=True, slots=True)
class Scene:
    """One site for one replay; the store is a real file, so that an auditor can open it too."""

    fleet: Fleet
    world: DeviceWorld
    faults: TwinFaults
    loop: VirtualLoop
    clock: VirtualClock
    control: Control
    store_path: Path


@contextmanager
def open_scene(
    fleet: Fleet, rates: FailureRates, seed: int, wrap: Wrap = as_they_are
) -> Iterator[Scene]:
    """A fresh scene, gone at the end; ``wrap`` may put something between executor and drivers.

    The store lies in memory where the system offers a folder for that, else in the temporary
    folder, where its syncs make a replay slower and change nothing else.
    """
    where = MEMORY_FOLDER if os.access(MEMORY_FOLDER, os.W_OK) else None
    with TemporaryDirectory(prefix="gigawatt-twin-", dir=where) as folder:
        path = Path(folder) / "store.sqlite"
        store = open_store(path, lease_s=TWIN_LEASE_S)
        loop = VirtualLoop()
        try:
            clock = VirtualClock(loop, START_S)
            world = DeviceWorld(fleet)
            faults = TwinFaults(rates, seed)
            drivers = wrap(fake_drivers(world, faults, clock, site_latency(seed)))
            around = Surroundings(fleet, store, drivers, clock)
            control = Control(around, CountingIds(), TWIN_POLICY)
            yield Scene(fleet, world, faults, loop, clock, control, path)
        finally:
            loop.close()
            store.close()
