"""Bare rows for auditors: SQL on a read-only connection of their own, on either engine.

It uses none of the code that writes the store, so a fault there cannot hide here.
"""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Protocol

from gigawatt.errors import DataError
from gigawatt.store.address import Place, is_postgres, name_of

Row = Mapping[str, Any]


class Rows(Protocol):
    """One consistent state of a store, asked in SQL that both engines understand."""

    def ask(self, query: str) -> list[Row]:
        """Rows of a query, each by the names of its columns."""
        ...

    def damage(self) -> Iterator[str]:
        """What the engine itself finds wrong, in sentences."""
        ...


class _SqliteRows:
    """Rows of a SQLite file."""

    def __init__(self, raw: sqlite3.Connection) -> None:
        self._raw = raw

    def ask(self, query: str) -> list[Row]:
        """Rows of a query."""
        cursor = self._raw.execute(query)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor]

    def damage(self) -> Iterator[str]:
        """What SQLite's own checks find."""
        for (line,) in self._raw.execute("PRAGMA integrity_check"):
            if line != "ok":
                yield f"the file is damaged: {line}"
        for table, _, parent, _ in self._raw.execute("PRAGMA foreign_key_check"):
            yield f"a row of table {table} names a row of table {parent} that is not there"


@contextmanager
def read_rows(place: Place) -> Iterator[Rows]:
    """One consistent state at a place, while others write.

    Raises:
        DataError: it cannot be read as a store.
        InputError: the place is the URL of something else.
    """
    name = name_of(place)
    if is_postgres(place):
        # Imported when it is needed: it takes a sixth of a second.
        from gigawatt.store.reading_postgres import read_postgres  # noqa: PLC0415

        with read_postgres(str(place), name) as rows:
            yield rows
        return
    path = Path(place)
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as raw:
            raw.isolation_level = None
            raw.execute("BEGIN")
            yield _SqliteRows(raw)
    except (sqlite3.Error, LookupError, TypeError, ValueError) as error:
        raise DataError(f"{name} cannot be read as a store: {error!r}") from error
