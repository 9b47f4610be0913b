"""Rate cards: what a GPU-hour costs, by type, site, term, size, date and customer.

A card is rows of data. Of the rows that fit a question the most particular one answers: a row for
the customer before one for all, one for the site before one for every site, then the longest term
and the largest size that are reached, then the newest that is in force. Two rows that would answer
the same question are refused when the card is read, so an answer never depends on their order.
What a plan was told stays: a card is asked once, and the answer is kept with the plan.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gigawatt.errors import InputError
from gigawatt.identity.accounts import OrganisationId
from gigawatt.ids import SiteId
from gigawatt.intent.request import PRICE_MICRO_USD_MAX
from gigawatt.intent.term import Term
from gigawatt.units import DAY_S

CURRENCY = "USD"
MONTHS_MAX = 60
"""Longest term of a reservation: five years, the usual life in a lease of servers. Ours."""
YEAR_2000_S, YEAR_2100_S = 946_684_800.0, 4_102_444_800.0
"""Dates outside are mistakes. Ours."""


@dataclass(frozen=True, slots=True)
class Rate:
    """One row of a rate card.

    Fields:
        gpu_type: as in the fleet's node types.
        term: what it is a price for.
        price_micro_usd_per_gpu_hour: micro-USD, 0 or more.
        valid_from_s: Unix seconds from which it is in force, until a newer row is.
        site_id: None for every site.
        organisation_id: a negotiated price; None for everybody.
        gpu_count_min: GPUs from which on it holds, >= 1.
        month_count_min: months of a reservation from which on it holds, 1 to 60; 0 for other terms.
    """

    gpu_type: str
    term: Term
    price_micro_usd_per_gpu_hour: int
    valid_from_s: float
    site_id: SiteId | None = None
    organisation_id: OrganisationId | None = None
    gpu_count_min: int = 1
    month_count_min: int = 0
    currency: str = CURRENCY


@dataclass(frozen=True, slots=True)
class RateQuestion:
    """What somebody wants to know the price of; ``month_count`` is 0 unless it is a reservation."""

    gpu_type: str
    term: Term
    site_id: SiteId
    organisation_id: OrganisationId | None
    gpu_count: int
    month_count: int
    at_s: float


class RateCard:
    """Rows that were checked."""

    def __init__(self, rates: Iterable[Rate]) -> None:
        """Take rows on.

        Raises:
            InputError: a row is no rate, or two answer the same question.
        """
        self.rates: tuple[Rate, ...] = tuple(rates)
        seen: dict[tuple[object, ...], int] = {}
        for number, rate in enumerate(self.rates, start=1):
            reason = _reason(rate)
            if reason is not None:
                raise InputError(f"row {number} of the rate card: {reason}")
            twin = seen.setdefault((*_scope(rate), rate.valid_from_s), number)
            if twin != number:
                raise InputError(
                    f"rows {twin} and {number} of the rate card answer the same question"
                )

    def rate(self, question: RateQuestion) -> Rate:
        """The row that answers.

        Raises:
            InputError: none does.
        """
        fitting = [rate for rate in self.rates if _fits(rate, question)]
        if not fitting:
            raise InputError(
                f"nobody set a price for {question.gpu_type} {question.term} at {question.site_id}",
                next_step=f"The card has {', '.join(_names(self.rates)) or 'no rows'}.",
            )
        return max(fitting, key=_particularity)


def _scope(rate: Rate) -> tuple[object, ...]:
    return (
        rate.gpu_type,
        rate.term,
        rate.site_id,
        rate.organisation_id,
        rate.gpu_count_min,
        rate.month_count_min,
    )


def _particularity(rate: Rate) -> tuple[bool, bool, int, int, float]:
    return (
        rate.organisation_id is not None,
        rate.site_id is not None,
        rate.month_count_min,
        rate.gpu_count_min,
        rate.valid_from_s,
    )


def _fits(rate: Rate, question: RateQuestion) -> bool:
    return (
        rate.gpu_type == question.gpu_type
        and rate.term is question.term
        and rate.site_id in {None, question.site_id}
        and rate.organisation_id in {None, question.organisation_id}
        and rate.gpu_count_min <= question.gpu_count
        and rate.month_count_min <= question.month_count
        and rate.valid_from_s <= question.at_s
    )


def _names(rates: Sequence[Rate]) -> list[str]:
    return sorted({f"{rate.gpu_type} {rate.term}" for rate in rates})


def _reason(rate: Rate) -> str | None:
    is_reserved = rate.term is Term.RESERVED
    if rate.currency != CURRENCY:
        return f"its currency is {rate.currency!r}, prices are in {CURRENCY}"
    if not 0 <= rate.price_micro_usd_per_gpu_hour <= PRICE_MICRO_USD_MAX:
        return f"its price is {rate.price_micro_usd_per_gpu_hour} micro-USD per GPU-hour"
    if not YEAR_2000_S <= rate.valid_from_s <= YEAR_2100_S:
        return f"it is valid from day {rate.valid_from_s / DAY_S:.0f} of Unix time"
    if rate.gpu_count_min < 1:
        return f"it holds from {rate.gpu_count_min} GPUs on, wanted 1 or more"
    if is_reserved != (1 <= rate.month_count_min <= MONTHS_MAX):
        return (
            f"it holds from {rate.month_count_min} months on,"
            f" wanted 1 to {MONTHS_MAX} for a reservation and 0 for the others"
        )
    return None
