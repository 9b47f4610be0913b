"""What ``gw economics life`` does: fit or take the market, compute, draw, and write the answer."""

from dataclasses import asdict, dataclass
from math import isfinite
from pathlib import Path

from gigawatt.app.economics_plots import write_life
from gigawatt.app.economics_report import read_cost_inputs, read_text, write_table
from gigawatt.app.index_report import read_price_file
from gigawatt.cli.options import Format
from gigawatt.cli.output import write
from gigawatt.cli.work.economics_views import show_life
from gigawatt.economics.gpu_hour.cost import gpu_hour_cost
from gigawatt.economics.life.decay import Decay, fit_decay, parse_prices
from gigawatt.economics.life.outlook import Outlook, outlook, years_text
from gigawatt.economics.life.plan import LifeInputs
from gigawatt.economics.life.rent import RentDecline, rent_decline
from gigawatt.errors import InputError

ILLUSTRATIVE = "Inputs are illustrative unless given with --inputs."
RENT_USD_PER_GPU_HOUR = 2.5
RENT_SLOPE_PER_YEAR = -0.2
"""Illustrative, as is the rent; both are options."""


@dataclass(frozen=True, slots=True)
class Rent:
    """What the options say about rent.

    Fields: usd_per_gpu_hour and slope_per_year, None for the panel's or an illustrative value;
    panel, a price file; gpu, its name there.
    """

    usd_per_gpu_hour: float | None
    slope_per_year: float | None
    panel: Path | None
    gpu: str | None

    def fit(self) -> RentDecline | None:
        """What the panel says; None without a panel.

        Raises:
            InputError: nothing is left to fit, no GPU is named, or the index withholds.
        """
        if self.panel is None:
            return None
        if self.gpu is None:
            raise InputError("--rental needs --gpu, the name of a gpu in the file")
        if self.usd_per_gpu_hour is not None and self.slope_per_year is not None:
            raise InputError(
                "--rental has nothing to fit beside --rent and --rent-slope",
                next_step="Leave one of the three out.",
            )
        return rent_decline(read_price_file(self.panel), self.panel.name, self.gpu)


@dataclass(frozen=True, slots=True)
class Resale:
    """What the options say about the used price.

    Fields: usd and slope_per_year, where there is no file; file of used prices; gpu, its name
    there.
    """

    usd: float
    slope_per_year: float
    file: Path | None
    gpu: str | None

    def fit(self) -> Decay | None:
        """What the file says; None without a file.

        Raises:
            InputError: no GPU is named, or the file has too few prices of it.
        """
        if self.file is None:
            return None
        if self.gpu is None:
            raise InputError("--resale-file needs --gpu, the name of a gpu in the file")
        return fit_decay(parse_prices(read_text(self.file), str(self.file), self.gpu))


def _change(share: float, ends: tuple[float, float]) -> str:
    return f"{share:+.1%} a year ({ends[0]:+.1%} to {ends[1]:+.1%})"


def _rent_words(fit: RentDecline, *, is_slope_stated: bool) -> dict[str, str]:
    """What the panel says, and how far it reaches."""
    words = {
        "rent fit": f"{_change(fit.change_share_per_year, fit.change_share_interval)}, 95 %; "
        f"{fit.label}, {fit.provider_count} sellers, {fit.months[0]} to {fit.months[-1]}"
    }
    if fit.withheld:
        words["withheld"] = "; ".join(fit.withheld)
    if is_slope_stated:
        words["rent slope"] = "stated, so the life is a point"
    else:
        low, high = fit.slope_interval_per_year
        doubt = " and do not show that rent falls" if low < 0 < high else ""
        words["caution"] = (
            f"{len(fit.months)} published months of listed prices carry a wide interval{doubt}; "
            "a fall is carried forward unchanged, a rise as flat rent"
        )
    return words


def _market_of(
    rent: Rent, resale: Resale, fits: tuple[RentDecline | None, Decay | None],
    given: tuple[Path | None, float | None, int],
) -> LifeInputs:  # fmt: skip
    """The market: what is stated first, then what is fitted, then what is illustrative."""
    inputs, cash, horizon = given
    costs = read_cost_inputs(inputs)
    rental, used = fits
    usd = rental.rent_usd_per_gpu_hour if rental else RENT_USD_PER_GPU_HOUR
    slope = rental.carried_slope_per_year if rental else RENT_SLOPE_PER_YEAR
    return LifeInputs(
        rent_usd_per_gpu_hour=usd if rent.usd_per_gpu_hour is None else rent.usd_per_gpu_hour,
        rent_slope_per_year=slope if rent.slope_per_year is None else rent.slope_per_year,
        cash_usd_per_gpu_hour=cash if cash is not None else gpu_hour_cost(costs).cash_usd,
        resale_usd=used.price_usd(used.last_year) if used else resale.usd,
        resale_slope_per_year=used.slope_per_year if used else resale.slope_per_year,
        utilisation_share=costs.utilisation_share,
        discount_rate_share=costs.capital_rate_share,
        horizon_years=horizon,
    )


def _life_text(found: Outlook) -> str:
    usd = f"${found.inputs.rent_usd_per_gpu_hour:.3g}"
    if found.life_years_range is None:
        return f"{years_text(found.life_years)}: rent {usd} falls to cash cost"
    low, high = found.life_years_range
    return (
        f"{years_text(low)} to {years_text(high)} (95 %), {years_text(found.life_years)} at the "
        f"middle slope: rent {usd} falls to cash cost"
    )


def _finite(years: float) -> float | None:
    return years if isfinite(years) else None


def _document(found: Outlook, fit: RentDecline | None) -> dict[str, object]:
    document: dict[str, object] = {"economic_life_years": _finite(found.life_years)}
    if found.life_years_range is not None:
        low, high = found.life_years_range
        document |= {
            "economic_life_years_low": _finite(low),
            "economic_life_years_high": _finite(high),
        }
    document |= {"years": found.rows(), "inputs": asdict(found.inputs)}
    if fit is not None:
        document["rent_fit"] = asdict(fit) | {
            "slope_per_year_low": fit.slope_interval_per_year[0],
            "slope_per_year_high": fit.slope_interval_per_year[1],
        }
    return document


def life(
    rent: Rent,
    resale: Resale,
    inputs: Path | None,
    cash: float | None,
    horizon: int,
    plot: Path | None,
    save: Path | None,
    output: Format,
) -> None:
    """Say how long a GPU earns more than it costs, and when to redeploy, sell or retire it."""
    rental, used = rent.fit(), resale.fit()
    market = _market_of(rent, resale, (rental, used), (inputs, cash, horizon))
    words: dict[str, str] = {}
    span, fall = None, None
    if rental:
        is_stated = rent.slope_per_year is not None
        words |= _rent_words(rental, is_slope_stated=is_stated)
        span = None if is_stated else rental.carried_interval_per_year
    if used:
        change = _change(used.change_share_per_year, used.change_share_interval())
        words["resale fit"] = f"{change}, {used.point_count} prices"
        reach = 1.96 * used.slope_error_per_year
        if isfinite(reach):
            fall = (used.slope_per_year - reach, used.slope_per_year + reach)
    found = outlook(market, span, fall)
    if plot:
        source = f"Rent: {rental.label}, {rental.months[-1]}. " if rental else ""
        title = f"Economic life in training: {_title(found)}"
        write_life(found, title, source + ILLUSTRATIVE, plot)
    if save:
        write_table(found.rows(), save)
    if output is not Format.TABLE:
        write(_document(found, rental), output)
        return
    words["economic life"] = _life_text(found)
    words["cash cost"] = f"${market.cash_usd_per_gpu_hour:.3f} a sold GPU-hour"
    words["used price"] = f"${market.resale_usd:,.0f} a GPU today" + ("" if used else ", stated")
    show_life(words, found)


def _title(found: Outlook) -> str:
    if found.life_years_range is None:
        return years_text(found.life_years)
    low, high = found.life_years_range
    return f"{years_text(low)} to {years_text(high)} (95 % of the rent's slope)"
