"""What a store of file systems must offer beside ``Store``, which holds them among its clusters."""

from typing import Protocol

from gigawatt.interfaces.directory import Reach
from gigawatt.interfaces.store import ClusterRecord


class FileSystems(Protocol):
    """Rows of file systems, read only: they change by plans, like clusters."""

    def page(
        self, reach: Reach, before: int, limit: int, *, with_ended: bool, name: str | None
    ) -> tuple[tuple[int, ClusterRecord], ...]:
        """File systems, newest first, each with its place in that order, before a place."""
        ...
