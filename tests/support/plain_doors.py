"""Doors for objects in memory, over a driver that has none."""

from typing import Any

from gigawatt.ids import ClusterId, DeviceId
from gigawatt.interfaces.object_doors import ObjectDoor, ObjectKey

TIB = 1 << 40
ENDPOINT = "http://s3.example.com"


def hidden(access_key_id: str) -> str:
    """What the engine made up for a key."""
    return f"secret-of-{access_key_id}"


class WithDoors:
    """``interfaces.object_doors.ObjectDoors``; ``keys`` shows every key of each open door."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver
        self.keys: dict[tuple[DeviceId, int], list[str]] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self.driver, name)

    async def object_door(self, device: DeviceId, filesystem: int) -> ObjectDoor | None:
        keys = self.keys.get((device, filesystem))
        return ObjectDoor(ENDPOINT, keys[-1], TIB, 5) if keys else ObjectDoor(ENDPOINT)

    async def new_object_key(
        self, device: DeviceId, filesystem: int, owner: ClusterId
    ) -> ObjectKey | None:
        assert owner.startswith("fsy_")
        keys = self.keys.setdefault((device, filesystem), [])
        keys.append(f"AK{len(keys)}")
        return ObjectKey(ENDPOINT, keys[-1], hidden(keys[-1]))

    async def shut_object_door(self, device: DeviceId, filesystem: int, owner: ClusterId) -> None:
        self.keys.pop((device, filesystem), None)
