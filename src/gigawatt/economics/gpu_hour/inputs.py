"""What the cost of a GPU-hour is made of, as inputs with units."""

from collections.abc import Mapping
from dataclasses import dataclass, fields

from gigawatt.economics.quantities import (
    check_currency,
    check_positive,
    check_range,
    check_share,
)
from gigawatt.errors import InputError


@dataclass(frozen=True, slots=True)
class CostInputs:
    """Inputs of the cost of one GPU-hour. Defaults are illustrative; an operator sets their own.

    Fields:
        server_usd_per_gpu, network_usd_per_gpu, storage_usd_per_gpu: to buy, for each GPU.
        spares_share: spare servers bought on top, over servers in service.
        life_years: over which the purchase is written off.
        residual_share: worth at the end of life over the purchase.
        capital_rate_share: cost of capital a year.
        power_kw_per_gpu: at the rack inlet under load, the whole node over its GPUs.
        idle_power_share: power of an idle GPU over that.
        network_storage_kw_per_gpu: switches, optics and file systems, always on.
        pue: facility power over IT power, 1 or more.
        energy_usd_per_kwh: price of electricity.
        lease_usd_per_kw_month: rent of the site for each kW of IT power; 0 where it is owned.
        site_usd_per_kw: to build the site, for each kW of IT power; 0 where it is leased.
        site_life_years: over which the site is written off.
        staff_usd_per_gpu_year: operations, support, software.
        maintenance_share: of the server's purchase, a year.
        utilisation_share: GPU-hours sold over all GPU-hours, above 0 to 1.
        equipment_currency, energy_currency, site_currency, staff_currency: must agree.
    """

    server_usd_per_gpu: float = 34_000.0
    network_usd_per_gpu: float = 4_500.0
    storage_usd_per_gpu: float = 1_500.0
    spares_share: float = 0.02
    life_years: float = 6.0
    residual_share: float = 0.0
    capital_rate_share: float = 0.1
    power_kw_per_gpu: float = 1.275
    idle_power_share: float = 0.25
    network_storage_kw_per_gpu: float = 0.1
    pue: float = 1.25
    energy_usd_per_kwh: float = 0.06
    lease_usd_per_kw_month: float = 130.0
    site_usd_per_kw: float = 0.0
    site_life_years: float = 20.0
    staff_usd_per_gpu_year: float = 900.0
    maintenance_share: float = 0.03
    utilisation_share: float = 0.85
    equipment_currency: str = "USD"
    energy_currency: str = "USD"
    site_currency: str = "USD"
    staff_currency: str = "USD"

    def __post_init__(self) -> None:
        """Refuse what cannot be, naming the field."""
        check_currency({
            name: getattr(self, name)
            for name in ("equipment_currency", "energy_currency", "site_currency", "staff_currency")
        })  # fmt: skip
        for name in ("server_usd_per_gpu", "life_years", "site_life_years", "power_kw_per_gpu"):
            check_positive(name, getattr(self, name))
        for name in (
            "network_usd_per_gpu", "storage_usd_per_gpu", "network_storage_kw_per_gpu",
            "energy_usd_per_kwh", "lease_usd_per_kw_month", "site_usd_per_kw",
            "staff_usd_per_gpu_year",
        ):  # fmt: skip
            check_range(name, getattr(self, name), 0.0)
        for name in (
            "spares_share", "residual_share", "capital_rate_share", "idle_power_share",
            "maintenance_share",
        ):  # fmt: skip
            check_share(name, getattr(self, name))
        check_share("utilisation_share", self.utilisation_share, is_zero_allowed=False)
        check_range("pue", self.pue, 1.0, 10.0)

    @property
    def equipment_usd_per_gpu(self) -> float:
        """Servers with spares, network and storage, for each GPU in service."""
        servers = self.server_usd_per_gpu * (1.0 + self.spares_share)
        return servers + self.network_usd_per_gpu + self.storage_usd_per_gpu

    @property
    def it_kw_per_gpu(self) -> float:
        """KW of IT power that the site provides for each GPU."""
        return self.power_kw_per_gpu + self.network_storage_kw_per_gpu


NUMBER_FIELDS = tuple(f.name for f in fields(CostInputs) if not f.name.endswith("_currency"))
"""Inputs that are numbers."""


def cost_inputs_of(values: Mapping[str, object]) -> CostInputs:
    """Inputs from a mapping, e.g. of a JSON file; what is left out keeps its default.

    Raises:
        InputError: a key is unknown or lacks its unit, or a value is out of range; the key is
            named.

    Example:
        >>> cost_inputs_of({"life_years": 5}).life_years
        5.0
    """
    known = {field.name for field in fields(CostInputs)}
    numbers: dict[str, float] = {}
    texts: dict[str, str] = {}
    for name, value in values.items():
        if name not in known:
            near = sorted(full for full in known if full.startswith(f"{name}_"))
            hint = f"; {name!r} lacks its unit, write {' or '.join(near)}" if near else ""
            raise InputError(
                f"no input {name!r}{hint}", next_step=f"Inputs are {', '.join(sorted(known))}."
            )
        if name.endswith("_currency"):
            texts[name] = str(value)
        elif isinstance(value, bool) or not isinstance(value, (int, float)):
            raise InputError(f"{name} is {value!r}, wanted a number in the unit its name ends in")
        else:
            numbers[name] = float(value)
    return CostInputs(**numbers, **texts)  # type: ignore[arg-type]
