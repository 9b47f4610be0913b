"""The meter of storage: bytes promised to one holder, from when they are there until let go.

A holder is a cluster or a file system. What is metered is the quota, which the holder may fill at
any moment, not what is in it. Time is as in ``market.meter``: whole milliseconds, half open.
"""

from dataclasses import dataclass, replace

from gigawatt.ids import ClusterId


@dataclass(frozen=True, slots=True)
class StorageUsage:
    """A quota of ``storage_bytes`` from ``from_ms`` up to, and not with, ``to_ms``."""

    holder_id: ClusterId
    number: int
    storage_bytes: int
    from_ms: int
    to_ms: int

    @property
    def byte_ms(self) -> int:
        """Byte-milliseconds."""
        return (self.to_ms - self.from_ms) * self.storage_bytes


@dataclass(frozen=True, slots=True)
class StorageMeter:
    """The meter of one holder.

    Fields: at_ms is the last change, None before the first; since_ms the start of the usage under
    way, None while nothing is promised.
    """

    holder_id: ClusterId
    at_ms: int | None = None
    storage_bytes: int = 0
    since_ms: int | None = None
    next_number: int = 0


def promise_bytes(
    storage_meter: StorageMeter, storage_bytes: int, at_ms: int
) -> tuple[StorageMeter, StorageUsage | None]:
    """The meter once ``storage_bytes`` (0 or more) are promised, and the usage that ended.

    The same number of bytes as before ends nothing. An earlier moment than the last counts as the
    last.
    """
    now_ms = at_ms if storage_meter.at_ms is None else max(at_ms, storage_meter.at_ms)
    after = replace(storage_meter, at_ms=now_ms)
    if storage_bytes == storage_meter.storage_bytes:
        return after, None
    ended: StorageUsage | None = None
    if storage_meter.since_ms is not None and now_ms > storage_meter.since_ms:
        ended = StorageUsage(
            storage_meter.holder_id,
            storage_meter.next_number,
            storage_meter.storage_bytes,
            storage_meter.since_ms,
            now_ms,
        )
    return replace(
        after,
        storage_bytes=storage_bytes,
        since_ms=now_ms if storage_bytes else None,
        next_number=storage_meter.next_number + (ended is not None),
    ), ended
