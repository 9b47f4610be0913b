"""``gw economics``: joules to tokens, the cost of a GPU-hour, its economic life, and a check."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import typer

from gigawatt.app.economics_plots import (
    write_capex,
    write_cost_stack,
    write_life,
    write_parity,
    write_tornado,
)
from gigawatt.app.economics_report import read_cost_inputs, read_text, write_table
from gigawatt.app.economics_sankey import power_text, write_sankey
from gigawatt.app.home import Home
from gigawatt.cli.output import Format, OutputOption, pairs, table, write
from gigawatt.economics.chain.energy import PLANT_EFFICIENCY_SHARE, LoadAssumption, PowerPath
from gigawatt.economics.chain.fleet_chain import ChainRequest, fleet_chain
from gigawatt.economics.chain.serving import Traffic
from gigawatt.economics.chain.silicon import Precision
from gigawatt.economics.gpu_hour.capex import capex_presets
from gigawatt.economics.gpu_hour.cost import break_even_utilisation_share, gpu_hour_cost
from gigawatt.economics.gpu_hour.sensitivity import swings
from gigawatt.economics.life.decay import fit_decay, parse_prices
from gigawatt.economics.life.plan import LifeInputs, best_plan, economic_life_years
from gigawatt.economics.models.llm import language_model
from gigawatt.economics.validation.constants import CONSTANTS
from gigawatt.economics.validation.judge import judge, judge_left_out, scores
from gigawatt.economics.validation.measurement import parse_measurements, published_measurements
from gigawatt.errors import InputError
from gigawatt.fleet.demo import fleet_by_name

app = typer.Typer(
    help="Joules to tokens, the cost of a GPU-hour, its economic life, and how well we compute.",
    no_args_is_help=True,
)
PlotOption = Annotated[Path | None, typer.Option("--plot", help="Write a picture (PNG) here.")]
SaveOption = Annotated[
    Path | None, typer.Option("--save", help="Write the table here (.csv or .json).")
]
CostOption = Annotated[
    Path | None, typer.Option("--inputs", help="YAML or JSON of cost inputs; else illustrative.")
]
ILLUSTRATIVE = "Inputs are illustrative unless given with --inputs."


def _input_text(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


@app.command()
def chain(
    llm: Annotated[str, typer.Option("--llm", help="Language model, e.g. llama-3.1-70b.")] = (
        "llama-3.1-70b"
    ),
    precision: Annotated[Precision, typer.Option("--precision", help="Number format.")] = (
        Precision.FP8
    ),
    prompt: Annotated[float, typer.Option("--prompt", help="Mean prompt, tokens.")] = 1000.0,
    answer: Annotated[float, typer.Option("--answer", help="Mean answer, tokens.")] = 1000.0,
    speed: Annotated[
        float | None, typer.Option("--speed", help="Tokens/s that a user gets at least.")
    ] = None,
    fleet: Annotated[
        str | None, typer.Option("--fleet", help="A demo fleet by name; else the fleet at home.")
    ] = None,
    plant: Annotated[
        str, typer.Option("--plant", help="grid, solar, gas-turbine, gas-engine, ...")
    ] = "gas-combined-cycle",
    pue: Annotated[float, typer.Option("--pue", help="Facility power over IT power.")] = 1.25,
    delivery: Annotated[
        float, typer.Option("--delivery", help="Share of plant output that arrives, 0 to 1.")
    ] = 0.98,
    load: Annotated[
        float, typer.Option("--load", help="Power of a node over its maximum, 0 to 1.")
    ] = CONSTANTS.load_power_share,
    cost: Annotated[float, typer.Option("--cost", help="USD for a GPU-hour.")] = 2.0,
    plot: PlotOption = None,
    save: SaveOption = None,
    output: OutputOption = Format.TABLE,
) -> None:
    """Follow power from the plant to tokens, with the loss at every stage."""
    if plant not in PLANT_EFFICIENCY_SHARE:
        raise InputError(
            f"plant is {plant!r}, wanted one of {', '.join(sorted(PLANT_EFFICIENCY_SHARE))}"
        )
    request = ChainRequest(
        language_model(llm),
        precision,
        Traffic(prompt, answer),
        PowerPath(PLANT_EFFICIENCY_SHARE[plant], delivery, pue),
        replace(LoadAssumption(), load_share=load),
        cost,
        1.0 / speed if speed else None,
    )
    site = fleet_by_name(fleet) if fleet else Home.default().fleet()
    result = fleet_chain(site, request, CONSTANTS.serving)
    if plot:
        write_sankey(
            result.balance,
            f"{site.name}: {plant} to {site.gpu_count:,} GPUs",
            f"Plant {plant} {PLANT_EFFICIENCY_SHARE[plant]:.0%}, PUE {pue:g}, load {load:g} of "
            "the makers' maximum (catalogue).",
            plot,
        )
    if save:
        write_table(result.rows(), save)
    if output is not Format.TABLE:
        write({"stages": result.balance.rows(), "types": result.rows()}, output)
        return
    table(
        f"power of {site.name}",
        ["stage", "fed by", "power", "of source", "of feeder", ""],
        [
            [
                row["stage"],
                row["fed_by"],
                power_text(float(str(row["power_w"]))),
                f"{row['source_share']:.1%}",
                f"{row['parent_share']:.1%}",
                "loss" if row["is_loss"] else "",
            ]
            for row in result.balance.rows()
        ],
    )
    for part in result.types:
        if part.ledger is None:
            typer.echo(f"{part.node_type}: {part.reason}")
            continue
        ledger = part.ledger
        pairs(
            f"\n{part.node_type}: {part.gpu_count:,} GPUs serve {request.shape.name}, "
            f"{prompt:g} tokens in, {answer:g} out",
            {
                "dense peak": f"{part.peak_flop_per_s / 1e15:,.0f} PFLOP/s {precision.value}",
                "useful": f"{ledger.useful_flop_share:.1%} of it",
                "engine": f"{ledger.engine_gpu_count} GPUs, "
                f"{ledger.rate.sequence_count:,.0f} answers at a time, "
                f"{1 / ledger.rate.llm_token_s:.1f} tokens/s for a user",
                "tokens out": f"{ledger.output_llm_tokens_per_s:,.0f} /s",
                "energy": f"{ledger.joules_per_output_llm_token['facility']:.3g} J a token at the "
                f"meter, {ledger.joules_per_output_llm_token['source']:.3g} J at the source",
                "cost": f"${ledger.cost_usd_per_million_output_llm_tokens:.3g} a million tokens, "
                f"{ledger.output_llm_tokens_per_usd:,.0f} tokens a dollar",
                "time": ", ".join(f"{r.name} {r.time_share:.0%}" for r in ledger.ladder),
            },
        )


@app.command("gpu-hour")
def gpu_hour(
    inputs: CostOption = None,
    utilisation: Annotated[
        float | None, typer.Option("--utilisation", help="Share of hours sold, 0 to 1.")
    ] = None,
    price: Annotated[
        float, typer.Option("--price", help="USD a GPU-hour, for the break-even.")
    ] = 2.5,
    plot: PlotOption = None,
    tornado: Annotated[
        Path | None, typer.Option("--tornado", help="Write the sensitivity picture here.")
    ] = None,
    capex: Annotated[
        Path | None, typer.Option("--capex", help="Write capital for each GW as a picture.")
    ] = None,
    save: SaveOption = None,
    output: OutputOption = Format.TABLE,
) -> None:
    """Show the cost of a sold GPU-hour by component, in two views of capital."""
    given = read_cost_inputs(inputs)
    if utilisation is not None:
        given = replace(given, utilisation_share=utilisation)
    costs = [gpu_hour_cost(given, is_economic=economic) for economic in (False, True)]
    moved = swings(given)
    if plot:
        words = f"Cost of a sold GPU-hour at {given.utilisation_share:.0%} of hours sold"
        write_cost_stack(costs, words, ILLUSTRATIVE, plot)
    if tornado:
        words = "What moves the cost of a sold GPU-hour (each input -20 % / +20 %)"
        write_tornado(moved, costs[0].total_usd, words, f"Accounting view. {ILLUSTRATIVE}", tornado)
    if capex:
        presets = capex_presets()
        parts = {part.source for preset in presets for part in preset.parts}
        write_capex(presets, "; ".join(sorted(parts)) + ".", capex)
    rows: list[dict[str, object]] = [
        {"view": cost.view, **cost.components, "total_usd": cost.total_usd} for cost in costs
    ]
    even = [
        break_even_utilisation_share(given, price, is_economic=economic)
        for economic in (False, True)
    ]
    if save:
        write_table(rows, save)
    if output is not Format.TABLE:
        document = {
            "costs": rows,
            "break_even_utilisation_share": dict(
                zip(("accounting", "economic"), even, strict=True)
            ),
            "swings": [asdict(swing) for swing in moved],
            "inputs": asdict(given),
        }
        write(document, output)
        return
    table(
        f"USD for a sold GPU-hour at {given.utilisation_share:.0%} of hours sold",
        ["component", "accounting", "economic"],
        [
            *([name, f"{costs[0].components[name]:.4f}", f"{costs[1].components[name]:.4f}"]
              for name in costs[0].components),
            ["total", f"{costs[0].total_usd:.4f}", f"{costs[1].total_usd:.4f}"],
            ["of it cash", f"{costs[0].cash_usd:.4f}", f"{costs[1].cash_usd:.4f}"],
            [f"break-even at ${price:g}", f"{even[0]:.1%}", f"{even[1]:.1%}"],
        ],
    )  # fmt: skip
    table(
        "widest swings, accounting view",
        ["input", "lower", "USD", "higher", "USD"],
        [
            [s.field, _input_text(s.low_value), f"{s.cost_usd_low:.3f}",
             _input_text(s.high_value), f"{s.cost_usd_high:.3f}"]
            for s in moved[:8]
        ],
    )  # fmt: skip


@app.command()
def life(
    rent: Annotated[float, typer.Option("--rent", help="Market rent, USD a GPU-hour.")] = 2.5,
    rent_slope: Annotated[
        float, typer.Option("--rent-slope", help="Change of its logarithm a year.")
    ] = -0.2,
    inputs: CostOption = None,
    cash: Annotated[
        float | None, typer.Option("--cash", help="Cash cost, USD a sold GPU-hour.")
    ] = None,
    resale: Annotated[float, typer.Option("--resale", help="Price used, USD a GPU.")] = 25_250.0,
    resale_slope: Annotated[
        float, typer.Option("--resale-slope", help="Change of its logarithm a year.")
    ] = -0.25,
    resale_file: Annotated[
        Path | None, typer.Option("--resale-file", help="CSV of gpu, date, usd to fit instead.")
    ] = None,
    gpu: Annotated[str | None, typer.Option("--gpu", help="Which gpu of the file.")] = None,
    horizon: Annotated[int, typer.Option("--horizon", help="Years to look ahead.")] = 12,
    plot: PlotOption = None,
    save: SaveOption = None,
    output: OutputOption = Format.TABLE,
) -> None:
    """Say how long a GPU earns more than it costs, and when to redeploy, sell or retire it."""
    given = read_cost_inputs(inputs)
    words = {}
    if resale_file:
        if gpu is None:
            raise InputError("--resale-file needs --gpu, the name of a gpu in the file")
        fitted = fit_decay(parse_prices(read_text(resale_file), str(resale_file), gpu))
        low, high = fitted.change_share_interval()
        resale, resale_slope = fitted.price_usd(fitted.last_year), fitted.slope_per_year
        words["resale fit"] = (
            f"{fitted.change_share_per_year:+.1%} a year ({low:+.1%} to {high:+.1%}), "
            f"{fitted.point_count} prices"
        )
    market = LifeInputs(
        rent_usd_per_gpu_hour=rent,
        rent_slope_per_year=rent_slope,
        cash_usd_per_gpu_hour=cash if cash is not None else gpu_hour_cost(given).cash_usd,
        resale_usd=resale,
        resale_slope_per_year=resale_slope,
        utilisation_share=given.utilisation_share,
        discount_rate_share=given.capital_rate_share,
        horizon_years=horizon,
    )
    years = economic_life_years(rent, rent_slope, market.cash_usd_per_gpu_hour)
    plan = best_plan(market)
    rows = [asdict(year) for year in plan]
    if plot:
        write_life(market, plan, f"Economic life {years:.1f} years", ILLUSTRATIVE, plot)
    if save:
        write_table(rows, save)
    if output is not Format.TABLE:
        write({"economic_life_years": years, "years": rows, "inputs": asdict(market)}, output)
        return
    words["economic life"] = f"{years:.1f} years: rent ${rent:g} falls to cash cost"
    words["cash cost"] = f"${market.cash_usd_per_gpu_hour:.3f} a sold GPU-hour"
    pairs("life", words)
    table(
        "USD for a GPU, by year from now",
        ["year", "best action", "best plan", "rental annuity", "liquidation"],
        [
            [y.year, y.action, f"{y.worth_usd:,.0f}", f"{y.annuity_usd:,.0f}",
             f"{y.liquidation_usd:,.0f}"]
            for y in plan
        ],
    )  # fmt: skip


@app.command()
def check(
    measurements: Annotated[
        Path | None, typer.Option("--table", help="CSV of measurements; else the shipped ones.")
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Use the shipped constants, leave no system out.")
    ] = False,
    plot: PlotOption = None,
    save: SaveOption = None,
    output: OutputOption = Format.TABLE,
) -> None:
    """Compare published measurements with what we compute, and list the misses."""
    if measurements:
        rows = parse_measurements(read_text(measurements), str(measurements))
        quick = True
    else:
        rows = published_measurements()
    results = judge(rows) if quick else judge_left_out(rows)
    how = "shipped constants" if quick else "constants fitted without the system judged"
    found = scores(results)
    skipped = [result for result in results if result.computed_value is None]
    lines: list[dict[str, object]] = [
        {
            "line": r.row.row_number,
            "family": r.family,
            "system": r.row.system,
            "llm": r.row.language_model_name,
            "metric": r.row.metric,
            "unit": r.row.unit,
            "published_value": r.row.value,
            "computed_value": r.computed_value,
            "is_miss": r.is_miss,
            "reason": r.reason,
        }
        for r in results
    ]
    if plot:
        write_parity(results, f"{len(rows)} published rows; {how}.", plot)
    if save:
        write_table(lines, save)
    if output is not Format.TABLE:
        write({"how": how, "rows": lines}, output)
        return
    table(
        f"computed against published: {how}",
        ["family", "rows", "median error", "90th percentile", "bias", "misses"],
        [
            [s.family, s.row_count, f"{s.error_share_median:.1%}", f"{s.error_share_p90:.1%}",
             f"{s.bias_share:+.1%}", len(s.misses)]
            for s in found
        ],
    )  # fmt: skip
    misses = [miss for score in found for miss in score.misses]
    table(
        f"misses: {len(misses)}",
        ["line", "family", "system", "llm", "metric", "published", "computed", "ratio"],
        [
            [m.row.row_number, m.family, m.row.system[:24], m.row.language_model_name[:18],
             m.row.metric[-32:], f"{m.row.value:.4g}", f"{m.computed_value:.4g}", f"{m.ratio:.2f}"]
            for m in misses
        ],
    )  # fmt: skip
    reasons: dict[str, int] = {}
    for result in skipped:
        reasons[result.reason] = reasons.get(result.reason, 0) + 1
    pairs(
        f"not computed: {len(skipped)} of {len(rows)}",
        {f"{count} x": reason for reason, count in reasons.items()},
    )
