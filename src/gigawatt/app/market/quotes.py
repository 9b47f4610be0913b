"""What a reservation costs, asked once, when it is planned."""

from collections.abc import Callable
from dataclasses import dataclass

from gigawatt.errors import InputError
from gigawatt.fleet.model import Fleet
from gigawatt.ids import SiteId, TenantId


@dataclass(frozen=True, slots=True)
class ReservationQuestion:
    """What a reservation is to cost.

    Fields:
        month_count: whole months, 0 for less than one.
        at_s: when it is booked, Unix seconds.
    """

    tenant_id: TenantId
    gpu_type: str
    site_id: SiteId
    gpu_count: int
    month_count: int
    at_s: float


Quote = Callable[[ReservationQuestion], int]
"""Micro-USD per GPU-hour of a reservation; raises ``InputError`` where nobody set a price."""


def list_quote(fleet: Fleet) -> Quote:
    """What is asked where nobody keeps a rate card: the fleet's list price, however long."""

    def quote(question: ReservationQuestion) -> int:
        for kind in fleet.node_types:
            if kind.gpu_type == question.gpu_type:
                return kind.price_micro_usd_per_gpu_hour
        raise InputError(f"there are no {question.gpu_type!r} GPUs")

    return quote
