"""A real CephFS for tests in a room: the lab's Ceph with one storage pool, and drivers of it."""

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from contract_subject import Subject, empty

from gigawatt.app.clock import SystemClock
from gigawatt.boundary.entries import Entry, FileSystem
from gigawatt.boundary.plane import Plane
from gigawatt.drivers.cephfs.opening import open_cephfs
from gigawatt.drivers.cephfs.settings import CephfsSettings
from gigawatt.drivers.opening import Opening
from gigawatt.drivers.storage.driver import StorageDriver
from gigawatt.ids import ClusterId, DeviceId
from gigawatt.interfaces.driver import Fence, Observation
from gigawatt.lab.fleet import lab_fleet
from gigawatt.lab.layout import LabSpec, Layout
from gigawatt.lab.running import Running, missing_packages
from gigawatt.lab.storage.cephfs import CephfsPart
from memory_secrets import MemorySecrets

MIB = 2**20
AHEAD_BYTES = 4 * MIB
"""One object: so far a writer may be beyond its quota before it is stopped."""
SPEC = LabSpec(node_count=8, storage="cephfs", storage_bytes=2**30)
FLEET = lab_fleet(SPEC)
POOL = FLEET.storage_pools.ids[0]
DEVICE = DeviceId(f"pool/{POOL}")
A, B = ClusterId("clu_a"), ClusterId("clu_b")


def marks(package_of_tool: Mapping[str, str]) -> list[pytest.MarkDecorator]:
    """Marks of a module that needs Ceph and these tools."""
    lost = missing_packages(package_of_tool)
    return [
        pytest.mark.lab,
        pytest.mark.slow,
        # Each word to Ceph starts an interpreter, and where processors are busy that takes seconds.
        pytest.mark.timeout(900),
        pytest.mark.skipif(bool(lost), reason=f"not installed: {', '.join(lost)}"),
    ]


@contextmanager
def running_cephfs(folder: Path, *, has_s3: bool = False) -> Iterator[Running]:
    """A lab that has nothing but Ceph."""
    lab = Running(FLEET, Layout(replace(SPEC, has_s3=has_s3), FLEET), folder)
    part = CephfsPart(has_s3=has_s3)
    part.start(lab)
    assert part.ailment(lab) == ""
    yield lab
    lab.stop()
    assert "ceph-mon" in part.ailment(lab)


def settings_of(lab: Running, **changed: object) -> CephfsSettings:
    (settings,) = lab.settings["storage"]
    return CephfsSettings.model_validate({**settings, **changed})


def opened(lab: Running, folder: Path, secrets: MemorySecrets, **changed: object) -> StorageDriver:
    """A driver with settings of its own, which notes in ``folder``."""
    opening = Opening(FLEET, SystemClock(), secrets, None, folder)
    return open_cephfs(settings_of(lab, **changed), opening)


def emptied(driver: StorageDriver) -> StorageDriver:
    """The driver, after everything that its pool held was taken away."""
    empty(Subject(FLEET, {Plane.STORAGE: driver}))
    return driver


def files(number: int, name: str, quota_bytes: int = 50 * MIB) -> FileSystem:
    return FileSystem(POOL, number, f"/tenants/t/{name}", quota_bytes)


def give(driver: StorageDriver, entries: Iterable[Entry], owner: ClusterId = A) -> None:
    asyncio.run(driver.ensure(DEVICE, list(entries), Fence(owner, 1)))


def withdraw(driver: StorageDriver, entries: Iterable[Entry], owner: ClusterId = A) -> None:
    asyncio.run(driver.remove(DEVICE, list(entries), Fence(owner, 1)))


def seen(driver: StorageDriver) -> Observation:
    observation = asyncio.run(driver.observe([DEVICE]))
    assert not observation.unreachable
    return observation


def held(driver: StorageDriver) -> frozenset[Entry]:
    """Entries on the pool."""
    return seen(driver).entries[DEVICE]
