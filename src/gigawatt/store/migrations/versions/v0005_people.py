"""Revision 0005: people: sessions, logins, invitations, and the secret before a rotation.

Written out once and never changed: what ``people_schema`` says moves on, this stays.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

_NAME = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Make the tables of people, and add to those of accounts and keys."""
    op.add_column("account", sa.Column("project_id", _NAME, nullable=True))
    op.add_column("api_key", sa.Column("previous_digest", _NAME, nullable=True))
    op.add_column("api_key", sa.Column("previous_until_s", sa.Double, nullable=True))
    _make_logins()
    _make_invitations()


def _make_logins() -> None:
    op.create_table(
        "session",
        sa.Column("session_id", _NAME, primary_key=True),
        sa.Column("account_id", _NAME, sa.ForeignKey("account.account_id"), nullable=False),
        sa.Column("digest", _NAME, nullable=False),
        sa.Column("created_s", sa.Double, nullable=False),
        sa.Column("last_used_s", sa.Double, nullable=False),
        sa.Column("expires_s", sa.Double, nullable=False),
    )
    op.create_index("ix_session_account_id", "session", ["account_id"])
    op.create_index("ix_session_expires_s", "session", ["expires_s"])
    op.create_table(
        "login_identity",
        sa.Column("issuer", _NAME, primary_key=True),
        sa.Column("subject", _NAME, primary_key=True),
        sa.Column("account_id", _NAME, sa.ForeignKey("account.account_id"), nullable=False),
        sa.Column("email", _NAME, nullable=False),
        sa.Column("created_s", sa.Double, nullable=False),
    )
    op.create_index("ix_login_identity_account_id", "login_identity", ["account_id"])


def _make_invitations() -> None:
    op.create_table(
        "invitation",
        sa.Column("invitation_id", _NAME, primary_key=True),
        sa.Column(
            "organisation_id", _NAME, sa.ForeignKey("organisation.organisation_id"), nullable=False
        ),
        sa.Column("email", _NAME, nullable=False),
        sa.Column("role", _NAME, nullable=False),
        sa.Column("project_id", _NAME, nullable=True),
        sa.Column("digest", _NAME, nullable=False),
        sa.Column("invited_by", _NAME, nullable=False),
        sa.Column("created_s", sa.Double, nullable=False),
        sa.Column("expires_s", sa.Double, nullable=False),
        sa.Column("accepted_s", sa.Double, nullable=True),
        sa.Column("account_id", _NAME, nullable=True),
    )
    op.create_index("ix_invitation_email", "invitation", ["email"])
    op.create_index("invitation_organisation", "invitation", ["organisation_id", "invitation_id"])
