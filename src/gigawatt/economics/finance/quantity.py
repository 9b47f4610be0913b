"""An input of a deal: a number with its unit and where it comes from."""

from collections.abc import Callable
from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

CURRENCY = "USD"
"""Money is counted in micro-dollars (``gigawatt.money``), so a deal has this one currency."""


class Input(BaseModel):
    """A strict value of a deal file: unknown keys, infinities and changed types are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Labelled(Input):
    """What says where it is from.

    Fields:
        unit: e.g. ``USD/GPU-h``; every field of a deal takes one unit only.
        illustrative: true for a number that was made up or never published.
        source: where the number was published; exactly one of the two is given.
    """

    unit: str
    illustrative: Literal[True] | None = None
    source: Annotated[str, Field(min_length=3, max_length=500)] | None = None

    @model_validator(mode="after")
    def _has_one_origin(self) -> Self:
        if (self.illustrative is None) == (self.source is None):
            raise ValueError("wanted either 'illustrative: true' or 'source: ...'")
        return self


class Quantity(Labelled):
    """One number."""

    value: float


class Curve(Labelled):
    """A number over months: straight lines between its points, level before and after them.

    Fields:
        months: rising month numbers; what month 0 is stands beside the field that holds the curve.
        values: one number a month.
    """

    months: Annotated[tuple[float, ...], Field(min_length=1, strict=False)]
    values: Annotated[tuple[float, ...], Field(min_length=1, strict=False)]

    @model_validator(mode="after")
    def _is_a_curve(self) -> Self:
        if len(self.months) != len(self.values):
            raise ValueError(
                f"{len(self.months)} months and {len(self.values)} values, wanted as many"
            )
        if self.months[0] < 0 or any(b <= a for a, b in pairwise(self.months)):
            raise ValueError("months must rise from 0 or later")
        return self


def _check_unit(got: str, wanted: str) -> None:
    if got == wanted:
        return
    money, _, per = got.partition("/")
    if wanted.startswith(f"{CURRENCY}/") and per == wanted.partition("/")[2] and money.isupper():
        raise ValueError(
            f"currencies are mixed: got {money}, wanted {CURRENCY} as the rest of the deal"
        )
    raise ValueError(f"unit {got!r}, wanted {wanted!r}")


def _inside(value: float, low: float, high: float, unit: str) -> None:
    if not low <= value <= high:
        raise ValueError(f"{value:g} {unit}, wanted {low:g} to {high:g}")


def one(
    unit: str, low: float, high: float, *, whole: bool = False
) -> Callable[[Quantity], Quantity]:
    """A check that a quantity has the unit and lies within the bounds, both allowed."""

    def check(quantity: Quantity) -> Quantity:
        _check_unit(quantity.unit, unit)
        _inside(quantity.value, low, high, unit)
        if whole and quantity.value != int(quantity.value):
            raise ValueError(f"{quantity.value:g} {unit}, wanted a whole number")
        return quantity

    return check


def many(unit: str, low: float, high: float) -> Callable[[Curve], Curve]:
    """A check that a curve has the unit and lies within the bounds, both allowed."""

    def check(curve: Curve) -> Curve:
        _check_unit(curve.unit, unit)
        for value in curve.values:
            _inside(value, low, high, unit)
        return curve

    return check


Percent = Annotated[Quantity, AfterValidator(one("percent", 0.0, 100.0))]
Ratio = Annotated[Quantity, AfterValidator(one("ratio", 1.0, 10.0))]
Correlation = Annotated[Quantity, AfterValidator(one("ratio", -0.99, 0.99))]
PercentPerYear = Annotated[Quantity, AfterValidator(one("percent/year", 0.0, 100.0))]
GrowthPerYear = Annotated[Quantity, AfterValidator(one("percent/year", -50.0, 50.0))]
Months = Annotated[Quantity, AfterValidator(one("months", 0.0, 600.0, whole=True))]
MonthsPositive = Annotated[Quantity, AfterValidator(one("months", 1.0, 600.0, whole=True))]
Gpus = Annotated[Quantity, AfterValidator(one("GPUs", 1.0, 10_000_000.0, whole=True))]
UsdPerGpu = Annotated[Quantity, AfterValidator(one("USD/GPU", 1.0, 1_000_000.0))]
UsdPerGpuHour = Annotated[Quantity, AfterValidator(one("USD/GPU-h", 0.0, 1_000.0))]
UsdPerGpuYear = Annotated[Quantity, AfterValidator(one("USD/GPU-year", 0.0, 1_000_000.0))]
UsdPerMwh = Annotated[Quantity, AfterValidator(one("USD/MWh", 0.0, 10_000.0))]
KwPerGpu = Annotated[Quantity, AfterValidator(one("kW/GPU", 0.0, 100.0))]
PriceCurve = Annotated[Curve, AfterValidator(many("USD/GPU-h", 0.0, 1_000.0))]
ShareCurve = Annotated[Curve, AfterValidator(many("percent", 0.0, 100.0))]
