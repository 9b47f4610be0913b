"""What a book of rates must offer: rows that are added, and never changed or removed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from gigawatt.identity.accounts import AccountId, OrganisationId
from gigawatt.intent.term import Term
from gigawatt.market.rates import Rate


@dataclass(frozen=True, slots=True)
class RateRecord:
    """A row of the book.

    Fields:
        sequence: its place in the book, from 1.
        note: what whoever set it says about it, e.g. that it is made up.
        set_by: who did, and ``set_at_s`` when, Unix seconds.
    """

    sequence: int
    rate: Rate
    note: str
    set_by: AccountId
    set_at_s: float


@dataclass(frozen=True, slots=True)
class RateFilter:
    """Which rows are wanted; None for all.

    Fields:
        seen_by: rows for everybody and for this organisation; None for rows of all customers.
        organisation_id: negotiated rows of this one only.
    """

    seen_by: OrganisationId | None = None
    organisation_id: OrganisationId | None = None
    gpu_type: str | None = None
    term: Term | None = None


class RateBook(Protocol):
    """The rows of the rate card, and of those before it."""

    def add(
        self, rates: Sequence[tuple[Rate, str]], set_by: AccountId, now_s: float
    ) -> tuple[RateRecord, ...]:
        """Add rows, each with a note: all of them or none.

        Raises:
            InputError: a row is no rate, begins in the past, or two contradict each other.
            ConflictError: a row of this kind from this moment on is there already.
        """
        ...

    def rates(self, organisation_id: OrganisationId | None, term: Term) -> tuple[Rate, ...]:
        """Every row for a term that is for everybody or for an organisation."""
        ...

    def page(self, wanted: RateFilter, before: int, limit: int) -> tuple[RateRecord, ...]:
        """Rows, newest first, before a place."""
        ...
