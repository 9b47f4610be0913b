"""Tables of reservations: what was promised, node by node, and what it costs."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
)

from gigawatt.store.directory_schema import metadata

__all__ = ["metadata"]

_NAME = Text().with_variant(Text(collation="C"), "postgresql")
_SEQUENCE = BigInteger().with_variant(Integer, "sqlite")

reservations = Table(
    "reservation",
    metadata,
    Column("sequence", _SEQUENCE, primary_key=True),
    Column("reservation_id", _NAME, nullable=False, unique=True),
    Column("project_id", _NAME, nullable=False, index=True),
    Column("account_id", _NAME, nullable=True),
    Column("name", _NAME, nullable=False),
    Column(
        "state",
        _NAME,
        CheckConstraint("state IN ('planned', 'booked', 'cancelled')"),
        nullable=False,
    ),
    Column("gpu_type", _NAME, nullable=False),
    Column("site_id", _NAME, nullable=False),
    Column("fabric_id", _NAME, nullable=False),
    Column("gpu_count", Integer, CheckConstraint("gpu_count > 0"), nullable=False),
    Column("growth_gpu_count", Integer, CheckConstraint("growth_gpu_count >= 0"), nullable=False),
    Column("leaf_group_count", Integer, nullable=False),
    Column("node_ids", Text, nullable=False),
    Column("growth_node_ids", Text, nullable=False),
    Column("from_s", Double, nullable=False),
    Column("to_s", Double, nullable=False),
    Column("clear_until_s", Double, nullable=False, index=True),
    Column("is_lent", Boolean, nullable=False),
    Column("price_micro_usd_per_gpu_hour", BigInteger, nullable=False),
    Column("month_count", Integer, nullable=False),
    Column("free_until_s", Double, nullable=False),
    Column("charge_micro_usd", BigInteger, nullable=False),
    Column("planned_s", Double, nullable=False),
    Column("expires_s", Double, nullable=False),
    Column("booked_s", Double, nullable=True),
    Column("cancelled_s", Double, nullable=True),
    Column("charged_micro_usd", BigInteger, nullable=False),
    Column("keep_together", _NAME, nullable=False, server_default="fabric"),
    CheckConstraint("to_s > from_s", name="reservation_has_length"),
    CheckConstraint("price_micro_usd_per_gpu_hour >= 0", name="reservation_price"),
)
"""Plans, reservations and cancelled ones. Node ids are JSON."""

reservation_nodes = Table(
    "reservation_node",
    metadata,
    Column("node_id", _NAME, primary_key=True),
    Column("from_s", Double, primary_key=True),
    Column("until_s", Double, nullable=False),
    Column("reservation_id", _NAME, ForeignKey("reservation.reservation_id"), nullable=False),
)
"""One row for each node of a booked reservation, until what is on it has had time to go.

No two rows of a node overlap. PostgreSQL could refuse that by an exclusion constraint, but only
with an extension that not every server has, and SQLite could not; whoever books holds the lock of
the generation counter."""

Index("reservation_node_of", reservation_nodes.c.reservation_id)

reservation_gaps = Table(
    "reservation_gap",
    metadata,
    Column("reservation_id", _NAME, ForeignKey("reservation.reservation_id"), primary_key=True),
    Column("node_id", _NAME, primary_key=True),
    Column("since_s", Double, primary_key=True),
    Column("until_s", Double, nullable=True),
    Column("replaced_by", _NAME, nullable=True),
    Column("gpu_count", Integer, CheckConstraint("gpu_count > 0"), nullable=False),
    Column("is_growth", Boolean, nullable=False),
    CheckConstraint("until_s IS NULL OR until_s >= since_s", name="gap_has_length"),
)
"""Promised nodes that could not be had: since when, and until another took their place or they
were mended. ``until_s`` is NULL while the reservation is short of one."""
