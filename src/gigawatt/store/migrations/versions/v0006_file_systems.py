"""Revision 0006: file systems among the clusters, firewall rulesets, storage quotas.

Written out once and never changed: what the schemas say moves on, this stays.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

_NAME = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Tell file systems from clusters; make the tables of rulesets and quotas."""
    op.add_column(
        "cluster",
        sa.Column("is_file_system", sa.Boolean, nullable=False, server_default=sa.false()),
    )
    op.drop_index("cluster_live_name", "cluster")
    is_live = sa.text("is_ended = 0")
    if op.get_bind().dialect.name == "postgresql":
        is_live = sa.text("is_ended = false")
    op.create_index(
        "cluster_live_name",
        "cluster",
        ["tenant_id", "is_file_system", "name"],
        unique=True,
        sqlite_where=is_live,
        postgresql_where=is_live,
    )
    op.create_table(
        "firewall_ruleset",
        sa.Column("ruleset_id", _NAME, primary_key=True),
        sa.Column("project_id", _NAME, sa.ForeignKey("project.project_id"), nullable=False),
        sa.Column("name", _NAME, nullable=False),
        sa.Column("site_id", _NAME, nullable=False),
        sa.Column("rules", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("created_s", sa.Double, nullable=False),
        sa.Column("follow_at_s", sa.Double, nullable=True),
        sa.UniqueConstraint("project_id", "name", name="firewall_ruleset_name"),
    )
    op.create_index("ix_firewall_ruleset_follow_at_s", "firewall_ruleset", ["follow_at_s"])
    op.create_table(
        "storage_quota",
        sa.Column("project_id", _NAME, sa.ForeignKey("project.project_id"), primary_key=True),
        sa.Column("granted_bytes", sa.BigInteger, nullable=False),
    )
