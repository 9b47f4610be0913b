"""What each judgement does to the result: one line per parameter and value."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf, log

import numpy as np

from gigawatt.economics.index.quote import Quote
from gigawatt.economics.index.settings import OPEN_GATES, Settings
from gigawatt.economics.index.subindex import SubIndex, sub_index


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


def sensitivity(quotes: Sequence[Quote], settings: Settings) -> tuple[Line, ...]:
    """Lines of one sub-index: as set, then each judgement moved alone.

    Args:
        quotes: of one GPU and term, screened; the guards have done their work already.
        settings: as set.
    """
    gates = settings.gates
    variants: list[tuple[str, str, Settings]] = [("as set", "", settings)]
    for how in ("median", "geometric_mean"):
        variants.append(("price of a cell in a month", how, replace(settings, cell_price=how)))
    for limit, words in ((inf, "kept"), (2.0, "beyond 2 MAD"), (3.0, "beyond 3 MAD")):
        variants.append(("outliers", words, replace(settings, outlier_mad_limit=limit)))
    for factor in (1.5, 3.0):
        changed = replace(settings, outlier_log_min=log(factor))
        variants.append(("outlier floor", f"factor {factor:g}", changed))
    for count in (2, 5):
        changed = replace(settings, gates=replace(gates, provider_count_min=count))
        variants.append(("providers at least", str(count), changed))
    for ratio in (0.25, 0.75):
        changed = replace(settings, gates=replace(gates, matched_ratio_min=ratio))
        variants.append(("matched share at least", f"{ratio:.0%}", changed))
    for ceiling in (0.15, 0.9):
        changed = replace(settings, gates=replace(gates, dispersion_max=ceiling))
        variants.append(("dispersion at most", f"{ceiling:g}", changed))
    variants.append(("gates", "all open", replace(settings, gates=OPEN_GATES)))
    lines = [line_of(name, value, sub_index(quotes, other)) for name, value, other in variants]
    part = sub_index(quotes, settings)
    for found in part.breaks:
        later = [quote for quote in quotes if quote.day >= found.day]
        if later:
            lines.append(line_of("start after break", str(found.day), sub_index(later, settings)))
    return tuple(lines)
