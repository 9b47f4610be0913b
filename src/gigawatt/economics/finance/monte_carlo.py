"""Thousands of ways in which a deal may go, drawn with correlation, and what becomes of the loan.

Prices and the odds of utilisation follow a mean-reverting walk in logarithms. Delay and the time of
the offtaker's default come from a Gaussian copula with the sums of those walks: sums and the two
others are drawn together from one 4 x 4 correlation, then the walks are bent so that they add up
to their sums (a Brownian bridge), which leaves their steps independent and standard normal.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from math import erfc, sqrt

import numpy as np

from gigawatt.economics.finance.cases import F64, NEVER, Cases, calm
from gigawatt.economics.finance.deal import Deal
from gigawatt.economics.finance.operations import MONTHS_PER_YEAR
from gigawatt.economics.finance.underwriting import Figures, Underwriting, play
from gigawatt.economics.finance.waterfall import Waterfall
from gigawatt.errors import InputError
from gigawatt.money import MICRO_USD_PER_USD

CHUNK = 1_000
"""Cases that are held in memory together; part of what a seed gives."""
PERCENTILES = (1.0, 10.0, 50.0, 90.0, 99.0)
CASES_MAX = 100_000


@dataclass(frozen=True, slots=True)
class Fan:
    """Percentiles over cases, float64[5, T+1], by ``PERCENTILES``; ``unit`` of the values."""

    title: str
    unit: str
    bands: F64


@dataclass(frozen=True, slots=True)
class Simulation:
    """What became of all cases.

    Fields:
        count: of cases.
        figures: each field float64[count].
        fans: on-demand price, cover, debt.
        locked, defaulted: float64[T+1]: share of cases where that was so.
    """

    count: int
    figures: Figures
    fans: tuple[Fan, ...]
    locked: F64
    defaulted: F64

    def exceeded(self, name: str, probability: float) -> float:
        """The value of a figure that is reached or passed with this probability.

        P50, P90 and P99 of a cover or return are ``probability`` 0.5, 0.9 and 0.99: the higher,
        the more cautious. Cases without a value (nan) count as the worst.
        """
        values = np.sort(np.nan_to_num(getattr(self.figures, name), nan=-np.inf, posinf=np.inf))
        return float(values[int((1.0 - probability) * (len(values) - 1))])


def correlation_of(deal: Deal) -> F64:
    """float64[4, 4]: of the sums of price and utilisation, delay, and survival of the offtaker.

    Raises:
        InputError: no four things can be correlated like that.
    """
    risks = deal.risks
    matrix = np.eye(4)
    pairs = {
        (0, 1): risks.price_with_utilisation.value,
        (0, 3): -risks.price_with_default.value,
        (2, 3): -risks.delay_with_default.value,
    }
    for (row, column), value in pairs.items():
        matrix[row, column] = matrix[column, row] = value
    if np.linalg.eigvalsh(matrix)[0] <= 1e-9:
        raise InputError(
            "risks: the correlations contradict each other: price_with_utilisation "
            f"{pairs[0, 1]:g}, price_with_default {-pairs[0, 3]:g}, delay_with_default "
            f"{-pairs[2, 3]:g}",
            next_step="Bring them nearer to 0.",
        )
    return matrix


def _walks(deal: Deal, rng: np.random.Generator, sums: F64, months: int) -> tuple[F64, F64]:
    """float64[n, M] twice: ratios of price and of odds of utilisation, each of mean near 1."""
    risks = deal.risks
    steps = rng.standard_normal((2, len(sums), months))
    together = risks.price_with_utilisation.value
    steps[1] = together * steps[0] + sqrt(1.0 - together**2) * steps[1]
    steps += (sums.T / sqrt(months) - steps.mean(axis=2))[:, :, None]
    keep = (1.0 - min(risks.price_reversion.value, 99.0) / 100.0) ** (1.0 / MONTHS_PER_YEAR)
    walks = []
    for row, volatility in enumerate((risks.price_volatility, risks.utilisation_volatility)):
        step = volatility.value / 100.0 / sqrt(MONTHS_PER_YEAR)
        level, variance = np.zeros(len(sums)), 0.0
        ratios = np.empty((len(sums), months))
        for month in range(months):
            level = keep * level + step * steps[row, :, month]
            variance = keep**2 * variance + step**2
            ratios[:, month] = level - variance / 2.0
        walks.append(np.exp(ratios))
    return walks[0], walks[1]


def draw_cases(deal: Deal, rng: np.random.Generator, count: int) -> Cases:
    """``count`` cases drawn from the deal's risks.

    Raises:
        InputError: the correlations contradict each other.
    """
    months = int(deal.horizon.value)
    normal = rng.standard_normal((count, 4)) @ np.linalg.cholesky(correlation_of(deal)).T
    price, odds = _walks(deal, rng, normal[:, :2], months)
    risks = deal.risks
    delay = risks.delay_mean.value + risks.delay_deviation.value * normal[:, 2]
    default_month = np.full(count, NEVER, dtype=np.int64)
    contract = deal.revenue.offtake
    if contract is not None and contract.default_rate.value > 0.0:
        hazard = contract.default_rate.value / 100.0 / MONTHS_PER_YEAR
        alive = np.array([0.5 * erfc(value / sqrt(2.0)) for value in normal[:, 3]])
        when = -np.log(np.maximum(alive, 1e-300)) / hazard
        default_month = np.minimum(np.ceil(when), NEVER).astype(np.int64)
    return replace(
        calm(count),
        price_ratio=price,
        utilisation_odds=odds,
        delay_months=np.maximum(np.rint(delay), 0.0).astype(np.int64),
        default_month=default_month,
    )


def _rows(cases: Cases, signed: Underwriting, waterfall: Waterfall) -> Iterator[tuple[str, F64]]:
    step = signed.deal.period_months
    monthly = np.concatenate((cases.price_ratio[:, :1], cases.price_ratio), axis=1)
    yield "price", monthly[:, ::step]
    yield "dscr", waterfall.dscr
    yield "debt", waterfall.debt / MICRO_USD_PER_USD
    yield "locked", waterfall.locked.astype(np.float64)
    yield "defaulted", waterfall.defaulted.astype(np.float64)


def _bands(values: F64) -> F64:
    """Percentiles without interpolation, so that infinite covers stay what they are."""
    return np.asarray(np.percentile(values, PERCENTILES, axis=0, method="lower"), dtype=np.float64)


def simulate(signed: Underwriting, rng: np.random.Generator, count: int) -> Simulation:
    """``count`` cases under the signed loan; the same generator state gives the same result.

    Raises:
        InputError: ``count`` is not from 1 to ``CASES_MAX``, or the deal's correlations contradict.
    """
    if not 1 <= count <= CASES_MAX:
        raise InputError(f"{count} cases, wanted 1 to {CASES_MAX}")
    names = [item.name for item in fields(Figures)]
    figures: dict[str, list[F64]] = {name: [] for name in names}
    rows: dict[str, list[F64]] = {}
    for first in range(0, count, CHUNK):
        cases = draw_cases(signed.deal, rng, min(CHUNK, count - first))
        outcome = play(signed, cases)
        for name in names:
            figures[name].append(getattr(outcome.figures, name))
        for name, row in _rows(cases, signed, outcome.waterfall):
            rows.setdefault(name, []).append(row.astype(np.float32))
    whole = {name: np.concatenate(parts) for name, parts in rows.items()}
    price = _bands(whole["price"])
    return Simulation(
        count=count,
        figures=Figures(**{name: np.concatenate(parts) for name, parts in figures.items()}),
        fans=(
            Fan("On-demand price over plan", "ratio", price),
            Fan("Debt service cover, look-back", "ratio", _bands(whole["dscr"])),
            Fan("Debt outstanding", "USD", _bands(whole["debt"])),
        ),
        locked=whole["locked"].mean(axis=0, dtype=np.float64),
        defaulted=whole["defaulted"].mean(axis=0, dtype=np.float64),
    )
