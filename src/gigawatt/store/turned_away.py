"""``SqlTurnedAwayBook``: the ``TurnedAwayBook`` on the store's own database."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, Connection, Row, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from gigawatt.errors import ConflictError
from gigawatt.ids import TenantId
from gigawatt.interfaces.turned_away import (
    TurnedAway,
    TurnedAwayBook,
    TurnedAwayDay,
    TurnedAwayFilter,
)
from gigawatt.store.database import Database, lock_generation
from gigawatt.store.queue_schema import turned_away, turned_away_days
from gigawatt.store.store import SqlStore
from gigawatt.units import DAY_S

ROW_KEPT_S = 90.0 * DAY_S
"""How long a row is kept before only its part of the day's sums is. Ours: a quarter to plan by."""

ROW_COUNT_MAX = 100_000
"""Rows kept at most: about 50 MB. Ours."""

DAY_COUNT_MAX = 1_830
"""Days whose sums are kept: five years. Ours."""

TIDY_EVERY_COUNT = 1_000
"""Rows from one look at the bounds to the next."""

DayKey = tuple[int, str, int, str, str]

_columns = turned_away.c


def open_turned_away_book(store: SqlStore) -> "SqlTurnedAwayBook":
    """The book in a store's database."""
    return SqlTurnedAwayBook(store.database)


class SqlTurnedAwayBook:
    """The book of turned-away demand; every method is what ``TurnedAwayBook`` says of it."""

    def __init__(self, database: Database, row_count_max: int = ROW_COUNT_MAX) -> None:
        """Serve from a database that has the tables; keep so many rows."""
        self._database = database
        self._row_count_max = row_count_max

    def record(self, row: TurnedAway) -> bool:
        """Keep a row; False when its source is in the book already."""
        with self._database.write() as connection:
            sequence = add_row(connection, row)
            if sequence is not None and sequence % TIDY_EVERY_COUNT == 0:
                self._tidy(connection, row.at_s)
        return sequence is not None

    def page(self, wanted: TurnedAwayFilter, before: int, limit: int) -> tuple[TurnedAway, ...]:
        """Rows, newest first, before a place."""
        query = select(turned_away).where(_columns.sequence < before, *_wanted(wanted))
        query = query.order_by(_columns.sequence.desc()).limit(limit)
        with self._database.read() as connection:
            return tuple(_read(row) for row in connection.execute(query))

    def days(self, first_day: int, last_day: int) -> Sequence[TurnedAwayDay]:
        """Sums by day, type, size and kind, those of rows that are gone too; oldest first."""
        columns = turned_away_days.c
        kept = select(turned_away_days).where(columns.day.between(first_day, last_day))
        fresh = select(turned_away).where(
            _columns.at_s >= first_day * DAY_S, _columns.at_s < (last_day + 1) * DAY_S
        )
        with self._database.read() as connection:
            gone = [TurnedAwayDay(**row._mapping) for row in connection.execute(kept)]  # noqa: SLF001
            rows = connection.execute(fresh.order_by(_columns.sequence)).all()
        found = {_key(day): day for day in gone}
        for day in summed(_read(row) for row in rows):
            found[_key(day)] = _plus(found.get(_key(day)), day)
        return [found[key] for key in sorted(found)]

    def tidy(self, now_s: float) -> int:
        """Sum up and drop rows that are too old or too many; how many."""
        with self._database.write() as connection:
            return self._tidy(connection, now_s)

    def _tidy(self, connection: Connection, now_s: float) -> int:
        # Two at once would sum the same rows twice.
        lock_generation(connection)
        newest = connection.execute(select(func.max(_columns.sequence))).scalar_one() or 0
        # Whole days, so that a wish repeated within one is known as the same.
        kept_from_s = (now_s - ROW_KEPT_S) // DAY_S * DAY_S
        is_old = (_columns.at_s < kept_from_s) | (_columns.sequence <= newest - self._row_count_max)
        query = select(turned_away).where(is_old).order_by(_columns.sequence)
        rows = connection.execute(query).all()
        for day in summed(_read(row) for row in rows):
            _add(connection, day)
        connection.execute(delete(turned_away).where(is_old))
        oldest = int(now_s // DAY_S) - DAY_COUNT_MAX
        connection.execute(delete(turned_away_days).where(turned_away_days.c.day < oldest))
        return len(rows)


def add_row(connection: Connection, row: TurnedAway) -> int | None:
    """Keep a row in a transaction that its caller opened; its place, None if it is there already.

    Two tries of one request at once are kept apart by their idempotency key.

    Raises:
        ConflictError: the same request is being recorded by another server.
    """
    known = select(_columns.sequence).where(_columns.source_key == row.source_key)
    if connection.execute(known).first() is not None:
        return None
    values = {**asdict(row), "reasons": json.dumps(row.reasons)}
    del values["sequence"]
    try:
        connection.execute(insert(turned_away), values)
    except IntegrityError as error:
        raise ConflictError(f"{row.source_key!r} is being recorded") from error
    return int(connection.execute(known).scalar_one())


def _wanted(wanted: TurnedAwayFilter) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    for name in ("project_id", "cause", "origin", "gpu_type"):
        value = getattr(wanted, name)
        if value is not None:
            found.append(_columns[name] == value)
    if wanted.since_s is not None:
        found.append(_columns.at_s >= wanted.since_s)
    if wanted.until_s is not None:
        found.append(_columns.at_s < wanted.until_s)
    return found


def _read(row: Row[Any]) -> TurnedAway:
    values = dict(row._mapping)  # noqa: SLF001 - the public name of a row as a mapping
    values |= {"project_id": TenantId(row.project_id), "reasons": tuple(json.loads(row.reasons))}
    return TurnedAway(**values)


def _key(day: TurnedAwayDay) -> DayKey:
    return day.day, day.gpu_type, day.gpu_count_from, day.cause, day.origin


def summed(rows: Iterable[TurnedAway]) -> list[TurnedAwayDay]:
    """Sums of rows by day, type, size and kind; a wish counts once a day for all but the count."""
    found: dict[DayKey, TurnedAwayDay] = {}
    seen: set[tuple[DayKey, str]] = set()
    for row in rows:
        size = 1 << (max(1, row.gpu_count).bit_length() - 1)
        day = int(row.at_s // DAY_S)
        key = (day, row.gpu_type, size, row.cause, row.origin)
        is_new = (key, row.fingerprint) not in seen
        seen.add((key, row.fingerprint))
        one = TurnedAwayDay(
            day=day,
            gpu_type=row.gpu_type,
            gpu_count_from=size,
            cause=row.cause,
            origin=row.origin,
            request_count=1,
            distinct_count=int(is_new),
            gpu_count=row.gpu_count * is_new,
            gpu_s=row.gpu_count * (row.duration_s or 0.0) * is_new,
            timed_count=int(is_new and row.duration_s is not None),
            list_price_micro_usd_per_hour=(row.list_price_micro_usd_per_hour or 0) * is_new,
        )
        found[key] = _plus(found.get(key), one)
    return list(found.values())


_SUMS = (
    "request_count",
    "distinct_count",
    "gpu_count",
    "gpu_s",
    "timed_count",
    "list_price_micro_usd_per_hour",
)


def _plus(one: TurnedAwayDay | None, other: TurnedAwayDay) -> TurnedAwayDay:
    if one is None:
        return other
    return replace(one, **{name: getattr(one, name) + getattr(other, name) for name in _SUMS})


def _add(connection: Connection, day: TurnedAwayDay) -> None:
    columns = turned_away_days.c
    values = asdict(day)
    keys = [name for name in values if name not in _SUMS]
    this = [columns[name] == values[name] for name in keys]
    if connection.execute(select(columns.day).where(*this)).first() is None:
        connection.execute(insert(turned_away_days), values)
        return
    more = {name: columns[name] + values[name] for name in _SUMS}
    connection.execute(update(turned_away_days).where(*this).values(**more))


if TYPE_CHECKING:
    _KEEPS_THE_CONTRACT: type[TurnedAwayBook] = SqlTurnedAwayBook
