"""Days on which a whole source seems to have changed, not the market.

When many cells step at once on one day by much, the likelier cause is the source: a tracker that
begins to divide node prices by the node's GPUs, a new parser, a new currency. The index cannot
know; it says so, and the reader may start after the break.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from math import exp, log

from gigawatt.economics.index.quote import Cell, Quote

STEP_LOG_MIN = log(1.2)
"""A step of 20 % between two neighbouring quotes of a cell; a judgement."""
CELL_COUNT_MIN = 3
CELL_RATIO_MIN = 0.2
"""A break needs this many cells and this share of those quoted on the day; a judgement."""
GAP_DAYS_MAX = 7


@dataclass(frozen=True, slots=True)
class Break:
    """A day on which many cells step together.

    Fields: day; stepped_count of quoted_count cells; factor, the median step as a ratio.
    """

    day: date
    stepped_count: int
    quoted_count: int
    factor: float

    @property
    def sentence(self) -> str:
        """What was seen and what to do."""
        return (
            f"{self.day}: {self.stepped_count} of {self.quoted_count} cells step on this day by "
            f"more than 20 % (median factor {self.factor:.2f}); suspect the source or its unit, "
            "and compare with a start after it"
        )


def find_breaks(quotes: Sequence[Quote]) -> tuple[Break, ...]:
    """Breaks among the quotes of one sub-index, in order of day."""
    by_cell: dict[Cell, list[Quote]] = defaultdict(list)
    for quote in quotes:
        by_cell[quote.cell].append(quote)
    steps: dict[date, list[float]] = defaultdict(list)
    quoted: Counter[date] = Counter()
    for group in by_cell.values():
        group.sort(key=lambda quote: quote.day)
        for before, after in pairwise(group):
            if (after.day - before.day).days > GAP_DAYS_MAX:
                continue
            quoted[after.day] += 1
            step = log(after.price_micro_usd_per_gpu_hour / before.price_micro_usd_per_gpu_hour)
            if abs(step) > STEP_LOG_MIN:
                steps[after.day].append(step)
    return tuple(
        Break(day, len(moved), quoted[day], exp(sorted(moved)[len(moved) // 2]))
        for day, moved in sorted(steps.items())
        if len(moved) >= max(CELL_COUNT_MIN, CELL_RATIO_MIN * quoted[day])
    )
