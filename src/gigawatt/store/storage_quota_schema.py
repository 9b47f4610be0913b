"""The table of storage quotas, in the same database as the store's."""

from sqlalchemy import BigInteger, Column, ForeignKey, Table, Text

from gigawatt.store.schema import metadata

_NAME = Text().with_variant(Text(collation="C"), "postgresql")
"""Ids, sorted byte by byte on both engines."""

storage_quotas = Table(
    "storage_quota",
    metadata,
    Column("project_id", _NAME, ForeignKey("project.project_id"), primary_key=True),
    Column("granted_bytes", BigInteger, nullable=False),
)
"""Bytes granted; a project without a row has the default."""
