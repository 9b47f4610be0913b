"""The clocks: the machine's own, and one that is set by hand."""

import asyncio
import time


class SystemClock:
    """The machine's clock."""

    def now_s(self) -> float:
        """Unix seconds."""
        return time.time()  # noqa: TID251 - everybody else asks this object

    async def sleep(self, duration_s: float) -> None:
        """Wait for ``duration_s`` real seconds."""
        await asyncio.sleep(duration_s)


class ManualClock:
    """A clock that stands still; sleeping moves it on at once, and so does setting ``at_s``.

    Attributes:
        at_s: Unix seconds it shows.
    """

    def __init__(self, at_s: float = 0.0) -> None:
        """Show ``at_s``."""
        self.at_s = at_s

    def now_s(self) -> float:
        """Unix seconds."""
        return self.at_s

    async def sleep(self, duration_s: float) -> None:
        """Move on by ``duration_s`` and let others run; sleeps at the same time add up."""
        self.at_s += duration_s
        await asyncio.sleep(0)
