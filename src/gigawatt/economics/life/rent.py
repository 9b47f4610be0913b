"""How fast the rent of a GPU changes, from a rental panel, with the interval a short panel leaves.

ln p_ct = a_c + s t + e_ct over months that the index publishes: the time-dummy regression with one
slope in the place of dummies. A cell is only compared with itself, so a dear seller that leaves is
no decline. Errors of one seller hang together, and so do errors of one month, which all sellers
share; a few months are then a wide interval.
Source: Cameron, Gelbach, Miller 2011 (two-way clusters, and the t law of the fewer clusters - 1).
"""

from dataclasses import dataclass
from math import exp, inf, isfinite

import numpy as np

from gigawatt.economics.index.csv_format import read_offers
from gigawatt.economics.index.panel import Panel
from gigawatt.economics.index.quote import Term
from gigawatt.economics.index.screening import screen
from gigawatt.economics.index.settings import Settings
from gigawatt.economics.index.subindex import SubIndex, sub_indices
from gigawatt.errors import InputError
from gigawatt.fleet.model import F64, I64

MONTHS_PER_YEAR = 12.0
MONTH_COUNT_MIN = 3
LOG_STEP_MIN = 1e-9
"""Far below a micro-dollar of any rent; what rounding leaves of a price that never moved."""
T975 = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160,
    2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056,
    2.052, 2.048, 2.045, 2.042,
)  # fmt: skip
"""97.5 % quantile of Student's law for 1 to 30 degrees of freedom; beyond, the last is a little too
wide. Source: Abramowitz and Stegun 1964, table 26.10."""


@dataclass(frozen=True, slots=True)
class RentDecline:
    """``rent = start exp(slope t)``, t in years after the last published month.

    Fields:
        label: of the series, e.g. "H100-SXM-80GB on_demand list".
        rent_usd_per_gpu_hour: median over cells of the last published month.
        slope_per_year: change of the logarithm a year; negative for a fall.
        slope_error_per_year: standard error of it.
        freedom_count: degrees of freedom of the error.
        months: published months that were fitted, "YYYY-MM".
        provider_count: sellers with a price in two of those months or more.
        withheld: a sentence for each month that the index withholds.
    """

    label: str
    rent_usd_per_gpu_hour: float
    slope_per_year: float
    slope_error_per_year: float
    freedom_count: int
    months: tuple[str, ...]
    provider_count: int
    withheld: tuple[str, ...]

    @property
    def slope_interval_per_year(self) -> tuple[float, float]:
        """95 % interval of the slope."""
        reach = T975[min(self.freedom_count, len(T975)) - 1] * self.slope_error_per_year
        return self.slope_per_year - reach, self.slope_per_year + reach

    @property
    def carried_slope_per_year(self) -> float:
        """The slope to count future years with, at most 0.

        A rise over months carried on over a decade would make any GPU worth millions.
        """
        return min(0.0, self.slope_per_year)

    @property
    def carried_interval_per_year(self) -> tuple[float, float]:
        """95 % interval of the slope to count future years with."""
        low, high = self.slope_interval_per_year
        return min(0.0, low), min(0.0, high)

    @property
    def change_share_per_year(self) -> float:
        """Change in a year: -0.2 is a fall by a fifth."""
        return exp(self.slope_per_year) - 1.0

    @property
    def change_share_interval(self) -> tuple[float, float]:
        """95 % interval of the change in a year."""
        low, high = self.slope_interval_per_year
        return exp(low) - 1.0, exp(high) - 1.0


def _variance(scores: F64, groups: I64, n: int, k: int) -> float:
    """Sum of squared scores by group, with the factor for few groups."""
    count = len(np.unique(groups))
    if count < 2:
        return inf
    sums = np.bincount(groups, weights=scores)
    return float((sums**2).sum()) * count / (count - 1) * (n - 1) / (n - k)


def _slope(panel: Panel, published: I64) -> tuple[float, float, int, int]:
    """(slope, standard error, degrees of freedom, sellers) over the published months."""
    prices = panel.price_usd_per_gpu_hour[:, published]
    rows, columns = np.nonzero(~np.isnan(prices) & ((~np.isnan(prices)).sum(axis=1) > 1)[:, None])
    if not len(rows):
        return 0.0, inf, 0, 0
    cells = np.unique(rows, return_inverse=True)[1]
    values = np.stack([published[columns] / MONTHS_PER_YEAR, np.log(prices[rows, columns])])
    counts = np.bincount(cells)
    time, log_usd_per_gpu_hour = (
        value - (np.bincount(cells, weights=value) / counts)[cells] for value in values
    )
    square = float(time @ time)
    slope = float(time @ log_usd_per_gpu_hour) / square
    scores = time * (log_usd_per_gpu_hour - slope * time) / square
    n, k = len(rows), len(counts) + 1
    sellers = np.unique(panel.provider_index[rows], return_inverse=True)[1]
    both = np.unique(sellers * len(published) + columns, return_inverse=True)[1]
    freedom = min(len(np.unique(sellers)), len(np.unique(columns))) - 1
    if n <= k or freedom < 1 or np.abs(log_usd_per_gpu_hour).max() < LOG_STEP_MIN:
        # Prices that never moved have no spread; that is not a slope of 0 known for certain.
        return slope, inf, 0, int(sellers.max()) + 1
    by_seller, by_month = (_variance(scores, group, n, k) for group in (sellers, columns))
    # The sum counts what seller and month share twice; with few clusters it can fall below a part.
    variance = max(by_seller, by_month, by_seller + by_month - _variance(scores, both, n, k))
    return slope, float(np.sqrt(variance)), freedom, int(sellers.max()) + 1


def rent_decline_of(part: SubIndex) -> RentDecline:
    """The change of rent a year that one sub-index shows, from months it publishes.

    Raises:
        InputError: the gates of the index leave fewer than three months, or matched prices are
            too few or never moved, so that there is no error to compute.
    """
    months, reasons = part.panel.months, part.chain.reasons
    withheld = tuple(f"{m}: {why}" for m, why in zip(months, reasons, strict=True) if why)
    published = np.flatnonzero([not why for why in reasons])
    why = "; ".join(withheld)
    if len(published) < MONTH_COUNT_MIN:
        raise InputError(
            f"the rent slope of {part.series.label} is withheld: the index publishes "
            f"{len(published)} of {len(months)} months, wanted {MONTH_COUNT_MIN} ({why})",
            next_step="Give a panel with more sellers, or state --rent and --rent-slope.",
        )
    slope, error, freedom, providers = _slope(part.panel, published)
    if not isfinite(error):
        raise InputError(
            f"the rent slope of {part.series.label} is withheld: matched prices of {providers} "
            f"sellers in {len(published)} months are too few or never moved: no error to compute",
            next_step="Give a panel with more sellers, or state --rent and --rent-slope.",
        )
    return RentDecline(
        label=part.series.label,
        rent_usd_per_gpu_hour=float(
            np.nanmedian(part.panel.price_usd_per_gpu_hour[:, published[-1]])
        ),
        slope_per_year=slope,
        slope_error_per_year=error,
        freedom_count=freedom,
        months=tuple(months[number] for number in published),
        provider_count=providers,
        withheld=withheld,
    )


def rent_decline(text: str, table: str, gpu: str, settings: Settings | None = None) -> RentDecline:
    """The change of on-demand rent of one GPU in a price file, screened and gated as the index is.

    Args:
        text: our own table of offers, or a daily panel.
        table: what to call it in complaints.
        gpu: name ("H100"), label ("H100-SXM-80GB") or label of the series.
        settings: every judgement of the index; None for the usual ones.

    Raises:
        InputError: the file is malformed, has no such GPU or several, or the slope is withheld.
    """
    judged = settings or Settings()
    quotes = [
        quote
        for quote in screen(read_offers(text, table), judged).quotes
        if quote.cell.term is Term.ON_DEMAND
    ]
    wanted = [
        quote
        for quote in quotes
        if gpu in {quote.cell.gpu.name, quote.cell.gpu.label, quote.cell.series.label}
    ]
    if not wanted:
        known = ", ".join(sorted({quote.cell.gpu.label for quote in quotes})) or "none"
        raise InputError(
            f"{table} has no on-demand price of {gpu!r}", next_step=f"GPUs in the file: {known}."
        )
    series = sorted({quote.cell.series for quote in wanted})
    if len(series) > 1:
        names = ", ".join(found.label for found in series)
        raise InputError(
            f"{gpu!r} is several series of {table}: {names}",
            next_step="Name one of them; their prices are never mixed.",
        )
    (part,) = sub_indices(wanted, judged)
    return rent_decline_of(part)
