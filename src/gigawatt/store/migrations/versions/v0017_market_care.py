"""Revision 0017: promised nodes that broke, and what tenants answered to notices.

Written out once and never changed: what the schema modules say moves on, this stays.
"""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"

_NAME = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Make the tables, and the column of another."""
    op.add_column(
        "reservation",
        sa.Column("keep_together", _NAME, nullable=False, server_default="fabric"),
    )
    op.create_table(
        "reservation_gap",
        sa.Column(
            "reservation_id",
            _NAME,
            sa.ForeignKey("reservation.reservation_id"),
            primary_key=True,
        ),
        sa.Column("node_id", _NAME, primary_key=True),
        sa.Column("since_s", sa.Double, primary_key=True),
        sa.Column("until_s", sa.Double, nullable=True),
        sa.Column("replaced_by", _NAME, nullable=True),
        sa.Column("gpu_count", sa.Integer, sa.CheckConstraint("gpu_count > 0"), nullable=False),
        sa.Column("is_growth", sa.Boolean, nullable=False),
        sa.CheckConstraint("until_s IS NULL OR until_s >= since_s", name="gap_has_length"),
    )
    op.create_table(
        "notice_answer",
        sa.Column("notice_id", _NAME, sa.ForeignKey("notice.notice_id"), primary_key=True),
        sa.Column(
            "answer", _NAME, sa.CheckConstraint("answer IN ('saved', 'failed')"), nullable=False
        ),
        sa.Column("answered_s", sa.Double, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
    )
