"""The panel: prices and quantities of one sub-index, cells by months."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from statistics import fmean, median

import numpy as np

from gigawatt.economics.index.quote import Cell, Quote
from gigawatt.economics.index.screening import Exclusion
from gigawatt.economics.index.settings import CellPrice, Settings
from gigawatt.errors import InputError
from gigawatt.fleet.model import F64, I64

MAD_TO_SIGMA = 1.4826
"""Median absolute deviation to standard deviation of a normal law. Source: 1 / Phi^-1(3/4)."""


@dataclass(frozen=True, slots=True, eq=False)
class Panel:
    """One GPU under one term, one kind of price: C cells by T consecutive months.

    Fields:
        cells: C cells, sorted. months: T months "YYYY-MM", ascending without a gap.
        price_usd_per_gpu_hour: float64[C, T], NaN where a cell has no price.
        quantity_gpu_hours: float64[C, T], NaN where unknown or absent.
        pooled_mean_usd_per_gpu_hour, pooled_median_usd_per_gpu_hour: float64[T] over all single
            quotes, whoever made them: the naive figures.
        quote_count: int64[T].
    """

    cells: tuple[Cell, ...]
    months: tuple[str, ...]
    price_usd_per_gpu_hour: F64
    quantity_gpu_hours: F64
    pooled_mean_usd_per_gpu_hour: F64
    pooled_median_usd_per_gpu_hour: F64
    quote_count: I64

    @property
    def has_quantities(self) -> bool:
        """Whether every price has a quantity."""
        priced = ~np.isnan(self.price_usd_per_gpu_hour)
        return bool(priced.any() and np.isfinite(self.quantity_gpu_hours[priced]).all())

    @property
    def provider_index(self) -> I64:
        """int64[C]: number of each cell's provider, in order of first cell."""
        numbers: dict[str, int] = {}
        for cell in self.cells:
            numbers.setdefault(cell.provider, len(numbers))
        return np.array([numbers[cell.provider] for cell in self.cells], dtype=np.int64)


def _months_between(first: date, last: date) -> tuple[str, ...]:
    count = (last.year - first.year) * 12 + last.month - first.month + 1
    numbers = range(first.year * 12 + first.month - 1, first.year * 12 + first.month - 1 + count)
    return tuple(f"{number // 12:04d}-{number % 12 + 1:02d}" for number in numbers)


def _cell_price(quotes: Sequence[Quote], how: CellPrice) -> tuple[float, float]:
    """(price in USD, quantity or NaN) of one cell in one month."""
    prices = [quote.price_micro_usd_per_gpu_hour / 1e6 for quote in quotes]
    hours = [quote.quantity_gpu_hours for quote in quotes]
    known = [value for value in hours if value is not None]
    if len(known) == len(hours):
        return float(np.dot(prices, known) / sum(known)), sum(known)
    if how == "median":
        return median(prices), float("nan")
    return float(np.exp(fmean(np.log(prices)))), float("nan")


def make_panel(quotes: Sequence[Quote], settings: Settings) -> Panel:
    """The panel of quotes of one series.

    Args:
        quotes: at least one, screened.
        settings: how quotes of one cell become one price.

    Raises:
        InputError: there is no quote, or two series are mixed.
    """
    if not quotes:
        raise InputError("no quote is left to make an index of")
    several = {quote.cell.series for quote in quotes}
    if len(several) > 1:
        names = " and ".join(series.label for series in sorted(several)[:2])
        raise InputError(f"{names} in one panel; GPUs, terms and kinds are never mixed")
    months = _months_between(min(q.day for q in quotes), max(q.day for q in quotes))
    cells = tuple(sorted({quote.cell for quote in quotes}))
    rows = {cell: number for number, cell in enumerate(cells)}
    columns = {month: number for number, month in enumerate(months)}
    groups: dict[tuple[int, int], list[Quote]] = defaultdict(list)
    pooled: dict[int, list[float]] = defaultdict(list)
    for quote in quotes:
        column = columns[quote.month]
        groups[rows[quote.cell], column].append(quote)
        pooled[column].append(quote.price_micro_usd_per_gpu_hour / 1e6)
    shape = (len(cells), len(months))
    prices, hours = np.full(shape, np.nan), np.full(shape, np.nan)
    for place, group in groups.items():
        prices[place], hours[place] = _cell_price(group, settings.cell_price)
    per_month = [pooled.get(number, []) for number in range(len(months))]
    return Panel(
        cells,
        months,
        prices,
        hours,
        np.array([fmean(values) if values else np.nan for values in per_month]),
        np.array([median(values) if values else np.nan for values in per_month]),
        np.array([len(values) for values in per_month], dtype=np.int64),
    )


def _outlier_links(log_usd_per_gpu_hour: F64, settings: Settings) -> list[tuple[int, int]]:
    """(cell, later month) of relatives that lie far from the others of their link."""
    found: list[tuple[int, int]] = []
    for month in range(1, log_usd_per_gpu_hour.shape[1]):
        relative = log_usd_per_gpu_hour[:, month] - log_usd_per_gpu_hour[:, month - 1]
        known = np.flatnonzero(~np.isnan(relative))
        if len(known) < 3:
            continue
        distance = np.abs(relative[known] - np.median(relative[known]))
        scaled = settings.outlier_mad_limit * MAD_TO_SIGMA * np.median(distance)
        limit = max(float(scaled), settings.outlier_log_min)
        found.extend((int(cell), month) for cell in known[distance > limit])
    return found


def without_outliers(panel: Panel, settings: Settings) -> tuple[Panel, tuple[Exclusion, ...]]:
    """The panel without outlying prices, and what was taken out.

    Of the two prices of an outlying relative, the one farther from its cell's median over time goes
    (the later one if both are as far). A price that goes takes *both* its links with it: dropping
    only the jump and keeping the way back would tilt a chained index.
    """
    if not np.isfinite(settings.outlier_mad_limit):
        return panel, ()
    log_usd_per_gpu_hour = np.log(panel.price_usd_per_gpu_hour)
    prices = panel.price_usd_per_gpu_hour.copy()
    hours = panel.quantity_gpu_hours.copy()
    exclusions = []
    for cell, month in _outlier_links(log_usd_per_gpu_hour, settings):
        if np.isnan(prices[cell, month - 1 : month + 1]).any():
            continue  # A price of this jump is gone already.
        centre = np.nanmedian(log_usd_per_gpu_hour[cell])
        now, before = log_usd_per_gpu_hour[cell, month], log_usd_per_gpu_hour[cell, month - 1]
        gone = month if abs(now - centre) >= abs(before - centre) - 1e-12 else month - 1
        prices[cell, gone] = hours[cell, gone] = np.nan
        sentence = (
            f"{panel.months[month - 1]} to {panel.months[month]} moves by a factor of "
            f"{np.exp(now - before):.2f}, far from the others; {panel.months[gone]} is left out"
        )
        exclusions.append(Exclusion("outlier", panel.cells[cell].label, sentence))
    cleaned = Panel(
        panel.cells,
        panel.months,
        prices,
        hours,
        panel.pooled_mean_usd_per_gpu_hour,
        panel.pooled_median_usd_per_gpu_hour,
        panel.quote_count,
    )
    return cleaned, tuple(exclusions)
