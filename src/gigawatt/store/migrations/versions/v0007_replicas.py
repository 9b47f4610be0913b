"""Revision 0007: heartbeats and duties of replicas, and which try carries a request out.

Written out once and never changed: what ``replica_schema`` says moves on, this stays.
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

_NAME = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Make the tables of replicas, and the column that names a try."""
    op.create_table(
        "heartbeat",
        sa.Column("worker", _NAME, primary_key=True),
        sa.Column("beat", sa.BigInteger, nullable=False),
        sa.Column("started_s", sa.Double, nullable=False),
    )
    op.create_table(
        "duty",
        sa.Column("name", _NAME, primary_key=True),
        sa.Column("worker", _NAME, nullable=True),
        sa.Column("done_s", sa.Double, nullable=True),
    )
    op.add_column("idempotent_request", sa.Column("holder", _NAME, nullable=True))
