"""What a reservation costs, asked once, when it is planned."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from gigawatt.errors import InputError
from gigawatt.fleet.model import Fleet
from gigawatt.ids import SiteId, TenantId
from gigawatt.intent.prices import AskPrices, PriceQuestion, Prices
from gigawatt.intent.term import Term


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


AskForMonths = Callable[[PriceQuestion, int], Prices]
"""What GPUs cost somebody who reserves them for so many months."""


def quote_from(fleet: Fleet, ask: AskPrices, ask_for_months: AskForMonths) -> Quote:
    """What reservations cost by a rate card, else what the same GPUs cost on demand that day.

    A rate card has prices of reservations from a month on; a block of hours costs what its GPUs
    cost on demand, and so does a term that nobody set a price for.
    """

    def quote(question: ReservationQuestion) -> int:
        asked = PriceQuestion(
            tenant_id=question.tenant_id,
            term=Term.RESERVED,
            gpu_count=question.gpu_count,
            reservation_id=None,
            at_s=question.at_s,
        )
        if question.month_count:
            place = (question.gpu_type, question.site_id)
            found = ask_for_months(asked, question.month_count).by_place.get(place)
            if found is not None:
                return found.price_micro_usd_per_gpu_hour
        on_demand = ask(replace(asked, term=Term.ON_DEMAND))
        for kind in fleet.node_types:
            if kind.gpu_type == question.gpu_type:
                return on_demand.amount(kind, question.site_id)
        raise InputError(f"there are no {question.gpu_type!r} GPUs")

    return quote
