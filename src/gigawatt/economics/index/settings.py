"""Every judgement of the index in one place; each has a line in the sensitivity table."""

from dataclasses import dataclass
from math import log
from typing import Literal

from gigawatt.errors import InputError

CellPrice = Literal["median", "geometric_mean"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gates:
    """When a value is withheld.

    Fields:
        provider_count_min: matched providers of a link, at least. Source: three is the usual floor
            of disclosure control in official price statistics.
        matched_ratio_min: matched cells over the larger of the two months' cells, 0 to 1.
        dispersion_max: standard deviation of the log price relatives of a link, at most. Source:
            0.45, the dispersion ceiling of gpu-price-index methodology 1.0; a judgement.
    """

    provider_count_min: int = 3
    matched_ratio_min: float = 0.5
    dispersion_max: float = 0.45

    def __post_init__(self) -> None:
        """Refuse thresholds that mean nothing.

        Raises:
            InputError: a threshold is out of its range.
        """
        if self.provider_count_min < 1:
            raise InputError(f"providers at least {self.provider_count_min}, wanted 1 or more")
        if not 0 <= self.matched_ratio_min <= 1:
            raise InputError(f"matched share at least {self.matched_ratio_min}, wanted 0 to 1")
        if not self.dispersion_max >= 0:
            raise InputError(f"dispersion at most {self.dispersion_max}, wanted 0 or more")


OPEN_GATES = Gates(provider_count_min=1, matched_ratio_min=0.0, dispersion_max=float("inf"))
"""Gates that withhold nothing but what cannot be computed: for own sales and for comparison."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How quotes become an index.

    Fields:
        gates: when a value is withheld.
        cell_price: how the quotes of one cell in one month become one price, where no quantities
            are known; with quantities it is their unit value. A median survives some bad days.
        outlier_mad_limit: a log relative is an outlier beyond this many scaled median absolute
            deviations of its link, and beyond ``outlier_log_min``; infinity keeps all.
        outlier_log_min: floor of that distance in log units. List prices rarely move, so the median
            deviation is often 0 and would call every change an outlier.
        node_price_tolerance_ratio: a price per GPU is taken for a price per node if it is the
            peers' median times the node's GPUs within this share; 0 turns the guard off.
        administered_cv_max: spot prices that are one multiple of on-demand with at most this
            coefficient of variation are set by rule and no market.
    """

    gates: Gates = Gates()
    cell_price: CellPrice = "median"
    outlier_mad_limit: float = 3.0
    outlier_log_min: float = log(2.0)
    node_price_tolerance_ratio: float = 0.25
    administered_cv_max: float = 0.001
