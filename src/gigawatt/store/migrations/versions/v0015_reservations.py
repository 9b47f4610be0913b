"""Revision 0015: reservations, spot rounds and notices.

Written out once and never changed: what the schema modules say moves on, this stays.
"""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"

_NAME = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_SEQUENCE = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make the tables."""
    _reservations()
    _spot()


def _reservations() -> None:
    op.create_table(
        "reservation",
        sa.Column("sequence", _SEQUENCE, primary_key=True),
        sa.Column("reservation_id", _NAME, nullable=False, unique=True),
        sa.Column("project_id", _NAME, nullable=False, index=True),
        sa.Column("account_id", _NAME, nullable=True),
        sa.Column("name", _NAME, nullable=False),
        sa.Column(
            "state",
            _NAME,
            sa.CheckConstraint("state IN ('planned', 'booked', 'cancelled')"),
            nullable=False,
        ),
        sa.Column("gpu_type", _NAME, nullable=False),
        sa.Column("site_id", _NAME, nullable=False),
        sa.Column("fabric_id", _NAME, nullable=False),
        sa.Column("gpu_count", sa.Integer, sa.CheckConstraint("gpu_count > 0"), nullable=False),
        sa.Column(
            "growth_gpu_count",
            sa.Integer,
            sa.CheckConstraint("growth_gpu_count >= 0"),
            nullable=False,
        ),
        sa.Column("leaf_group_count", sa.Integer, nullable=False),
        sa.Column("node_ids", sa.Text, nullable=False),
        sa.Column("growth_node_ids", sa.Text, nullable=False),
        sa.Column("from_s", sa.Double, nullable=False),
        sa.Column("to_s", sa.Double, nullable=False),
        sa.Column("clear_until_s", sa.Double, nullable=False, index=True),
        sa.Column("is_lent", sa.Boolean, nullable=False),
        sa.Column("price_micro_usd_per_gpu_hour", sa.BigInteger, nullable=False),
        sa.Column("month_count", sa.Integer, nullable=False),
        sa.Column("free_until_s", sa.Double, nullable=False),
        sa.Column("charge_micro_usd", sa.BigInteger, nullable=False),
        sa.Column("planned_s", sa.Double, nullable=False),
        sa.Column("expires_s", sa.Double, nullable=False),
        sa.Column("booked_s", sa.Double, nullable=True),
        sa.Column("cancelled_s", sa.Double, nullable=True),
        sa.Column("charged_micro_usd", sa.BigInteger, nullable=False),
        sa.CheckConstraint("to_s > from_s", name="reservation_has_length"),
        sa.CheckConstraint("price_micro_usd_per_gpu_hour >= 0", name="reservation_price"),
    )
    op.create_table(
        "reservation_node",
        sa.Column("node_id", _NAME, primary_key=True),
        sa.Column("from_s", sa.Double, primary_key=True),
        sa.Column("until_s", sa.Double, nullable=False),
        sa.Column(
            "reservation_id", _NAME, sa.ForeignKey("reservation.reservation_id"), nullable=False
        ),
    )
    op.create_index("reservation_node_of", "reservation_node", ["reservation_id"])


def _spot() -> None:
    op.create_table(
        "spot_round",
        sa.Column("sequence", _SEQUENCE, primary_key=True),
        sa.Column("at_s", sa.Double, nullable=False, index=True),
        sa.Column("gpu_type", _NAME, nullable=False),
        sa.Column("site_id", _NAME, nullable=False),
        sa.Column("price_micro_usd_per_gpu_hour", sa.BigInteger, nullable=False),
        sa.Column("floor_micro_usd_per_gpu_hour", sa.BigInteger, nullable=False),
        sa.Column("offered_gpu_count", sa.Integer, nullable=False),
        sa.Column("sold_gpu_count", sa.Integer, nullable=False),
        sa.Column("bid_count", sa.Integer, nullable=False),
    )
    op.create_table(
        "notice",
        sa.Column("sequence", _SEQUENCE, primary_key=True),
        sa.Column("notice_id", _NAME, nullable=False, unique=True),
        sa.Column(
            "cluster_id", _NAME, sa.ForeignKey("cluster.cluster_id"), nullable=False, index=True
        ),
        sa.Column("project_id", _NAME, nullable=False),
        sa.Column("node_ids", sa.Text, nullable=False),
        sa.Column("cause", _NAME, nullable=False),
        sa.Column("cause_id", _NAME, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("given_s", sa.Double, nullable=False),
        sa.Column("deadline_s", sa.Double, nullable=False),
        sa.Column("operation_id", _NAME, nullable=False, unique=True),
        sa.Column(
            "state",
            _NAME,
            sa.CheckConstraint("state IN ('given', 'begun', 'done', 'withdrawn')"),
            nullable=False,
            index=True,
        ),
        sa.Column("state_since_s", sa.Double, nullable=False),
        sa.CheckConstraint("deadline_s > given_s", name="notice_has_length"),
    )
    op.create_table(
        "notice_node",
        sa.Column("cluster_id", _NAME, sa.ForeignKey("cluster.cluster_id"), primary_key=True),
        sa.Column("node_id", _NAME, primary_key=True),
        sa.Column(
            "notice_id", _NAME, sa.ForeignKey("notice.notice_id"), nullable=False, index=True
        ),
    )
    op.create_table(
        "checkpoint",
        sa.Column("cluster_id", _NAME, sa.ForeignKey("cluster.cluster_id"), primary_key=True),
        sa.Column("saved_s", sa.Double, nullable=False),
    )
