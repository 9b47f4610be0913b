"""Revision 0002: the number of the schema goes, because ``alembic_version`` says it now."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Remove the counter that stood for the version of the tables."""
    op.execute("DELETE FROM counter WHERE name = 'schema_version'")
