"""One sub-index: one GPU, term and kind of price by every method, and what is withheld and why."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from gigawatt.economics.index.breaks import Break, find_breaks
from gigawatt.economics.index.chain import Chain, chain
from gigawatt.economics.index.hedonic import TimeDummy, time_dummy
from gigawatt.economics.index.multilateral import geks_of_panel
from gigawatt.economics.index.panel import Panel, make_panel, without_outliers
from gigawatt.economics.index.quote import Quote, Series
from gigawatt.economics.index.screening import Exclusion
from gigawatt.economics.index.settings import Settings
from gigawatt.fleet.model import F64

Z95 = 1.959964
"""Two-sided 95 % quantile of the normal law."""


@dataclass(frozen=True, slots=True, eq=False)
class SubIndex:
    """Price levels of one series; all levels are 1 in the base month.

    Fields:
        series: what is measured. panel: its prices without outliers.
        chain: the matched index, the headline. dummy, geks_level: the same months by other methods,
            float64[T], NaN where the chain withholds. dummy is None without a base month.
        pooled_mean_level, pooled_median_level: float64[T], the naive figures, never withheld.
        unit_value_level: float64[T], revenue per GPU-hour, None unless every quantity is known.
        mix_effect: float64[T], unit value over the matched index, or pooled mean over it where
            quantities are secret; NaN where the index is withheld.
        outliers, breaks: what was taken out, and on which days the source seems to have changed.
    """

    series: Series
    panel: Panel
    chain: Chain
    dummy: TimeDummy | None
    geks_level: F64
    pooled_mean_level: F64
    pooled_median_level: F64
    unit_value_level: F64 | None
    outliers: tuple[Exclusion, ...]
    breaks: tuple[Break, ...]

    @property
    def level(self) -> F64:
        """float64[T]: the matched index, 1 in the base month, NaN where withheld."""
        return np.asarray(np.exp(self.chain.log_level), dtype=np.float64)

    @property
    def band(self) -> tuple[F64, F64]:
        """Two float64[T]: 95 % band of the matched index."""
        width = Z95 * self.chain.log_se
        low, high = np.exp(self.chain.log_level - width), np.exp(self.chain.log_level + width)
        return np.asarray(low, dtype=np.float64), np.asarray(high, dtype=np.float64)

    @property
    def dummy_level(self) -> F64:
        """float64[T]: the time-dummy index where the gates let a value pass, else NaN."""
        if self.dummy is None:
            return np.full(len(self.panel.months), np.nan)
        return np.where(np.isnan(self.chain.log_level), np.nan, self.dummy.level)

    @property
    def mix_effect(self) -> F64:
        """float64[T]: what the naive figure did beyond prices, as a factor."""
        naive = self.unit_value_level
        naive = self.pooled_mean_level if naive is None else naive
        return np.asarray(naive / self.level, dtype=np.float64)


def _unit_value(panel: Panel) -> F64 | None:
    if not panel.has_quantities:
        return None
    hours = np.nansum(panel.quantity_gpu_hours, axis=0)
    revenue = np.nansum(panel.price_usd_per_gpu_hour * panel.quantity_gpu_hours, axis=0)
    with np.errstate(invalid="ignore"):
        return np.asarray(revenue / hours, dtype=np.float64)


def _levels(values: F64, base: int | None) -> F64:
    if base is None:
        return np.full(len(values), np.nan)
    return np.asarray(values / values[base], dtype=np.float64)


def sub_index(quotes: Sequence[Quote], settings: Settings) -> SubIndex:
    """The sub-index of quotes of one series.

    Args:
        quotes: at least one, screened.
        settings: every judgement.

    Raises:
        InputError: no quote, or two series are mixed.
    """
    raw = make_panel(quotes, settings)
    panel, outliers = without_outliers(raw, settings)
    chained = chain(panel, settings.gates)
    base = chained.base
    geks_log = np.full(len(panel.months), np.nan)
    dummy = None
    if base is not None:
        dummy = time_dummy(panel, base)
        formula = "fisher" if panel.has_quantities else "jevons"
        geks_log = geks_of_panel(panel, formula, settings.gates.provider_count_min)
        geks_log = geks_log - geks_log[base]
    unit_value = _unit_value(panel)
    return SubIndex(
        series=quotes[0].cell.series,
        panel=panel,
        chain=chained,
        dummy=dummy,
        geks_level=np.where(np.isnan(chained.log_level), np.nan, np.exp(geks_log)),
        pooled_mean_level=_levels(panel.pooled_mean_usd_per_gpu_hour, base),
        pooled_median_level=_levels(panel.pooled_median_usd_per_gpu_hour, base),
        unit_value_level=None if unit_value is None else _levels(unit_value, base),
        outliers=outliers,
        breaks=find_breaks(quotes),
    )


def sub_indices(quotes: Iterable[Quote], settings: Settings) -> tuple[SubIndex, ...]:
    """Every sub-index of the quotes, in order of series; none mixes two."""
    groups: dict[Series, list[Quote]] = defaultdict(list)
    for quote in quotes:
        groups[quote.cell.series].append(quote)
    return tuple(sub_index(group, settings) for _, group in sorted(groups.items()))
