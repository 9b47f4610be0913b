"""Revision 0020: where a session was begun from, and in what browser.

Written out once and never changed: what the schema modules say moves on, this stays.
"""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    """Add the columns; of sessions from before nobody noted it."""
    for name in ("address", "user_agent"):
        op.add_column("session", sa.Column(name, sa.Text, nullable=False, server_default=""))
