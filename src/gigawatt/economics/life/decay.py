"""A price that changes by a constant share a year, fitted with its uncertainty."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from math import exp, log

import numpy as np

from gigawatt.economics.models.tables import parse_rows
from gigawatt.economics.quantities import check_count, check_positive
from gigawatt.errors import DataError, InputError

DAYS_PER_YEAR = 365.25


@dataclass(frozen=True, slots=True)
class PricePoint:
    """One observed price.

    Fields:
        gpu: what was priced, as its source spells it.
        year: date as a decimal year.
        price_usd: USD, > 0.
    """

    gpu: str
    year: float
    price_usd: float


@dataclass(frozen=True, slots=True)
class Decay:
    """``price = start exp(slope t)``, t in years after ``start_year``.

    Fields:
        start_year: decimal year where t is 0.
        start_usd: fitted price there.
        slope_per_year: change of the logarithm a year; negative for a fall.
        slope_error_per_year: standard error of it.
        point_count: prices fitted.
        first_year, last_year: of the prices.
    """

    start_year: float
    start_usd: float
    slope_per_year: float
    slope_error_per_year: float
    point_count: int
    first_year: float
    last_year: float

    @property
    def change_share_per_year(self) -> float:
        """Change in a year: -0.2 is a fall by a fifth."""
        return exp(self.slope_per_year) - 1.0

    def change_share_interval(self, width: float = 1.96) -> tuple[float, float]:
        """Changes in a year at ``width`` standard errors below and above."""
        reach = width * self.slope_error_per_year
        return exp(self.slope_per_year - reach) - 1.0, exp(self.slope_per_year + reach) - 1.0

    def price_usd(self, year: float) -> float:
        """USD in a decimal year, also outside the years observed."""
        return self.start_usd * exp(self.slope_per_year * (year - self.start_year))


def parse_prices(text: str, table: str, gpu: str) -> tuple[PricePoint, ...]:
    """Prices of one GPU from a CSV text with columns gpu, date (YYYY-MM-DD) and usd, by date.

    Raises:
        DataError: a cell is wrong.
        InputError: the table has no price of this GPU.
    """
    found = []
    for row in parse_rows(text, table):
        if row.text("gpu") == gpu:
            try:
                day = date.fromisoformat(row.text("date"))
            except ValueError:
                raise DataError(f"{row.place}: date {row.text('date')!r} is no date") from None
            year = day.year + (day - date(day.year, 1, 1)).days / DAYS_PER_YEAR
            price = row.number("usd")
            check_positive("usd", price)
            found.append(PricePoint(gpu, year, price))
    if not found:
        raise InputError(f"{table} has no price of {gpu!r}")
    return tuple(sorted(found, key=lambda point: point.year))


def _ols(years: np.ndarray, logs: np.ndarray) -> tuple[float, float]:
    """(intercept, slope) of a straight line."""
    centre = years - years.mean()
    slope = float((centre * logs).sum() / (centre * centre).sum())
    return float(logs.mean() - slope * years.mean()), slope


def fit_decay(points: Sequence[PricePoint], *, block_count: int = 400, seed: int = 7) -> Decay:
    """The log-linear fit, with a standard error from a bootstrap over months.

    Prices of neighbouring days are nearly the same, so the plain formula of least squares makes
    the error far too small; months are drawn whole instead.

    Args:
        points: prices, at least three in at least two months.
        block_count: draws of the bootstrap.
        seed: of the draws; the same seed gives the same error.

    Raises:
        InputError: too few prices.
    """
    check_count("block_count", block_count, 20)
    years = np.array([point.year for point in points])
    logs = np.array([log(point.price_usd) for point in points])
    months = np.floor(years * 12.0).astype(int)
    names = np.unique(months)
    if len(points) < 3 or len(names) < 2:
        raise InputError(
            f"points are {len(points)} in {len(names)} months, wanted 3 or more in 2 or more"
        )
    start = float(years.min())
    intercept, slope = _ols(years - start, logs)
    draw = np.random.default_rng(seed)
    members = [np.flatnonzero(months == name) for name in names]
    slopes = []
    for _ in range(block_count):
        chosen = draw.integers(0, len(members), len(members))
        if len(set(chosen.tolist())) > 1:
            rows = np.concatenate([members[index] for index in chosen])
            slopes.append(_ols(years[rows] - start, logs[rows])[1])
    error = float(np.std(slopes, ddof=1)) if len(slopes) > 1 else float("inf")
    return Decay(
        start_year=start,
        start_usd=exp(intercept),
        slope_per_year=slope,
        slope_error_per_year=error,
        point_count=len(points),
        first_year=start,
        last_year=float(years.max()),
    )


def decay_of_ends(first_usd: float, last_usd: float, first_year: float, last_year: float) -> Decay:
    """The decay through two prices, e.g. two published ones; its error is not known.

    Example:
        >>> round(decay_of_ends(34_750, 25_250, 2024.0, 2025.3).change_share_per_year, 2)
        -0.22
    """
    check_positive("first_usd", first_usd)
    check_positive("last_usd", last_usd)
    check_positive("last_year - first_year", last_year - first_year)
    slope = log(last_usd / first_usd) / (last_year - first_year)
    return Decay(first_year, first_usd, slope, float("nan"), 2, first_year, last_year)
