"""Usage as the service uses it: cut once a day, and what a cluster costs."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from gigawatt.ids import ClusterId
from gigawatt.interfaces.usage import UsageBook, UsageQuery
from gigawatt.market.meter import MS_PER_HOUR, rounded_micro_usd

DAY_MS = 24 * MS_PER_HOUR
EVER_MS = 1 << 53


def month_start_ms(now_ms: int) -> int:
    """Start of the month of UTC that a moment is in, Unix milliseconds.

    Example:
        >>> month_start_ms(86_400_000 * 40) == 86_400_000 * 31
        True
    """
    now = datetime.fromtimestamp(now_ms / 1000, UTC)
    first = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return round(first.timestamp()) * 1000


class DailyCut:
    """Writes usage down that is under way, when a day of UTC is over.

    Records are never longer than a day so, and the sums of a month read few that began before it.
    Several servers may do it: who comes second finds nothing to do.
    """

    def __init__(self, book: UsageBook, now_s: Callable[[], float]) -> None:
        """Cut in a book by a clock; nothing is done yet."""
        self._book = book
        self._now_s = now_s
        self._last_ms = -1

    def cut_if_due(self) -> None:
        """Cut at the start of this day, once."""
        now_ms = round(self._now_s() * 1000)
        day_ms = now_ms - now_ms % DAY_MS
        if day_ms > self._last_ms:
            self._book.cut(day_ms)
            self._last_ms = day_ms


@dataclass(frozen=True, slots=True)
class ClusterCost:
    """What a cluster has cost until now, and costs an hour now; micro-USD."""

    amount_micro_usd: int
    amount_micro_usd_per_hour: int


def cost_of_cluster(book: UsageBook, cluster_id: ClusterId, now_ms: int) -> ClusterCost:
    """What a cluster costs, with what is under way; nodes that are not ready cost nothing."""
    query = UsageQuery(0, EVER_MS, cluster_id=cluster_id)
    rated = sum(line.rated for line in book.summary(query, "cluster", now_ms))
    per_hour = sum(
        record.gpu_count * record.price_micro_usd_per_gpu_hour
        for record in book.under_way(now_ms, query)
    )
    return ClusterCost(rounded_micro_usd(rated), per_hour)
