"""How answers of ``gw economics`` look on a terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

import typer

from gigawatt.app.economics_sankey import power_text
from gigawatt.cli.output import pairs, paragraph, table
from gigawatt.economics.chain.by_type import TypeChain
from gigawatt.economics.chain.energy import EnergyBalance
from gigawatt.economics.chain.fleet_chain import ChainRequest, ServingChain
from gigawatt.economics.chain.ledger import TokenLedger
from gigawatt.economics.chain.training_chain import TrainingChain, TrainingLedger, TrainingRequest
from gigawatt.economics.gpu_hour.cost import GpuHourCost
from gigawatt.economics.gpu_hour.sensitivity import Swing
from gigawatt.economics.life.outlook import Outlook
from gigawatt.economics.validation.judge import Judged, scores

SWINGS_SHOWN = 8


def _type_lines(part: TypeChain[TokenLedger], request: ChainRequest) -> dict[str, str]:
    ledger = part.ledger
    if ledger is None:
        return {"not served": part.reason}
    return {
        "dense peak": f"{part.peak_flop_per_s / 1e15:,.0f} PFLOP/s {request.precision.value}",
        "useful": f"{ledger.useful_flop_share:.1%} of it",
        "engine": f"{ledger.engine_gpu_count} GPUs, {ledger.rate.sequence_count:,.0f} answers at a "
        f"time, {1 / ledger.rate.llm_token_s:.1f} tokens/s for a user",
        "tokens out": f"{ledger.output_llm_tokens_per_s:,.0f} /s",
        "energy": f"{ledger.joules_per_output_llm_token['facility']:.3g} J a token at the meter, "
        f"{ledger.joules_per_output_llm_token['source']:.3g} J at the source",
        "cost": f"${ledger.cost_usd_per_million_output_llm_tokens:.3g} a million tokens, "
        f"{ledger.output_llm_tokens_per_usd:,.0f} tokens a dollar",
        "time": ", ".join(f"{rung.name} {rung.time_share:.0%}" for rung in ledger.ladder),
    }


def _show_balance(name: str, balance: EnergyBalance) -> None:
    paragraph(f"power of {name}")
    table(
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
            for row in balance.rows()
        ],
    )


def show_chain(name: str, result: ServingChain, request: ChainRequest) -> None:
    """Write the power of a fleet stage by stage, then tokens, joules and dollars by node type."""
    _show_balance(name, result.balance)
    traffic = request.traffic
    for part in result.types:
        title = (
            f"\n{part.node_type}: {part.gpu_count:,} GPUs serve {request.shape.name}, "
            f"{traffic.input_llm_tokens:g} tokens in, {traffic.output_llm_tokens:g} out"
        )
        pairs(title, _type_lines(part, request))


def _training_lines(part: TypeChain[TrainingLedger], request: TrainingRequest) -> dict[str, str]:
    ledger = part.ledger
    if ledger is None:
        return {"not trained": part.reason}
    run, joules = ledger.run, ledger.joules_per_trained_llm_token
    return {
        "dense peak": f"{part.peak_flop_per_s / 1e15:,.0f} PFLOP/s {request.precision.value}",
        "MFU": f"{ledger.rate.mfu_share:.1%} of it, causal attention counted",
        "layout": f"tensor {run.tensor_ways} x pipeline {run.pipeline_ways} x data "
        f"{run.data_ways}, experts {run.expert_ways} ways, on {run.gpu_count:,} GPUs: the fastest "
        f"that memory holds; steps of {run.llm_tokens_per_step:,} tokens in sequences of "
        f"{run.sequence_llm_tokens:,}, {ledger.rate.step.total_s:.3g} s",
        "trained": f"{ledger.rate.llm_tokens_per_s:,.0f} tokens/s",
        "energy": f"{joules['facility']:.3g} J a token at the meter, {joules['source']:.3g} J at "
        "the source",
        "cost": f"${ledger.cost_usd_per_million_trained_llm_tokens:.3g} a million trained tokens",
        "time": ", ".join(
            f"{rung.name} {rung.time_share:.1%}" for rung in ledger.ladder if rung.time_share > 0
        ),
    }


def show_training(name: str, result: TrainingChain, request: TrainingRequest) -> None:
    """Write the power of a fleet stage by stage, then its training by node type."""
    _show_balance(name, result.balance)
    for part in result.types:
        title = f"\n{part.node_type}: {part.gpu_count:,} GPUs train {request.shape.name}"
        pairs(title, _training_lines(part, request))


def _input_text(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def show_costs(
    costs: Sequence[GpuHourCost], document: Mapping[str, Any], price: str, moved: Sequence[Swing]
) -> None:
    """Write both views by component, cost over utilisation, break-even, and the widest swings."""
    even = document["break_even_utilisation_share"].values()
    components = [
        [name, *(f"{cost.components[name]:.4f}" for cost in costs)] for name in costs[0].components
    ]
    paragraph("USD for a sold GPU-hour")
    table(
        ["component", *(cost.view for cost in costs)],
        [
            *components,
            ["total", *(f"{cost.total_usd:.4f}" for cost in costs)],
            ["of it cash", *(f"{cost.cash_usd:.4f}" for cost in costs)],
            [f"hours to sell at {price}", *(f"{share:.1%}" for share in even)],
        ],
    )
    paragraph(f"over hours sold; dollars are revenue over {price} times all hours to break even")
    views = [cost.view for cost in costs]
    table(
        ["hours sold", *(f"{view} {what}" for view in views for what in ("USD", "dollars"))],
        [
            [
                f"{row['sold_hours_share']:.0%}",
                *(
                    text
                    for view in views
                    for text in (f"{row[f'{view}_usd']:.3f}", f"{row[f'{view}_dollar_share']:.1%}")
                ),
            ]
            for row in document["over_utilisation"]
        ],
    )
    paragraph("widest swings, accounting view")
    table(
        ["input", "lower", "USD", "higher", "USD"],
        [
            [
                swing.field,
                _input_text(swing.low_value),
                f"{swing.cost_usd_low:.3f}",
                _input_text(swing.high_value),
                f"{swing.cost_usd_high:.3f}",
            ]
            for swing in moved[:SWINGS_SHOWN]
        ],
    )


def _with_range(value: float, ranges: Sequence[tuple[float, float]], number: int) -> str:
    if not ranges:
        return f"{value:,.0f}"
    low, high = ranges[number]
    return f"{value:,.0f} ({low:,.0f} to {high:,.0f})"


def show_life(words: dict[str, str], found: Outlook) -> None:
    """Write the facts of a life and the plan year by year."""
    pairs("life", words)
    paragraph("USD for a GPU, by year from now")
    annuities, sales = found.annuity_usd_intervals, found.liquidation_usd_intervals
    table(
        ["year", "best action", "best plan", "rental annuity", "liquidation"],
        [
            [
                year.year,
                year.action,
                f"{year.worth_usd:,.0f}",
                _with_range(year.annuity_usd, annuities, number),
                _with_range(year.liquidation_usd, sales, number),
            ]
            for number, year in enumerate(found.plan)
        ],
    )


def show_check(results: Sequence[Judged], how: str) -> None:
    """Write errors by family, the misses, and why rows are not computed."""
    found = scores(results)
    paragraph(f"computed against published: {how}")
    table(
        ["family", "rows", "median error", "90th percentile", "bias", "misses"],
        [
            [
                score.family,
                score.row_count,
                f"{score.error_share_median:.1%}",
                f"{score.error_share_p90:.1%}",
                f"{score.bias_share:+.1%}",
                len(score.misses),
            ]
            for score in found
        ],
    )
    misses = [miss for score in found for miss in score.misses]
    typer.echo(f"misses: {len(misses)}, as computed / published")
    for miss in misses:
        row = miss.row
        typer.echo(
            f"  line {row.row_number}: {miss.ratio:.2f} = {miss.computed_value:.4g} / "
            f"{row.value:.4g} {row.unit}; {row.system[:32]}, {row.language_model_name}, "
            f"{row.metric[:48]}"
        )
    reasons: dict[str, int] = {}
    for result in results:
        if result.reason:
            reasons[result.reason] = reasons.get(result.reason, 0) + 1
    typer.echo(f"not computed: {sum(reasons.values())} of {len(results)}")
    for reason, count in reasons.items():
        typer.echo(f"  {count} x {reason}")
