"""How a loan can be repaid from what is allowed for its service.

Everything here is for one schedule after the draw window, in dollars, with one rate a period.
"""

from dataclasses import dataclass
from math import expm1, log1p

import numpy as np

from gigawatt.economics.finance.cases import F64


def present_value(flows: F64, rate: float) -> float:
    """Value one period before the first flow."""
    return float(np.sum(flows * (1.0 + rate) ** -np.arange(1.0, len(flows) + 1.0)))


def annuity(rate: float, count: int) -> float:
    """Present value of 1 paid at the end of each of ``count`` periods."""
    return float(count) if rate == 0.0 else -expm1(-count * log1p(rate)) / rate


def sculpt(service: F64, rate: float) -> F64:
    """Balances of the largest loan that ``service`` repays, float64[N+1], from full to 0.

    Debt service equals ``service`` in every period, unless that would let the balance grow: then
    the loan is smaller. Without such a period the loan is the present value of ``service``.

    Args:
        service: float64[N]: the most that may be paid at the end of each period.
        rate: of interest in a period.
    """
    allowed = np.maximum(service, 0.0)
    largest = 0.0
    for paid in allowed[::-1]:
        largest = (largest + paid) / (1.0 + rate)
        if largest * rate > paid:
            largest = paid / rate
    balances = [largest]
    for paid in allowed:
        balances.append(max(0.0, balances[-1] * (1.0 + rate) - paid))
    balances[-1] = 0.0
    return np.array(balances)


@dataclass(frozen=True, slots=True)
class Profile:
    """The largest loan and how its draws are repaid, in shares of it.

    Fields:
        capacity_usd: the largest loan.
        draws: float64[C+1]: share drawn at each column of the draw window; sums to 1.
        balances: float64[N+1]: share outstanding from the end of the draw window on.
    """

    capacity_usd: float
    draws: F64
    balances: F64


def _tails(weights: F64, tenor: int, *, each_draw: bool) -> list[int]:
    """Periods in which each draw is repaid, all counted from the end of the draw window."""
    window = len(weights) - 1
    return [row + tenor - window if each_draw else tenor for row in range(window + 1)]


def sculpted(service: F64, rate: float, weights: F64, *, each_draw: bool) -> Profile:
    """A loan whose draws are each repaid from their share of ``service``.

    Args:
        service: float64[N]: the most that may be paid in each period after the draw window.
        rate: of interest in a period.
        weights: float64[C+1]: share of the assets that each draw pays for; sums to 1.
        each_draw: whether a draw matures N periods after itself instead of all together.
    """
    total = len(service)
    rows = np.zeros((len(weights), total + 1))
    for row, count in enumerate(_tails(weights, total, each_draw=each_draw)):
        rows[row, : count + 1] = sculpt(service[:count] * weights[row], rate)
    capacity = float(rows[:, 0].sum())
    if capacity <= 0.0:
        return Profile(0.0, weights, np.zeros(total + 1))
    return Profile(capacity, rows[:, 0] / capacity, rows.sum(axis=0) / capacity)


def level(service: F64, rate: float, weights: F64, *, each_draw: bool) -> Profile:
    """A loan whose draws are each repaid in equal payments; arguments as in ``sculpted``."""
    total = len(service)
    balances, payments = np.zeros(total + 1), np.zeros(total)
    for row, count in enumerate(_tails(weights, total, each_draw=each_draw)):
        left = np.array([annuity(rate, count - paid) for paid in range(count + 1)])
        balances[: count + 1] += weights[row] * left / left[0]
        payments[:count] += weights[row] / left[0]
    capacity = float(np.min(np.maximum(service, 0.0)[payments > 0.0] / payments[payments > 0.0]))
    return Profile(capacity, weights, balances)
