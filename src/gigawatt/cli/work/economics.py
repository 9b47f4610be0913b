"""What the commands of ``gw economics`` do: read, compute, draw, and write the answer."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from gigawatt.app.economics_chain import (
    Asked,
    ServingAsked,
    SupplyAsked,
    chain_document,
    chain_of,
    training_request,
)
from gigawatt.app.economics_cost import both_views, cost_document, cost_rows
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
from gigawatt.cli.work.economics_life import ILLUSTRATIVE, life
from gigawatt.cli.work.economics_views import show_chain, show_check, show_costs, show_training
from gigawatt.economics.chain.training_chain import TrainingRequest
from gigawatt.economics.gpu_hour.capex import capex_presets
from gigawatt.economics.gpu_hour.sensitivity import swings
from gigawatt.economics.validation.judge import Judged, judge, judge_left_out
from gigawatt.economics.validation.measurement import parse_measurements, published_measurements
from gigawatt.errors import InputError
from gigawatt.fleet.demo import fleet_by_name
from gigawatt.fleet.model import Fleet

__all__ = [
    "ServingAsked",
    "SupplyAsked",
    "chain",
    "check",
    "gpu_hour",
    "life",
    "site_of",
    "training_request_of",
]


def site_of(fleet: str | None) -> Fleet:
    """The demo fleet of this name; the fleet at home for none."""
    return fleet_by_name(fleet) if fleet else Home.default().fleet()


def training_request_of(
    llm: str,
    precision: str | None,
    served: Mapping[str, object],
    supply: SupplyAsked,
    usd: float,
) -> Asked:
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
    return training_request(llm, precision or "bf16", supply, usd)


def chain(
    site: Fleet,
    site_id: str | None,
    request: Asked,
    plot: Path | None,
    save: Path | None,
    output: Format,
) -> None:
    """Follow power of a fleet or site from the plant to tokens, with the loss at every stage."""
    result = chain_of(site, request, site_id)
    name = site.name if site_id is None else f"{site.name}, {site_id}"
    if plot:
        gpu_count = sum(part.gpu_count for part in result.types)
        words = f"{name}: from the plant to {gpu_count:,} GPUs"
        source = (
            f"Plant {request.path.plant_efficiency_share:.0%}, PUE {request.path.pue:g}, nodes at "
            f"{request.assumption.load_share:g} of the makers' maximum (catalogue)."
        )
        write_sankey(result.balance, words, source, plot)
    if save:
        write_table(result.rows(), save)
    if output is not Format.TABLE:
        write(chain_document(result), output)
    elif isinstance(request, TrainingRequest):
        show_training(name, result, request)
    else:
        show_chain(name, result, request)


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
    document = cost_document(given, usd)
    costs, moved = both_views(given), swings(given)
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
    if save:
        write_table(cost_rows(costs), save)
    if output is Format.TABLE:
        show_costs(costs, document, f"${usd:g}", moved)
    else:
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
