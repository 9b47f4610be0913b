"""The cost of one sold GPU-hour by component, in two views of capital.

Accounting writes the purchase off in a straight line and charges capital on all of it. Economics
charges the annuity that pays the purchase back with interest. They are two answers, never mixed.
"""

from dataclasses import dataclass, replace
from math import exp, expm1, log1p

from gigawatt.economics.gpu_hour.inputs import CostInputs
from gigawatt.economics.html import html_table
from gigawatt.economics.quantities import check_positive, check_share
from gigawatt.errors import InputError

HOURS_PER_YEAR = 8760.0
MONTHS_PER_YEAR = 12.0


@dataclass(frozen=True, slots=True)
class GpuHourCost:
    """USD for one sold GPU-hour; components add up to ``total_usd``.

    Fields:
        view: "accounting" or "economic".
        servers_usd, network_usd, storage_usd, spares_usd: depreciation; in the economic view
            with the cost of capital inside.
        capital_usd: cost of capital in the accounting view; 0 in the economic one.
        site_usd: lease, or the site's own depreciation and capital.
        power_load_usd: energy that a GPU takes on top of idling while it is sold.
        power_idle_usd: energy of idling GPUs, switches and storage, all hours.
        cooling_usd: energy that cooling and distribution take.
        staff_usd, maintenance_usd: people, software; repair.
    """

    view: str
    servers_usd: float
    network_usd: float
    storage_usd: float
    spares_usd: float
    capital_usd: float
    site_usd: float
    power_load_usd: float
    power_idle_usd: float
    cooling_usd: float
    staff_usd: float
    maintenance_usd: float

    @property
    def components(self) -> dict[str, float]:
        """USD by component, in the order of the fields."""
        return {
            name.removesuffix("_usd"): getattr(self, name)
            for name in self.__slots__
            if name != "view"
        }

    @property
    def total_usd(self) -> float:
        """USD for one sold GPU-hour."""
        return sum(self.components.values())

    @property
    def equipment_usd(self) -> float:
        """Depreciation of everything bought but the site."""
        return self.servers_usd + self.network_usd + self.storage_usd + self.spares_usd

    @property
    def cash_usd(self) -> float:
        """What is paid while it runs: energy, people, repair, and the site."""
        energy = self.power_load_usd + self.power_idle_usd + self.cooling_usd
        return energy + self.staff_usd + self.maintenance_usd + self.site_usd

    def _repr_html_(self) -> str:
        """The components and their sum, for notebooks."""
        rows: list[list[object]] = [[name, usd] for name, usd in self.components.items()]
        rows += [["total", self.total_usd], ["of it cash", self.cash_usd]]
        return html_table(f"USD for a sold GPU-hour, {self.view} view", ["component", "USD"], rows)


def capital_recovery_share(rate_share: float, life_years: float) -> float:
    """Yearly payment that pays 1 back over the life with interest.

    Raises:
        InputError: the rate is not a share or the life not above 0.

    Example:
        >>> capital_recovery_share(0.0, 5.0)
        0.2
    """
    check_share("rate_share", rate_share)
    check_positive("life_years", life_years)
    if rate_share == 0:
        return 1.0 / life_years
    return rate_share / -expm1(-life_years * log1p(rate_share))


def _yearly_share(inputs: CostInputs, *, is_economic: bool) -> float:
    """Yearly charge for one dollar of equipment."""
    if not is_economic:
        return (1.0 - inputs.residual_share) / inputs.life_years
    rate = inputs.capital_rate_share
    paid_back = 1.0 - inputs.residual_share * exp(-inputs.life_years * log1p(rate))
    return paid_back * capital_recovery_share(rate, inputs.life_years)


def _site_usd_per_year(inputs: CostInputs, *, is_economic: bool) -> float:
    """Yearly cost of the site for one GPU: lease and own may both be there."""
    lease = inputs.lease_usd_per_kw_month * MONTHS_PER_YEAR
    if is_economic:
        own = capital_recovery_share(inputs.capital_rate_share, inputs.site_life_years)
    else:
        own = 1.0 / inputs.site_life_years + inputs.capital_rate_share
    return inputs.it_kw_per_gpu * (lease + inputs.site_usd_per_kw * own)


def gpu_hour_cost(inputs: CostInputs, *, is_economic: bool = False) -> GpuHourCost:
    """USD for one sold GPU-hour, by component.

    What is paid all year is spread over the hours sold. Energy on top of idling is not: it is
    only used while a GPU is sold.

    Args:
        inputs: the inputs.
        is_economic: charge the annuity instead of straight-line depreciation and capital.

    Source:
        ``(capex (1 - residual) / (life 8760) + capex k + fixed) / U + power PUE price``; the
        annuity is ``capex CRF(r, L)``.
    """
    sold_hours = HOURS_PER_YEAR * inputs.utilisation_share
    yearly = _yearly_share(inputs, is_economic=is_economic) / sold_hours
    capital = 0.0
    if not is_economic:
        capital = inputs.equipment_usd_per_gpu * inputs.capital_rate_share / sold_hours
    idle_kw = inputs.power_kw_per_gpu * inputs.idle_power_share
    load_kw = inputs.power_kw_per_gpu - idle_kw
    always_kw = (idle_kw + inputs.network_storage_kw_per_gpu) / inputs.utilisation_share
    energy = inputs.energy_usd_per_kwh
    return GpuHourCost(
        view="economic" if is_economic else "accounting",
        servers_usd=inputs.server_usd_per_gpu * yearly,
        network_usd=inputs.network_usd_per_gpu * yearly,
        storage_usd=inputs.storage_usd_per_gpu * yearly,
        spares_usd=inputs.server_usd_per_gpu * inputs.spares_share * yearly,
        capital_usd=capital,
        site_usd=_site_usd_per_year(inputs, is_economic=is_economic) / sold_hours,
        power_load_usd=load_kw * energy,
        power_idle_usd=always_kw * energy,
        cooling_usd=(load_kw + always_kw) * (inputs.pue - 1.0) * energy,
        staff_usd=inputs.staff_usd_per_gpu_year / sold_hours,
        maintenance_usd=inputs.server_usd_per_gpu * inputs.maintenance_share / sold_hours,
    )


def break_even_utilisation_share(
    inputs: CostInputs, price_usd_per_gpu_hour: float, *, is_economic: bool = False
) -> float:
    """Share of hours to sell at the price so that cost is covered; may be above 1: never.

    Raises:
        InputError: the price does not even cover the energy of the hour sold.
    """
    check_positive("price_usd_per_gpu_hour", price_usd_per_gpu_hour)
    full = gpu_hour_cost(replace(inputs, utilisation_share=1.0), is_economic=is_economic)
    marginal = full.power_load_usd * inputs.pue
    if price_usd_per_gpu_hour <= marginal:
        raise InputError(
            f"price_usd_per_gpu_hour is {price_usd_per_gpu_hour:g}, and the energy of a sold hour "
            f"alone costs {marginal:.4f}"
        )
    return (full.total_usd - marginal) / (price_usd_per_gpu_hour - marginal)


@dataclass(frozen=True, slots=True)
class Utilisation:
    """How much was sold, in hours and in dollars.

    Fields:
        sold_hours_share: GPU-hours sold over all GPU-hours.
        dollar_share: revenue over list price times all GPU-hours.
    """

    sold_hours_share: float
    dollar_share: float

    def __post_init__(self) -> None:
        """Refuse shares outside 0 to 1."""
        check_share("sold_hours_share", self.sold_hours_share, is_zero_allowed=False)
        check_share("dollar_share", self.dollar_share)

    @property
    def discount_share(self) -> float:
        """How far the average sold hour is below list; negative where it is above."""
        return 1.0 - self.dollar_share / self.sold_hours_share

    def margin_usd_per_sold_gpu_hour(
        self, inputs: CostInputs, list_usd_per_gpu_hour: float, *, is_economic: bool = False
    ) -> float:
        """USD that a sold hour earns above its cost."""
        check_positive("list_usd_per_gpu_hour", list_usd_per_gpu_hour)
        sold = replace(inputs, utilisation_share=self.sold_hours_share)
        price = list_usd_per_gpu_hour * (1.0 - self.discount_share)
        return price - gpu_hour_cost(sold, is_economic=is_economic).total_usd
