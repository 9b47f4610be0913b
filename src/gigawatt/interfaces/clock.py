"""Time as a dependency, so that the twin can run a year in a minute."""

from typing import Protocol


class Clock(Protocol):
    """Where time and waiting come from."""

    def now_s(self) -> float:
        """Unix seconds."""
        ...

    async def sleep(self, duration_s: float) -> None:
        """Wait for ``duration_s`` seconds (>= 0) of this clock."""
        ...
