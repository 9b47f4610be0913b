"""The table of secrets, in the same database as the store's; nothing in it is in clear."""

from sqlalchemy import Column, Double, Table, Text

from gigawatt.store.schema import NAME, metadata

secrets = Table(
    "secret",
    metadata,
    Column("secret_ref", NAME, primary_key=True),
    Column("key_id", NAME, nullable=False),
    Column("sealed", Text, nullable=False),
    Column("changed_s", Double, nullable=False),
)
"""Secrets by name. ``sealed`` is nonce and ciphertext of AES-256-GCM, base64; ``key_id`` tells
with which key. The keys are in a file, never in the database."""
