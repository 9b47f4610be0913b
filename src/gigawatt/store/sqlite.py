"""A store in one SQLite file, or in memory. The only file that speaks SQLite.

Source: https://sqlite.org/wal.html, https://sqlite.org/pragma.html#pragma_synchronous,
https://sqlite.org/rescode.html; the transaction recipe is "Serializable isolation / Savepoints /
Transactional DDL" of https://docs.sqlalchemy.org/en/20/dialects/sqlite.html: Python's driver
opens transactions late and commits before some statements unless it is told not to.
"""

import sqlite3
from functools import partial
from pathlib import Path

from sqlalchemy import (
    URL,
    Connection,
    Engine,
    QueuePool,
    create_engine,
    event,
    insert,
    inspect,
    select,
)

from gigawatt.errors import ConflictError, DataError, GigawattError, StorageFullError
from gigawatt.store import schema
from gigawatt.store.database import WRITES, Database
from gigawatt.store.operations import LEASE_S
from gigawatt.store.store import SqlStore

BUSY_TIMEOUT_S = 10.0
"""How long a writer waits for another one. Ours: a commit of 500 nodes takes about 0.1 s."""


def open_store(
    path: Path | None, *, busy_timeout_s: float = BUSY_TIMEOUT_S, lease_s: float = LEASE_S
) -> SqlStore:
    """The store in the file ``path``, made if it is not there; in memory if ``path`` is None.

    Any number of threads and processes of one machine may have the same file open. A worker owns
    an operation for ``lease_s`` (> 0) without a word; all that open one file name the same.

    Raises:
        ConflictError: another process held the file longer than ``busy_timeout_s`` (> 0).
        DataError: the file is no store, is damaged, or is of another version.
        StorageFullError: no space to make it.
    """
    name = "the store in memory" if path is None else str(path)
    database = Database(_engine(path, busy_timeout_s), partial(_explained, name))
    try:
        with database.read() as connection:
            is_ready = _has_tables(connection, name)
        if not is_ready:
            with database.write() as connection:
                _prepare(connection, name)
    except GigawattError:
        database.close()
        raise
    return SqlStore(database, lease_s)


def _engine(path: Path | None, busy_timeout_s: float) -> Engine:
    """One connection for each thread on a file; in memory all threads take turns on one."""
    if path is None:
        engine = create_engine(
            "sqlite://",
            poolclass=QueuePool,
            pool_size=1,
            max_overflow=0,
            connect_args={"check_same_thread": False},
        )
    else:
        url = URL.create("sqlite", database=str(path.resolve()))
        engine = create_engine(url, pool_size=8, max_overflow=64)
    event.listen(engine, "connect", partial(_connected, busy_timeout_s))
    event.listen(engine, "begin", _begun)
    return engine


def _connected(busy_timeout_s: float, raw: sqlite3.Connection, _record: object) -> None:
    raw.isolation_level = None
    raw.execute(f"PRAGMA busy_timeout = {round(busy_timeout_s * 1_000)}")
    raw.execute("PRAGMA journal_mode = WAL")
    raw.execute("PRAGMA synchronous = FULL")
    raw.execute("PRAGMA foreign_keys = ON")


def _begun(connection: Connection) -> None:
    """A writer takes its lock at once: one that read first could not wait for it later."""
    writes = connection.get_execution_options().get(WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _has_tables(connection: Connection, name: str) -> bool:
    """Whether the tables of this version are there; False for an empty database."""
    present = set(inspect(connection).get_table_names())
    if not present:
        return False
    if "counter" not in present:
        raise DataError(f"{name} is a database, but not a store of Gigawatt")
    query = select(schema.counters.c.value).where(schema.counters.c.name == "schema_version")
    found = connection.execute(query).scalar_one_or_none()
    if found != schema.SCHEMA_VERSION:
        raise DataError(
            f"{name} has schema version {found}, wanted {schema.SCHEMA_VERSION}",
            next_step="Use the release of Gigawatt that wrote the file.",
        )
    return True


def _prepare(connection: Connection, name: str) -> None:
    """Make the tables, unless another process was faster."""
    if _has_tables(connection, name):
        return
    schema.metadata.create_all(connection)
    rows = [
        {"name": "schema_version", "value": schema.SCHEMA_VERSION},
        {"name": "generation", "value": 0},
    ]
    connection.execute(insert(schema.counters), rows)


def _explained(name: str, error: BaseException) -> GigawattError:
    """The error of ours that an error of SQLite is; the low byte of its code tells the class."""
    code = getattr(error, "sqlite_errorcode", None)
    primary = None if code is None else code & 0xFF
    if primary == sqlite3.SQLITE_FULL:
        return StorageFullError(f"{name}: no space left on the disk")
    if primary in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return ConflictError(
            f"{name}: another process holds the store and did not let go in time",
            next_step="Run the command again; if it persists, find the process that hangs.",
        )
    if primary in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
        return DataError(f"{name} is damaged: {error}")
    if primary in {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_READONLY}:
        return DataError(
            f"{name} cannot be opened for writing: {error}",
            next_step="Check that its folder exists and that you may write to it.",
        )
    return DataError(f"{name} cannot be used: {error}")
