"""How long a GPU earns more cash than it costs, what it is worth, and when to do what with it.

Economic life is computed, not assumed: it ends with the last year in which the market rent is above
the cash cost. A GPU may train, serve inference at a lower rent, be sold, or be retired; the best
plan follows backwards from the end.
"""

from dataclasses import dataclass
from math import exp, log

from gigawatt.economics.quantities import check_count, check_positive, check_range, check_share
from gigawatt.errors import InputError

HOURS_PER_YEAR = 8760.0
HORIZON_YEARS_MAX = 60


@dataclass(frozen=True, slots=True)
class LifeInputs:
    """A GPU's market.

    Fields:
        rent_usd_per_gpu_hour: market rent today.
        rent_slope_per_year: change of its logarithm a year; negative for a fall.
        cash_usd_per_gpu_hour: energy, site, people, repair for each hour sold.
        cash_slope_per_year: change of its logarithm a year.
        resale_usd: price of the used GPU, with its share of the server, today.
        resale_slope_per_year: change of its logarithm a year.
        sale_cost_share: of the price, lost when it is sold in a hurry.
        inference_rent_share: rent for inference over rent for training, today.
        inference_rent_slope_per_year: change of the logarithm of the inference rent a year.
        utilisation_share: hours sold.
        discount_rate_share: a year.
        horizon_years: beyond which nothing is counted.
    """

    rent_usd_per_gpu_hour: float
    rent_slope_per_year: float
    cash_usd_per_gpu_hour: float
    resale_usd: float
    resale_slope_per_year: float
    cash_slope_per_year: float = 0.0
    sale_cost_share: float = 0.15
    inference_rent_share: float = 0.8
    inference_rent_slope_per_year: float = -0.1
    utilisation_share: float = 0.85
    discount_rate_share: float = 0.1
    horizon_years: int = 12

    def __post_init__(self) -> None:
        """Refuse what cannot be, naming the field."""
        for name in ("rent_usd_per_gpu_hour", "cash_usd_per_gpu_hour"):
            check_positive(name, getattr(self, name))
        check_range("resale_usd", self.resale_usd, 0.0)
        for name in (
            "rent_slope_per_year", "cash_slope_per_year", "resale_slope_per_year",
            "inference_rent_slope_per_year",
        ):  # fmt: skip
            check_range(name, getattr(self, name), -5.0, 5.0)
        check_share("sale_cost_share", self.sale_cost_share)
        check_range("inference_rent_share", self.inference_rent_share, 0.0, 10.0)
        check_share("utilisation_share", self.utilisation_share, is_zero_allowed=False)
        check_share("discount_rate_share", self.discount_rate_share)
        check_count("horizon_years", self.horizon_years)
        if self.horizon_years > HORIZON_YEARS_MAX:
            raise InputError(
                f"horizon_years is {self.horizon_years}, wanted at most {HORIZON_YEARS_MAX}"
            )

    def _grown(self, start: float, slope: float, years: float) -> float:
        return start * exp(slope * years)

    def rent_usd(self, years: float) -> float:
        """Training rent, USD for a GPU-hour, so many years from now."""
        return self._grown(self.rent_usd_per_gpu_hour, self.rent_slope_per_year, years)

    def inference_rent_usd(self, years: float) -> float:
        """Inference rent, USD for a GPU-hour, so many years from now."""
        start = self.rent_usd_per_gpu_hour * self.inference_rent_share
        return self._grown(start, self.inference_rent_slope_per_year, years)

    def cash_usd(self, years: float) -> float:
        """Cash cost, USD for a sold GPU-hour, so many years from now."""
        return self._grown(self.cash_usd_per_gpu_hour, self.cash_slope_per_year, years)

    def liquidation_usd(self, years: float) -> float:
        """What a hurried sale brings, so many years from now."""
        price = self._grown(self.resale_usd, self.resale_slope_per_year, years)
        return price * (1.0 - self.sale_cost_share)


def economic_life_years(
    rent_usd_per_gpu_hour: float,
    rent_slope_per_year: float,
    cash_usd_per_gpu_hour: float,
    cash_slope_per_year: float = 0.0,
) -> float:
    """Years until rent no longer covers cash cost; 0 if it does not today, infinite if never.

    Example:
        >>> round(economic_life_years(2.0, -0.25, 0.5), 2)
        5.55
    """
    check_positive("rent_usd_per_gpu_hour", rent_usd_per_gpu_hour)
    check_positive("cash_usd_per_gpu_hour", cash_usd_per_gpu_hour)
    gap = log(rent_usd_per_gpu_hour / cash_usd_per_gpu_hour)
    closing = cash_slope_per_year - rent_slope_per_year
    if gap <= 0:
        return 0.0
    return gap / closing if closing > 0 else float("inf")


def rental_annuity_usd(inputs: LifeInputs, age_years: float = 0.0) -> float:
    """Present worth at an age of all rent above cash cost until economic life or horizon ends.

    Years are whole, their cash counts at mid-year; a started last year counts in part.
    """
    check_range("age_years", age_years, 0.0)
    life = economic_life_years(
        inputs.rent_usd_per_gpu_hour,
        inputs.rent_slope_per_year,
        inputs.cash_usd_per_gpu_hour,
        inputs.cash_slope_per_year,
    )
    end = min(life, float(inputs.horizon_years))
    worth, at = 0.0, age_years
    while at < end:
        span = min(1.0, end - at)
        middle = at + span / 2.0
        hours = HOURS_PER_YEAR * inputs.utilisation_share * span
        cash = (inputs.rent_usd(middle) - inputs.cash_usd(middle)) * hours
        worth += cash * (1.0 + inputs.discount_rate_share) ** -(middle - age_years)
        at += span
    return worth


@dataclass(frozen=True, slots=True)
class YearPlan:
    """What to do with a GPU at the start of one year, if it is still there.

    Fields:
        year: 0 is now.
        action: "train", "infer", "sell" or "retire".
        worth_usd: present worth, at that year, of the best plan from there on.
        annuity_usd, liquidation_usd: the two curves of residual value at that year.
    """

    year: int
    action: str
    worth_usd: float
    annuity_usd: float
    liquidation_usd: float


def best_plan(inputs: LifeInputs) -> tuple[YearPlan, ...]:
    """The best action in every year to the horizon, found backwards from its end.

    Source:
        Bellman 1957: worth now = best of (sell; cash of the year and the discounted worth after).
    """
    after = max(0.0, inputs.liquidation_usd(float(inputs.horizon_years)))
    years: list[YearPlan] = []
    hours = HOURS_PER_YEAR * inputs.utilisation_share
    rate = 1.0 + inputs.discount_rate_share
    for year in range(inputs.horizon_years - 1, -1, -1):
        middle = year + 0.5
        keep = after / rate
        half = rate**-0.5
        cash = inputs.cash_usd(middle)
        options = {
            "train": (inputs.rent_usd(middle) - cash) * hours * half + keep,
            "infer": (inputs.inference_rent_usd(middle) - cash) * hours * half + keep,
            "retire": 0.0,
            "sell": inputs.liquidation_usd(float(year)),
        }
        action = max(options, key=lambda name: options[name])
        after = options[action]
        years.append(
            YearPlan(
                year=year,
                action=action,
                worth_usd=after,
                annuity_usd=rental_annuity_usd(inputs, float(year)),
                liquidation_usd=inputs.liquidation_usd(float(year)),
            )
        )
    return tuple(reversed(years))
