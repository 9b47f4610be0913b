"""Rental prices on the screen: the report of the index, and history imported from a clone."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

from gigawatt.app.clock import SystemClock
from gigawatt.app.index_choice import Judgements, choice_of, day_of, rate_micro_usd, weight_of
from gigawatt.app.index_files import write_report
from gigawatt.app.index_import import (
    import_gpuhunt_files,
    import_gpuhunt_query,
    import_sales,
    import_table,
    write_price_file,
)
from gigawatt.app.index_report import (
    Choice,
    IndexReport,
    make_report,
    read_price_file,
    report_document,
)
from gigawatt.app.skypilot_clone import import_history
from gigawatt.cli.options import Format
from gigawatt.cli.output import console, count_of, paragraph, remarks, table, write
from gigawatt.economics.index.quote import Offer
from gigawatt.economics.index.screening import count_rules
from gigawatt.economics.index.sensitivity import Line
from gigawatt.economics.index.subindex import SubIndex
from gigawatt.economics.index.upper import UpperIndex
from gigawatt.errors import InputError

__all__ = [
    "Judgements",
    "Stated",
    "choice_of",
    "import_csv",
    "import_gpuhunt",
    "import_meter",
    "import_skypilot",
    "show_report",
]

WITHHELD = "withheld"
EXAMPLES_MAX = 3
FORMULAS = ("laspeyres", "paasche", "fisher", "tornqvist", "unit_value", "mix_effect")


@dataclass(frozen=True, slots=True)
class Stated:
    """What the reader states. Fields: rates such as "EUR=1.08"; weights such as "spot=10"."""

    rates: tuple[str, ...]
    weights: tuple[str, ...]


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


def show_report(
    path: Path,
    choice: Choice,
    how: Judgements,
    stated: Stated,
    out: Path | None,
    form: Format,
) -> None:
    """Write the report of a price file to the screen and, if ``out`` is given, into a folder."""
    rates = [text.partition("=") for text in stated.rates]
    weights = [text.partition("=") for text in stated.weights]
    report = make_report(
        read_price_file(path),
        path.name,
        how.settings(),
        choice,
        rates_micro_usd={name: rate_micro_usd(name, number) for name, _, number in rates},
        basket_gpu_hours=dict(weight_of(term, hours) for term, _, hours in weights) or None,
    )
    if form is Format.TABLE:
        _show(report)
    else:
        write(report_document(report), form)
    for written in write_report(report, out) if out is not None else ():
        remarks.print(f"wrote {written}")


def _written(offers: Iterable[Offer], out: Path) -> None:
    count = write_price_file(offers, out)
    remarks.print(f"wrote {count_of(count, 'offer')} to {out}")


def import_skypilot(
    clone: Path, catalog_version: str, clouds: Sequence[str], since: str | None, out: Path
) -> None:
    """Write the price history of clouds in a clone of skypilot-catalog as a price file."""
    first_day = day_of(since)
    found = (import_history(clone, catalog_version, cloud, first_day) for cloud in clouds)
    _written((offer for history in found for offer in history), out)


def import_gpuhunt(
    files: Sequence[Path], day: str | None, providers: Sequence[str], out: Path
) -> None:
    """Write offers of catalogue files, or of an installed gpuhunt, as a price file."""
    published = day_of(day)
    if not files:
        if published is not None:
            raise InputError("--day is for files; what gpuhunt gives now is of today")
        _written(import_gpuhunt_query(providers, SystemClock()), out)
        return
    if published is None:
        raise InputError("files need --day, when the catalogue was published")
    if len(providers) > 1:
        raise InputError(f"{len(providers)} --provider for files, wanted at most one")
    _written(import_gpuhunt_files(files, published, providers[0] if providers else None), out)


def import_meter(file: Path, out: Path) -> None:
    """Write own sales as a price file."""
    _written(import_sales(file), out)


def import_csv(file: Path, columns: Sequence[str], values: Sequence[str], out: Path) -> None:
    """Write a table of any columns as a price file."""
    pairs = [dict(_pair(text) for text in texts) for texts in (columns, values)]
    _written(import_table(file, pairs[0], pairs[1]), out)


def _pair(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign or not name:
        raise InputError(f"{text!r} is no pair", next_step="Write e.g. price=usd_per_hour.")
    return name, value
