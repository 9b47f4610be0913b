"""Storage reckoned a second time, from what the log of operations says: to check its meter.

It shares nothing with ``market.storage_meter``: it walks from one line of the log to the next and
asks of each holder what was promised to it in the time in between.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gigawatt.ids import ClusterId


@dataclass(frozen=True, slots=True, order=True)
class StorageSpan:
    """A stretch of time, Unix ms, half open, in which a holder had so many bytes."""

    from_ms: int
    to_ms: int
    storage_bytes: int


def joined_storage(spans: Iterable[StorageSpan]) -> tuple[StorageSpan, ...]:
    """Spans in order of time, those that touch at the same size as one.

    Example:
        >>> len(joined_storage([StorageSpan(5, 9, 1), StorageSpan(0, 5, 1)]))
        1
    """
    found: list[StorageSpan] = []
    for span in sorted(spans):
        last = found[-1] if found else None
        if last is not None and (last.to_ms, last.storage_bytes) == (
            span.from_ms,
            span.storage_bytes,
        ):
            found[-1] = StorageSpan(last.from_ms, span.to_ms, span.storage_bytes)
        else:
            found.append(span)
    return tuple(found)


class StorageReckoning:
    """What was held, by holder; told line by line, in the order of the log."""

    def __init__(self) -> None:
        """Nothing happened yet."""
        self._now_ms: dict[ClusterId, int] = {}
        self._bytes: dict[ClusterId, int] = {}
        self._spans: dict[ClusterId, list[StorageSpan]] = {}

    def promised(self, holder_id: ClusterId, storage_bytes: int, at_ms: int) -> None:
        """A holder has so many bytes from now on; 0 once it has let go of them."""
        self._pass(holder_id, at_ms)
        self._bytes[holder_id] = storage_bytes

    def cut(self, at_ms: int) -> None:
        """Time went on to here for everybody who holds anything."""
        for holder_id, storage_bytes in self._bytes.items():
            if storage_bytes:
                self._pass(holder_id, at_ms)

    def spans(self) -> Mapping[ClusterId, tuple[StorageSpan, ...]]:
        """What was held up to the last line about each holder."""
        return {holder_id: joined_storage(spans) for holder_id, spans in self._spans.items()}

    def _pass(self, holder_id: ClusterId, at_ms: int) -> None:
        """Let time pass for one holder; it never goes back."""
        from_ms = self._now_ms.get(holder_id, at_ms)
        to_ms = self._now_ms[holder_id] = max(from_ms, at_ms)
        held = self._bytes.get(holder_id, 0)
        if held and to_ms > from_ms:
            self._spans.setdefault(holder_id, []).append(StorageSpan(from_ms, to_ms, held))
