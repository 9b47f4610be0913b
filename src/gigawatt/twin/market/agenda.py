"""The agenda of a market replay: what happens at which millisecond, in order."""

from collections.abc import Callable
from heapq import heappop, heappush


class Agenda:
    """Actions by time; of those at one millisecond the one that was put in first comes first.

    Attributes:
        now_ms: virtual milliseconds since the replay began.
    """

    def __init__(self) -> None:
        """Begin at 0 with nothing to do."""
        self.now_ms = 0
        self._heap: list[tuple[int, int, Callable[[], None]]] = []
        self._count = 0

    def add(self, at_ms: int, action: Callable[[], None]) -> None:
        """Do something at a moment, now at the earliest."""
        self._count += 1
        heappush(self._heap, (max(at_ms, self.now_ms), self._count, action))

    def run(self, end_ms: int, after_each: Callable[[], None]) -> None:
        """Do all that comes before ``end_ms``, and ``after_each`` of it something more."""
        while self._heap and self._heap[0][0] < end_ms:
            self.now_ms, _, action = heappop(self._heap)
            action()
            after_each()
        self.now_ms = end_ms
