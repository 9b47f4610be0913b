"""Revision 0012: the rate card.

Written out once and never changed: what ``rates_schema`` says moves on, this stays.
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"

_NAME = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_SEQUENCE = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make the table of rates."""
    op.create_table(
        "rate",
        sa.Column("sequence", _SEQUENCE, primary_key=True),
        sa.Column("gpu_type", _NAME, nullable=False),
        sa.Column("term", _NAME, nullable=False),
        sa.Column("price_micro_usd_per_gpu_hour", sa.BigInteger, nullable=False),
        sa.Column("valid_from_s", sa.Double, nullable=False),
        sa.Column("valid_to_s", sa.Double, nullable=True),
        sa.Column("site_id", _NAME, nullable=False),
        sa.Column("organisation_id", _NAME, nullable=False),
        sa.Column("gpu_count_min", sa.Integer, nullable=False),
        sa.Column("month_count_min", sa.Integer, nullable=False),
        sa.Column("currency", _NAME, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("set_by", _NAME, nullable=False),
        sa.Column("set_at_s", sa.Double, nullable=False),
    )
    op.create_index(
        "rate_kind",
        "rate",
        [
            "gpu_type",
            "term",
            "site_id",
            "organisation_id",
            "gpu_count_min",
            "month_count_min",
            "valid_from_s",
        ],
        unique=True,
    )
