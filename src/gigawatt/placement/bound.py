"""A bound that throws away almost every option before the exact table is filled.

Prices on leaf groups and domains turn the budgets into costs (Lagrangian relaxation): every item
then takes its best option on its own, and the k best new pods are taken. For any prices the sum
bounds what any real choice gives. An option whose use pushes the bound below what is wanted is in
no answer, and neither is an answer without an item whose loss does that.

Source: Held, Wolfe, Crowder, Validation of subgradient optimization, 1974 (the steps); reduced
cost fixing as in Kellerer, Pferschy, Pisinger, Knapsack Problems, 2004, section 11.3.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gigawatt.fleet.model import F64, I64
from gigawatt.placement.knapsack import Cost, Option
from gigawatt.placement.supply import Mask

STEPS_MAX = 60
"""Subgradient steps; more only prunes more, the answer is exact after any number."""
ROUNDING = 1e-6
"""Units by which sums of prices may be wrong; units are whole, so it never decides."""


@dataclass(frozen=True, slots=True, eq=False)
class _Options:
    """All options in flat arrays, sorted by item: item, costs (pods, leaf groups, domains), units.

    ``first`` has the position of each item's first option; ``is_new`` tells which items are new
    pods. Every item has an option.
    """

    item: I64
    group_counts: I64
    units: I64
    first: I64
    is_new: Mask

    @classmethod
    def of(cls, items: Sequence[Sequence[Option]]) -> "_Options":
        counts = np.array([len(options) for options in items], np.int64)
        flat = [option for options in items for option in options]
        cost = np.array([option.cost for option in flat], np.int64)
        first = np.concatenate(([0], np.cumsum(counts)[:-1]))
        return cls(
            item=np.repeat(np.arange(len(items)), counts),
            group_counts=cost,
            units=np.array([option.units for option in flat], np.int64),
            first=first,
            is_new=cost[first, 0] > 0,
        )


@dataclass(frozen=True, slots=True, eq=False)
class _Priced:
    """The relaxation at some prices.

    Fields: the bound in units; each option's units less its priced cost; the best of each item
    (0 when none is worth it) and where; which items are taken; the value of the worst new pod
    taken and of the best one left out.
    """

    bound: float
    worth: F64
    best: F64
    at: I64
    is_taken: Mask
    last_in: float
    first_out: float


def _price(options: _Options, prices: F64, limit: Cost) -> _Priced:
    worth = options.units - options.group_counts[:, 1:] @ prices
    best = np.maximum(np.maximum.reduceat(worth, options.first), 0.0)
    is_best = worth >= best[options.item]
    at = np.full(len(best), -1, np.int64)
    rows = np.flatnonzero(is_best)
    at[options.item[rows]] = rows
    new = np.flatnonzero(options.is_new)
    order = new[np.argsort(-best[new], kind="stable")]
    is_taken = ~options.is_new
    is_taken[order[: limit[0]]] = True
    is_taken &= at >= 0
    last_in = float(best[order[limit[0] - 1]]) if 0 < limit[0] <= len(order) else 0.0
    first_out = float(best[order[limit[0]]]) if limit[0] < len(order) else 0.0
    bound = float(best[is_taken].sum() + prices @ np.array(limit[1:], np.float64))
    return _Priced(bound, worth, best, at, is_taken, last_in, first_out)


def _best_prices(options: _Options, limit: Cost, unit_count: int) -> _Priced:
    """The lowest bound that the steps find."""
    prices = np.array([0.0, unit_count / max(1, limit[2])])
    lowest = _price(options, prices, limit)
    now = lowest
    for _ in range(STEPS_MAX):
        used = options.group_counts[now.at[now.is_taken], 1:].sum(axis=0)
        slope = np.array(limit[1:], np.float64) - used
        length = float(slope @ slope)
        if not length or lowest.bound < unit_count - ROUNDING:
            break
        step = max(now.bound - unit_count + 0.5, 0.0) / length
        prices = np.maximum(prices - step * slope, 0.0)
        now = _price(options, prices, limit)
        if now.bound < lowest.bound:
            lowest = now
    return lowest


@dataclass(frozen=True, slots=True)
class Reduced:
    """A smaller problem with the same answers.

    Fields:
        kept: per item left, its row in the original and the options left, their cost less
            ``base``.
        base: per item left, cost that every answer pays for it at least; zero when an answer may
            do without it.
        limit: the budget less all of ``base``.
        bound: units that no answer exceeds.
    """

    kept: tuple[tuple[int, tuple[Option, ...]], ...]
    base: tuple[Cost, ...]
    limit: Cost
    bound: int


def reduce(items: Sequence[Sequence[Option]], limit: Cost, unit_count: int) -> Reduced:
    """The problem without options that are in no answer within ``limit``.

    Args:
        items: options of each pod; new pods cost 1 pod, near ones 0.
        limit: the budget.
        unit_count: units that an answer has to give.

    Returns:
        nothing kept when the bound proves that there is no answer.
    """
    rows = [row for row, options in enumerate(items) if options]
    if not rows:
        return Reduced((), (), limit, 0)
    options = _Options.of([items[row] for row in rows])
    priced = _best_prices(options, limit, unit_count)
    enough = unit_count - ROUNDING
    bound = int(priced.bound + ROUNDING)
    if priced.bound < enough:
        return Reduced((), (), limit, bound)
    # The bound with this option used: it stands in for its item's best, or for the worst pod.
    instead = np.where(priced.is_taken, priced.best, np.where(options.is_new, priced.last_in, 0.0))
    is_kept = priced.bound - instead[options.item] + priced.worth >= enough
    without = priced.bound - priced.best + np.where(options.is_new, priced.first_out, 0.0)
    is_forced = priced.is_taken & (without < enough)
    kept, base = [], []
    for number, row in enumerate(rows):
        mine = np.flatnonzero(is_kept & (options.item == number))
        if not len(mine):
            continue
        least = (
            options.group_counts[mine].min(axis=0) if is_forced[number] else np.zeros(3, np.int64)
        )
        left = [
            Option((int(p), int(g), int(d)), int(options.units[at]))
            for at, (p, g, d) in zip(mine.tolist(), options.group_counts[mine] - least, strict=True)
        ]
        kept.append((row, tuple(left)))
        base.append((int(least[0]), int(least[1]), int(least[2])))
    spent = np.array(base).sum(axis=0) if base else np.zeros(3, np.int64)
    over = np.array(limit) - spent
    if (over < 0).any():
        return Reduced((), (), limit, min(bound, unit_count - 1))
    left_over = (int(over[0]), int(over[1]), int(over[2]))
    return Reduced(tuple(kept), tuple(base), left_over, bound)
