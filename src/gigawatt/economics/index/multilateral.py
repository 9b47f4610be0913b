"""Transitive comparison of all months at once: GEKS, and CCD when it is made of Tornqvist.

Chaining month by month drifts when prices bounce (spot) or quantities chase them. GEKS compares
every month with every other and reconciles: ln P is the least-squares solution of
ln P_t - ln P_s = ln I_st over all pairs. With no pair missing that is the geometric mean over all
link months l of I_0l I_lt.
Source: Eltetö and Köves 1964, Szulc 1964; Caves, Christensen and Diewert 1982; CPI Manual 10.
"""

import numpy as np

from gigawatt.economics.index.bilateral import compare
from gigawatt.economics.index.panel import Panel
from gigawatt.fleet.model import F64


def matched_jevons_log(panel: Panel, first: int, second: int) -> float:
    """Log of the matched Jevons ratio between two months; NaN if nothing matches.

    A provider counts once: its cells are averaged before providers are.
    """
    means = provider_means(panel, first, second)
    return float(means.mean()) if len(means) else float("nan")


def provider_means(panel: Panel, first: int, second: int) -> F64:
    """float64[P]: mean log price relative of each provider with a cell in both months."""
    prices = panel.price_usd_per_gpu_hour
    relative = np.log(prices[:, second]) - np.log(prices[:, first])
    known = ~np.isnan(relative)
    numbers = panel.provider_index[known]
    counts = np.bincount(numbers)
    sums = np.bincount(numbers, weights=relative[known])
    return np.asarray(sums[counts > 0] / counts[counts > 0], dtype=np.float64)


def _with_quantities(panel: Panel, first: int, second: int, formula: str) -> float:
    prices, hours = panel.price_usd_per_gpu_hour, panel.quantity_gpu_hours
    known = ~np.isnan(prices[:, [first, second]]).any(axis=1)
    if not known.any():
        return float("nan")
    comparison = compare(
        prices[known, first], prices[known, second], hours[known, first], hours[known, second]
    )
    value = comparison.fisher if formula == "fisher" else comparison.tornqvist
    return float(np.log(value))


def geks(log_ratio: F64) -> F64:
    """Log price level of each month against the first; NaN where no path of pairs leads.

    Args:
        log_ratio: float64[T, T], ln of the bilateral index from row to column, NaN where there is
            none; antisymmetric, because the formulas used pass the time-reversal test.

    Returns:
        float64[T], 0 in the first month.
    """
    count = len(log_ratio)
    reached = np.zeros(count, dtype=bool)
    reached[0] = True
    linked = ~np.isnan(log_ratio)
    for _ in range(count):
        reached |= linked[reached].any(axis=0)
    pairs = [
        (s, t) for s in range(count) for t in range(s + 1, count) if linked[s, t] and reached[s]
    ]
    design = np.zeros((len(pairs), count))
    for number, (s, t) in enumerate(pairs):
        design[number, s], design[number, t] = -1.0, 1.0
    wanted = np.array([log_ratio[pair] for pair in pairs])
    level = np.full(count, np.nan)
    level[0] = 0.0
    free = np.flatnonzero(reached[1:]) + 1
    if len(free):
        level[free] = np.linalg.lstsq(design[:, free], wanted, rcond=None)[0]
    return level


def geks_of_panel(panel: Panel, formula: str, provider_count_min: int) -> F64:
    """Log of the GEKS level of each month of a panel against its first month.

    Args:
        panel: prices, with quantities for "fisher" and "tornqvist".
        formula: "jevons", "fisher" or "tornqvist" (CCD).
        provider_count_min: pairs of months with fewer matched providers are not used.

    Returns:
        float64[T].
    """
    count = len(panel.months)
    log_ratio = np.full((count, count), np.nan)
    np.fill_diagonal(log_ratio, 0.0)
    for first in range(count):
        for second in range(first + 1, count):
            if len(provider_means(panel, first, second)) < provider_count_min:
                continue
            if formula == "jevons":
                value = matched_jevons_log(panel, first, second)
            else:
                value = _with_quantities(panel, first, second, formula)
            log_ratio[first, second], log_ratio[second, first] = value, -value
    return geks(log_ratio)
