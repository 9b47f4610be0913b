"""Opens a store where it is: in a SQLite file or in a PostgreSQL database."""

from pathlib import Path

from gigawatt.errors import DataError
from gigawatt.store import sqlite, version
from gigawatt.store.address import Place, is_postgres
from gigawatt.store.database import Database
from gigawatt.store.operations import LEASE_S
from gigawatt.store.store import SqlStore, ready_store


def database_at(place: Place) -> Database:
    """The database at a place, whatever it holds.

    Raises:
        InputError: the place is the URL of something else, or cannot be read.
    """
    if is_postgres(place):
        # Imported when it is needed: whoever uses a file starts a fifth of a second earlier.
        from gigawatt.store.postgres import connect_postgres  # noqa: PLC0415

        return connect_postgres(str(place))
    return sqlite.connect_sqlite(Path(place))


def open_store_at(place: Place, *, lease_s: float = LEASE_S) -> SqlStore:
    """The store at a place, made if nothing is there.

    A worker owns an operation for ``lease_s`` (> 0) without a word; all that open one place name
    the same.

    Raises:
        ConflictError: another process held the database for too long.
        DataError: it is no store, damaged, out of reach or of another revision.
        InputError: the place is the URL of something else, or cannot be read.
        StorageFullError: no space to make it.
    """
    return ready_store(database_at(place), lease_s)


def is_empty_at(place: Place) -> bool:
    """Whether nothing was ever stored at a place; asking makes nothing.

    Raises:
        DataError: what is there is not a store, damaged or out of reach.
        InputError: the place is the URL of something else, or cannot be read.
    """
    if not is_postgres(place):
        path = Path(place)
        return not path.exists() or path.stat().st_size == 0
    database = database_at(place)
    try:
        with database.read() as connection:
            return version.revision_of(connection, database.name) is None
    finally:
        database.close()


def refuse_taken(place: Place, name: str) -> None:
    """Refuse a place where something is stored already.

    Raises:
        DataError: something is.
    """
    if not is_empty_at(place):
        raise DataError(
            f"{name} holds a store already, and it was left as it is",
            next_step="Name an empty database, or an empty folder in GIGAWATT_HOME.",
        )
