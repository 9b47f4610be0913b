"""Tables of usage: the meters of what is live, and the records that they write (ADR-0042).

Records only grow, which the database itself keeps: triggers refuse to change or remove a row, on
both engines. ``usage_schema`` beside it has what clusters hold, billed or not.
"""

from sqlalchemy import (
    DDL,
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    event,
)
from sqlalchemy.schema import ExecutableDDLElement

from gigawatt.store.schema import NAME, SEQUENCE, metadata

__all__ = ["metadata"]


"""SQLite numbers rows by itself only in a column declared INTEGER."""

usage_meters = Table(
    "usage_meter",
    metadata,
    Column("cluster_id", NAME, ForeignKey("cluster.cluster_id"), primary_key=True),
    Column("organisation_id", NAME, nullable=True),
    Column("project_id", NAME, nullable=False),
    Column("gpu_type", NAME, nullable=False),
    Column("site_id", NAME, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("is_delivered", Boolean, nullable=False),
    Column("next_number", BigInteger, nullable=False),
)
"""One row for each cluster that was ever delivered."""

metered_nodes = Table(
    "usage_meter_node",
    metadata,
    Column("cluster_id", NAME, ForeignKey("usage_meter.cluster_id"), primary_key=True),
    Column("node_id", NAME, primary_key=True, index=True),
    Column("gpu_count", Integer, nullable=False),
    Column("price_micro_usd_per_gpu_hour", BigInteger, nullable=False),
    Column("term", NAME, nullable=False),
    Column("reservation_id", NAME, nullable=True),
    Column("is_ready", Boolean, nullable=False),
    Column("since_ms", BigInteger, nullable=True),
)
"""Members of live clusters; ``since_ms`` is null while a node is not billed."""

usage_records = Table(
    "usage_record",
    metadata,
    Column("sequence", SEQUENCE, primary_key=True),
    Column("cluster_id", NAME, ForeignKey("cluster.cluster_id"), nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("organisation_id", NAME, nullable=True),
    Column("project_id", NAME, nullable=False),
    Column("node_id", NAME, nullable=False),
    Column("gpu_type", NAME, nullable=False),
    Column("site_id", NAME, nullable=False),
    Column("term", NAME, nullable=False),
    Column("gpu_count", Integer, nullable=False),
    Column("price_micro_usd_per_gpu_hour", BigInteger, nullable=False),
    Column("from_ms", BigInteger, nullable=False),
    Column("to_ms", BigInteger, nullable=False),
    Column("reservation_id", NAME, nullable=True),
    UniqueConstraint("cluster_id", "number", name="usage_record_number"),
)
"""Usage that ended. Whole numbers, so that sums are exact."""

Index("usage_record_time", usage_records.c.to_ms)
Index("usage_record_project", usage_records.c.project_id, usage_records.c.to_ms)
Index("usage_record_organisation", usage_records.c.organisation_id, usage_records.c.to_ms)

storage_meters = Table(
    "storage_meter",
    metadata,
    Column("holder_id", NAME, ForeignKey("cluster.cluster_id"), primary_key=True),
    Column("organisation_id", NAME, nullable=True),
    Column("project_id", NAME, nullable=False),
    Column("storage_pool_id", NAME, nullable=False),
    Column("site_id", NAME, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("storage_bytes", BigInteger, nullable=False),
    Column("since_ms", BigInteger, nullable=True),
    Column("next_number", BigInteger, nullable=False),
)
"""Quotas of clusters and file systems; ``since_ms`` is null once they are let go."""

storage_records = Table(
    "storage_usage_record",
    metadata,
    Column("sequence", SEQUENCE, primary_key=True),
    Column("holder_id", NAME, ForeignKey("cluster.cluster_id"), nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("organisation_id", NAME, nullable=True),
    Column("project_id", NAME, nullable=False),
    Column("storage_pool_id", NAME, nullable=False),
    Column("site_id", NAME, nullable=False),
    Column("storage_bytes", BigInteger, nullable=False),
    Column("from_ms", BigInteger, nullable=False),
    Column("to_ms", BigInteger, nullable=False),
    UniqueConstraint("holder_id", "number", name="storage_usage_record_number"),
)
"""Quotas that were had."""

Index("storage_usage_record_project", storage_records.c.project_id, storage_records.c.to_ms)

external_usages = Table(
    "external_usage",
    metadata,
    Column("sequence", SEQUENCE, primary_key=True),
    Column("source", NAME, nullable=False),
    Column("event_id", NAME, nullable=False),
    Column("kind", NAME, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("subject", Text, nullable=True),
    Column("organisation_id", NAME, nullable=False),
    Column("project_id", NAME, nullable=False),
    Column("quantity", BigInteger, nullable=False),
    Column("unit", NAME, nullable=False),
    Column("data", Text, nullable=False),
    Column("received_ms", BigInteger, nullable=False),
    UniqueConstraint("source", "event_id", name="external_usage_event"),
)
"""What other services measured. ``data`` is JSON with its keys in order."""

Index("external_usage_project", external_usages.c.project_id, external_usages.c.at_ms)

_SQLITE = """CREATE TRIGGER {table}_no_{verb} BEFORE {verb} ON {table}
BEGIN SELECT RAISE(ABORT, '{table} only grows'); END"""

_POSTGRES_FUNCTION = """CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger
LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION '% only grows', TG_TABLE_NAME; END $$"""

_POSTGRES = """CREATE TRIGGER {table}_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"""


def _ddl(statement: str, engine: str) -> ExecutableDDLElement:
    made: ExecutableDDLElement = DDL(statement)  # type: ignore[no-untyped-call]
    return made.execute_if(dialect=engine)


def _only_grows(table: Table) -> None:
    """Let the database refuse to change or remove rows of a table."""
    statements = [
        ("postgresql", _POSTGRES_FUNCTION.replace("%", "%%")),
        ("postgresql", _POSTGRES.format(table=table.name)),
        *(("sqlite", _SQLITE.format(table=table.name, verb=v)) for v in ("update", "delete")),
    ]
    for engine, statement in statements:
        event.listen(table, "after_create", _ddl(statement, engine))


for _table in (usage_records, storage_records, external_usages):
    _only_grows(_table)
