"""Rate cards: what a GPU-hour costs, by type, site, term, size, date and customer.

A card is rows of data. Rows of one kind (type, term, site, customer, size, months) follow each
other: the newest that has begun counts, and none before it, until it ends. Of the kinds that fit a
question the most particular one answers: a row for the customer before one for all, one for the
site before one for every site, then the longest term and the largest size that are reached. Two
rows of one kind from one moment on are refused when the card is read, so an answer never depends
on their order. What a plan was told stays: a card is asked once, and the answer is kept with the
plan.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from gigawatt.errors import InputError
from gigawatt.identity.accounts import OrganisationId
from gigawatt.ids import SiteId
from gigawatt.intent.request import GPUS_PER_CLUSTER_MAX, PRICE_MICRO_USD_MAX
from gigawatt.intent.term import Term
from gigawatt.units import DAY_S

CURRENCY = "USD"
MONTHS_MAX = 60
"""Longest term of a reservation: five years, the usual life in a lease of servers. Ours."""
YEAR_2000_S, YEAR_2100_S = 946_684_800.0, 4_102_444_800.0
"""Dates outside are mistakes. Ours."""
BACKDATED_S_MAX = 300.0
"""How long ago a row that is added now may have begun: clocks that differ, and the time that a
person takes. What was asked before that was answered without the row. Ours."""

Kind = tuple[str, Term, SiteId | None, OrganisationId | None, int, int]
"""What rows that follow each other have in common."""


@dataclass(frozen=True, slots=True)
class Rate:
    """One row of a rate card.

    Fields:
        gpu_type: as in the fleet's node types.
        term: what it is a price for.
        price_micro_usd_per_gpu_hour: micro-USD, 0 or more.
        valid_from_s: Unix seconds from which it is in force, until a newer row of its kind is.
        site_id: None for every site.
        organisation_id: a negotiated price; None for everybody.
        gpu_count_min: GPUs from which on it holds, >= 1.
        month_count_min: months of a reservation from which on it holds, 1 to 60; 0 for other terms.
        valid_to_s: Unix seconds from which it is in force no more, though no newer row is; None
            for never. Equal to ``valid_from_s`` it ends what was in force and puts nothing there.
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
    valid_to_s: float | None = None

    @property
    def kind(self) -> Kind:
        """Rows that are equal in this follow each other."""
        return (
            self.gpu_type,
            self.term,
            self.site_id,
            self.organisation_id,
            self.gpu_count_min,
            self.month_count_min,
        )


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
        self._by_good: dict[tuple[str, Term], list[Rate]] = {}
        seen: dict[tuple[object, ...], int] = {}
        for number, rate in enumerate(self.rates, start=1):
            reason = rate_complaint(rate)
            if reason is not None:
                raise InputError(f"row {number} of the rate card: {reason}")
            twin = seen.setdefault((*rate.kind, rate.valid_from_s), number)
            if twin != number:
                raise InputError(
                    f"rows {twin} and {number} of the rate card answer the same question"
                )
            self._by_good.setdefault((rate.gpu_type, rate.term), []).append(rate)

    def rate(self, question: RateQuestion) -> Rate:
        """The row that answers.

        Raises:
            InputError: none does.
        """
        found = self.find(question)
        if found is None:
            known = sorted({f"{gpu_type} {term.value}" for gpu_type, term in self._by_good})
            raise InputError(
                f"nobody set a price for {question.gpu_type} {question.term} at {question.site_id}",
                next_step=f"The card has {', '.join(known) or 'no rows'}.",
            )
        return found

    def find(self, question: RateQuestion) -> Rate | None:
        """The row that answers, None if none does."""
        rows = self._by_good.get((question.gpu_type, question.term), ())
        fitting = in_force((rate for rate in rows if _fits(rate, question)), question.at_s)
        return max(fitting, key=_particularity, default=None)


def in_force(rates: Iterable[Rate], at_s: float) -> list[Rate]:
    """The newest row of each kind that has begun at a moment, if it has not ended."""
    newest: dict[Kind, Rate] = {}
    for rate in rates:
        known = newest.get(rate.kind)
        if rate.valid_from_s <= at_s and (known is None or known.valid_from_s < rate.valid_from_s):
            newest[rate.kind] = rate
    return [r for r in newest.values() if r.valid_to_s is None or at_s < r.valid_to_s]


def _particularity(rate: Rate) -> tuple[bool, bool, int, int]:
    return (
        rate.organisation_id is not None,
        rate.site_id is not None,
        rate.month_count_min,
        rate.gpu_count_min,
    )


def _fits(rate: Rate, question: RateQuestion) -> bool:
    return (
        rate.site_id in {None, question.site_id}
        and rate.organisation_id in {None, question.organisation_id}
        and rate.gpu_count_min <= question.gpu_count
        and rate.month_count_min <= question.month_count
    )


def rate_complaint(rate: Rate) -> str | None:
    """What is wrong with a row by itself, None if nothing is."""
    if rate.currency != CURRENCY:
        return f"its currency is {rate.currency!r}, prices are in {CURRENCY}"
    if not 0 <= rate.price_micro_usd_per_gpu_hour <= PRICE_MICRO_USD_MAX:
        return f"its price is {rate.price_micro_usd_per_gpu_hour} micro-USD per GPU-hour"
    if not YEAR_2000_S <= rate.valid_from_s <= YEAR_2100_S:
        return f"it is valid from day {rate.valid_from_s / DAY_S:.0f} of Unix time"
    if rate.valid_to_s is not None and not rate.valid_from_s <= rate.valid_to_s <= YEAR_2100_S:
        return f"it is valid to day {rate.valid_to_s / DAY_S:.0f} of Unix time, before it begins"
    return _size_complaint(rate)


def _size_complaint(rate: Rate) -> str | None:
    is_reserved = rate.term is Term.RESERVED
    if not 1 <= rate.gpu_count_min <= GPUS_PER_CLUSTER_MAX:
        return f"it holds from {rate.gpu_count_min} GPUs on, wanted 1 to {GPUS_PER_CLUSTER_MAX:,}"
    if is_reserved != (1 <= rate.month_count_min <= MONTHS_MAX):
        return (
            f"it holds from {rate.month_count_min} months on,"
            f" wanted 1 to {MONTHS_MAX} for a reservation and 0 for the others"
        )
    return None


def check_new_rates(rates: Iterable[Rate], now_s: float) -> None:
    """Refuse rows that are none, that contradict each other, or that begin in the past.

    Raises:
        InputError: the first row that is wrong, by its number from 1, and why.
    """
    card = RateCard(rates)
    for number, rate in enumerate(card.rates, start=1):
        if now_s - rate.valid_from_s > BACKDATED_S_MAX:
            since = datetime.fromtimestamp(rate.valid_from_s, UTC)
            raise InputError(
                f"row {number} of the rate card: it would be in force since"
                f" {since:%Y-%m-%d %H:%M:%S} UTC, which is past",
                next_step="Let it begin now: what was promised before keeps its price.",
            )
