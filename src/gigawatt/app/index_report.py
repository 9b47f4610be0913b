"""The report of the price index: read a price file, measure, and say it as a document."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from gigawatt.economics.index.csv_format import read_offers
from gigawatt.economics.index.quote import Quote, Term
from gigawatt.economics.index.screening import Screened, accept, count_rules, guard
from gigawatt.economics.index.sensitivity import Line, guard_sensitivity, sensitivity
from gigawatt.economics.index.settings import Settings
from gigawatt.economics.index.subindex import SubIndex, sub_indices
from gigawatt.economics.index.upper import UpperIndex, upper_index
from gigawatt.errors import InputError

FILE_BYTES_MAX = 1 << 30
LISTED_EXCLUSIONS_MAX = 200
"""Exclusions written out by name; the counts per rule are always complete."""


@dataclass(frozen=True, slots=True)
class IndexReport:
    """Everything the report says.

    Fields:
        name: of the price file. settings: every judgement. offer_count: rows read.
        screened: quotes and what was left out. parts: sub-indices, in order of series.
        uppers: terms together, for GPUs that have every term of the stated basket.
        lines: sensitivity of each part, in the order of ``parts``.
    """

    name: str
    settings: Settings
    offer_count: int
    screened: Screened
    parts: tuple[SubIndex, ...]
    uppers: tuple[UpperIndex, ...]
    lines: tuple[tuple[Line, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What of the file is wanted.

    Fields: gpus, names such as "H100" or labels such as "H100-SXM-80GB", empty for all; terms,
    empty for all; first_day and last_day, None for no bound.
    """

    gpus: tuple[str, ...] = ()
    terms: tuple[Term, ...] = ()
    first_day: date | None = None
    last_day: date | None = None

    def takes(self, quote: Quote) -> bool:
        """Whether the quote is wanted."""
        gpu = quote.cell.gpu
        return (
            (not self.gpus or gpu.name in self.gpus or gpu.label in self.gpus)
            and (not self.terms or quote.cell.term in self.terms)
            and (self.first_day is None or quote.day >= self.first_day)
            and (self.last_day is None or quote.day <= self.last_day)
        )


def read_price_file(path: Path) -> str:
    """Text of a price file.

    Raises:
        InputError: it cannot be read, is too large or is no UTF-8.
    """
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            raise InputError(f"{path} is larger than {FILE_BYTES_MAX >> 30} GiB")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error


def _uppers(
    parts: Sequence[SubIndex], basket_gpu_hours: Mapping[Term, float] | None
) -> tuple[UpperIndex, ...]:
    found = []
    for gpu, kind in sorted({(part.series.gpu, part.series.kind) for part in parts}):
        mine = [part for part in parts if (part.series.gpu, part.series.kind) == (gpu, kind)]
        if basket_gpu_hours is not None:
            mine = [part for part in mine if part.series.term in basket_gpu_hours]
            if len(mine) == len(basket_gpu_hours):
                found.append(upper_index(mine, basket_gpu_hours))
        elif len(mine) > 1 and all(part.panel.has_quantities for part in mine):
            found.append(upper_index(mine))
    return tuple(found)


def make_report(
    text: str,
    name: str,
    settings: Settings,
    choice: Choice,
    *,
    rates_micro_usd: Mapping[str, int] | None = None,
    basket_gpu_hours: Mapping[Term, float] | None = None,
) -> IndexReport:
    """The report of one price file.

    Args:
        text: the file. name: what to call it.
        name: of the file, in complaints and in the report.
        settings: every judgement.
        choice: which GPUs, terms and days.
        rates_micro_usd: micro-USD for one unit of each currency besides USD.
        basket_gpu_hours: stated weights of the terms, to show them together.

    Raises:
        InputError: the file is malformed, or nothing of it is wanted.
    """
    offers = read_offers(text, name)
    accepted = accept(offers, rates_micro_usd)
    screened = guard(accepted, settings)
    quotes = [quote for quote in screened.quotes if choice.takes(quote)]
    if not quotes:
        known = ", ".join(sorted({quote.cell.gpu.label for quote in screened.quotes})) or "none"
        raise InputError(
            f"{name}: no quote of the wanted GPUs, terms and days",
            next_step=f"GPUs with quotes in the file: {known}.",
        )
    parts = sub_indices(quotes, settings)
    guards = guard_sensitivity(accepted, settings, choice.takes)
    lines = tuple(
        (
            *sensitivity([quote for quote in quotes if quote.cell.series == part.series], settings),
            *guards.get(part.series, ()),
        )
        for part in parts
    )
    uppers = _uppers(parts, basket_gpu_hours)
    return IndexReport(name, settings, len(offers), screened, parts, uppers, lines)


def _hundred(value: float | None) -> float | None:
    if value is None or not math.isfinite(value):
        return None
    return round(100.0 * value, 4)


def _plain(value: float | None, digits: int = 6) -> float | None:
    return None if value is None or not math.isfinite(value) else round(float(value), digits)


def _month_document(part: SubIndex, number: int) -> dict[str, Any]:
    low, high = part.band
    dummy = part.dummy
    is_shown = math.isfinite(part.level[number])
    unit_value = part.unit_value_level
    return {
        "month": part.panel.months[number],
        "index": _hundred(part.level[number]),
        "index_low_95": _hundred(low[number]),
        "index_high_95": _hundred(high[number]),
        "withheld": part.chain.reasons[number] or None,
        "time_dummy": _hundred(part.dummy_level[number]),
        "time_dummy_log_se": _plain(dummy.log_se[number]) if dummy and is_shown else None,
        "time_dummy_corrected": _hundred(dummy.level_corrected[number])
        if dummy and is_shown
        else None,
        "geks": _hundred(part.geks_level[number]),
        "pooled_mean": _hundred(part.pooled_mean_level[number]),
        "pooled_median": _hundred(part.pooled_median_level[number]),
        "unit_value": None if unit_value is None else _hundred(unit_value[number]),
        "mix_effect": _plain(part.mix_effect[number]),
        "pooled_mean_usd_per_gpu_hour": _plain(part.panel.pooled_mean_usd_per_gpu_hour[number]),
        "pooled_median_usd_per_gpu_hour": _plain(part.panel.pooled_median_usd_per_gpu_hour[number]),
        "quotes": int(part.panel.quote_count[number]),
        "cells": int(part.chain.cell_count[number]),
        "providers": int(part.chain.provider_count[number]),
        "matched_cells": int(part.chain.matched_count[number]),
        "matched_ratio": _plain(part.chain.matched_ratio[number]),
        "dispersion": _plain(part.chain.dispersion[number]),
    }


def _part_document(part: SubIndex, lines: Sequence[Line]) -> dict[str, Any]:
    return {
        "gpu": part.series.gpu.label,
        "term": part.series.term.value,
        "kind": part.series.kind.value,
        "base_month": None if part.chain.base is None else part.panel.months[part.chain.base],
        "formula": "fisher" if part.panel.has_quantities else "jevons",
        "months": [_month_document(part, n) for n in range(len(part.panel.months))],
        "outliers": [f"{item.name}: {item.sentence}" for item in part.outliers],
        "breaks": [found.sentence for found in part.breaks],
        "sensitivity": [
            {
                "parameter": line.parameter,
                "value": line.value,
                "last_published_month": line.last_month or None,
                "index": _hundred(line.level),
                "withheld_months": line.withheld_count,
            }
            for line in lines
        ],
    }


def _upper_document(upper: UpperIndex) -> dict[str, Any]:
    rows = []
    for value in upper.values:
        found = value.comparison
        names = ("laspeyres", "paasche", "fisher", "tornqvist", "unit_value", "mix_effect")
        rows.append(
            {
                "month": value.month,
                "withheld": value.reason or None,
                "lowe": _hundred(value.lowe),
                **{name: None if found is None else _plain(getattr(found, name)) for name in names},
            }
        )
    basket = upper.basket_gpu_hours
    return {
        "gpu": upper.gpu_label,
        "base_month": upper.base_month,
        "basket_gpu_hours": None
        if basket is None
        else {term.value: hours for term, hours in zip(upper.terms, basket, strict=True)},
        "months": rows,
    }


def report_document(report: IndexReport) -> dict[str, Any]:
    """The report as JSON-able values; indices are 100 in the base month, null where withheld."""
    settings = report.settings
    gates = settings.gates
    return {
        "file": report.name,
        "offers": report.offer_count,
        "quotes": len(report.screened.quotes),
        "left_out": count_rules(report.screened.exclusions),
        "left_out_first": [
            {"rule": item.rule, "offer": item.name, "why": item.sentence}
            for item in report.screened.exclusions[:LISTED_EXCLUSIONS_MAX]
        ],
        "settings": {
            "provider_count_min": gates.provider_count_min,
            "matched_ratio_min": gates.matched_ratio_min,
            "dispersion_max": _plain(gates.dispersion_max),
            "cell_price": settings.cell_price,
            "outlier_mad_limit": _plain(settings.outlier_mad_limit),
            "outlier_log_min": _plain(settings.outlier_log_min),
            "node_price_tolerance_ratio": settings.node_price_tolerance_ratio,
            "administered_cv_max": settings.administered_cv_max,
        },
        "sub_indices": [
            _part_document(part, lines)
            for part, lines in zip(report.parts, report.lines, strict=True)
        ],
        "upper": [_upper_document(upper) for upper in report.uppers],
    }
