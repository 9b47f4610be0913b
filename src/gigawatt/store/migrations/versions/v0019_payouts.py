"""Revision 0019: what providers paid out, and of what it was made.

Written out once and never changed: what the schema modules say moves on, this stays.
"""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"

_NAME = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "payout",
        sa.Column("provider", _NAME, primary_key=True),
        sa.Column("payout_id", _NAME, primary_key=True),
        sa.Column("amount_micro_usd", sa.BigInteger, nullable=False),
        sa.Column("currency", _NAME, nullable=False),
        sa.Column(
            "state",
            _NAME,
            sa.CheckConstraint("state IN ('under_way', 'paid', 'failed')"),
            nullable=False,
        ),
        sa.Column("at_s", sa.Double, nullable=False),
        sa.Column("is_itemised", sa.Boolean, nullable=False),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column(
            "verdict",
            _NAME,
            sa.CheckConstraint("verdict IN ('under_way', 'entered', 'held')"),
            nullable=False,
        ),
        sa.Column("fee_micro_usd", sa.BigInteger, nullable=False),
        sa.Column("line_count", sa.Integer, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("changed_s", sa.Double, nullable=False),
    )
    op.create_table(
        "payout_line",
        sa.Column("provider", _NAME, primary_key=True),
        sa.Column("line_id", _NAME, primary_key=True),
        sa.Column("payout_id", _NAME, nullable=False, index=True),
        sa.Column("kind", _NAME, nullable=False),
        sa.Column("amount_micro_usd", sa.BigInteger, nullable=False),
        sa.Column("fee_micro_usd", sa.BigInteger, nullable=False),
    )
