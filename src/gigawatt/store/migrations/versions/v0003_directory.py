"""Revision 0003: the directory: who may do what, and what the API remembers.

Written out once and never changed: what ``directory_schema`` says moves on, this stays.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_NAME = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_SEQUENCE = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make the tables of the directory."""
    _make_accounts()
    _make_memory()


def _make_accounts() -> None:
    op.create_table(
        "organisation",
        sa.Column("organisation_id", _NAME, primary_key=True),
        sa.Column("name", _NAME, nullable=False, unique=True),
        sa.Column("created_s", sa.Double, nullable=False),
    )

    op.create_table(
        "project",
        sa.Column("project_id", _NAME, primary_key=True),
        sa.Column(
            "organisation_id", _NAME, sa.ForeignKey("organisation.organisation_id"), nullable=False
        ),
        sa.Column("name", _NAME, nullable=False),
        sa.Column("gpu_count_max", sa.Integer, nullable=False),
        sa.Column("created_s", sa.Double, nullable=False),
        sa.UniqueConstraint("organisation_id", "name", name="project_name"),
    )

    op.create_table(
        "account",
        sa.Column("account_id", _NAME, primary_key=True),
        sa.Column(
            "organisation_id", _NAME, sa.ForeignKey("organisation.organisation_id"), nullable=False
        ),
        sa.Column("name", _NAME, nullable=False),
        sa.Column("kind", _NAME, nullable=False),
        sa.Column("role", _NAME, nullable=False),
        sa.Column("created_s", sa.Double, nullable=False),
        sa.UniqueConstraint("organisation_id", "name", name="account_name"),
    )

    op.create_table(
        "api_key",
        sa.Column("key_id", _NAME, primary_key=True),
        sa.Column("account_id", _NAME, nullable=False),
        sa.Column("organisation_id", _NAME, nullable=False),
        sa.Column("project_id", _NAME, nullable=True),
        sa.Column("name", _NAME, nullable=False),
        sa.Column("digest", _NAME, nullable=False),
        sa.Column("created_s", sa.Double, nullable=False),
        sa.Column("expires_s", sa.Double, nullable=True),
        sa.Column("last_used_s", sa.Double, nullable=True),
        sa.Column("revoked_s", sa.Double, nullable=True),
    )

    op.create_table(
        "ssh_key",
        sa.Column("ssh_key_id", _NAME, primary_key=True),
        sa.Column("project_id", _NAME, sa.ForeignKey("project.project_id"), nullable=False),
        sa.Column("name", _NAME, nullable=False),
        sa.Column("public_key", sa.Text, nullable=False),
        sa.Column("created_s", sa.Double, nullable=False),
        sa.UniqueConstraint("project_id", "name", name="ssh_key_name"),
    )


def _make_memory() -> None:
    op.create_table(
        "shown_plan",
        sa.Column("plan_id", _NAME, primary_key=True),
        sa.Column("expires_s", sa.Double, nullable=False),
        sa.Column("plan", sa.Text, nullable=False),
    )

    op.create_table(
        "idempotent_request",
        sa.Column("account_id", _NAME, primary_key=True),
        sa.Column("idempotency_key", _NAME, primary_key=True),
        sa.Column("digest", _NAME, nullable=False),
        sa.Column("operation_id", _NAME, nullable=False),
        sa.Column("started_s", sa.Double, nullable=False),
        sa.Column("status", sa.Integer, nullable=True),
        sa.Column("headers", sa.Text, nullable=True),
        sa.Column("body", sa.Text, nullable=True),
    )

    op.create_table(
        "audit_entry",
        sa.Column("sequence", _SEQUENCE, primary_key=True),
        sa.Column("at_s", sa.Double, nullable=False),
        sa.Column("organisation_id", _NAME, nullable=True),
        sa.Column("account_id", _NAME, nullable=True),
        sa.Column("key_id", _NAME, nullable=True),
        sa.Column("operation", _NAME, nullable=False),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("status", sa.Integer, nullable=False),
        sa.Column("request_id", _NAME, nullable=False),
    )

    op.create_index("audit_entry_organisation", "audit_entry", ["organisation_id", "sequence"])

    op.create_table(
        "cancellation",
        sa.Column("operation_id", _NAME, sa.ForeignKey("operation.operation_id"), primary_key=True),
        sa.Column("account_id", _NAME, nullable=False),
        sa.Column("at_s", sa.Double, nullable=False),
    )
    op.create_index("ix_api_key_account_id", "api_key", ["account_id"])
    op.create_index("ix_api_key_organisation_id", "api_key", ["organisation_id"])
    op.create_index("ix_shown_plan_expires_s", "shown_plan", ["expires_s"])
    op.create_index("ix_idempotent_request_started_s", "idempotent_request", ["started_s"])
