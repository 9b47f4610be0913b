"""A store in a PostgreSQL database. The only file that speaks to PostgreSQL for the store.

Reads are REPEATABLE READ: one snapshot for all statements. Writes are READ COMMITTED and lock the
generation's row first, so that each change of holdings sees all changes before it and none is
ever rolled back for another's sake (ADR-0018). Source:
https://www.postgresql.org/docs/15/transaction-iso.html, .../explicit-locking.html,
.../runtime-config-client.html, .../libpq-connect.html, .../errcodes-appendix.html.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import psycopg
from sqlalchemy import URL, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_exponential

from gigawatt.errors import (
    ConflictError,
    DataError,
    GigawattError,
    InputError,
    OutOfReachError,
    StorageFullError,
)
from gigawatt.store.address import name_of
from gigawatt.store.database import Database
from gigawatt.store.store import SqlStore, ready_store
from gigawatt.store.turns import turn_by_database

LOCK_TIMEOUT_S = 10.0
"""How long a writer waits for another one; as for SQLite."""

STATEMENT_TIMEOUT_S = 60.0
"""Longest run of one statement. Ours: the snapshot of 10,000 GPUs takes less than a second."""

PATIENCE_S = 20.0
"""How long a connection is tried again while the server is away: a restart takes seconds."""

_CONNECT_TIMEOUT_S = 10
_BACKOFF_S_FIRST = 0.05
_BACKOFF_S_MAX = 0.5
_CONNECTION_COUNT_KEPT = 12
_CONNECTION_COUNT_MORE = 4

_STARTS_OR_STOPS = (
    "starting up",
    "shutting down",
    "recovery mode",
    "not yet accepting connections",
    "too many clients",
)
"""What a server says that will answer soon. A refused connection has no SQLSTATE to look at."""

_COME_BACK = (
    "Start the database, then run the command again: what was being written is either wholly there"
    " or not at all, and an operation that was under way is resumed."
)

_CLASSES: Mapping[str, tuple[type[GigawattError], str, str | None]] = {
    "53100": (StorageFullError, "no space left on the disk", None),
    "55P03": (
        ConflictError,
        "another process holds the store and did not let go in time",
        "Run the command again; if it persists, look for the one that hangs in pg_stat_activity.",
    ),
    "23505": (
        ConflictError,
        "another process wrote the same row first",
        "Read again what is there, then decide.",
    ),
    "40": (ConflictError, "another process wrote at the same time", "Run the command again."),
    "57014": (
        DataError,
        "a statement took longer than it may",
        "Look at the load of the database server, then run the command again.",
    ),
    "25006": (
        DataError,
        "the database only answers reads, as a standby does",
        "Name the primary in GIGAWATT_DATABASE_URL.",
    ),
    "42501": (
        DataError,
        "the user of the database may not do what a store needs",
        "Make the user the owner of the database.",
    ),
    "XX": (DataError, "the database is damaged", "Restore it from a copy with 'gw restore FILE'."),
    "57": (OutOfReachError, "the database went away", _COME_BACK),
    "08": (OutOfReachError, "the connection to the database was lost", _COME_BACK),
    "53": (
        OutOfReachError,
        "the database server is at its limits",
        "Give it more memory or connections, then run the command again.",
    ),
}
"""Our error and sentence for a SQLSTATE, or for its class: the first two characters."""


def open_postgres(
    url: str, *, lock_timeout_s: float = LOCK_TIMEOUT_S, patience_s: float = PATIENCE_S
) -> SqlStore:
    """The store in a PostgreSQL database, made if the database is empty.

    Any number of threads, processes and machines may have the same database open.

    Args:
        url: ``postgresql://user:password@host:port/database``; libpq's parameters may follow.
        lock_timeout_s: longest wait for another writer, > 0.
        patience_s: longest wait for a server that is away, >= 0.

    Raises:
        ConflictError: another process held the database too long.
        DataError: it is no store, damaged, out of reach or of another revision.
        InputError: the URL cannot be read.
        StorageFullError: no space to make it.
    """
    database = connect_postgres(url, lock_timeout_s=lock_timeout_s, patience_s=patience_s)
    return ready_store(database)


def connect_postgres(
    url: str, *, lock_timeout_s: float = LOCK_TIMEOUT_S, patience_s: float = PATIENCE_S
) -> Database:
    """The database of a URL, whatever it holds; it is connected to when it is used.

    Raises:
        InputError: the URL cannot be read.
    """
    name = name_of(url)
    engine = _engine(_sqlalchemy_url(url))
    retrying = Retrying(
        retry=retry_if_exception(_is_passing),
        stop=stop_after_delay(patience_s),
        wait=wait_exponential(multiplier=_BACKOFF_S_FIRST, max=_BACKOFF_S_MAX),
        reraise=True,
    )
    limits = {
        "lock_timeout": f"{round(lock_timeout_s * 1_000)}ms",
        "statement_timeout": f"{round(STATEMENT_TIMEOUT_S * 1_000)}ms",
        "idle_in_transaction_session_timeout": f"{round(STATEMENT_TIMEOUT_S * 1_000)}ms",
    }
    event.listen(engine, "do_connect", partial(_connect, name, limits, retrying))
    reader = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    writer = engine.execution_options(isolation_level="READ COMMITTED")
    turn = partial(turn_by_database, reader)
    return Database(name, reader, writer, partial(_explained, name), turn)


def _sqlalchemy_url(url: str) -> URL:
    try:
        return make_url(url).set(drivername="postgresql+psycopg")
    except (ArgumentError, ValueError):
        # The error below has no cause on purpose: that one may show the URL with its password.
        raise InputError(
            "the URL of the database cannot be read",
            next_step="Write postgresql://USER@HOST:PORT/DATABASE; special characters as %XX.",
        ) from None


def _engine(url: URL) -> Engine:
    wanted = {
        "application_name": "gigawatt",
        "connect_timeout": _CONNECT_TIMEOUT_S,
        "keepalives_idle": _CONNECT_TIMEOUT_S,
        "tcp_user_timeout": round(STATEMENT_TIMEOUT_S * 1_000),
    }
    return create_engine(
        url,
        connect_args={key: value for key, value in wanted.items() if key not in url.query},
        pool_size=_CONNECTION_COUNT_KEPT,
        max_overflow=_CONNECTION_COUNT_MORE,
        pool_pre_ping=True,
        pool_use_lifo=True,
        hide_parameters=True,
    )


def _connect(
    name: str,
    limits: Mapping[str, str],
    retrying: Retrying,
    _dialect: object,
    _record: object,
    arguments: Sequence[Any],
    parameters: Mapping[str, Any],
) -> psycopg.Connection[Any]:
    """Connect, again and again while the server is away: nothing was sent, so nothing repeats."""

    def try_once() -> psycopg.Connection[Any]:
        raw = psycopg.connect(*arguments, **parameters)
        try:
            _prepare(raw, name, limits)
        except (psycopg.Error, GigawattError):
            raw.close()
            raise
        return raw

    return retrying(try_once)


def _prepare(raw: psycopg.Connection[Any], name: str, limits: Mapping[str, str]) -> None:
    """Set the limits of a new connection, and never acknowledge what is not on disk.

    Raises:
        DataError: the database keeps text in another encoding, of which psycopg makes bytes.
    """
    encoding = raw.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise DataError(
            f"{name} keeps text as {encoding}, wanted UTF8",
            next_step="Make one with 'createdb --encoding=UTF8 --template=template0 NAME'.",
        )
    for setting, value in limits.items():
        raw.execute("SELECT set_config(%s, %s, false)", [setting, value])
    raw.execute(
        "SELECT set_config('synchronous_commit', 'on', false)"
        " WHERE current_setting('synchronous_commit') = 'off'"
    )
    raw.commit()


def _is_passing(error: BaseException) -> bool:
    """Whether a failure to connect may be over soon: no answer, or one that asks to wait."""
    if not isinstance(error, psycopg.OperationalError):
        return False
    said = str(error)
    return "FATAL" not in said or any(words in said for words in _STARTS_OR_STOPS)


def _explained(name: str, error: BaseException) -> GigawattError:
    """The error of ours that an error of psycopg is."""
    state = getattr(error, "sqlstate", None) or ""
    # The first line says what; the rest points into a statement.
    said = (str(error).splitlines() or [type(error).__name__])[0]
    is_away = isinstance(error, psycopg.OperationalError) and not state
    found = _CLASSES.get(state) or _CLASSES.get("08" if is_away else state[:2])
    if found is None:
        return DataError(f"{name} cannot be used: {said}")
    kind, sentence, next_step = found
    return kind(f"{name}: {sentence} ({said})", next_step=next_step)
