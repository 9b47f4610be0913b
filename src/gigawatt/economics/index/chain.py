"""The chained matched index of one sub-index, with gates that withhold what coverage cannot carry.

Link between months s and t: Jevons, ln J = mean over providers of the mean over their matched cells
of ln(p_t / p_s); Fisher over matched cells where every quantity is known. A link that a gate stops
gives no value for t; the next month is linked to the last published one instead, so one bad month
does not end the series.
Source: CPI Manual (2020) chapters 8 (Jevons, matched models) and 10 (chaining).
"""

from dataclasses import dataclass

import numpy as np

from gigawatt.economics.index.bilateral import compare
from gigawatt.economics.index.multilateral import provider_means
from gigawatt.economics.index.panel import Panel
from gigawatt.economics.index.settings import Gates
from gigawatt.fleet.model import F64, I64


@dataclass(frozen=True, slots=True, eq=False)
class Chain:
    """Level of one sub-index per month, or the reason why there is none.

    Fields:
        base: number of the month whose level is 1, None if no month has enough providers.
        log_level: float64[T], ln of the level, NaN where withheld.
        log_se: float64[T], its standard error from the spread between providers, links taken as
            independent; NaN where one provider alone carries a link.
        reasons: T sentences, "" where a value is published.
        cell_count, provider_count: int64[T], in the month.
        matched_count: int64[T], cells matched with the last published month.
        matched_ratio: float64[T], over the larger of the two months' cells.
        dispersion: float64[T], standard deviation of log relatives between providers.
    """

    base: int | None
    log_level: F64
    log_se: F64
    reasons: tuple[str, ...]
    cell_count: I64
    provider_count: I64
    matched_count: I64
    matched_ratio: F64
    dispersion: F64


@dataclass(frozen=True, slots=True)
class Link:
    """What two months have in common.

    Fields: log_ratio of prices; log_se; provider_count, matched_count, matched_ratio, dispersion as
    in ``Chain``.
    """

    log_ratio: float
    log_se: float
    provider_count: int
    matched_count: int
    matched_ratio: float
    dispersion: float


def link_of(panel: Panel, first: int, second: int) -> Link:
    """The matched comparison of two months of a panel."""
    prices, hours = panel.price_usd_per_gpu_hour, panel.quantity_gpu_hours
    priced = ~np.isnan(prices[:, [first, second]])
    matched = priced.all(axis=1)
    larger = int(priced.sum(axis=0).max())
    ratio = float(matched.sum() / larger) if larger else 0.0
    means = provider_means(panel, first, second)
    if not len(means):
        return Link(float("nan"), float("nan"), 0, 0, ratio, 0.0)
    spread = float(means.std(ddof=1)) if len(means) > 1 else 0.0
    error = spread / np.sqrt(len(means)) if len(means) > 1 else float("nan")
    log_ratio = float(means.mean())
    if panel.has_quantities:
        comparison = compare(
            prices[matched, first],
            prices[matched, second],
            hours[matched, first],
            hours[matched, second],
        )
        log_ratio = float(np.log(comparison.fisher))
    return Link(log_ratio, float(error), len(means), int(matched.sum()), ratio, spread)


def gate(link: Link, gates: Gates) -> str:
    """Why the link may not be published; "" if it may."""
    if link.matched_count == 0:
        return "no cell has a price in both months"
    if link.provider_count < gates.provider_count_min:
        return f"matched providers {link.provider_count}, wanted {gates.provider_count_min}"
    if link.matched_ratio < gates.matched_ratio_min:
        return f"matched share {link.matched_ratio:.0%}, wanted {gates.matched_ratio_min:.0%}"
    if link.dispersion > gates.dispersion_max:
        return f"dispersion {link.dispersion:.2f}, at most {gates.dispersion_max:.2f}"
    return ""


def _providers_per_month(panel: Panel) -> I64:
    priced = ~np.isnan(panel.price_usd_per_gpu_hour)
    numbers = panel.provider_index
    return np.array([len(np.unique(numbers[column])) for column in priced.T], dtype=np.int64)


def chain(panel: Panel, gates: Gates) -> Chain:
    """The chained matched index of a panel; the base is the first month with enough providers.

    Args:
        panel: prices, outliers already taken out.
        gates: when a value is withheld.
    """
    count = len(panel.months)
    providers = _providers_per_month(panel)
    level, variance = np.full(count, np.nan), np.full(count, np.nan)
    dispersion, matched_ratio = np.full(count, np.nan), np.full(count, np.nan)
    matched = np.zeros(count, dtype=np.int64)
    reasons = []
    base: int | None = None
    last = 0
    for month in range(count):
        if base is None:
            enough = providers[month] >= gates.provider_count_min
            if enough:
                base = last = month
                level[month] = variance[month] = 0.0
                reasons.append("")
            else:
                reasons.append(f"providers {providers[month]}, wanted {gates.provider_count_min}")
            continue
        link = link_of(panel, last, month)
        matched[month], matched_ratio[month] = link.matched_count, link.matched_ratio
        dispersion[month] = link.dispersion
        reasons.append(gate(link, gates))
        if not reasons[-1]:
            level[month] = level[last] + link.log_ratio
            variance[month] = variance[last] + link.log_se**2
            last = month
    cells = (~np.isnan(panel.price_usd_per_gpu_hour)).sum(axis=0).astype(np.int64)
    return Chain(
        base,
        level,
        np.sqrt(variance),
        tuple(reasons),
        cells,
        providers,
        matched,
        matched_ratio,
        dispersion,
    )
