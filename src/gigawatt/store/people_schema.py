"""Tables of people: sessions, logins and invitations, in the same database as the store's."""

from sqlalchemy import Column, Double, ForeignKey, Index, Table, Text

from gigawatt.store.directory_schema import metadata

__all__ = ["metadata"]

_NAME = Text().with_variant(Text(collation="C"), "postgresql")

sessions = Table(
    "session",
    metadata,
    Column("session_id", _NAME, primary_key=True),
    Column("account_id", _NAME, ForeignKey("account.account_id"), nullable=False, index=True),
    Column("digest", _NAME, nullable=False),
    Column("created_s", Double, nullable=False),
    Column("last_used_s", Double, nullable=False),
    Column("expires_s", Double, nullable=False, index=True),
    Column("address", Text, nullable=False, server_default=""),
    Column("user_agent", Text, nullable=False, server_default=""),
)
"""Sessions that are not ended; ``digest`` is of the secret in the cookie."""

login_identities = Table(
    "login_identity",
    metadata,
    Column("issuer", _NAME, primary_key=True),
    Column("subject", _NAME, primary_key=True),
    Column("account_id", _NAME, ForeignKey("account.account_id"), nullable=False, index=True),
    Column("email", _NAME, nullable=False),
    Column("created_s", Double, nullable=False),
)
"""Who is who: a person as a login provider knows them, and their account."""

invitations = Table(
    "invitation",
    metadata,
    Column("invitation_id", _NAME, primary_key=True),
    Column("organisation_id", _NAME, ForeignKey("organisation.organisation_id"), nullable=False),
    Column("email", _NAME, nullable=False, index=True),
    Column("role", _NAME, nullable=False),
    Column("project_id", _NAME, nullable=True),
    Column("digest", _NAME, nullable=False),
    Column("invited_by", _NAME, nullable=False),
    Column("created_s", Double, nullable=False),
    Column("expires_s", Double, nullable=False),
    Column("accepted_s", Double, nullable=True),
    Column("account_id", _NAME, nullable=True),
)
"""Invitations, those that are over too. ``account_id`` outlives its account."""

Index("invitation_organisation", invitations.c.organisation_id, invitations.c.invitation_id)
