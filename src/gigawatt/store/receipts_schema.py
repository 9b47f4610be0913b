"""The table of cleaning receipts, in the same database as the store's."""

from sqlalchemy import BigInteger, Boolean, Column, Double, Index, Table, Text

from gigawatt.store.schema import NAME, metadata

cleaning_receipts = Table(
    "cleaning_receipt",
    metadata,
    Column("receipt_id", NAME, primary_key=True),
    Column("node_id", NAME, nullable=False),
    Column("gpu_mask", BigInteger, nullable=False),
    Column("cluster_id", NAME, nullable=False),
    Column("ended_s", Double, nullable=False),
    Column("is_passed", Boolean, nullable=False),
    Column("steps", Text, nullable=False),
    Index("ix_cleaning_receipt_node_id_ended_s", "node_id", "ended_s"),
)
"""Receipts, kept for good. Steps are JSON; ended_s and is_passed say of them what lists need."""
