"""Two-period formulas with quantities, and the effect of the mix.

All take vectors over the same N products: prices p0, p1 > 0 and quantities q0, q1 >= 0 in the base
and the current period, and give the ratio of price levels, 1 for no change.
Source: ILO, IMF et al., Consumer Price Index Manual (2020), chapters 2, 8 and 10.
"""

from dataclasses import dataclass

import numpy as np

from gigawatt.errors import InputError
from gigawatt.fleet.model import F64


@dataclass(frozen=True, slots=True)
class Comparison:
    """What happened to prices between two periods, by every formula; 1 is no change.

    Fields:
        laspeyres: sum p1 q0 / sum p0 q0. paasche: sum p1 q1 / sum p0 q1.
        fisher: sqrt(laspeyres paasche). tornqvist: exp(1/2 sum (s0 + s1) ln(p1 / p0)).
        unit_value: (sum p1 q1 / sum q1) / (sum p0 q0 / sum q0), what revenue per GPU-hour did.
        mix_effect: unit_value / fisher, the part that no price moved.
    """

    laspeyres: float
    paasche: float
    fisher: float
    tornqvist: float
    unit_value: float
    mix_effect: float


def _check(p0: F64, p1: F64, q0: F64, q1: F64) -> None:
    if not p0.shape == p1.shape == q0.shape == q1.shape or p0.ndim != 1 or not len(p0):
        raise InputError("prices and quantities need one value per product in both periods")
    for name, values in (("p0", p0), ("p1", p1)):
        if not (np.isfinite(values).all() and (values > 0).all()):
            raise InputError(f"{name} has a price that is not positive")
    for name, values in (("q0", q0), ("q1", q1)):
        if not (np.isfinite(values).all() and (values >= 0).all() and values.sum() > 0):
            raise InputError(f"{name} has a negative quantity, or nothing was sold")


def compare(p0: F64, p1: F64, q0: F64, q1: F64) -> Comparison:
    """Every formula between two periods.

    Args:
        p0: float64[N], base prices > 0, any one unit.
        p1: float64[N], current prices > 0, same unit.
        q0: float64[N], base quantities >= 0, any one unit, at least one > 0.
        q1: float64[N], current quantities, likewise.

    Raises:
        InputError: shapes differ, a price is not positive, a quantity is negative.

    Example:
        >>> p0, p1 = np.array([2.4, 3.0]), np.array([2.5, 3.1])
        >>> c = compare(p0, p1, np.array([40.0, 60.0]), np.array([80.0, 20.0]))
        >>> f"{c.unit_value:.6f} {c.fisher:.6f} {c.mix_effect:.6f}"
        '0.949275 1.037956 0.914562'
    """
    _check(p0, p1, q0, q1)
    laspeyres = float(p1 @ q0 / (p0 @ q0))
    paasche = float(p1 @ q1 / (p0 @ q1))
    fisher = float(np.sqrt(laspeyres * paasche))
    share0, share1 = p0 * q0 / (p0 @ q0), p1 * q1 / (p1 @ q1)
    tornqvist = float(np.exp(0.5 * (share0 + share1) @ np.log(p1 / p0)))
    unit_value = float((p1 @ q1 / q1.sum()) / (p0 @ q0 / q0.sum()))
    return Comparison(laspeyres, paasche, fisher, tornqvist, unit_value, unit_value / fisher)


def lowe(p0: F64, p1: F64, quantity: F64) -> float:
    """Ratio of the cost of one stated basket, sum p1 q / sum p0 q: for secret quantities.

    Args:
        p0: float64[N], base prices > 0.
        p1: float64[N], current prices > 0.
        quantity: float64[N], the stated basket, >= 0.

    Raises:
        InputError: as ``compare``.
    """
    _check(p0, p1, quantity, quantity)
    return float(p1 @ quantity / (p0 @ quantity))
