"""``SqlRateBook``: the ``RateBook`` on the store's own database."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, Row, insert, select
from sqlalchemy.exc import IntegrityError

from gigawatt.errors import ConflictError
from gigawatt.identity.accounts import AccountId, OrganisationId
from gigawatt.ids import SiteId
from gigawatt.intent.term import Term
from gigawatt.interfaces.rates import RateBook, RateFilter, RateRecord
from gigawatt.market.rates import Rate, check_new_rates
from gigawatt.store.database import Database
from gigawatt.store.rates_schema import rates as table
from gigawatt.store.store import SqlStore

_columns = table.c


def open_rate_book(store: SqlStore) -> "SqlRateBook":
    """The book in a store's database."""
    return SqlRateBook(store.database)


class SqlRateBook:
    """The book of rates; every method is what ``RateBook`` says of it."""

    def __init__(self, database: Database) -> None:
        """Serve from a database that has the table."""
        self._database = database

    def add(
        self, rates: Sequence[tuple[Rate, str]], set_by: AccountId, now_s: float
    ) -> tuple[RateRecord, ...]:
        """Add rows, each with a note: all of them or none."""
        check_new_rates([rate for rate, _ in rates], now_s)
        found = []
        with self._database.write() as connection:
            for number, (rate, note) in enumerate(rates, start=1):
                row = _row(rate) | {"note": note, "set_by": set_by, "set_at_s": now_s}
                try:
                    key = connection.execute(insert(table).values(row)).inserted_primary_key
                except IntegrityError as error:
                    raise ConflictError(
                        f"row {number}: a price of this kind from this moment on is there already",
                        next_step="Let the row begin a moment later.",
                    ) from error
                assert key is not None, "a row that was added has a place"
                found.append(RateRecord(int(key[0]), rate, note, set_by, now_s))
        return tuple(found)

    def rates(self, organisation_id: OrganisationId | None, term: Term) -> tuple[Rate, ...]:
        """Every row for a term that is for everybody or for an organisation."""
        query = select(table).where(
            _columns.term == term.value, _columns.organisation_id.in_(_seen(organisation_id))
        )
        with self._database.read() as connection:
            return tuple(_rate(row) for row in connection.execute(query))

    def page(self, wanted: RateFilter, before: int, limit: int) -> tuple[RateRecord, ...]:
        """Rows, newest first, before a place."""
        query = select(table).where(_columns.sequence < before, *_wanted(wanted))
        query = query.order_by(_columns.sequence.desc()).limit(limit)
        with self._database.read() as connection:
            return tuple(
                RateRecord(row.sequence, _rate(row), row.note, AccountId(row.set_by), row.set_at_s)
                for row in connection.execute(query)
            )


def _seen(organisation_id: OrganisationId | None) -> list[str]:
    return ["", *([organisation_id] if organisation_id else [])]


def _wanted(wanted: RateFilter) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if wanted.seen_by is not None:
        found.append(_columns.organisation_id.in_(_seen(wanted.seen_by)))
    if wanted.organisation_id is not None:
        found.append(_columns.organisation_id == wanted.organisation_id)
    if wanted.gpu_type is not None:
        found.append(_columns.gpu_type == wanted.gpu_type)
    if wanted.term is not None:
        found.append(_columns.term == wanted.term.value)
    return found


def _row(rate: Rate) -> dict[str, Any]:
    return {
        "gpu_type": rate.gpu_type,
        "term": rate.term.value,
        "price_micro_usd_per_gpu_hour": rate.price_micro_usd_per_gpu_hour,
        "valid_from_s": rate.valid_from_s,
        "valid_to_s": rate.valid_to_s,
        "site_id": rate.site_id or "",
        "organisation_id": rate.organisation_id or "",
        "gpu_count_min": rate.gpu_count_min,
        "month_count_min": rate.month_count_min,
        "currency": rate.currency,
    }


def _rate(row: Row[Any]) -> Rate:
    return Rate(
        gpu_type=row.gpu_type,
        term=Term(row.term),
        price_micro_usd_per_gpu_hour=row.price_micro_usd_per_gpu_hour,
        valid_from_s=row.valid_from_s,
        site_id=SiteId(row.site_id) if row.site_id else None,
        organisation_id=OrganisationId(row.organisation_id) if row.organisation_id else None,
        gpu_count_min=row.gpu_count_min,
        month_count_min=row.month_count_min,
        currency=row.currency,
        valid_to_s=row.valid_to_s,
    )


if TYPE_CHECKING:
    _KEEPS_THE_CONTRACT: type[RateBook] = SqlRateBook
