"""What a driver of the storage plane can offer beyond entries: a door for objects, as S3 has them.

Not every engine can. A door belongs to a file system: it has its quota, once more, for objects
alone, and it ends with it.
"""

from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from gigawatt.ids import ClusterId, DeviceId


@dataclass(frozen=True, slots=True)
class ObjectDoor:
    """The door of one file system.

    Fields:
        endpoint: URL at which S3 is spoken.
        access_key_id: name of the key in force; None when nobody has one.
        quota_bytes, used_bytes: what its objects may take, and take.
    """

    endpoint: str
    access_key_id: str | None = None
    quota_bytes: int = 0
    used_bytes: int = 0


@dataclass(frozen=True, slots=True)
class ObjectKey:
    """A new key of a door; its secret is shown to its tenant and kept by nobody but the engine."""

    endpoint: str
    access_key_id: str
    secret_access_key: str = field(repr=False)


@runtime_checkable
class ObjectDoors(Protocol):
    """A driver that may have doors for objects."""

    async def object_door(self, device: DeviceId, filesystem: int) -> ObjectDoor | None:
        """The door of a file system; None where the engine has none to offer.

        Raises:
            DriverRetryableError: the engine does not answer.
            DriverPermanentError: a command failed, or there is no such pool.
        """
        ...

    async def new_object_key(
        self, device: DeviceId, filesystem: int, owner: ClusterId
    ) -> ObjectKey | None:
        """Give the door another key, the only one in force then; open it if it is shut.

        None where the engine has no door to offer.

        Raises:
            DriverRetryableError: the engine does not answer.
            DriverPermanentError: there is no such file system of this owner.
        """
        ...

    async def shut_object_door(self, device: DeviceId, filesystem: int, owner: ClusterId) -> None:
        """Shut the door and delete its objects; nothing to do if it is shut.

        Raises:
            DriverRetryableError: the engine does not answer, or not all is gone.
            DriverPermanentError: there is no such file system of this owner.
        """
        ...
