"""Bare rows of a PostgreSQL database for auditors, by psycopg alone."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import IsolationLevel, sql
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import dict_row

from gigawatt.errors import DataError, InputError
from gigawatt.store.reading import Row, Rows

_REFERENCES = """
    SELECT child.relname AS child, parent.relname AS parent,
           own.attname AS own_column, far.attname AS far_column
    FROM pg_constraint AS rule
    JOIN pg_class AS child ON child.oid = rule.conrelid
    JOIN pg_class AS parent ON parent.oid = rule.confrelid
    JOIN pg_attribute AS own ON own.attrelid = child.oid AND own.attnum = rule.conkey[1]
    JOIN pg_attribute AS far ON far.attrelid = parent.oid AND far.attnum = rule.confkey[1]
    WHERE rule.contype = 'f' AND pg_table_is_visible(child.oid)
    ORDER BY child, own_column
"""
_ORPHANS = """
    SELECT count(*) AS orphan_count FROM {child} AS child
    WHERE child.{own} IS NOT NULL
      AND NOT EXISTS (SELECT FROM {parent} AS parent WHERE parent.{far} = child.{own})
"""
_BROKEN_INDEXES = """
    SELECT relname FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
    WHERE NOT (indisvalid AND indisready) AND pg_table_is_visible(indrelid)
"""


class _PostgresRows:
    """Rows of a PostgreSQL database."""

    def __init__(self, raw: psycopg.Connection[dict[str, Any]]) -> None:
        self._raw = raw

    def ask(self, query: str) -> list[Row]:
        """Rows of a query."""
        return list(self._raw.execute(query.encode()))

    def damage(self) -> Iterator[str]:
        """Indexes out of use, and references to what is not there.

        PostgreSQL keeps references by triggers, which a superuser can turn off; so they are
        counted here once more.
        """
        for row in self.ask(_BROKEN_INDEXES):
            yield f"the index {row['relname']} is not in use"
        for row in self.ask(_REFERENCES):
            query = sql.SQL(_ORPHANS).format(
                child=sql.Identifier(row["child"]),
                parent=sql.Identifier(row["parent"]),
                own=sql.Identifier(row["own_column"]),
                far=sql.Identifier(row["far_column"]),
            )
            (found,) = self._raw.execute(query)
            if found["orphan_count"]:
                child, parent = row["child"], row["parent"]
                yield f"a row of table {child} names a row of table {parent} that is not there"


@contextmanager
def read_postgres(url: str, name: str) -> Iterator[Rows]:
    """One consistent state of the database at ``url``, called ``name`` in sentences.

    Raises:
        DataError: it cannot be read as a store.
        InputError: the URL cannot be read.
    """
    try:
        conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        # No cause on purpose: it shows the URL with its password.
        raise InputError("the URL of the database cannot be read") from None
    try:
        with psycopg.connect(url, row_factory=dict_row, connect_timeout=10) as raw:
            raw.isolation_level = IsolationLevel.REPEATABLE_READ
            raw.read_only = True
            yield _PostgresRows(raw)
    except (psycopg.Error, LookupError, TypeError, ValueError) as error:
        raise DataError(f"{name} cannot be read as a store: {error!r}") from error
