"""What the commands of ``gw economics`` do: read, compute, draw, and write the answer."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

from gigawatt.app.economics_plots import (
    write_capex,
    write_cost_stack,
    write_parity,
    write_tornado,
)
from gigawatt.app.economics_report import read_cost_inputs, read_text, write_table
from gigawatt.app.economics_sankey import write_sankey
from gigawatt.app.home import Home
from gigawatt.cli.options import Format
from gigawatt.cli.output import write
from gigawatt.cli.work.economics_life import ILLUSTRATIVE, Rent, Resale, life
from gigawatt.cli.work.economics_views import show_chain, show_check, show_costs, show_training
from gigawatt.economics.chain.energy import (
    PLANT_EFFICIENCY_SHARE,
    EnergyBalance,
    LoadAssumption,
    PowerPath,
)
from gigawatt.economics.chain.fleet_chain import ChainRequest, fleet_chain
from gigawatt.economics.chain.serving import Traffic
from gigawatt.economics.chain.silicon import Precision
from gigawatt.economics.chain.training_chain import TrainingRequest, fleet_training
from gigawatt.economics.gpu_hour.capex import capex_presets
from gigawatt.economics.gpu_hour.cost import break_even_utilisation_share, gpu_hour_cost
from gigawatt.economics.gpu_hour.sensitivity import swings
from gigawatt.economics.models.llm import language_model
from gigawatt.economics.validation.constants import CONSTANTS
from gigawatt.economics.validation.judge import Judged, judge, judge_left_out
from gigawatt.economics.validation.measurement import parse_measurements, published_measurements
from gigawatt.errors import InputError
from gigawatt.fleet.demo import fleet_by_name
from gigawatt.fleet.model import Fleet

__all__ = [
    "Rent",
    "Resale",
    "chain",
    "check",
    "gpu_hour",
    "life",
    "request_of",
    "site_of",
    "training",
    "training_request_of",
]


def site_of(fleet: str | None) -> Fleet:
    """The demo fleet of this name; the fleet at home for none."""
    return fleet_by_name(fleet) if fleet else Home.default().fleet()


def _precision_of(text: str) -> Precision:
    if text not in set(Precision):
        raise InputError(f"precision is {text!r}, wanted one of {', '.join(Precision)}")
    return Precision(text)


def _supply_of(supply: tuple[str, float, float, float | None]) -> tuple[PowerPath, LoadAssumption]:
    """How power arrives and what it drives; ``supply`` is plant, PUE, delivery and load."""
    plant, pue, delivery, load = supply
    if plant not in PLANT_EFFICIENCY_SHARE:
        known = ", ".join(PLANT_EFFICIENCY_SHARE)
        raise InputError(f"plant is {plant!r}, wanted one of {known}")
    usual = LoadAssumption(load_share=CONSTANTS.load_power_share)
    assumption = usual if load is None else replace(usual, load_share=load)
    return PowerPath(PLANT_EFFICIENCY_SHARE[plant], delivery, pue), assumption


def request_of(
    llm: str,
    precision: str,
    lengths: tuple[float, float],
    speed: float | None,
    supply: tuple[str, float, float, float | None],
    usd: float,
) -> ChainRequest:
    """The request that the options describe; ``supply`` is plant, PUE, delivery and load.

    Raises:
        InputError: an option is out of range or names nothing.
    """
    if speed is not None and speed <= 0:
        raise InputError(f"speed is {speed:g}, wanted more than 0 tokens/s")
    path, assumption = _supply_of(supply)
    return ChainRequest(
        language_model(llm),
        _precision_of(precision),
        Traffic(*lengths),
        path,
        assumption,
        usd,
        1.0 / speed if speed else None,
    )


def training_request_of(
    llm: str,
    precision: str | None,
    served: Mapping[str, object],
    supply: tuple[str, float, float, float | None],
    usd: float,
) -> TrainingRequest:
    """The training that the options describe; ``served`` are options that only serving has.

    Raises:
        InputError: an option is out of range, names nothing, or belongs to serving.
    """
    stray = [name for name, value in served.items() if value is not None]
    if stray:
        raise InputError(
            f"{', '.join(stray)} belongs to serving and --training serves nobody",
            next_step="Leave out one side, and ask twice for both.",
        )
    return TrainingRequest(
        language_model(llm), _precision_of(precision or "bf16"), *_supply_of(supply), usd
    )


def _plot_balance(
    site: Fleet, balance: EnergyBalance, path: PowerPath, assumption: LoadAssumption, plot: Path
) -> None:
    words = f"{site.name}: from the plant to {site.gpu_count:,} GPUs"
    source = (
        f"Plant {path.plant_efficiency_share:.0%}, PUE {path.pue:g}, nodes at "
        f"{assumption.load_share:g} of the makers' maximum (catalogue)."
    )
    write_sankey(balance, words, source, plot)


def chain(
    site: Fleet,
    request: ChainRequest,
    plot: Path | None,
    save: Path | None,
    output: Format,
) -> None:
    """Follow power of a fleet from the plant to tokens, with the loss at every stage."""
    result = fleet_chain(site, request, CONSTANTS.serving)
    if plot:
        _plot_balance(site, result.balance, request.path, request.assumption, plot)
    if save:
        write_table(result.rows(), save)
    if output is Format.TABLE:
        show_chain(site.name, result, request)
    else:
        write({"stages": result.balance.rows(), "types": result.rows()}, output)


def training(
    site: Fleet,
    request: TrainingRequest,
    plot: Path | None,
    save: Path | None,
    output: Format,
) -> None:
    """Follow power of a fleet from the plant to trained tokens, with the loss at every stage."""
    result = fleet_training(site, request, CONSTANTS.training)
    if plot:
        _plot_balance(site, result.balance, request.path, request.assumption, plot)
    if save:
        write_table(result.rows(), save)
    if output is Format.TABLE:
        show_training(site.name, result, request)
    else:
        write({"stages": result.balance.rows(), "types": result.rows()}, output)


def gpu_hour(
    inputs: Path | None,
    utilisation: float | None,
    usd: float,
    plot: Path | None,
    tornado: Path | None,
    capex: Path | None,
    save: Path | None,
    output: Format,
) -> None:
    """Show the cost of a sold GPU-hour by component, in two views of capital."""
    given = read_cost_inputs(inputs)
    if utilisation is not None:
        given = replace(given, utilisation_share=utilisation)
    views = (False, True)
    costs = [gpu_hour_cost(given, is_economic=view) for view in views]
    even = [break_even_utilisation_share(given, usd, is_economic=view) for view in views]
    moved = swings(given)
    if plot:
        words = f"Cost of a sold GPU-hour at {given.utilisation_share:.0%} of hours sold"
        write_cost_stack(costs, words, ILLUSTRATIVE, plot)
    if tornado:
        words = "What moves the cost of a sold GPU-hour (each input -20 % / +20 %)"
        write_tornado(moved, costs[0].total_usd, words, f"Accounting view. {ILLUSTRATIVE}", tornado)
    if capex:
        presets = capex_presets()
        sources = {part.source for preset in presets for part in preset.parts}
        write_capex(presets, "; ".join(sorted(sources)) + ".", capex)
    rows: list[dict[str, object]] = [
        {"view": cost.view, **cost.components, "total_usd": cost.total_usd} for cost in costs
    ]
    if save:
        write_table(rows, save)
    if output is Format.TABLE:
        show_costs(costs, even, f"${usd:g}", moved)
        return
    document = {
        "costs": rows,
        "break_even_utilisation_share": {c.view: e for c, e in zip(costs, even, strict=True)},
        "swings": [asdict(swing) for swing in moved],
        "inputs": asdict(given),
    }
    write(document, output)


def _line(result: Judged) -> dict[str, object]:
    row = result.row
    return {
        "line": row.row_number,
        "family": result.family,
        "system": row.system,
        "llm": row.language_model_name,
        "metric": row.metric,
        "unit": row.unit,
        "published_value": row.value,
        "computed_value": result.computed_value,
        "is_miss": result.is_miss,
        "reason": result.reason,
    }


def check(
    measurements: Path | None,
    quick: bool,
    plot: Path | None,
    save: Path | None,
    output: Format,
) -> None:
    """Compare published measurements with what we compute, and list the misses.

    Another table is judged by the shipped constants; the shipped one with each system left out.
    """
    if measurements:
        rows = parse_measurements(read_text(measurements), str(measurements))
    else:
        rows = published_measurements()
    is_quick = quick or measurements is not None
    results = judge(rows) if is_quick else judge_left_out(rows)
    how = "shipped constants" if is_quick else "constants fitted without the system judged"
    lines = [_line(result) for result in results]
    if plot:
        write_parity(results, f"{len(rows)} published rows; {how}.", plot)
    if save:
        write_table(lines, save)
    if output is Format.TABLE:
        show_check(results, how)
    else:
        write({"how": how, "rows": lines}, output)
