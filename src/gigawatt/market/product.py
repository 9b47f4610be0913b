"""What a unit of storage, or of something another service measures, costs from which month on.

GPUs are priced by rate cards, and what a cluster was promised stands with its usage. These prices
are looked up when a month is closed: the newest that is in force, an organisation's own first.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gigawatt.errors import InputError
from gigawatt.identity.accounts import OrganisationId, check_label
from gigawatt.intent.request import PRICE_MICRO_USD_MAX
from gigawatt.market.ledger import CURRENCY
from gigawatt.market.meter import MS_PER_HOUR
from gigawatt.market.month import check_month
from gigawatt.units import GIB, HOUR_S, TIB

STORAGE = "storage"
"""The product that is storage; its unit is ``STORAGE_UNIT``."""
STORAGE_UNIT = "TiB-hour"
STORAGE_PARTS = TIB * MS_PER_HOUR
"""Byte-milliseconds in a TiB-hour."""
SANDBOX_CPU = "sandbox.cpu_seconds"
"""Processor time of sandboxes; measured in CPU-seconds, priced by the CPU-hour."""
EGRESS = "network.egress_bytes"
"""What leaves a site for elsewhere; measured in bytes, priced by the GiB."""
PARTS_MAX = 10**12
"""Largest count of what an external service measures that one price is for. Ours."""


@dataclass(frozen=True, slots=True)
class Measure:
    """What a known product is measured and priced in.

    Fields: measured_in is the unit of events; unit that of a price, which has so many parts.
    """

    measured_in: str
    unit: str
    parts_per_unit: int


KNOWN: Mapping[str, Measure] = {
    STORAGE: Measure("byte-millisecond", STORAGE_UNIT, STORAGE_PARTS),
    SANDBOX_CPU: Measure("CPU-second", "CPU-hour", HOUR_S),
    EGRESS: Measure("byte", "GiB", GIB),
}
"""Products whose units are ours to say; of any other product its price and its events say it."""


def check_measured(product: str, unit: str) -> None:
    """Refuse what another service measured of a known product in another unit.

    A price is for so many parts, so that seconds where milliseconds are meant would be a bill a
    thousand times as high.

    Raises:
        InputError: names the unit that was wanted, or says that storage is metered here.
    """
    if product == STORAGE:
        raise InputError(f"an event of type {STORAGE!r}: storage is metered by its quota, here")
    known = KNOWN.get(product)
    if known is not None and unit != known.measured_in:
        raise InputError(
            f"an event of type {product!r} is in {unit!r}, wanted {known.measured_in!r}",
            next_step="Convert it before it is sent; quantities are whole numbers.",
        )


@dataclass(frozen=True, slots=True)
class ProductPrice:
    """One price.

    Fields:
        product: one of ``KNOWN``, or the type of an external event.
        price_micro_usd: for ``parts_per_unit`` of what is measured; 0 or more.
        unit: what an invoice calls so many, e.g. "million tokens".
        from_month: ``YYYY-MM`` from which on it is in force, until a newer one is.
        organisation_id: whose price it is; None for everybody.
    """

    price_id: str
    product: str
    price_micro_usd: int
    unit: str
    parts_per_unit: int
    from_month: str
    organisation_id: OrganisationId | None = None
    currency: str = CURRENCY


def check_price(price: ProductPrice, closed_month: str = "") -> None:
    """Refuse what is no price.

    Args:
        price: what it is.
        closed_month: the last month whose invoices are out; empty for none.

    Raises:
        InputError: the reason.
    """
    check_label("a product", price.product)
    check_label("a unit", price.unit)
    check_month(price.from_month)
    reason = _reason(price, closed_month)
    if reason is not None:
        raise InputError(f"price of {price.product!r}: {reason}")


def _reason(price: ProductPrice, closed_month: str) -> str | None:
    if price.currency != CURRENCY:
        return f"its currency is {price.currency!r}, the books are in {CURRENCY}"
    if not 0 <= price.price_micro_usd <= PRICE_MICRO_USD_MAX:
        return f"it is {price.price_micro_usd} micro-USD"
    if price.from_month <= closed_month:
        return f"it is from {price.from_month} on, and the books are closed up to {closed_month}"
    known = KNOWN.get(price.product)
    if known is not None:
        is_its_own = (price.unit, price.parts_per_unit) == (known.unit, known.parts_per_unit)
        return None if is_its_own else f"{price.product} is priced by the {known.unit}"
    if not 1 <= price.parts_per_unit <= PARTS_MAX:
        return f"it is for {price.parts_per_unit} of what is measured, wanted 1 to {PARTS_MAX:,}"
    return None


def price_of(
    prices: Iterable[ProductPrice], product: str, organisation_id: OrganisationId, month: str
) -> ProductPrice | None:
    """The price of a product for an organisation in a month; None where nobody set one."""
    fitting = [
        price
        for price in prices
        if price.product == product
        and price.from_month <= month
        and price.organisation_id in {None, organisation_id}
    ]
    return max(
        fitting,
        key=lambda price: (price.organisation_id is not None, price.from_month, price.price_id),
        default=None,
    )
