"""What a storage engine does for one pool; rules, fences and order are elsewhere, once."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from gigawatt.boundary.entries import FileSystem
from gigawatt.ids import ClusterId
from gigawatt.interfaces.object_doors import ObjectDoor, ObjectKey


@dataclass(frozen=True, slots=True)
class StoredFiles:
    """One file system as its pool has it.

    Fields:
        path: as it was asked for.
        owner: who made it; kept beside the files, so that a lost ledger does not give them away.
        quota_bytes: the limit in force, 0 if none is.
        used_bytes: what counts against it, snapshots included where the engine counts them.
    """

    path: str
    owner: ClusterId
    quota_bytes: int
    used_bytes: int


@dataclass(frozen=True, slots=True)
class PoolState:
    """One pool, read at one moment.

    Fields:
        files: by number of the file system.
        exports: file system and VNI of each export in force.
        size_bytes: room for files where the engine can tell and it binds; None otherwise.
    """

    files: Mapping[int, StoredFiles] = field(default_factory=dict)
    exports: frozenset[tuple[int, int]] = frozenset()
    size_bytes: int | None = None


class PoolEngine(Protocol):
    """One pool. Calls that change it come one at a time."""

    async def read(self) -> PoolState:
        """The pool, read now.

        Raises:
            DriverError: it does not answer; the message says why.
        """
        ...

    async def make(self, entry: FileSystem, owner: ClusterId) -> None:
        """Make a file system. At no moment can a tenant write into it without its limit.

        Raises:
            DriverError: it did not come about.
        """
        ...

    async def resize(self, filesystem: int, quota_bytes: int) -> None:
        """Change its limit.

        Raises:
            DriverPermanentError: it holds more.
            DriverRetryableError: the pool does not answer.
        """
        ...

    async def delete(self, filesystem: int) -> None:
        """Delete it with its data and snapshots; their room is free when this returns.

        Raises:
            DriverError: it is not, or not all, gone.
        """
        ...

    async def let_in(self, filesystem: int, vni: int) -> None:
        """Let the hosts of a network mount it.

        Raises:
            DriverError: they cannot.
        """
        ...

    async def shut_out(self, filesystem: int, vni: int) -> None:
        """Cut the hosts of a network off: mounts that are there and files that are open, too.

        Raises:
            DriverError: they may still be in.
        """
        ...

    async def mountable(self, vni: int, filesystems: Collection[int]) -> frozenset[int]:
        """Those of ``filesystems`` that a host of the network can mount and read, really tried.

        Raises:
            DriverRetryableError: it could not be tried.
        """
        ...


class Doors(Protocol):
    """The doors for objects of one pool; shutting one is part of ``PoolEngine.delete`` as well."""

    async def door(self, filesystem: int) -> ObjectDoor:
        """The door of a file system, shut if nobody opened it.

        Raises:
            DriverError: the engine does not answer.
        """
        ...

    async def new_key(self, filesystem: int, quota_bytes: int) -> ObjectKey:
        """Another key, the only one then; opens a door that is shut.

        Raises:
            DriverError: no new key is known.
        """
        ...

    async def shut(self, filesystem: int) -> None:
        """No key, bucket or object any more; nothing to do if it is shut.

        Raises:
            DriverError: not all is gone.
        """
        ...


@runtime_checkable
class HasDoors(Protocol):
    """An engine that can have doors for objects."""

    @property
    def objects(self) -> Doors | None:
        """The doors; None where its settings name none."""
        ...
