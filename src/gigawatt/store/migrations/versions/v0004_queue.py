"""Revision 0004: the queue: what waits, what was turned away, what was freed, limits of projects.

Written out once and never changed: what ``queue_schema`` says moves on, this stays.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_NAME = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_SEQUENCE = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make the tables of the queue, and let an event name a project."""
    op.add_column("event", sa.Column("project_id", _NAME, nullable=True))
    _make_waiting()
    _make_turned_away()
    op.create_table(
        "quota_limit",
        sa.Column("project_id", _NAME, sa.ForeignKey("project.project_id"), primary_key=True),
        sa.Column("kind", _NAME, primary_key=True),
        sa.Column("name", _NAME, primary_key=True),
        sa.Column("count_max", sa.BigInteger, nullable=False),
    )


def _make_waiting() -> None:
    op.create_table(
        "waiting_request",
        sa.Column("sequence", _SEQUENCE, primary_key=True),
        sa.Column("waiting_id", _NAME, nullable=False, unique=True),
        sa.Column("project_id", _NAME, nullable=False),
        sa.Column("account_id", _NAME, nullable=True),
        sa.Column("name", _NAME, nullable=False),
        sa.Column("request", sa.Text, nullable=False),
        sa.Column("gpu_count", sa.Integer, nullable=False),
        sa.Column("gpu_type", _NAME, nullable=False),
        sa.Column("places", sa.Text, nullable=False),
        sa.Column("price_micro_usd_per_gpu_hour_max", sa.BigInteger, nullable=True),
        sa.Column("duration_s", sa.Double, nullable=True),
        sa.Column("operation_id", _NAME, nullable=False, unique=True),
        sa.Column("since_s", sa.Double, nullable=False),
        sa.Column("expires_s", sa.Double, nullable=False),
        sa.Column("front_since_s", sa.Double, nullable=True),
        sa.Column("state", _NAME, nullable=False),
        sa.Column("state_reason", sa.Text, nullable=False),
        sa.Column("state_since_s", sa.Double, nullable=False),
        sa.Column("why_kind", _NAME, nullable=True),
        sa.Column("why", sa.Text, nullable=True),
        sa.Column("cluster_id", _NAME, nullable=True),
        sa.Column("launch_count", sa.Integer, nullable=False),
    )
    op.create_index("ix_waiting_request_state", "waiting_request", ["state"])
    op.create_index(
        "waiting_request_name",
        "waiting_request",
        ["project_id", "name"],
        unique=True,
        sqlite_where=sa.text("state = 'waiting'"),
        postgresql_where=sa.text("state = 'waiting'"),
    )
    op.create_table(
        "queue_turn",
        sa.Column("name", _NAME, primary_key=True),
        sa.Column("worker", _NAME, nullable=False),
        sa.Column("expires_s", sa.Double, nullable=False),
    )
    op.create_table(
        "freed_gpu",
        sa.Column("operation_id", _NAME, sa.ForeignKey("operation.operation_id"), primary_key=True),
        sa.Column("at_s", sa.Double, nullable=False),
        sa.Column("gpu_type", _NAME, nullable=False),
        sa.Column("gpu_count", sa.Integer, nullable=False),
    )
    op.create_index("ix_freed_gpu_at_s", "freed_gpu", ["at_s"])


def _make_turned_away() -> None:
    op.create_table(
        "turned_away",
        sa.Column("sequence", _SEQUENCE, primary_key=True),
        sa.Column("source_key", _NAME, nullable=False, unique=True),
        sa.Column("at_s", sa.Double, nullable=False),
        sa.Column("project_id", _NAME, nullable=False),
        sa.Column("cause", _NAME, nullable=False),
        sa.Column("origin", _NAME, nullable=False),
        sa.Column("outcome", _NAME, nullable=False),
        sa.Column("gpu_type", _NAME, nullable=False),
        sa.Column("gpu_count", sa.Integer, nullable=False),
        sa.Column("shape", sa.Text, nullable=False),
        sa.Column("price_micro_usd_per_gpu_hour_max", sa.BigInteger, nullable=True),
        sa.Column("list_price_micro_usd_per_hour", sa.BigInteger, nullable=True),
        sa.Column("duration_s", sa.Double, nullable=True),
        sa.Column("waited_s", sa.Double, nullable=False),
        sa.Column("reasons", sa.Text, nullable=False),
        sa.Column("fingerprint", _NAME, nullable=False),
    )
    op.create_index("ix_turned_away_at_s", "turned_away", ["at_s"])
    op.create_table(
        "turned_away_day",
        sa.Column("day", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("gpu_type", _NAME, primary_key=True),
        sa.Column("gpu_count_from", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("cause", _NAME, primary_key=True),
        sa.Column("origin", _NAME, primary_key=True),
        sa.Column("request_count", sa.BigInteger, nullable=False),
        sa.Column("distinct_count", sa.BigInteger, nullable=False),
        sa.Column("gpu_count", sa.BigInteger, nullable=False),
        sa.Column("gpu_s", sa.Double, nullable=False),
        sa.Column("timed_count", sa.BigInteger, nullable=False),
        sa.Column("list_price_micro_usd_per_hour", sa.BigInteger, nullable=False),
    )
