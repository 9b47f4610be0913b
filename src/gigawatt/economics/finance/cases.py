"""What may go other than planned, for many cases at once."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

NEVER = 1_000_000
"""A month that no deal reaches."""


@dataclass(frozen=True, slots=True)
class Cases:
    """n ways in which the M months of a deal may go; ``calm`` is the plan itself.

    Fields:
        price_ratio: float64[n, M or 1]: on-demand price over the plan's.
        utilisation_odds: float64[n, M or 1]: odds of on-demand utilisation over the plan's, so
            that utilisation stays between 0 and 1.
        delay_months: int64[n]: every delivery comes this much later; it is paid as planned.
        default_month: int64[n]: the offtaker pays nothing from this month on; NEVER if it does.
        opex_ratio: float64[n].
        capex_ratio: float64[n]: paid for assets over the plan; the owner pays what is more.
        residual_ratio: float64[n]: of both residual values.
        base_rate_shift: float64[n]: added to the base rate, as a fraction in a year.
    """

    price_ratio: F64
    utilisation_odds: F64
    delay_months: I64
    default_month: I64
    opex_ratio: F64
    capex_ratio: F64
    residual_ratio: F64
    base_rate_shift: F64

    @property
    def count(self) -> int:
        """How many cases."""
        return len(self.delay_months)


def calm(count: int = 1) -> Cases:
    """``count`` cases in which everything goes as planned."""
    ones = np.ones(count)
    return Cases(
        price_ratio=ones[:, None],
        utilisation_odds=ones[:, None],
        delay_months=np.zeros(count, dtype=np.int64),
        default_month=np.full(count, NEVER, dtype=np.int64),
        opex_ratio=ones,
        capex_ratio=ones,
        residual_ratio=ones,
        base_rate_shift=np.zeros(count),
    )
