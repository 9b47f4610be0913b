"""How fast a caller may send requests: a bucket that fills with time."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from gigawatt.errors import RateError

RATE_PER_S = 50.0
"""Requests a second that one caller may send for long. Ours: 20 times what a busy script sends."""

BURST_COUNT = 200.0
"""Requests that one caller may send at once. Ours."""

CALLER_COUNT_MAX = 10_000
"""Callers remembered; who was away longest is forgotten first, and so starts with a full bucket."""


class RateLimiter:
    """Token buckets in the memory of one server, one for each caller."""

    def __init__(
        self,
        rate_per_s: float = RATE_PER_S,
        burst_count: float = BURST_COUNT,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start with full buckets; ``now_s`` is a clock that never goes back."""
        self._rate_per_s = rate_per_s
        self._burst_count = burst_count
        self._now_s = now_s
        self._lock = threading.Lock()
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, who: str, count: float = 1.0) -> None:
        """Take ``count`` requests from the bucket of ``who``.

        Raises:
            RateError: the bucket has not enough.
        """
        with self._lock:
            now_s = self._now_s()
            level, at_s = self._buckets.pop(who, (self._burst_count, now_s))
            level = min(self._burst_count, level + (now_s - at_s) * self._rate_per_s)
            is_enough = level >= count
            self._buckets[who] = (level - count if is_enough else level, now_s)
            if len(self._buckets) > CALLER_COUNT_MAX:
                self._buckets.popitem(last=False)
        if not is_enough:
            raise RateError(
                f"more than {self._rate_per_s:g} requests a second",
                retry_after_s=(count - level) / self._rate_per_s,
            )
