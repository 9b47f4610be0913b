"""Tables of the store. Rules that the database itself can keep are kept here.

One GPU has one row, so it cannot have two owners; one key has one row; a tenant's live clusters
have distinct names, and so have its file systems; a cluster has one open operation. Journal,
trail and evidence only grow.
"""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Dialect,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    false,
    true,
)
from sqlalchemy.types import TypeEngine
from typing_extensions import override

metadata = MetaData()

NAME = Text().with_variant(Text(collation="C"), "postgresql")
"""Ids and words. They sort byte by byte on both engines, whatever language a server speaks."""


class Prose(TypeDecorator[str]):
    """Sentences, some from outside. PostgreSQL cannot keep the character NUL, so nobody does."""

    impl: TypeEngine[Any] | type[TypeEngine[Any]] = Text
    cache_ok: bool | None = True

    @override
    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """The text with every NUL replaced by the character that stands for unreadable ones."""
        return None if value is None else value.replace("\0", "\N{REPLACEMENT CHARACTER}")


SEQUENCE = BigInteger().with_variant(Integer, "sqlite")
"""SQLite numbers rows by itself only in a column declared INTEGER."""

counters = Table(
    "counter",
    metadata,
    Column("name", NAME, primary_key=True),
    Column("value", BigInteger, nullable=False),
)
"""Row "generation"."""

clusters = Table(
    "cluster",
    metadata,
    Column("cluster_id", NAME, primary_key=True),
    Column("tenant_id", NAME, nullable=False),
    Column("name", NAME, nullable=False),
    Column("phase", NAME, nullable=False),
    Column("phase_reason", Prose, nullable=False),
    Column("phase_since_s", Double, nullable=False),
    Column("is_ended", Boolean, nullable=False),
    Column("version", Integer, nullable=False),
    Column("target", Text, nullable=True),
    Column("created_s", Double, nullable=False),
    Column("created_generation", BigInteger, nullable=False, unique=True),
    Column("is_file_system", Boolean, nullable=False, server_default=false()),
)
"""Clusters and file systems, ended ones too. Target is JSON."""

Index(
    "cluster_live_name",
    clusters.c.tenant_id,
    clusters.c.is_file_system,
    clusters.c.name,
    unique=True,
    sqlite_where=clusters.c.is_ended == false(),
    postgresql_where=clusters.c.is_ended == false(),
)

operations = Table(
    "operation",
    metadata,
    Column("operation_id", NAME, primary_key=True),
    Column("cluster_id", NAME, ForeignKey("cluster.cluster_id"), nullable=False, index=True),
    Column("kind", NAME, nullable=False),
    Column("state", NAME, nullable=False),
    Column("is_open", Boolean, nullable=False),
    Column("plan", Text, nullable=False),
    Column("opened_generation", BigInteger, nullable=False, unique=True),
    Column("generation", BigInteger, nullable=False),
    Column("lease_worker", NAME, nullable=True),
    Column("lease_expires_s", Double, nullable=True),
    Column("started_s", Double, nullable=False),
    Column("finished_s", Double, nullable=True),
    Column("error", Prose, nullable=False),
)
"""Operations. ``opened_generation`` orders them; ``generation`` is the fence of the worker."""

Index(
    "operation_open",
    operations.c.cluster_id,
    unique=True,
    sqlite_where=operations.c.is_open == true(),
    postgresql_where=operations.c.is_open == true(),
)

allocations = Table(
    "allocation",
    metadata,
    Column("node_id", NAME, primary_key=True),
    Column("gpu", Integer, primary_key=True, autoincrement=False),
    Column("cluster_id", NAME, ForeignKey("cluster.cluster_id"), nullable=False, index=True),
    Column("state", NAME, CheckConstraint("state IN ('held', 'tombstone')"), nullable=False),
    sqlite_with_rowid=False,
)
"""One row for each GPU that is not free."""

held_keys = Table(
    "held_key",
    metadata,
    Column("pool_id", NAME, primary_key=True),
    Column("value", BigInteger, primary_key=True, autoincrement=False),
    Column("cluster_id", NAME, ForeignKey("cluster.cluster_id"), nullable=False, index=True),
    Column(
        "state", NAME, CheckConstraint("state IN ('held', 'tombstone', 'cooling')"), nullable=False
    ),
    Column("free_at_s", Double, nullable=True),
    sqlite_with_rowid=False,
)
"""One row for each key that is not free."""

tombstones = Table(
    "tombstone",
    metadata,
    Column("cluster_id", NAME, ForeignKey("cluster.cluster_id"), primary_key=True),
    Column("device_id", NAME, primary_key=True),
    Column("entry_key", NAME, primary_key=True),
    Column("node_id", NAME, nullable=True),
    Column("names_nic", Boolean, nullable=False),
    Column("entry", Text, nullable=False),
    Column("generation", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""Entries that shall be absent. ``names_nic``: the entry names a NIC, so its node is not known
here. Entry is JSON."""

Index("tombstone_entry", tombstones.c.device_id, tombstones.c.entry_key)

nodes = Table(
    "node",
    metadata,
    Column("node_id", NAME, primary_key=True),
    Column("state", NAME, CheckConstraint("state IN ('drained', 'quarantined')"), nullable=False),
    Column("reason", Prose, nullable=False),
    Column("since_s", Double, nullable=False),
    Column("by_account_id", NAME, nullable=True),
    Column("by_name", Prose, nullable=True),
)
"""Nodes that are not "available"; ``by_`` is null where the control plane took one out itself."""

step_journal = Table(
    "step_journal",
    metadata,
    Column("sequence", SEQUENCE, primary_key=True),
    Column("operation_id", NAME, ForeignKey("operation.operation_id"), nullable=False, index=True),
    Column("step_key", NAME, nullable=False),
    Column("state", NAME, nullable=False),
    Column("detail", Prose, nullable=False),
    Column("at_s", Double, nullable=False),
)
"""What was written of a step, every time; the last line of a step counts."""

evidence = Table(
    "evidence",
    metadata,
    Column("sequence", SEQUENCE, primary_key=True),
    Column("cluster_id", NAME, ForeignKey("cluster.cluster_id"), nullable=False, index=True),
    Column("operation_id", NAME, ForeignKey("operation.operation_id"), nullable=False),
    Column("kind", NAME, nullable=False),
    Column("at_s", Double, nullable=False),
    Column("document", Text, nullable=False),
)
"""Evidence documents as JSON."""

events = Table(
    "event",
    metadata,
    Column("sequence", SEQUENCE, primary_key=True),
    Column("at_s", Double, nullable=False),
    Column("cluster_id", NAME, ForeignKey("cluster.cluster_id"), nullable=True, index=True),
    Column("operation_id", NAME, ForeignKey("operation.operation_id"), nullable=True),
    Column("kind", NAME, nullable=False),
    Column("message", Prose, nullable=False),
    Column("data", Text, nullable=False),
    Column("project_id", NAME, nullable=True),
)
"""The audit trail. ``project_id`` says who sees a line of no cluster, beside the operators."""
