"""Economic life as asked in plain values and texts of files, and its answer as a document."""

from dataclasses import asdict, dataclass
from math import isfinite
from typing import Any

from gigawatt.economics.gpu_hour.cost import gpu_hour_cost
from gigawatt.economics.gpu_hour.inputs import CostInputs
from gigawatt.economics.life.decay import Decay, fit_decay, parse_prices
from gigawatt.economics.life.outlook import Outlook, outlook
from gigawatt.economics.life.plan import LifeInputs
from gigawatt.economics.life.rent import RentDecline, rent_decline
from gigawatt.errors import InputError

RENT_USD_PER_GPU_HOUR = 2.5
RENT_SLOPE_PER_YEAR = -0.2
"""Illustrative, as is the rent; both are inputs."""
RESALE_USD = 25_250.0
RESALE_SLOPE_PER_YEAR = -0.25
"""Illustrative, of the order of a used H100 PCIe; both are inputs."""


@dataclass(frozen=True, slots=True)
class TextFile:
    """A file that was read. Fields: name, for complaints; text."""

    name: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RentAsked:
    """Rent, as a caller says it.

    Fields: usd_per_gpu_hour and slope_per_year, None for the panel's or an illustrative value;
    panel, a price file; gpu, its name there.
    """

    usd_per_gpu_hour: float | None = None
    slope_per_year: float | None = None
    panel: TextFile | None = None
    gpu: str | None = None

    def fit(self) -> RentDecline | None:
        """What the panel says; None without a panel.

        Raises:
            InputError: nothing is left to fit, no GPU is named, or the index withholds.
        """
        if self.panel is None:
            return None
        if self.gpu is None:
            raise InputError("a rental panel needs gpu, the name of a gpu in the file")
        if self.usd_per_gpu_hour is not None and self.slope_per_year is not None:
            raise InputError(
                "a rental panel has nothing to fit beside rent and its slope",
                next_step="Leave one of the three out.",
            )
        return rent_decline(self.panel.text, self.panel.name, self.gpu)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResaleAsked:
    """The used price, as a caller says it.

    Fields: usd and slope_per_year, where there is no file; file of used prices; gpu, its name
    there.
    """

    usd: float = RESALE_USD
    slope_per_year: float = RESALE_SLOPE_PER_YEAR
    file: TextFile | None = None
    gpu: str | None = None

    def fit(self) -> Decay | None:
        """What the file says; None without a file.

        Raises:
            InputError: no GPU is named, or the file has too few prices of it.
        """
        if self.file is None:
            return None
        if self.gpu is None:
            raise InputError("a file of used prices needs gpu, the name of a gpu in the file")
        return fit_decay(parse_prices(self.file.text, self.file.name, self.gpu))


@dataclass(frozen=True, slots=True)
class LifeFound:
    """A life and what was fitted for it.

    Fields: outlook; rent, None where it was stated; resale, likewise; is_slope_stated, whether the
    slope of rent replaces the fitted one, so that the life is a point.
    """

    outlook: Outlook
    rent: RentDecline | None
    resale: Decay | None
    is_slope_stated: bool


def life_of(
    rent: RentAsked,
    resale: ResaleAsked,
    costs: CostInputs,
    cash_usd_per_gpu_hour: float | None,
    horizon_years: int,
) -> LifeFound:
    """The life of a GPU: what is stated first, then what is fitted, then what is illustrative.

    Args:
        rent: rent today and its slope, stated or to be fitted.
        resale: the used price, likewise.
        costs: inputs of the cash cost, of utilisation and of the discount rate.
        cash_usd_per_gpu_hour: cash cost of a sold hour; None for that of ``costs``.
        horizon_years: beyond which nothing is counted.

    Raises:
        InputError: an input is out of range, or a file cannot be fitted.
    """
    rental, used = rent.fit(), resale.fit()
    usd = rental.rent_usd_per_gpu_hour if rental else RENT_USD_PER_GPU_HOUR
    slope = rental.carried_slope_per_year if rental else RENT_SLOPE_PER_YEAR
    cash = gpu_hour_cost(costs).cash_usd
    market = LifeInputs(
        rent_usd_per_gpu_hour=usd if rent.usd_per_gpu_hour is None else rent.usd_per_gpu_hour,
        rent_slope_per_year=slope if rent.slope_per_year is None else rent.slope_per_year,
        cash_usd_per_gpu_hour=cash if cash_usd_per_gpu_hour is None else cash_usd_per_gpu_hour,
        resale_usd=used.price_usd(used.last_year) if used else resale.usd,
        resale_slope_per_year=used.slope_per_year if used else resale.slope_per_year,
        utilisation_share=costs.utilisation_share,
        discount_rate_share=costs.capital_rate_share,
        horizon_years=horizon_years,
    )
    is_stated = rent.slope_per_year is not None
    span = rental.carried_interval_per_year if rental and not is_stated else None
    fall = None
    if used:
        reach = 1.96 * used.slope_error_per_year
        if isfinite(reach):
            fall = (used.slope_per_year - reach, used.slope_per_year + reach)
    return LifeFound(outlook(market, span, fall), rental, used, is_stated)


def _finite(years: float) -> float | None:
    return years if isfinite(years) else None


def life_document(found: LifeFound) -> dict[str, Any]:
    """The life as values for JSON; null where it has no end."""
    seen, fit = found.outlook, found.rent
    document: dict[str, Any] = {"economic_life_years": _finite(seen.life_years)}
    if seen.life_years_range is not None:
        low, high = seen.life_years_range
        document |= {
            "economic_life_years_low": _finite(low),
            "economic_life_years_high": _finite(high),
        }
    document |= {"years": seen.rows(), "inputs": asdict(seen.inputs)}
    if fit is not None:
        document["rent_fit"] = asdict(fit) | {
            "slope_per_year_low": fit.slope_interval_per_year[0],
            "slope_per_year_high": fit.slope_interval_per_year[1],
        }
    return document
