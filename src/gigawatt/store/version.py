"""Which version the tables of a database have.

There is one mechanism on both engines: the table ``alembic_version`` (ADR-0017). Databases from
before it carry a number in ``counter``; they count as the first revision.
"""

from sqlalchemy import (
    Column,
    Connection,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    func,
    insert,
    inspect,
    select,
)

from gigawatt.errors import DataError
from gigawatt.identity.chain import GENESIS
from gigawatt.store import (
    billing_schema,
    directory_schema,
    firewall_schema,
    instances_schema,
    payments_schema,
    people_schema,
    queue_schema,
    rates_schema,
    receipts_schema,
    replica_schema,
    reservations_schema,
    schema,
    secrets_schema,
    spot_schema,
    storage_quota_schema,
    usage_records_schema,
    usage_schema,
)
from gigawatt.store.call_audit_schema import CHAIN, audit_heads

REVISIONS = (
    *("0001", "0002", "0003", "0004", "0005", "0006"),
    *("0007", "0008", "0009", "0010", "0011", "0012"),
    *("0013", "0014", "0015", "0016", "0017", "0018", "0019", "0020"),
)
"""Revisions of the tables, oldest first; the files of ``migrations/versions`` have the same."""

HEAD = REVISIONS[-1]
"""Revision that this release reads and writes."""

_EVERY_TABLE = (
    billing_schema,
    directory_schema,
    firewall_schema,
    instances_schema,
    payments_schema,
    people_schema,
    queue_schema,
    rates_schema,
    receipts_schema,
    replica_schema,
    reservations_schema,
    secrets_schema,
    spot_schema,
    storage_quota_schema,
    usage_records_schema,
    usage_schema,
)
"""Modules that add their tables to the one set of ``schema`` when they are imported."""

_NUMBER_BEFORE_ALEMBIC = 1
"""What ``counter`` held under "schema_version" when the tables were those of revision 0001."""

_ADVISORY_LOCK = 0x67_69_67_61_77_61_74_74
"""Key of the lock that whoever changes the tables holds on PostgreSQL: "gigawatt" in ASCII."""

_versions = Table(
    "alembic_version",
    MetaData(),
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)


def lock_tables(connection: Connection) -> None:
    """Wait for whoever changes the tables; SQLite's writers wait for each other anyway."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(_ADVISORY_LOCK)))


def revision_of(connection: Connection, name: str) -> str | None:
    """Revision of the tables in the database called ``name``; None if there are no tables.

    Raises:
        DataError: the tables are another program's.
    """
    present = set(inspect(connection).get_table_names())
    if not present:
        return None
    if "counter" not in present:
        raise DataError(
            f"{name} is a database, but not a store of Gigawatt",
            next_step="Name an empty database or another file; this one was left as it is.",
        )
    if _versions.name in present:
        found = connection.execute(select(_versions.c.version_num)).scalar_one_or_none()
        return str(found)
    query = select(schema.counters.c.value).where(schema.counters.c.name == "schema_version")
    number = connection.execute(query).scalar_one_or_none()
    return REVISIONS[0] if number == _NUMBER_BEFORE_ALEMBIC else f"number {number}"


def is_ready(connection: Connection, name: str) -> bool:
    """Whether the tables of this release are there; False for an empty database.

    Raises:
        DataError: the tables are another program's, or of another revision.
    """
    found = revision_of(connection, name)
    if found is None:
        return False
    if found != HEAD:
        refuse_newer(found, name)
        raise DataError(
            f"{name} has tables of revision {found}, wanted {HEAD}",
            next_step="Stop every worker, run 'gw backup FILE', then 'gw migrate'.",
        )
    return True


def refuse_changed(connection: Connection, name: str) -> None:
    """Refuse to take work when the tables were migrated under a running server.

    Raises:
        DataError: the tables are of another revision than this release's.
    """
    found = connection.execute(select(_versions.c.version_num)).scalar_one()
    if found != HEAD:
        raise DataError(
            f"{name} was migrated to revision {found}, this server knows {HEAD}",
            next_step="Start the release that knows it; this server takes no more work.",
        )


def refuse_newer(revision: str, name: str) -> None:
    """Refuse a revision that this release does not know.

    Raises:
        DataError: it does not.
    """
    if revision not in REVISIONS:
        raise DataError(
            f"{name} has tables of revision {revision}, which is newer than {HEAD}",
            next_step="Use the release of Gigawatt that wrote it.",
        )


def make_tables(connection: Connection, name: str) -> None:
    """Make the tables of this release, unless another process was faster.

    Raises:
        DataError: the tables are another program's, or of another revision.
    """
    lock_tables(connection)
    if is_ready(connection, name):
        return
    schema.metadata.create_all(connection)
    connection.execute(insert(schema.counters), {"name": "generation", "value": 0})
    head = {"name": CHAIN, "first_sequence": 1, "sequence": 0, "entry_hash": GENESIS}
    connection.execute(insert(audit_heads), head)
    write_revision(connection, HEAD)


def write_revision(connection: Connection, revision: str) -> None:
    """Say for the first time which revision the tables have."""
    _versions.create(connection)
    connection.execute(insert(_versions), {"version_num": revision})


def drop_tables(connection: Connection) -> None:
    """Remove the tables of this release with all they hold."""
    schema.metadata.drop_all(connection)
    _versions.drop(connection)
