"""``gw index``: the rental price index, and price history from a catalogue's clone."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal, InvalidOperation
from math import inf, isfinite, log
from pathlib import Path
from typing import Annotated

import typer

from gigawatt.app.index_report import (
    Choice,
    IndexReport,
    make_report,
    read_price_file,
    report_document,
    with_gates_open,
    write_report,
)
from gigawatt.app.skypilot_clone import import_history
from gigawatt.cli.output import Format, OutputOption, console, table, write
from gigawatt.economics.index.csv_format import write_offers
from gigawatt.economics.index.quote import Term
from gigawatt.economics.index.screening import count_rules
from gigawatt.economics.index.sensitivity import Line
from gigawatt.economics.index.settings import CellPrice, Gates, Settings
from gigawatt.economics.index.subindex import SubIndex
from gigawatt.economics.index.upper import UpperIndex
from gigawatt.errors import InputError

app = typer.Typer(help="Rental prices: matched indices per GPU and term.", no_args_is_help=True)

WITHHELD = "withheld"
EXAMPLES_MAX = 3
FORMULAS = ("laspeyres", "paasche", "fisher", "tornqvist", "unit_value", "mix_effect")


def rate_of(text: str) -> tuple[str, int]:
    """Currency and micro-USD for one unit of it, from ``EUR=1.08``.

    Raises:
        InputError: not a rate.

    Example:
        >>> rate_of("EUR=1.08")
        ('EUR', 1080000)
    """
    currency, _, number = text.partition("=")
    try:
        rate = Decimal(number)
    except InvalidOperation:
        rate = Decimal(0)
    if not (len(currency) == 3 and currency.isupper() and rate.is_finite() and 0 < rate < 10**6):
        raise InputError(f"{text!r} is no rate", next_step="Write e.g. EUR=1.08, USD for one.")
    return currency, round(rate * 1_000_000)


def weight_of(text: str) -> tuple[Term, float]:
    """Term and GPU-hours of the stated basket, from ``on_demand=60``.

    Raises:
        InputError: not a weight.
    """
    term, _, number = text.partition("=")
    try:
        weight = (Term(term), float(number))
    except ValueError:
        weight = (Term.ON_DEMAND, -1.0)
    if not (weight[1] >= 0 and isfinite(weight[1])):
        raise InputError(f"{text!r} is no weight", next_step="Write e.g. on_demand=60.")
    return weight


def day_of(text: str | None) -> date | None:
    """A day from ``2026-02-19``; None for None.

    Raises:
        InputError: not a day.
    """
    try:
        return date.fromisoformat(text) if text is not None else None
    except ValueError as error:
        raise InputError(f"{text!r} is no day", next_step="Write e.g. 2026-02-19.") from error


def _cell(value: float | None, digits: int = 1) -> str:
    return f"{value:.{digits}f}" if value is not None and isfinite(value) else "-"


def _rows(part: SubIndex) -> list[list[str]]:
    rows = []
    low, high = part.band
    for number, month in enumerate(part.panel.months):
        is_shown = not part.chain.reasons[number]
        has_band = is_shown and number != part.chain.base
        rows.append(
            [
                month,
                _cell(100 * part.level[number]) if is_shown else WITHHELD,
                f"{_cell(100 * low[number], 0)}..{_cell(100 * high[number], 0)}" * has_band,
                _cell(100 * part.dummy_level[number]),
                _cell(100 * part.geks_level[number]),
                _cell(100 * part.pooled_mean_level[number]),
                _cell(100 * part.pooled_median_level[number]),
                _cell(part.mix_effect[number], 3),
                str(part.chain.provider_count[number]),
                f"{part.chain.matched_count[number]}/{part.chain.cell_count[number]}",
            ]
        )
    return rows


def _show_part(part: SubIndex, lines: Sequence[Line]) -> None:
    console.print()
    columns = ["month", "index", "95 %", "dummy", "GEKS", "mean", "median", "mix", "sellers",
               "matched"]  # fmt: skip
    table(f"{part.gpu.label} {part.term.value}, base month = 100", columns, _rows(part))
    for month, reason in zip(part.panel.months, part.chain.reasons, strict=True):
        if reason:
            console.print(f"  {month} is withheld: {reason}", markup=False)
    notes = [f"{item.name}: {item.sentence}" for item in part.outliers]
    for note in (*notes, *(found.sentence for found in part.breaks)):
        console.print(f"  note: {note}", markup=False)
    console.print()
    rows = [
        [
            line.parameter,
            line.value,
            line.last_month or "-",
            _cell(None if line.level is None else 100 * line.level),
            str(line.withheld_count),
        ]
        for line in lines
    ]
    columns = ["judgement", "value", "last month", "index", "withheld months"]
    table("What the judgements do", columns, rows)


def _show_upper(upper: UpperIndex) -> None:
    console.print()
    rows = []
    for value in upper.values:
        found = value.comparison
        cells = [_cell(getattr(found, name, None), 6) for name in FORMULAS]
        lowe = None if value.lowe is None else 100 * value.lowe
        rows.append([value.month, _cell(lowe), *cells])
    terms = ", ".join(term.value for term in upper.terms)
    columns = ["month", "Lowe", *(name.replace("_", " ") for name in FORMULAS)]
    table(f"{upper.gpu_label}: {terms} together, base {upper.base_month}", columns, rows)
    for value in upper.values:
        if value.reason:
            console.print(f"  {value.month} is withheld: {value.reason}")


def _show(report: IndexReport) -> None:
    screened = report.screened
    console.print(f"{report.name}: {report.offer_count} offers, {len(screened.quotes)} quotes")
    for rule, count in count_rules(screened.exclusions).items():
        first = [item for item in screened.exclusions if item.rule == rule][:EXAMPLES_MAX]
        console.print(f"  left out, {rule}: {count}")
        for item in first:
            console.print(f"    {item.name}: {item.sentence}", markup=False)
    for part, lines in zip(report.parts, report.lines, strict=True):
        _show_part(part, lines)
    for upper in report.uppers:
        _show_upper(upper)


@app.command("report")
def report_command(
    panel: Annotated[Path, typer.Argument(help="Price file: our CSV table or a daily panel.")],
    gpu: Annotated[list[str] | None, typer.Option(help="GPU, e.g. H100 (repeatable).")] = None,
    term: Annotated[list[Term] | None, typer.Option(help="Term (repeatable).")] = None,
    since: Annotated[str | None, typer.Option(help="First day, e.g. 2026-02-19.")] = None,
    until: Annotated[str | None, typer.Option(help="Last day.")] = None,
    rate: Annotated[
        list[str] | None, typer.Option(help="USD for one unit, e.g. EUR=1.08 (repeatable).")
    ] = None,
    weight: Annotated[
        list[str] | None,
        typer.Option(help="GPU-hours of a term in the stated basket, e.g. on_demand=60."),
    ] = None,
    min_providers: Annotated[int, typer.Option(help="Withhold below this many providers.")] = 3,
    min_matched: Annotated[float, typer.Option(help="Withhold below this matched share.")] = 0.5,
    max_dispersion: Annotated[
        float, typer.Option(help="Withhold above this spread of log relatives.")
    ] = 0.45,
    cell_price: Annotated[
        str, typer.Option(help="median or geometric_mean of a cell's quotes in a month.")
    ] = "median",
    outlier_factor: Annotated[
        float, typer.Option(help="Moves below this factor are no outliers; 0 keeps all moves.")
    ] = 2.0,
    open_gates: Annotated[
        bool, typer.Option("--open-gates", help="Withhold nothing: own sales, or to compare.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="Folder for JSON and pictures.")] = None,
    output: OutputOption = Format.TABLE,
) -> None:
    """Index of every GPU and term in a price file, and what was withheld and why."""
    settings = _settings(min_providers, min_matched, max_dispersion, cell_price, outlier_factor)
    if open_gates:
        settings = with_gates_open(settings)
    report = make_report(
        read_price_file(panel),
        panel.name,
        settings,
        Choice(
            gpus=tuple(gpu or ()),
            terms=tuple(term or ()),
            first_day=day_of(since),
            last_day=day_of(until),
        ),
        rates_micro_usd=dict(rate_of(text) for text in rate or ()),
        basket_gpu_hours=dict(weight_of(text) for text in weight) if weight else None,
    )
    if output is Format.TABLE:
        _show(report)
    else:
        write(report_document(report), output)
    if out is not None:
        for path in write_report(report, out):
            typer.echo(f"wrote {path}", err=True)


def _settings(
    min_providers: int,
    min_matched: float,
    max_dispersion: float,
    cell_price: str,
    outlier_factor: float,
) -> Settings:
    how: CellPrice = "median"
    if cell_price == "geometric_mean":
        how = "geometric_mean"
    elif cell_price != "median":
        raise InputError(f"{cell_price!r} is no cell price", next_step="median or geometric_mean")
    if outlier_factor and not outlier_factor > 1:
        raise InputError(f"outlier factor {outlier_factor}, wanted more than 1, or 0")
    settings = Settings(
        gates=Gates(
            provider_count_min=min_providers,
            matched_ratio_min=min_matched,
            dispersion_max=max_dispersion,
        ),
        cell_price=how,
    )
    if not outlier_factor:
        return replace(settings, outlier_mad_limit=inf)
    return replace(settings, outlier_log_min=log(outlier_factor))


@app.command("import-skypilot")
def import_skypilot(
    clone: Annotated[Path, typer.Argument(help="Your clone of skypilot-catalog.")],
    cloud: Annotated[list[str], typer.Option(help="Cloud, e.g. lambda (repeatable).")],
    out: Annotated[Path, typer.Option(help="CSV file to write.")],
    catalog_version: Annotated[str, typer.Option(help="Schema folder of the clone.")] = "v8",
    since: Annotated[str | None, typer.Option(help="First day.")] = None,
) -> None:
    """List-price history out of the git history of a clone, as a price file."""
    offers = [
        offer
        for name in cloud
        for offer in import_history(clone, catalog_version, name, day_of(since))
    ]
    if not offers:
        raise InputError(f"{clone}: no offer with a GPU in the history asked for")
    try:
        out.write_text(write_offers(offers), encoding="utf-8")
    except OSError as error:
        raise InputError(f"{out} cannot be written: {error}") from error
    typer.echo(f"wrote {len(offers)} offers to {out}")
