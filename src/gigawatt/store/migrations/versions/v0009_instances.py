"""Revision 0009: instances, the memory of the Lambda-compatible door.

Written out once and never changed: what ``instances_schema`` says moves on, this stays.
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

_NAME = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Make the table of instances."""
    op.create_table(
        "instance",
        sa.Column("instance_id", _NAME, primary_key=True),
        sa.Column("project_id", _NAME, sa.ForeignKey("project.project_id"), nullable=False),
        sa.Column("cluster_id", _NAME, nullable=False, unique=True),
        sa.Column("name", sa.Text, nullable=True),
        sa.Column("tags", sa.Text, nullable=False),
        sa.Column("ssh_key_names", sa.Text, nullable=False),
        sa.Column("created_s", sa.Double, nullable=False),
        sa.Column("release_asked_s", sa.Double, nullable=True),
    )
    op.create_index("ix_instance_project_id", "instance", ["project_id"])
    op.create_index("ix_instance_release_asked_s", "instance", ["release_asked_s"])
