"""Revision 0011: sealed secrets of devices.

Written out once and never changed: what ``secrets_schema`` says moves on, this stays.
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"

_NAME = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Make the table of secrets."""
    op.create_table(
        "secret",
        sa.Column("secret_ref", _NAME, primary_key=True),
        sa.Column("key_id", _NAME, nullable=False),
        sa.Column("sealed", sa.Text, nullable=False),
        sa.Column("changed_s", sa.Double, nullable=False),
    )
