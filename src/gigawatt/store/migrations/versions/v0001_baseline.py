"""Revision 0001: the tables that the first stores were made with.

Written out once and never changed: what ``schema`` says moves on, this stays.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.schema import SchemaItem
from sqlalchemy.types import TypeEngine

revision = "0001"
down_revision = None

_NAME = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_SEQUENCE = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def _named(name: str, *more: SchemaItem, is_key: bool = False) -> sa.Column[str]:
    return sa.Column(name, _NAME, *more, nullable=False, primary_key=is_key)


def _of_cluster(*, is_key: bool = False) -> sa.Column[str]:
    return _named("cluster_id", sa.ForeignKey("cluster.cluster_id"), is_key=is_key)


def _of_operation() -> sa.Column[str]:
    return _named("operation_id", sa.ForeignKey("operation.operation_id"))


def _required(name: str, kind: TypeEngine[Any]) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=False)


def _sequence() -> sa.Column[int]:
    return sa.Column("sequence", _SEQUENCE, primary_key=True)


def _number_key(name: str, kind: TypeEngine[int]) -> sa.Column[int]:
    return sa.Column(name, kind, primary_key=True, autoincrement=False)


def _state(*words: str) -> sa.Column[str]:
    listed = ", ".join(f"'{word}'" for word in words)
    return _named("state", sa.CheckConstraint(f"state IN ({listed})"))


def upgrade() -> None:
    """Make every table, in the order of their references."""
    _make_clusters()
    _make_operations()
    _make_holdings()
    _make_records()


def _make_clusters() -> None:
    counters = op.create_table(
        "counter", _named("name", is_key=True), _required("value", sa.BigInteger())
    )
    rows = [{"name": "schema_version", "value": 1}, {"name": "generation", "value": 0}]
    op.bulk_insert(counters, rows)
    op.create_table(
        "node",
        _named("node_id", is_key=True),
        _state("drained", "quarantined"),
        _required("reason", sa.Text()),
        _required("since_s", sa.Double()),
    )
    op.create_table(
        "cluster",
        _named("cluster_id", is_key=True),
        _named("tenant_id"),
        _named("name"),
        _named("phase"),
        _required("phase_reason", sa.Text()),
        _required("phase_since_s", sa.Double()),
        _required("is_ended", sa.Boolean()),
        _required("version", sa.Integer()),
        sa.Column("target", sa.Text()),
        _required("created_s", sa.Double()),
        sa.Column("created_generation", sa.BigInteger(), nullable=False, unique=True),
    )
    op.create_index(
        "cluster_live_name",
        "cluster",
        ["tenant_id", "name"],
        unique=True,
        sqlite_where=sa.text("is_ended = 0"),
        postgresql_where=sa.text("is_ended = false"),
    )


def _make_operations() -> None:
    op.create_table(
        "operation",
        _named("operation_id", is_key=True),
        _of_cluster(),
        _named("kind"),
        _named("state"),
        _required("is_open", sa.Boolean()),
        _required("plan", sa.Text()),
        sa.Column("opened_generation", sa.BigInteger(), nullable=False, unique=True),
        _required("generation", sa.BigInteger()),
        sa.Column("lease_worker", _NAME),
        sa.Column("lease_expires_s", sa.Double()),
        _required("started_s", sa.Double()),
        sa.Column("finished_s", sa.Double()),
        _required("error", sa.Text()),
    )
    op.create_index("ix_operation_cluster_id", "operation", ["cluster_id"])
    op.create_index(
        "operation_open",
        "operation",
        ["cluster_id"],
        unique=True,
        sqlite_where=sa.text("is_open = 1"),
        postgresql_where=sa.text("is_open = true"),
    )


def _make_holdings() -> None:
    op.create_table(
        "allocation",
        _named("node_id", is_key=True),
        _number_key("gpu", sa.Integer()),
        _of_cluster(),
        _state("held", "tombstone"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_allocation_cluster_id", "allocation", ["cluster_id"])
    op.create_table(
        "held_key",
        _named("pool_id", is_key=True),
        _number_key("value", sa.BigInteger()),
        _of_cluster(),
        _state("held", "tombstone", "cooling"),
        sa.Column("free_at_s", sa.Double()),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_held_key_cluster_id", "held_key", ["cluster_id"])
    op.create_table(
        "tombstone",
        _of_cluster(is_key=True),
        _named("device_id", is_key=True),
        _named("entry_key", is_key=True),
        sa.Column("node_id", _NAME),
        _required("names_nic", sa.Boolean()),
        _required("entry", sa.Text()),
        _required("generation", sa.BigInteger()),
        sqlite_with_rowid=False,
    )
    op.create_index("tombstone_entry", "tombstone", ["device_id", "entry_key"])


def _make_records() -> None:
    op.create_table(
        "step_journal",
        _sequence(),
        _of_operation(),
        _named("step_key"),
        _named("state"),
        _required("detail", sa.Text()),
        _required("at_s", sa.Double()),
    )
    op.create_index("ix_step_journal_operation_id", "step_journal", ["operation_id"])
    op.create_table(
        "evidence",
        _sequence(),
        _of_cluster(),
        _of_operation(),
        _named("kind"),
        _required("at_s", sa.Double()),
        _required("document", sa.Text()),
    )
    op.create_index("ix_evidence_cluster_id", "evidence", ["cluster_id"])
    op.create_table(
        "event",
        _sequence(),
        _required("at_s", sa.Double()),
        sa.Column("cluster_id", _NAME, sa.ForeignKey("cluster.cluster_id")),
        sa.Column("operation_id", _NAME, sa.ForeignKey("operation.operation_id")),
        _named("kind"),
        _required("message", sa.Text()),
        _required("data", sa.Text()),
    )
    op.create_index("ix_event_cluster_id", "event", ["cluster_id"])
