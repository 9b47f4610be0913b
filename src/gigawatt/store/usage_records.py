"""``SqlUsageBook``: the ``UsageBook`` on the store's own database."""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy import Connection

from gigawatt.ids import ClusterId
from gigawatt.interfaces.usage import (
    By,
    ExternalUsage,
    StorageRecord,
    UsageBook,
    UsageChecked,
    UsageLine,
    UsageQuery,
    UsageRecord,
)
from gigawatt.store import (
    external_usage,
    journal,
    usage_check,
    usage_cut,
    usage_reading,
)
from gigawatt.store.database import Database, lock_generation
from gigawatt.store.usage_notes import ms_of

T = TypeVar("T")

ROWS_AT_ONCE = 2_000
"""Rows held in memory while records are read."""

FOREVER_MS = 1 << 62
_EVERYTHING = UsageQuery(0, FOREVER_MS)


class SqlUsageBook:
    """Usage in a store's database; every method is what ``UsageBook`` says of it."""

    def __init__(self, database: Database) -> None:
        """Serve from a database that has the tables."""
        self._database = database

    def usages(self, query: UsageQuery) -> Iterator[UsageRecord]:
        """Records clipped to the query, in the order in which they were written."""
        return self._paged(
            lambda connection, after: usage_reading.record_page(
                connection, query, after, ROWS_AT_ONCE
            )
        )

    def _paged(self, read: Callable[[Connection, int], Sequence[tuple[int, T]]]) -> Iterator[T]:
        """Page after page, each a read of its own: rows that were read never change."""
        after = 0
        while True:
            with self._database.read() as connection:
                found = read(connection, after)
            for after, row in found:  # noqa: B007 - the last one is where the next begins
                yield row
            if len(found) < ROWS_AT_ONCE:
                return

    def under_way(self, now_ms: int, query: UsageQuery | None = None) -> Iterator[UsageRecord]:
        """What is in use now, up to ``now_ms``, by cluster and node."""
        with self._database.read() as connection:
            yield from usage_reading.running_records(connection, query or _EVERYTHING, now_ms)

    def cut(self, at_ms: int) -> int:
        """Write down all that is under way up to a moment; how many records that made."""
        with self._database.read() as connection:
            if not usage_cut.is_due(connection, at_ms):
                return 0
        with self._database.write() as connection:
            lock_generation(connection)
            count = usage_cut.cut(connection, at_ms)
            message = f"usage written down: {count} records"
            journal.add_event(connection, "usage_cut", message, at_ms / 1000, data={"at_ms": at_ms})
            return count

    def page(
        self, query: UsageQuery, after: int, limit: int
    ) -> tuple[tuple[int, UsageRecord], ...]:
        """Records as of ``usages``, after a place in their order."""
        with self._database.read() as connection:
            return usage_reading.record_page(connection, query, after, limit)

    def summary(self, query: UsageQuery, by: By, now_ms: int) -> tuple[UsageLine, ...]:
        """GPU time and price of records and of what is under way, by key."""
        with self._database.read() as connection:
            return usage_reading.sums(connection, query, by, now_ms)

    def storage_usages(self, query: UsageQuery) -> Iterator[StorageRecord]:
        """Storage that was had, clipped to the query."""
        return self._paged(
            lambda connection, after: usage_reading.storage_page(
                connection, query, after, ROWS_AT_ONCE
            )
        )

    def storage_under_way(
        self, now_ms: int, query: UsageQuery | None = None
    ) -> Iterator[StorageRecord]:
        """Storage that is had now, up to ``now_ms``."""
        with self._database.read() as connection:
            yield from usage_reading.storage_running(connection, query or _EVERYTHING, now_ms)

    def add_external(self, events: Sequence[ExternalUsage], now_s: float) -> int:
        """Keep what is not kept yet, all or nothing; how many were new."""
        with self._database.write() as connection:
            return external_usage.add(connection, events, ms_of(now_s))

    def external_usages(self, query: UsageQuery) -> Iterator[ExternalUsage]:
        """What other services measured, in the order it came in."""
        return self._paged(
            lambda connection, after: external_usage.page(connection, query, after, ROWS_AT_ONCE)
        )

    def check(self, cluster_id: ClusterId | None = None) -> UsageChecked:
        """Compare GPUs and storage of a cluster or file system, or of all, with the log."""
        with self._database.read() as connection:
            return usage_check.compare(connection, cluster_id)


if TYPE_CHECKING:
    _KEEPS_THE_CONTRACT: type[UsageBook] = SqlUsageBook
