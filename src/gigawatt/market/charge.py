"""A charge: so much of one thing at one price, exact, before anything is rounded."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from gigawatt.errors import InputError
from gigawatt.identity.accounts import OrganisationId
from gigawatt.ids import SiteId, TenantId
from gigawatt.market.ledger import CURRENCY


class ChargeKind(StrEnum):
    """What is charged for; each has revenue accounts of its own."""

    GPU = "gpu"
    """GPUs of a cluster."""
    RESERVATION = "reservation"
    """Capacity that was promised, used or not."""
    STORAGE = "storage"
    """Bytes that were held."""
    EXTERNAL = "external"
    """What another system measured."""


@dataclass(frozen=True, slots=True)
class Key:
    """What makes two charges one line of an invoice.

    Fields:
        project_id: whose.
        kind: what is charged for.
        subject_id: cluster, reservation, file system, or external source.
        tag: what the tenant calls it in its own books; empty for nothing.
        item: GPU type, or the product of an external source.
        term: on_demand, reserved or spot; empty where there is none.
        site_id: where; None where that means nothing.
        unit: what a price is for, e.g. ``GPU-hour``.
        parts_per_unit: how many parts, in which quantities are counted, make one unit.
        price_micro_usd: micro-USD for one unit, 0 or more.
    """

    project_id: TenantId
    kind: ChargeKind
    subject_id: str
    tag: str
    item: str
    term: str
    site_id: SiteId | None
    unit: str
    parts_per_unit: int
    price_micro_usd: int
    currency: str = CURRENCY


@dataclass(frozen=True, slots=True)
class Charge:
    """Parts of a unit, 0 or more, of what a key says."""

    organisation_id: OrganisationId
    key: Key
    quantity_parts: int


def check_charge(charge: Charge) -> None:
    """Refuse what cannot be charged.

    Raises:
        InputError: the reason, with what it is for.
    """
    key = charge.key
    name = f"charge for {key.kind.value} {key.subject_id!r} of {charge.organisation_id}"
    if key.currency != CURRENCY:
        raise InputError(f"{name}: its currency is {key.currency!r}, the books are in {CURRENCY}")
    if charge.quantity_parts < 0:
        raise InputError(f"{name}: its quantity is {charge.quantity_parts}, wanted 0 or more")
    if key.price_micro_usd < 0:
        raise InputError(f"{name}: its price is {key.price_micro_usd} micro-USD, wanted 0 or more")
    if key.parts_per_unit < 1:
        raise InputError(f"{name}: a unit has {key.parts_per_unit} parts, wanted 1 or more")


Sums = dict[OrganisationId, dict[Key, int]]
"""Parts of each key, by who pays."""


def sum_charges(charges: Iterable[Charge]) -> Sums:
    """Charges of one key together.

    Raises:
        InputError: one is none.
    """
    sums: Sums = {}
    for charge in charges:
        check_charge(charge)
        mine = sums.setdefault(charge.organisation_id, {})
        mine[charge.key] = mine.get(charge.key, 0) + charge.quantity_parts
    return sums


def half_up(numerator: int, denominator: int) -> int:
    """A quotient of whole numbers, rounded; halves go away from zero. ``denominator`` > 0.

    Example:
        >>> half_up(5, 2), half_up(-5, 2), half_up(4, 3)
        (3, -3, 1)
    """
    rounded = (2 * abs(numerator) + denominator) // (2 * denominator)
    return rounded if numerator >= 0 else -rounded
