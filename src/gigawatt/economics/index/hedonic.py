"""The time-dummy index: one regression over all months, with standard errors.

ln p_ct = a_c + sum_t d_t D_t + b x_c + e_ct, where a_c is an effect of the cell (or of the
provider, and then x = ln of the node's GPUs may stand beside it). Level of month t: exp(d_t); the
estimate of the level itself is exp(d_t - se_t^2 / 2), because E exp(d) > exp(E d).
Effects are taken out by demeaning (Frisch, Waugh and Lovell), so only dummies are solved for.
Source: Eurostat et al., Handbook on Residential Property Price Indices (2013), chapter 5 (time
dummy); Goldberger 1968, Kennedy 1981 (bias of exp); White 1980 (HC1); Liang, Zeger 1986 (CR1).
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from gigawatt.economics.index.panel import Panel
from gigawatt.errors import InputError
from gigawatt.fleet.model import F64, I64

Effects = Literal["cell", "provider"]
Errors = Literal["classical", "robust", "cluster"]


@dataclass(frozen=True, slots=True, eq=False)
class TimeDummy:
    """Levels of a time-dummy regression.

    Fields:
        log_level: float64[T], d_t, 0 in the base month, NaN where no common cell leads to the base.
        log_se: float64[T], standard error of d_t, 0 in the base month; NaN without a residual.
        level: float64[T], exp(log_level). level_corrected: exp(log_level - log_se^2 / 2).
        node_size_elasticity: b, None if it was not asked for or cannot be told from the effects.
        observation_count, parameter_count: n and k of the regression.
    """

    log_level: F64
    log_se: F64
    node_size_elasticity: float | None
    observation_count: int
    parameter_count: int

    @property
    def level(self) -> F64:
        """float64[T]: exp(log_level)."""
        return np.asarray(np.exp(self.log_level), dtype=np.float64)

    @property
    def level_corrected(self) -> F64:
        """float64[T]: exp(log_level - log_se^2 / 2), for forecasts of the level."""
        return np.asarray(np.exp(self.log_level - 0.5 * self.log_se**2), dtype=np.float64)


def _connected(groups: I64, months: I64, base: int, month_count: int) -> F64:
    """bool[T]: months that chains of common effects lead to from the base."""
    seen = np.zeros((groups.max() + 1, month_count), dtype=bool)
    seen[groups, months] = True
    reached = np.zeros(month_count, dtype=bool)
    reached[base] = True
    for _ in range(month_count):
        reached |= seen[seen[:, reached].any(axis=1)].any(axis=0)
    return reached


def _demeaned(values: F64, groups: I64) -> F64:
    if not values.shape[1]:
        return values
    counts = np.bincount(groups)
    means = np.stack([np.bincount(groups, weights=column) for column in values.T], axis=1)
    return np.asarray(values - (means / np.maximum(counts, 1)[:, None])[groups], dtype=np.float64)


def _covariance(design: F64, residual: F64, k: int, clusters: I64, errors: Errors) -> F64:
    """Covariance of the coefficients; NaN where there is no degree of freedom."""
    n = len(residual)
    bread = np.linalg.pinv(design.T @ design)
    if n <= k or not len(bread):
        return np.full_like(bread, np.nan)
    if errors == "classical":
        return np.asarray(bread * (residual @ residual) / (n - k), dtype=np.float64)
    scores = design * residual[:, None]
    factor = n / (n - k)
    if errors == "cluster":
        kept, numbers = np.unique(clusters, return_inverse=True)
        if len(kept) < 2:
            return np.full_like(bread, np.nan)
        scores = np.stack([np.bincount(numbers, weights=column) for column in scores.T], axis=1)
        factor = len(kept) / (len(kept) - 1) * (n - 1) / (n - k)
    return np.asarray(factor * bread @ (scores.T @ scores) @ bread, dtype=np.float64)


def time_dummy(
    panel: Panel,
    base: int = 0,
    *,
    effects: Effects = "cell",
    with_node_size: bool = False,
    errors: Errors = "cluster",
) -> TimeDummy:
    """The time-dummy index of a panel.

    Args:
        panel: prices.
        base: number of the month whose level is 1.
        effects: what gets an effect of its own; cells hold everything that does not change.
        with_node_size: estimate the elasticity of the price per GPU to the node's GPUs as well.
        errors: "classical", "robust" (HC1) or "cluster" (CR1 by provider).

    Raises:
        InputError: the base month has no price, or the node size is asked for beside cell effects,
            which already hold it, or is not known in every cell.
    """
    prices = panel.price_usd_per_gpu_hour
    month_count = len(panel.months)
    rows, months = np.nonzero(~np.isnan(prices))
    if base not in months:
        raise InputError(f"base month {panel.months[base]} has no price")
    nodes = np.array([cell.node_gpu_count for cell in panel.cells])
    if with_node_size and (effects == "cell" or (nodes == 0).any()):
        raise InputError(
            "the node size needs provider effects and a known node in every cell",
            next_step="Use effects='provider', or leave the node size out.",
        )
    groups = rows if effects == "cell" else panel.provider_index[rows]
    reached = _connected(groups, months, base, month_count)
    kept = reached[months]
    rows, months, groups = rows[kept], months[kept], np.unique(groups[kept], return_inverse=True)[1]
    columns = [month for month in np.flatnonzero(reached) if month != base]
    design = (months[:, None] == np.array(columns, dtype=np.int64)[None, :]).astype(np.float64)
    if with_node_size:
        design = np.column_stack([design, np.log(nodes[rows])])
    target = np.log(prices[rows, months])
    design_within = _demeaned(design, groups)
    target_within = _demeaned(target[:, None], groups)[:, 0]
    solution, _, rank, _ = np.linalg.lstsq(design_within, target_within, rcond=None)
    residual = target_within - design_within @ solution
    k = int(rank) + int(groups.max()) + 1
    clusters = panel.provider_index[rows]
    error = np.sqrt(np.diag(_covariance(design_within, residual, k, clusters, errors)).clip(0.0))
    log_level, log_se = np.full(month_count, np.nan), np.full(month_count, np.nan)
    log_level[base] = log_se[base] = 0.0
    log_level[columns], log_se[columns] = solution[: len(columns)], error[: len(columns)]
    elasticity = None
    if with_node_size and int(rank) == design.shape[1]:
        elasticity = float(solution[-1])
    return TimeDummy(log_level, log_se, elasticity, len(target), k)
