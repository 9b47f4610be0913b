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
)
from sqlalchemy.pool import ConnectionPoolEntry

from gigawatt.errors import (
    ConflictError,
    DataError,
    GigawattError,
    OutOfReachError,
    StorageFullError,
)
from gigawatt.store.database import Database
from gigawatt.store.operations import LEASE_S
from gigawatt.store.store import SqlStore, ready_store
from gigawatt.store.turns import turn_by_file

BUSY_TIMEOUT_S = 10.0
"""How long a writer waits for another one. Ours: a commit of 500 nodes takes about 0.1 s."""

_WRITES = "gigawatt_writes"
"""Execution option of a connection whose transaction will write."""


def open_store(
    path: Path | None, *, busy_timeout_s: float = BUSY_TIMEOUT_S, lease_s: float = LEASE_S
) -> SqlStore:
    """The store in the file ``path``, made if it is not there; in memory if ``path`` is None.

    Any number of threads and processes of one machine may have the same file open. A worker owns
    an operation for ``lease_s`` (> 0) without a word; all that open one file name the same.

    Raises:
        ConflictError: another process held the file longer than ``busy_timeout_s`` (> 0).
        DataError: the file is no store, is damaged, or is of another revision.
        StorageFullError: no space to make it.
    """
    database = connect_sqlite(path, busy_timeout_s=busy_timeout_s)
    return ready_store(database, lease_s)


def connect_sqlite(path: Path | None, *, busy_timeout_s: float = BUSY_TIMEOUT_S) -> Database:
    """The database in a file or in memory, whatever it holds; it is opened when it is used."""
    name = "the store in memory" if path is None else str(path)
    engine = _engine(path, busy_timeout_s)
    writer = engine.execution_options(**{_WRITES: True})
    if path is None:
        return Database(name, engine, writer, partial(_explained, name))
    turn = partial(turn_by_file, path.resolve())
    return Database(name, engine, writer, partial(_explained, name), turn)


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
        whole = path.resolve()
        engine = create_engine(
            URL.create("sqlite", database=str(whole)), pool_size=8, max_overflow=64
        )
        _SameFile(whole).watch(engine)
    event.listen(engine, "connect", partial(_connected, busy_timeout_s))
    event.listen(engine, "begin", _begun)
    return engine


class _SameFile:
    """Keeps transactions off a file that is gone from its place or was replaced there.

    A connection to a removed file goes on without a word, and what it writes is lost; a new one
    would make an empty store beside devices that remember.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._is_known = False

    def watch(self, engine: Engine) -> None:
        event.listen(engine, "do_connect", self._before_connect)
        event.listen(engine, "connect", self._after_connect)
        event.listen(engine, "begin", self._before_begin)

    def _number(self) -> int | None:
        try:
            return self._path.stat().st_ino
        except OSError:
            return None

    def _before_connect(self, *_: object) -> None:
        if self._is_known and self._number() is None:
            raise self._gone("is not there any more")

    def _after_connect(self, _raw: object, record: ConnectionPoolEntry) -> None:
        self._is_known = True
        record.info["file number"] = self._number()

    def _before_begin(self, connection: Connection) -> None:
        found = self._number()
        if found != connection.info.get("file number"):
            connection.invalidate()
            raise self._gone("is not there any more" if found is None else "was replaced")

    def _gone(self, what: str) -> OutOfReachError:
        return OutOfReachError(
            f"{self._path} {what}",
            next_step="Put the file back, or stop every server and run 'gw restore FILE'.",
        )


def _connected(busy_timeout_s: float, raw: sqlite3.Connection, _record: object) -> None:
    raw.isolation_level = None
    raw.execute(f"PRAGMA busy_timeout = {round(busy_timeout_s * 1_000)}")
    raw.execute("PRAGMA journal_mode = WAL")
    raw.execute("PRAGMA synchronous = FULL")
    raw.execute("PRAGMA foreign_keys = ON")


def _begun(connection: Connection) -> None:
    """A writer takes its lock at once: one that read first could not wait for it later."""
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


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
    if primary == sqlite3.SQLITE_CANTOPEN:
        return OutOfReachError(
            f"{name} cannot be opened for writing: {error}",
            next_step="Check that its folder exists and that you may write to it.",
        )
    if primary in {sqlite3.SQLITE_PERM, sqlite3.SQLITE_READONLY}:
        return DataError(
            f"{name} cannot be opened for writing: {error}",
            next_step="Check that its folder exists and that you may write to it.",
        )
    return DataError(f"{name} cannot be used: {error}")
