"""Several terms of one GPU as one figure, with stated weights, and the mix effect beside it.

Each sub-index brings one price per month: its base price times its matched level, so that nothing
but prices moves it. Quantities are GPU-hours per term. Without quantities the basket is fixed and
stated by the reader (Lowe); there is no default basket.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from gigawatt.economics.index.bilateral import Comparison, compare, lowe
from gigawatt.economics.index.quote import Term
from gigawatt.economics.index.subindex import SubIndex
from gigawatt.errors import InputError
from gigawatt.fleet.model import F64


@dataclass(frozen=True, slots=True)
class UpperValue:
    """The terms together in one month.

    Fields:
        month: "YYYY-MM".
        lowe: level with the stated basket, 1 in the base month; None if withheld or none is stated.
        comparison: every formula against the base month; None if withheld or quantities are secret.
        reason: why values are withheld, "" if not.
    """

    month: str
    lowe: float | None
    comparison: Comparison | None
    reason: str


@dataclass(frozen=True, slots=True)
class UpperIndex:
    """The terms of one GPU together.

    Fields: gpu_label; terms, N of them; basket_gpu_hours, N stated weights or None; base_month;
    values, one a month from the base month on.
    """

    gpu_label: str
    terms: tuple[Term, ...]
    basket_gpu_hours: tuple[float, ...] | None
    base_month: str
    values: tuple[UpperValue, ...]


def _base_price_usd_per_gpu_hour(part: SubIndex, month: str) -> float:
    """Unit value where quantities are known, else the geometric mean over cells."""
    column = part.panel.months.index(month)
    prices = part.panel.price_usd_per_gpu_hour[:, column]
    known = ~np.isnan(prices)
    hours = part.panel.quantity_gpu_hours[known, column]
    if part.panel.has_quantities:
        return float(prices[known] @ hours / hours.sum())
    return float(np.exp(np.log(prices[known]).mean()))


def _common_base(parts: Sequence[SubIndex]) -> str:
    published = [
        {month for month, reason in zip(p.panel.months, p.chain.reasons, strict=True) if not reason}
        for p in parts
    ]
    common = sorted(set.intersection(*published))
    if not common:
        names = ", ".join(part.series.term.value for part in parts)
        raise InputError(
            f"{parts[0].series.gpu.label}: no month is published for all of {names}",
            next_step="Leave a term out of the basket, or look at the reasons of each sub-index.",
        )
    return common[0]


def _hours(part: SubIndex, month: str) -> float:
    column = part.panel.months.index(month)
    return float(np.nansum(part.panel.quantity_gpu_hours[:, column]))


def _revenue_usd(part: SubIndex, month: str) -> float:
    column = part.panel.months.index(month)
    money = part.panel.price_usd_per_gpu_hour[:, column] * part.panel.quantity_gpu_hours[:, column]
    return float(np.nansum(money))


def _comparison(parts: Sequence[SubIndex], base: str, month: str, p0: F64, p1: F64) -> Comparison:
    q0 = np.array([_hours(part, base) for part in parts])
    q1 = np.array([_hours(part, month) for part in parts])
    found = compare(p0, p1, q0, q1)
    # What was really earned per GPU-hour, with what changed inside each term too.
    revenue0 = sum(_revenue_usd(part, base) for part in parts) / q0.sum()
    revenue1 = sum(_revenue_usd(part, month) for part in parts) / q1.sum()
    unit_value = float(revenue1 / revenue0)
    return Comparison(
        found.laspeyres,
        found.paasche,
        found.fisher,
        found.tornqvist,
        unit_value,
        unit_value / found.fisher,
    )


def _level(part: SubIndex, month: str) -> float:
    return float(part.level[part.panel.months.index(month)])


def upper_index(
    parts: Sequence[SubIndex], basket_gpu_hours: Mapping[Term, float] | None = None
) -> UpperIndex:
    """The terms of one GPU together.

    Args:
        parts: sub-indices of one GPU and kind of price, one a term.
        basket_gpu_hours: stated weights, >= 0, for exactly these terms; None for quantities only.

    Raises:
        InputError: GPUs or kinds differ, a term stands twice, the basket names other terms,
            or no month is published for all.
    """
    bases = {(part.series.gpu, part.series.kind) for part in parts}
    if len(bases) != 1 or len({part.series.term for part in parts}) != len(parts):
        raise InputError("an upper index needs one GPU, one kind of price, and every term once")
    terms = tuple(part.series.term for part in parts)
    if basket_gpu_hours is not None and set(basket_gpu_hours) != set(terms):
        wanted = ", ".join(term.value for term in terms)
        got = ", ".join(term.value for term in basket_gpu_hours)
        raise InputError(f"{parts[0].series.gpu.label}: the basket names {got}, wanted {wanted}")
    has_quantities = all(part.panel.has_quantities for part in parts)
    if basket_gpu_hours is None and not has_quantities:
        raise InputError(
            f"{parts[0].series.gpu.label}: quantities are secret and no basket is stated",
            next_step="State the weights, e.g. --weight on_demand=60 --weight reserved_1y=40.",
        )
    base = _common_base(parts)
    basket = None if basket_gpu_hours is None else tuple(basket_gpu_hours[t] for t in terms)
    p0 = np.array([_base_price_usd_per_gpu_hour(part, base) for part in parts])
    values = []
    for month in sorted({m for part in parts for m in part.panel.months if m >= base}):
        missing = [
            part.series.term.value
            for part in parts
            if month not in part.panel.months or np.isnan(_level(part, month))
        ]
        if missing:
            reason = f"{', '.join(missing)} is withheld"
            values.append(UpperValue(month, None, None, reason))
            continue
        p1 = p0 * np.array([_level(part, month) / _level(part, base) for part in parts])
        fixed = None if basket is None else lowe(p0, p1, np.array(basket))
        found = _comparison(parts, base, month, p0, p1) if has_quantities else None
        values.append(UpperValue(month, fixed, found, ""))
    return UpperIndex(parts[0].series.gpu.label, terms, basket, base, tuple(values))
