"""The life of a GPU with what is not known about its rent: an interval instead of a point."""

from dataclasses import dataclass, replace
from math import isfinite

from gigawatt.economics.html import html_table
from gigawatt.economics.life.plan import (
    LifeInputs,
    YearPlan,
    best_plan,
    economic_life_years,
    rental_annuity_usd,
)

SLOPE_MAX_PER_YEAR = 5.0
"""What ``LifeInputs`` takes; e**5 a year is beyond any market."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """Economic life and residual value, with their ranges where slopes have one.

    Fields:
        inputs: the market.
        life_years: until rent meets cash cost; infinite if never.
        life_years_range: (shortest, longest) at the ends of the rent's slope; None where the
            slope is stated as a point.
        plan: the best action year by year, at the middle slopes.
        annuity_usd_intervals: (low, high) rental annuity in each year of the plan; empty without
            an interval of the rent's slope.
        rent_usd_intervals: (low, high) training rent for a GPU-hour in each year, likewise.
        liquidation_usd_intervals: (low, high), empty without one of the resale slope.
    """

    inputs: LifeInputs
    life_years: float
    life_years_range: tuple[float, float] | None
    plan: tuple[YearPlan, ...]
    annuity_usd_intervals: tuple[tuple[float, float], ...] = ()
    rent_usd_intervals: tuple[tuple[float, float], ...] = ()
    liquidation_usd_intervals: tuple[tuple[float, float], ...] = ()

    def rows(self) -> list[dict[str, object]]:
        """One mapping a year, for tables."""
        found: list[dict[str, object]] = []
        for number, year in enumerate(self.plan):
            row: dict[str, object] = {name: getattr(year, name) for name in year.__slots__}
            for name, intervals in (
                ("annuity_usd", self.annuity_usd_intervals),
                ("liquidation_usd", self.liquidation_usd_intervals),
            ):
                if intervals:
                    row[f"{name}_low"], row[f"{name}_high"] = intervals[number]
            found.append(row)
        return found

    def _repr_html_(self) -> str:
        """Life, best actions and both curves by year, for notebooks."""
        span = years_text(self.life_years)
        if self.life_years_range is not None:
            low, high = self.life_years_range
            span = f"{years_text(low)} to {years_text(high)} (95 %), {span} at the middle slope"
        rows = self.rows()
        columns = list(rows[0]) if rows else []
        cells = [[row[name] for name in columns] for row in rows]
        return html_table(f"Economic life: {span}", columns, cells)


def years_text(years: float) -> str:
    """Years for people.

    Example:
        >>> years_text(float("inf"))
        'no end'
    """
    return f"{years:.1f} years" if isfinite(years) else "no end"


def _bounded(slope: float) -> float:
    return max(-SLOPE_MAX_PER_YEAR, min(SLOPE_MAX_PER_YEAR, slope))


def _life_years(inputs: LifeInputs, rent_slope_per_year: float) -> float:
    return economic_life_years(
        inputs.rent_usd_per_gpu_hour,
        rent_slope_per_year,
        inputs.cash_usd_per_gpu_hour,
        inputs.cash_slope_per_year,
    )


def outlook(
    inputs: LifeInputs,
    rent_slope_range: tuple[float, float] | None = None,
    resale_slope_range: tuple[float, float] | None = None,
) -> Outlook:
    """Life and residual value at the inputs, and at the ends of the intervals of their slopes.

    Life and both curves only rise with their slope, so the ends of an interval of the slope are the
    ends of theirs; nothing needs to be drawn. Rent, cash cost and resale price of today are held.

    Args:
        inputs: the market, with the middle slopes.
        rent_slope_range: (low, high) change of the logarithm of rent a year.
        resale_slope_range: (low, high) change of the logarithm of the resale price a year.
    """
    plan = best_plan(inputs)
    span: tuple[float, float] | None = None
    annuities: tuple[tuple[float, float], ...] = ()
    rents: tuple[tuple[float, float], ...] = ()
    sales: tuple[tuple[float, float], ...] = ()
    if rent_slope_range is not None:
        low, high = map(_bounded, rent_slope_range)
        span = (_life_years(inputs, low), _life_years(inputs, high))
        ends = [replace(inputs, rent_slope_per_year=slope) for slope in (low, high)]
        annuities = tuple(
            (rental_annuity_usd(ends[0], float(y.year)), rental_annuity_usd(ends[1], float(y.year)))
            for y in plan
        )
        rents = tuple(
            (ends[0].rent_usd(float(y.year)), ends[1].rent_usd(float(y.year))) for y in plan
        )
    if resale_slope_range is not None:
        ends = [
            replace(inputs, resale_slope_per_year=_bounded(slope)) for slope in resale_slope_range
        ]
        sales = tuple(
            (ends[0].liquidation_usd(float(y.year)), ends[1].liquidation_usd(float(y.year)))
            for y in plan
        )
    return Outlook(
        inputs, _life_years(inputs, inputs.rent_slope_per_year), span, plan, annuities, rents, sales
    )
