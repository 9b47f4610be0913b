"""Copies a whole store out of its place into one file, and such a file into an empty place.

SQLite by its online backup API (https://sqlite.org/backup.html), PostgreSQL by ``pg_dump`` and
``pg_restore`` in the custom format, from an exported snapshot, both while others write.
"""

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, text, update

from gigawatt.errors import DataError, StorageFullError
from gigawatt.store import schema, version
from gigawatt.store.address import Place, is_postgres, name_of
from gigawatt.store.audit import audit_database
from gigawatt.store.database import Database, current_generation
from gigawatt.store.open import database_at, is_empty_at, refuse_taken
from gigawatt.store.reading import read_rows

GENERATION_LEAP = 1_000_000_000
"""What a restored store adds to its generation. Ours: devices refuse a generation older than the
last they saw, and they saw later ones than the copy knows; no site commits that often."""


@dataclass(frozen=True, slots=True)
class StoreCopy:
    """What a file that holds a copied store is.

    Fields:
        engine: "sqlite" or "postgresql".
        revision: of its tables.
        generation: of the store at the moment that was copied.
    """

    engine: str
    revision: str
    generation: int


def copy_out(place: Place, target: Path) -> StoreCopy:
    """Copy one consistent state of the store at a place into the new file ``target``.

    Raises:
        DataError: nothing is there, it cannot be read, or ``pg_dump`` is missing or fails.
        StorageFullError: no space for the copy.
    """
    if is_empty_at(place):
        raise DataError(
            f"{name_of(place)} holds no store, so there is nothing to copy",
            next_step="Check GIGAWATT_HOME and GIGAWATT_DATABASE_URL.",
        )
    database = database_at(place)
    try:
        with database.read() as connection:
            found = str(version.revision_of(connection, database.name))
            engine = "postgresql" if is_postgres(place) else "sqlite"
            if is_postgres(place):
                generation = _dump(connection, str(place), target)
            else:
                generation = _copy_file(Path(place), target)
            return StoreCopy(engine, found, generation)
    finally:
        database.close()


def _copy_file(path: Path, target: Path) -> int:
    query = "SELECT value FROM counter WHERE name = 'generation'"
    with (
        _sqlite_told(path),
        closing(sqlite3.connect(path)) as source,
        closing(sqlite3.connect(target)) as made,
    ):
        source.backup(made)
        made.execute("PRAGMA journal_mode = DELETE")
        return int(made.execute(query).fetchone()[0])


@contextmanager
def _sqlite_told(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL:
            raise StorageFullError(f"no space left for a copy of {path}") from error
        raise DataError(f"{path} cannot be copied: {error}") from error


def _dump(connection: Connection, url: str, target: Path) -> int:
    connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
    generation = current_generation(connection)
    snapshot = connection.execute(text("SELECT pg_export_snapshot()")).scalar_one()
    _run_tool(
        "pg_dump",
        url,
        ["--format=custom", f"--snapshot={snapshot}", f"--file={target}", *_PLAIN],
    )
    return generation


_PLAIN = ("--no-owner", "--no-privileges")


def _run_tool(tool: str, url: str, arguments: list[str]) -> None:
    """Run a tool of PostgreSQL; the password goes by the environment, which only we can read."""
    program = shutil.which(tool)
    if program is None:
        raise DataError(
            f"{tool} is not installed, and a copy of a PostgreSQL database needs it",
            next_step="sudo apt-get install -y postgresql-client",
        )
    destination, secrets = _connection_of(url)
    done = subprocess.run(  # noqa: S603 - a tool found on the path, arguments of ours
        [program, f"--dbname={destination}", "--no-password", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **secrets},
    )
    if done.returncode != 0:
        said = (done.stderr.strip().splitlines() or ["no reason given"])[0]
        if "No space left on device" in done.stderr:
            raise StorageFullError(f"no space left for a copy of {name_of(url)}: {said}")
        raise DataError(
            f"{tool} failed on {name_of(url)}: {said}",
            next_step="Mend what it says and run the command again; nothing was changed.",
        )


def _connection_of(url: str) -> tuple[str, Mapping[str, str]]:
    """A URL as libpq's parameters without the password, and that as an environment."""
    # Imported when it is needed: it takes a sixth of a second.
    from psycopg.conninfo import conninfo_to_dict, make_conninfo  # noqa: PLC0415

    parameters = conninfo_to_dict(url)
    password = parameters.pop("password", None)
    secrets = {} if password is None else {"PGPASSWORD": str(password)}
    return make_conninfo("", **parameters), secrets


def copy_in(source: Path, copy: StoreCopy, place: Place) -> None:
    """Put a copied store into an empty place, audit it there, and raise its generation.

    Nothing stays at the place if the auditor has a note.

    Raises:
        DataError: the place holds something or is of the other engine, the copy is not sound or
            of a newer revision, or ``pg_restore`` is missing or fails.
        StorageFullError: no space for it.
    """
    name = name_of(place)
    version.refuse_newer(copy.revision, "the copy")
    wanted = "postgresql" if is_postgres(place) else "sqlite"
    if copy.engine != wanted:
        raise DataError(
            f"the copy is of a store on {copy.engine}, and {name} is on {wanted}",
            next_step="Set or clear GIGAWATT_DATABASE_URL so that the engines agree.",
        )
    refuse_taken(place, name)
    if is_postgres(place):
        _load(source, copy, str(place))
    else:
        _place_file(source, copy, Path(place))


def _place_file(source: Path, copy: StoreCopy, path: Path) -> None:
    """Make the file beside its place, then give it its name, which nobody may have taken."""
    for left in (path.with_name(path.name + end) for end in ("-wal", "-shm", "-journal")):
        if left.exists():
            raise DataError(
                f"{left} is left of a store that is gone, and would be mixed into this one",
                next_step=f"Move {left} away, then run the command again.",
            )
    made = path.with_name(path.name + ".restoring")
    try:
        path.unlink(missing_ok=True)  # it is empty, as refuse_taken saw
        shutil.copyfile(source, made)
        _verify(made, copy)
        with closing(database_at(made)) as database:
            _leap(database)
        os.link(made, path)
    except OSError as error:
        raise DataError(f"{path} cannot be made: {error.strerror}") from error
    finally:
        for end in ("", "-wal", "-shm"):
            made.with_name(made.name + end).unlink(missing_ok=True)


def _load(source: Path, copy: StoreCopy, url: str) -> None:
    _run_tool("pg_restore", url, ["--single-transaction", "--exit-on-error", *_PLAIN, str(source)])
    with closing(database_at(url)) as database:
        try:
            _verify(url, copy)
        except DataError:
            with database.write() as connection:
                version.drop_tables(connection)
            raise
        _leap(database)


def _verify(place: Place, copy: StoreCopy) -> None:
    notes = audit_database(place)
    if notes:
        raise DataError(
            f"the copy was not restored, the auditor has {len(notes)} notes: {notes[0]}",
            next_step="Take an older copy.",
        )
    with read_rows(place) as rows:
        (row,) = rows.ask("SELECT value FROM counter WHERE name = 'generation'")
    if row["value"] != copy.generation:
        raise DataError(
            f"the copy was not restored: it is of generation {row['value']},"
            f" its manifest says {copy.generation}",
            next_step="Take another copy.",
        )


def _leap(database: Database) -> None:
    """Raise the generation beyond all that devices can have seen since the copy was made."""
    with database.write() as connection:
        connection.execute(
            update(schema.counters)
            .where(schema.counters.c.name == "generation")
            .values(value=schema.counters.c.value + GENERATION_LEAP)
        )
