"""What each judgement does to the result: one line per parameter and value."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import inf, log

import numpy as np

from gigawatt.economics.index.breaks import find_breaks
from gigawatt.economics.index.quote import Quote, Series
from gigawatt.economics.index.screening import Screened, guard
from gigawatt.economics.index.settings import OPEN_GATES, CellPrice, Settings
from gigawatt.economics.index.subindex import SubIndex, sub_index, sub_indices

CELL_PRICES: tuple[CellPrice, ...] = ("median", "geometric_mean")


@dataclass(frozen=True, slots=True)
class Line:
    """The result under one changed judgement.

    Fields: parameter and value in words; last_month published and its level against the base, ""
    and None if nothing is; withheld_count months.
    """

    parameter: str
    value: str
    last_month: str
    level: float | None
    withheld_count: int


def line_of(parameter: str, value: str, part: SubIndex) -> Line:
    """The line of one sub-index: its last published month and how many are withheld."""
    published = np.flatnonzero(~np.isnan(part.chain.log_level))
    withheld = len(part.panel.months) - len(published)
    if not len(published):
        return Line(parameter, value, "", None, withheld)
    last = int(published[-1])
    return Line(parameter, value, part.panel.months[last], float(part.level[last]), withheld)


def _variants(settings: Settings) -> list[tuple[str, str, Settings]]:
    """(parameter, value, settings) of every judgement that works on quotes."""
    gates = settings.gates
    found: list[tuple[str, str, Settings]] = [("as set", "", settings)]
    for how in CELL_PRICES:
        found.append(("price of a cell in a month", how, replace(settings, cell_price=how)))
    for limit, words in ((inf, "kept"), (2.0, "beyond 2 MAD"), (4.0, "beyond 4 MAD")):
        found.append(("outliers", words, replace(settings, outlier_mad_limit=limit)))
    for factor in (1.5, 3.0):
        changed = replace(settings, outlier_log_min=log(factor))
        found.append(("outlier floor", f"factor {factor:g}", changed))
    for count in (2, 5):
        changed = replace(settings, gates=replace(gates, provider_count_min=count))
        found.append(("providers at least", str(count), changed))
    for ratio in (0.25, 0.75):
        changed = replace(settings, gates=replace(gates, matched_ratio_min=ratio))
        found.append(("matched share at least", f"{ratio:.0%}", changed))
    for ceiling in (0.15, 0.9):
        changed = replace(settings, gates=replace(gates, dispersion_max=ceiling))
        found.append(("dispersion at most", f"{ceiling:g}", changed))
    found.append(("gates", "all open", replace(settings, gates=OPEN_GATES)))
    return found


def sensitivity(quotes: Sequence[Quote], settings: Settings) -> tuple[Line, ...]:
    """Lines of one sub-index: as set, then each judgement moved alone.

    Args:
        quotes: of one GPU and term, screened; the guards have done their work already.
        settings: as set.
    """
    lines = [line_of(name, value, sub_index(quotes, s)) for name, value, s in _variants(settings)]
    for found in find_breaks(quotes):
        later = [quote for quote in quotes if quote.day >= found.day]
        lines.append(line_of("start on day of break", str(found.day), sub_index(later, settings)))
    return tuple(lines)


def guard_sensitivity(
    accepted: Screened, settings: Settings, wanted: Callable[[Quote], bool]
) -> dict[Series, tuple[Line, ...]]:
    """Lines of every sub-index for the guards whose tolerance is a judgement.

    Args:
        accepted: quotes that the guards are tried on.
        settings: as set.
        wanted: which quotes the report is about.
    """
    variants = [
        ("node price within", "guard off", replace(settings, node_price_tolerance_ratio=0.0)),
        ("node price within", "50%", replace(settings, node_price_tolerance_ratio=0.5)),
        ("administered spot", "guard off", replace(settings, administered_cv_max=-1.0)),
        ("administered spot", "CV at most 0.01", replace(settings, administered_cv_max=0.01)),
    ]
    found: dict[Series, list[Line]] = defaultdict(list)
    for name, value, changed in variants:
        quotes = [quote for quote in guard(accepted, changed).quotes if wanted(quote)]
        for part in sub_indices(quotes, changed):
            found[part.series].append(line_of(name, value, part))
    return {key: tuple(lines) for key, lines in found.items()}
