"""The head of the audit's chain; its rows are the table ``audit_entry`` of the directory."""

from sqlalchemy import BigInteger, Column, Table

from gigawatt.store.schema import NAME, metadata

CHAIN = "calls"
"""Name of the one row."""

audit_heads = Table(
    "audit_head",
    metadata,
    Column("name", NAME, primary_key=True),
    Column("first_sequence", BigInteger, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("entry_hash", NAME, nullable=False),
)
"""First row of the chain, and number and hash of its last row. Whoever appends locks
it first, so rows get their numbers in the order in which they become visible, without gaps."""
