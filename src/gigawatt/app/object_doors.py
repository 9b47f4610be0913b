"""Doors for objects of file systems, where the engine of their storage pool has them."""

from gigawatt.boundary.plane import Plane
from gigawatt.drivers.by_device import DriverByDevice
from gigawatt.drivers.fake.shadow import ShadowedDriver
from gigawatt.errors import ConflictError, InputError
from gigawatt.executor.executor import Surroundings
from gigawatt.ids import DeviceId
from gigawatt.interfaces.object_doors import ObjectDoor, ObjectDoors, ObjectKey
from gigawatt.interfaces.store import ClusterRecord
from gigawatt.planner.phases import Phase


async def object_door(around: Surroundings, record: ClusterRecord) -> ObjectDoor:
    """The door of a file system, shut if nobody opened it.

    Raises:
        ConflictError: the file system is not active.
        InputError: its storage pool has no doors.
        DriverError: the engine does not answer.
    """
    doors, device, filesystem = _doors_of(around, record)
    found = await doors.object_door(device, filesystem)
    if found is None:
        raise _without(device)
    return found


async def new_object_key(around: Surroundings, record: ClusterRecord) -> ObjectKey:
    """Another key for a file system's objects, the only one in force then.

    Raises:
        ConflictError: the file system is not active.
        InputError: its storage pool has no doors.
        DriverError: there is no new key.
    """
    doors, device, filesystem = _doors_of(around, record)
    found = await doors.new_object_key(device, filesystem, record.cluster_id)
    if found is None:
        raise _without(device)
    return found


async def shut_object_door(around: Surroundings, record: ClusterRecord) -> ObjectDoor:
    """Shut a file system's door and delete its objects; what there is then.

    Raises:
        ConflictError: the file system is not active.
        InputError: its storage pool has no doors.
        DriverError: not all is gone.
    """
    doors, device, filesystem = _doors_of(around, record)
    await doors.shut_object_door(device, filesystem, record.cluster_id)
    return await object_door(around, record)


def _doors_of(around: Surroundings, record: ClusterRecord) -> tuple[ObjectDoors, DeviceId, int]:
    target = record.target
    if target is None or record.phase is not Phase.ACTIVE:
        raise ConflictError(
            f"file system {record.name!r} is {record.phase}, wanted active",
            next_step="Wait until its operation has ended: 'gw operation list'.",
        )
    device = DeviceId(f"pool/{target.pool_id}")
    driver = around.drivers[Plane.STORAGE]
    if isinstance(driver, DriverByDevice):
        driver = driver.driver_of(device)
    if isinstance(driver, ShadowedDriver):
        driver = driver.real
    if not isinstance(driver, ObjectDoors):
        raise _without(device)
    assert target.keys.filesystem is not None, "a file system has a number"
    return driver, device, target.keys.filesystem


def _without(device: DeviceId) -> InputError:
    return InputError(
        f"{device} has no door for objects",
        next_step="Objects need an engine with an S3 gateway, such as CephFS with 's3_endpoint'.",
    )
