"""Revision 0010: receipts of cleaning.

Written out once and never changed: what ``receipts_schema`` says moves on, this stays.
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"

_NAME = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Make the table of receipts."""
    op.create_table(
        "cleaning_receipt",
        sa.Column("receipt_id", _NAME, primary_key=True),
        sa.Column("node_id", _NAME, nullable=False),
        sa.Column("gpu_mask", sa.BigInteger, nullable=False),
        sa.Column("cluster_id", _NAME, nullable=False),
        sa.Column("ended_s", sa.Double, nullable=False),
        sa.Column("is_passed", sa.Boolean, nullable=False),
        sa.Column("steps", sa.Text, nullable=False),
    )
    op.create_index(
        "ix_cleaning_receipt_node_id_ended_s", "cleaning_receipt", ["node_id", "ended_s"]
    )
