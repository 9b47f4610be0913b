"""The table of storage quotas, in the same database as the store's."""

from sqlalchemy import BigInteger, Column, ForeignKey, Table

from gigawatt.store.schema import NAME, metadata

"""Ids, sorted byte by byte on both engines."""

storage_quotas = Table(
    "storage_quota",
    metadata,
    Column("project_id", NAME, ForeignKey("project.project_id"), primary_key=True),
    Column("granted_bytes", BigInteger, nullable=False),
)
"""Bytes granted; a project without a row has the default."""
