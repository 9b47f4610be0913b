"""Virtual time: an asyncio event loop in which waiting takes no time.

When nothing is ready to run, the loop jumps to the next timer instead of sleeping. The real
executor, its retries, leases and time limits run unchanged, a year in seconds, the same way
every time (ADR-0015).
"""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

from typing_extensions import override

T = TypeVar("T")


class _JumpingSelector(selectors.SelectSelector):
    """A selector that never blocks: it moves the loop's time on instead."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0

    @override
    def select(self, timeout_s: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready:
            assert timeout_s is not None, "every task waits for something that will never happen"
            self.now_s += timeout_s
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock starts at 0 s and jumps."""

    def __init__(self) -> None:
        """Make a loop; close it after use."""
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    @override
    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._jumping.now_s


class VirtualClock:
    """A ``Clock`` that shows the running loop's time.

    Attributes:
        start_s: Unix seconds at the loop's time 0.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, start_s: float = 0.0) -> None:
        """Show ``loop``'s time from ``start_s`` on."""
        self._loop = loop
        self.start_s = start_s

    def now_s(self) -> float:
        """Unix seconds."""
        return self.start_s + self._loop.time()

    async def sleep(self, duration_s: float) -> None:
        """Wait in virtual time."""
        await asyncio.sleep(duration_s)


def run_virtual(loop: VirtualLoop, work: Coroutine[Any, Any, T]) -> T:
    """Run ``work`` to its end on ``loop``; its result."""
    return loop.run_until_complete(work)
