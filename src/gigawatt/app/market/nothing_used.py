"""Usage of a site that meters nothing."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from gigawatt.interfaces.usage import (
    ExternalUsage,
    StorageRecord,
    UsageBook,
    UsageQuery,
    UsageRecord,
)


class NothingUsed:
    """A book of usage without records; every method is what ``UsageBook`` says of it."""

    def usages(self, query: UsageQuery) -> Iterator[UsageRecord]:
        """None."""
        del query
        return iter(())

    def under_way(self, now_ms: int, query: UsageQuery | None = None) -> Iterator[UsageRecord]:
        """None."""
        del now_ms, query
        return iter(())

    def cut(self, at_ms: int) -> int:
        """Nothing to write."""
        del at_ms
        return 0

    def storage_usages(self, query: UsageQuery) -> Iterator[StorageRecord]:
        """None."""
        del query
        return iter(())

    def storage_under_way(
        self, now_ms: int, query: UsageQuery | None = None
    ) -> Iterator[StorageRecord]:
        """None."""
        del now_ms, query
        return iter(())

    def external_usages(self, query: UsageQuery) -> Iterator[ExternalUsage]:
        """None."""
        del query
        return iter(())


if TYPE_CHECKING:
    _KEEPS_THE_CONTRACT: type[UsageBook] = NothingUsed
