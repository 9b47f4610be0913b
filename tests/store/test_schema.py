"""Goal: the database itself refuses what must never be, even to code that asks for it.

Method: raw inserts past the store's own checks, on both engines.
"""

import sqlite3
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from gigawatt.planner.plan import OperationKind
from gigawatt.store.open import open_store_at

LAUNCH = OperationKind.LAUNCH


@pytest.fixture
def raw(place, build):
    """Raw SQL on a store with two clusters that are being launched."""
    store = open_store_at(place)
    build.commit(store, LAUNCH, None, build.target("a", (0,)))
    build.commit(store, LAUNCH, None, build.target("b", (1,), number=2))
    store.close()
    if isinstance(place, Path):
        with closing(sqlite3.connect(place)) as connection:
            connection.execute("PRAGMA foreign_keys = ON")
            yield connection
    else:
        with closing(psycopg.connect(place)) as connection:
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
    with pytest.raises((sqlite3.IntegrityError, psycopg.IntegrityError)):
        raw.execute(sql)


def test_an_ended_cluster_gives_its_name_back(raw):
    raw.execute("UPDATE cluster SET is_ended = true WHERE name = 'a'")
    raw.execute("UPDATE cluster SET name = 'a' WHERE name = 'b'")
