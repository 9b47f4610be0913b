"""Rental prices on the screen: the report of the index, and history imported from a clone."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal, InvalidOperation
from math import inf, isfinite, log
from pathlib import Path

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
from gigawatt.cli.options import Format
from gigawatt.cli.output import console, count_of, paragraph, remarks, table, write
from gigawatt.economics.index.csv_format import write_offers
from gigawatt.economics.index.quote import Term
from gigawatt.economics.index.screening import count_rules
from gigawatt.economics.index.sensitivity import CELL_PRICES, Line
from gigawatt.economics.index.settings import Gates, Settings
from gigawatt.economics.index.subindex import SubIndex
from gigawatt.economics.index.upper import UpperIndex
from gigawatt.errors import InputError

WITHHELD = "withheld"
EXAMPLES_MAX = 3
FORMULAS = ("laspeyres", "paasche", "fisher", "tornqvist", "unit_value", "mix_effect")


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgements:
    """The options that are judgements; each is the option of its name."""

    min_providers: int
    min_matched: float
    max_dispersion: float
    cell_price: str
    outlier_factor: float
    open_gates: bool


@dataclass(frozen=True, slots=True)
class Stated:
    """What the reader states. Fields: rates such as "EUR=1.08"; weights such as "spot=10"."""

    rates: tuple[str, ...]
    weights: tuple[str, ...]


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
    heading = f"{part.series.label}: base month = 100"
    console.print(f"\n{heading}", style="bold")
    columns = ["month", "index", "95 %", "dummy", "GEKS", "mean", "median", "mix", "sellers",
               "matched"]  # fmt: skip
    table(columns, _rows(part))
    for month, reason in zip(part.panel.months, part.chain.reasons, strict=True):
        if reason:
            console.print(f"  {month} is withheld: {reason}")
    notes = [f"{item.name}: {item.sentence}" for item in part.outliers]
    for note in (*notes, *(found.sentence for found in part.breaks)):
        paragraph(f"  note: {note}")
    console.print("\nWhat the judgements do", style="bold")
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
    table(columns, rows)


def _show_upper(upper: UpperIndex) -> None:
    rows = []
    for value in upper.values:
        found = value.comparison
        cells = [_cell(getattr(found, name, None), 6) for name in FORMULAS]
        lowe = None if value.lowe is None else 100 * value.lowe
        rows.append([value.month, _cell(lowe), *cells])
    terms = ", ".join(term.value for term in upper.terms)
    columns = ["month", "Lowe", *(name.replace("_", " ") for name in FORMULAS)]
    heading = f"{upper.gpu_label}: {terms} together, base {upper.base_month}"
    console.print(f"\n{heading}", style="bold")
    table(columns, rows)
    for value in upper.values:
        if value.reason:
            console.print(f"  {value.month} is withheld: {value.reason}")


def _show(report: IndexReport) -> None:
    screened = report.screened
    offers, quotes = count_of(report.offer_count, "offer"), count_of(len(screened.quotes), "quote")
    console.print(f"{report.name}: {offers}, {quotes}")
    for rule, count in count_rules(screened.exclusions).items():
        first = [item for item in screened.exclusions if item.rule == rule][:EXAMPLES_MAX]
        console.print(f"  left out, {rule}: {count}")
        for item in first:
            paragraph(f"    {item.name}: {item.sentence}")
    for part, lines in zip(report.parts, report.lines, strict=True):
        _show_part(part, lines)
    for upper in report.uppers:
        _show_upper(upper)


def _settings(how: Judgements) -> Settings:
    for known in CELL_PRICES:
        if how.cell_price == known:
            cell_price = known
            break
    else:
        wanted = " or ".join(CELL_PRICES)
        raise InputError(f"{how.cell_price!r} is no cell price", next_step=f"Write {wanted}.")
    factor = how.outlier_factor
    if factor and not 1 < factor < inf:
        raise InputError(
            f"outlier factor is {factor}, wanted more than 1, or 0",
            next_step="Write 2 for a doubling or halving, 0 to keep every move.",
        )
    gates = Gates(
        provider_count_min=how.min_providers,
        matched_ratio_min=how.min_matched,
        dispersion_max=how.max_dispersion,
    )
    settings = Settings(gates=gates, cell_price=cell_price)
    if factor:
        settings = replace(settings, outlier_log_min=log(factor))
    else:
        settings = replace(settings, outlier_mad_limit=inf)
    return with_gates_open(settings) if how.open_gates else settings


def choice_of(
    gpus: Sequence[str], terms: Sequence[str], since: str | None, until: str | None
) -> Choice:
    """What of the file is wanted.

    Raises:
        InputError: a term or a day is none.
    """
    try:
        known = tuple(Term(text) for text in terms)
    except ValueError as error:
        names = ", ".join(term.value for term in Term)
        raise InputError(f"{error}", next_step=f"Terms: {names}.") from error
    return Choice(gpus=tuple(gpus), terms=known, first_day=day_of(since), last_day=day_of(until))


def show_report(
    path: Path,
    choice: Choice,
    how: Judgements,
    stated: Stated,
    out: Path | None,
    form: Format,
) -> None:
    """Write the report of a price file to the screen and, if ``out`` is given, into a folder."""
    report = make_report(
        read_price_file(path),
        path.name,
        _settings(how),
        choice,
        rates_micro_usd=dict(rate_of(text) for text in stated.rates),
        basket_gpu_hours=dict(weight_of(text) for text in stated.weights) or None,
    )
    if form is Format.TABLE:
        _show(report)
    else:
        write(report_document(report), form)
    for written in write_report(report, out) if out is not None else ():
        remarks.print(f"wrote {written}")


def import_skypilot(
    clone: Path, catalog_version: str, clouds: Sequence[str], first_day: date | None, out: Path
) -> None:
    """Write the price history of clouds in a clone of skypilot-catalog as a price file."""
    offers = [
        offer
        for cloud in clouds
        for offer in import_history(clone, catalog_version, cloud, first_day)
    ]
    if not offers:
        raise InputError(
            f"{clone}: no offer with a GPU in the history asked for",
            next_step="Ask for another cloud, or an earlier first day.",
        )
    try:
        out.write_text(write_offers(offers), encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"{out} cannot be written: {error}", next_step="Choose another file."
        ) from error
    remarks.print(f"wrote {count_of(len(offers), 'offer')} to {out}")
