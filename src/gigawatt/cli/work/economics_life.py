"""What ``gw economics life`` does: fit or take the market, compute, draw, and write the answer."""

from pathlib import Path

from gigawatt.app.economics_life import (
    LifeFound,
    RentAsked,
    ResaleAsked,
    TextFile,
    life_document,
    life_of,
)
from gigawatt.app.economics_plots import write_life
from gigawatt.app.economics_report import read_cost_inputs, write_table
from gigawatt.app.index_report import read_price_file
from gigawatt.cli.options import Format
from gigawatt.cli.output import write
from gigawatt.cli.work.economics_views import show_life
from gigawatt.economics.life.outlook import Outlook, years_text
from gigawatt.economics.life.rent import RentDecline
from gigawatt.errors import InputError

ILLUSTRATIVE = "Inputs are illustrative unless given with --inputs."


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


def _life_text(found: Outlook) -> str:
    usd = f"${found.inputs.rent_usd_per_gpu_hour:.3g}"
    if found.life_years_range is None:
        return f"{years_text(found.life_years)}: rent {usd} falls to cash cost"
    low, high = found.life_years_range
    return (
        f"{years_text(low)} to {years_text(high)} (95 %), {years_text(found.life_years)} at the "
        f"middle slope: rent {usd} falls to cash cost"
    )


def _file(path: Path | None, option: str, gpu: str | None) -> TextFile | None:
    """What stands in a file of prices, if one is given; it needs the name of a GPU beside it."""
    if path is None:
        return None
    if gpu is None:
        raise InputError(f"{option} needs --gpu, the name of a gpu in the file")
    return TextFile(path.name, read_price_file(path))


def life(
    rent: tuple[float | None, float | None, Path | None, str | None],
    resale: tuple[float, float, Path | None, str | None],
    inputs: Path | None,
    cash: float | None,
    horizon: int,
    plot: Path | None,
    save: Path | None,
    output: Format,
) -> None:
    """Say how long a GPU earns more than it costs, and when to redeploy, sell or retire it.

    ``rent`` and ``resale`` are the options: USD, slope, file and name of the GPU in it.
    """
    found = life_of(
        RentAsked(
            usd_per_gpu_hour=rent[0],
            slope_per_year=rent[1],
            panel=_file(rent[2], "--rental", rent[3]),
            gpu=rent[3],
        ),
        ResaleAsked(
            usd=resale[0],
            slope_per_year=resale[1],
            file=_file(resale[2], "--resale-file", resale[3]),
            gpu=resale[3],
        ),
        read_cost_inputs(inputs),
        cash,
        horizon,
    )
    if plot:
        fit = found.rent
        source = f"Rent: {fit.label}, {fit.months[-1]}. " if fit else ""
        title = f"Economic life in training: {_title(found.outlook)}"
        write_life(found.outlook, title, source + ILLUSTRATIVE, plot)
    if save:
        write_table(found.outlook.rows(), save)
    if output is Format.TABLE:
        show_life(_words(found), found.outlook)
    else:
        write(life_document(found), output)


def _words(found: LifeFound) -> dict[str, str]:
    """Facts of the life, for people."""
    words: dict[str, str] = {}
    used, market = found.resale, found.outlook.inputs
    if found.rent:
        words |= _rent_words(found.rent, is_slope_stated=found.is_slope_stated)
    if used:
        change = _change(used.change_share_per_year, used.change_share_interval())
        words["resale fit"] = f"{change}, {used.point_count} prices"
    words["economic life"] = _life_text(found.outlook)
    words["cash cost"] = f"${market.cash_usd_per_gpu_hour:.3f} a sold GPU-hour"
    words["used price"] = f"${market.resale_usd:,.0f} a GPU today" + ("" if used else ", stated")
    return words


def _title(found: Outlook) -> str:
    if found.life_years_range is None:
        return years_text(found.life_years)
    low, high = found.life_years_range
    return f"{years_text(low)} to {years_text(high)} (95 % of the rent's slope)"
