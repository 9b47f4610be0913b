"""Goal: the database itself refuses what must never be, even to code that asks for it.

Method: raw inserts past the store's own checks; the same tables are written out for PostgreSQL.
"""

import sqlite3
from contextlib import closing

import pytest
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex, CreateTable

from gigawatt.planner.plan import OperationKind
from gigawatt.store import schema
from gigawatt.store.sqlite import open_store

LAUNCH = OperationKind.LAUNCH


@pytest.fixture
def raw(tmp_path, build):
    """A raw connection to a store with two clusters that are being launched."""
    store = open_store(tmp_path / "store.db")
    build.commit(store, LAUNCH, None, build.target("a", (0,)))
    build.commit(store, LAUNCH, None, build.target("b", (1,), number=2))
    store.close()
    with closing(sqlite3.connect(tmp_path / "store.db")) as connection:
        connection.execute("PRAGMA foreign_keys = ON")
        yield connection


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO allocation SELECT node_id, gpu, 'clu_b', 'held' FROM allocation LIMIT 1",
        "INSERT INTO held_key SELECT pool_id, value, 'clu_b', 'held', 1 FROM held_key LIMIT 1",
        "UPDATE cluster SET name = 'a' WHERE name = 'b'",
        "UPDATE operation SET cluster_id = 'clu_a'",
        "INSERT INTO allocation VALUES ('h-x', 0, 'clu_none', 'held')",
        "INSERT INTO allocation VALUES ('h-x', 0, 'clu_a', 'borrowed')",
        "DELETE FROM cluster",
    ],
    ids=["gpu", "key", "name", "operation", "no cluster", "no state", "still used"],
)
def test_the_database_refuses(raw, sql):
    with pytest.raises(sqlite3.IntegrityError):
        raw.execute(sql)


def test_an_ended_cluster_gives_its_name_back(raw):
    raw.execute("UPDATE cluster SET is_ended = 1 WHERE name = 'a'")
    raw.execute("UPDATE cluster SET name = 'a' WHERE name = 'b'")


def test_the_tables_are_the_same_on_postgresql():
    dialect = postgresql.dialect()
    tables = schema.metadata.sorted_tables
    made = [str(CreateTable(table).compile(dialect=dialect)) for table in tables]
    assert len(made) == 10
    partial = [
        str(CreateIndex(index).compile(dialect=dialect))
        for table in tables
        for index in table.indexes
        if index.unique
    ]
    assert {text.partition(" WHERE ")[2] for text in partial} == {
        "is_ended = false",
        "is_open = true",
    }
