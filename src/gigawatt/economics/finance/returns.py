"""Net present value and internal rate of return, for many rows of flows at once.

Source: the definitions; ``tests/economics/finance/test_returns.py`` compares with pyxirr.
"""

import numpy as np

from gigawatt.economics.finance.cases import F64

RATE_MIN, RATE_MAX = -0.9, 10.0
"""Bounds of a rate in a period between which a return is looked for."""
_HALVINGS = 80


def npv(flows: F64, rate: float | F64) -> F64:
    """float64[n]: present value at column 0 of flows [n, T+1] at a rate a period (float or [n])."""
    factor = 1.0 / (1.0 + np.asarray(rate, dtype=np.float64))
    total = np.zeros(len(flows))
    for column in range(flows.shape[1] - 1, -1, -1):
        total = total * factor + flows[:, column]
    return total


def irr(flows: F64) -> F64:
    """float64[n]: the rate a period at which flows [n, T+1] are worth nothing, by bisection.

    It is nan where the value has the same sign at both bounds, which is so for flows that never
    change sign. Where several rates solve it, one of them is returned.
    """
    low, high = np.full(len(flows), RATE_MIN), np.full(len(flows), RATE_MAX)
    at_low = npv(flows, low)
    solvable = np.sign(at_low) * np.sign(npv(flows, high)) < 0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2.0
        same = np.sign(npv(flows, middle)) == np.sign(at_low)
        low, high = np.where(same, middle, low), np.where(same, high, middle)
    return np.where(solvable, (low + high) / 2.0, np.nan)


def per_year(rate: F64, periods_per_year: int) -> F64:
    """The effective yearly rate of a rate a period."""
    return np.asarray((1.0 + rate) ** periods_per_year - 1.0, dtype=np.float64)
