"""Moves a store from an older revision of the tables to this release's, when told to."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, inspect

from gigawatt.errors import DataError
from gigawatt.store import version
from gigawatt.store.address import Place
from gigawatt.store.open import database_at

_SCRIPTS = Path(__file__).parent / "migrations"


def migrate_store(place: Place) -> tuple[str, str]:
    """Bring the tables at a place to this release's revision; revision before and after.

    One transaction: it happens wholly or not at all.

    Raises:
        ConflictError: another process holds the database.
        DataError: nothing or another program's tables are there, or the revision is newer.
        InputError: the place cannot be read.
        StorageFullError: no space for it.
    """
    database = database_at(place)
    try:
        with database.write() as connection:
            version.lock_tables(connection)
            found = version.revision_of(connection, database.name)
            if found is None:
                raise DataError(
                    f"{database.name} holds no store, so there is nothing to migrate",
                    next_step="Any other command makes a store.",
                )
            version.refuse_newer(found, database.name)
            if not inspect(connection).has_table("alembic_version"):
                version.write_revision(connection, found)
            upgrade_tables(connection, version.HEAD)
            return found, version.HEAD
    finally:
        database.close()


def upgrade_tables(connection: Connection, revision: str) -> None:
    """Run the migrations up to a revision, in the transaction of ``connection``."""
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, revision)
