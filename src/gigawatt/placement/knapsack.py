"""The exact table behind the search: most units within a budget of pods, leaf groups and domains.

Source: ours; the multiple-choice knapsack by dynamic programming (Kellerer, Pferschy, Pisinger,
Knapsack Problems, 2004, section 11.5) with three small budgets instead of one large one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gigawatt.fleet.model import I64

Cost = tuple[int, int, int]
"""New pods, new leaf groups, new NVLink domains."""


@dataclass(frozen=True, slots=True)
class Option:
    """One way to use an item: what it costs and how many units it gives."""

    cost: Cost
    units: int


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Most units by budget, and how.

    Fields:
        best: int64[pods+1, leaf groups+1, domains+1], most units within each budget.
        taken: per item, the option used at each budget; -1 for none.
        items: what was filled in.
    """

    best: I64
    taken: tuple[NDArray[np.int16], ...]
    items: tuple[tuple[Option, ...], ...]

    def trace(self, budget: Cost) -> tuple[int, ...]:
        """The option of every item (-1 for none) that together give ``best[budget]``."""
        at = list(budget)
        chosen = []
        for taken, options in zip(reversed(self.taken), reversed(self.items), strict=True):
            number = int(taken[tuple(at)])
            chosen.append(number)
            if number >= 0:
                at = [left - cost for left, cost in zip(at, options[number].cost, strict=True)]
        return tuple(reversed(chosen))


def fill(items: Sequence[Sequence[Option]], limit: Cost) -> Table:
    """The table of at most one option per item, for every budget up to ``limit``."""
    shape = tuple(size + 1 for size in limit)
    best = np.zeros(shape, np.int64)
    taken = []
    for options in items:
        after = best.copy()
        how = np.full(shape, -1, np.int16)
        for number, option in enumerate(options):
            if any(cost > most for cost, most in zip(option.cost, limit, strict=True)):
                continue
            paid = tuple(slice(cost, None) for cost in option.cost)
            left = tuple(
                slice(0, size - cost) for size, cost in zip(shape, option.cost, strict=True)
            )
            units = best[left] + option.units
            is_better = units > after[paid]
            np.copyto(after[paid], units, where=is_better)
            np.copyto(how[paid], number, where=is_better)
        best = after
        taken.append(how)
    return Table(best, tuple(taken), tuple(tuple(options) for options in items))
