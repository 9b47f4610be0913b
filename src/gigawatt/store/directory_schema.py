"""Tables of the directory, in the same database as the store's."""

from sqlalchemy import (
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
)

from gigawatt.store.schema import NAME, SEQUENCE, metadata

__all__ = ["metadata"]

"""Ids and words; pages go on after one, so they sort byte by byte on both engines."""

"""SQLite numbers rows by itself only in a column declared INTEGER."""

organisations = Table(
    "organisation",
    metadata,
    Column("organisation_id", NAME, primary_key=True),
    Column("name", NAME, nullable=False, unique=True),
    Column("created_s", Double, nullable=False),
)

projects = Table(
    "project",
    metadata,
    Column("project_id", NAME, primary_key=True),
    Column("organisation_id", NAME, ForeignKey("organisation.organisation_id"), nullable=False),
    Column("name", NAME, nullable=False),
    Column("gpu_count_max", Integer, nullable=False),
    Column("created_s", Double, nullable=False),
    UniqueConstraint("organisation_id", "name", name="project_name"),
)
"""Projects; clusters name them in ``tenant_id``, which may also be a tenant of no project."""

accounts = Table(
    "account",
    metadata,
    Column("account_id", NAME, primary_key=True),
    Column("organisation_id", NAME, ForeignKey("organisation.organisation_id"), nullable=False),
    Column("name", NAME, nullable=False),
    Column("kind", NAME, nullable=False),
    Column("role", NAME, nullable=False),
    Column("created_s", Double, nullable=False),
    Column("project_id", NAME, nullable=True),
    UniqueConstraint("organisation_id", "name", name="account_name"),
)
"""Accounts. Project is the only one that an account reaches, null for all."""

api_keys = Table(
    "api_key",
    metadata,
    Column("key_id", NAME, primary_key=True),
    Column("account_id", NAME, nullable=False, index=True),
    Column("organisation_id", NAME, nullable=False, index=True),
    Column("project_id", NAME, nullable=True),
    Column("name", NAME, nullable=False),
    Column("digest", NAME, nullable=False),
    Column("created_s", Double, nullable=False),
    Column("expires_s", Double, nullable=True),
    Column("last_used_s", Double, nullable=True),
    Column("revoked_s", Double, nullable=True),
    Column("previous_digest", NAME, nullable=True),
    Column("previous_until_s", Double, nullable=True),
)
"""API keys, those that are over too. They outlive their account, which may be removed."""

ssh_keys = Table(
    "ssh_key",
    metadata,
    Column("ssh_key_id", NAME, primary_key=True),
    Column("project_id", NAME, ForeignKey("project.project_id"), nullable=False),
    Column("name", NAME, nullable=False),
    Column("public_key", Text, nullable=False),
    Column("created_s", Double, nullable=False),
    UniqueConstraint("project_id", "name", name="ssh_key_name"),
)

shown_plans = Table(
    "shown_plan",
    metadata,
    Column("plan_id", NAME, primary_key=True),
    Column("expires_s", Double, nullable=False, index=True),
    Column("plan", Text, nullable=False),
)
"""Plans that were shown and may be applied. Plan is JSON."""

requests = Table(
    "idempotent_request",
    metadata,
    Column("account_id", NAME, primary_key=True),
    Column("idempotency_key", NAME, primary_key=True),
    Column("digest", NAME, nullable=False),
    Column("operation_id", NAME, nullable=False),
    Column("started_s", Double, nullable=False, index=True),
    Column("status", Integer, nullable=True),
    Column("headers", Text, nullable=True),
    Column("body", Text, nullable=True),
    Column("holder", NAME, nullable=True),
)
"""Requests under an idempotency key; status is null while there is no answer to keep, and holder
names the try that carries the request out."""

audit_entries = Table(
    "audit_entry",
    metadata,
    Column("sequence", SEQUENCE, primary_key=True),
    Column("at_s", Double, nullable=False),
    Column("organisation_id", NAME, nullable=True),
    Column("account_id", NAME, nullable=True),
    Column("key_id", NAME, nullable=True),
    Column("operation", NAME, nullable=False),
    Column("path", Text, nullable=False),
    Column("status", Integer, nullable=False),
    Column("request_id", NAME, nullable=False),
    Column("client_address", NAME, nullable=True),
    Column("before", Text, nullable=True),
    Column("after", Text, nullable=True),
    Column("previous_hash", NAME, nullable=True),
    Column("entry_hash", NAME, nullable=True),
)
"""Calls that changed something or were refused. It only grows. Hashes are null in rows from before
the chain; ``before`` and ``after`` are JSON, as text because the hash covers the text."""

Index("audit_entry_organisation", audit_entries.c.organisation_id, audit_entries.c.sequence)

cancellations = Table(
    "cancellation",
    metadata,
    Column("operation_id", NAME, ForeignKey("operation.operation_id"), primary_key=True),
    Column("account_id", NAME, nullable=False),
    Column("at_s", Double, nullable=False),
)
"""Operations that somebody asked to unwind."""
