"""How long GPUs were held: one row a cluster, kept in the transactions that change holdings."""

from sqlalchemy import BigInteger, Column, ForeignKey, Integer, Table, Text

from gigawatt.store.schema import metadata

__all__ = ["metadata"]

_NAME = Text().with_variant(Text(collation="C"), "postgresql")

gpu_usages = Table(
    "gpu_usage",
    metadata,
    Column("cluster_id", _NAME, ForeignKey("cluster.cluster_id"), primary_key=True),
    Column("gpu_type", _NAME, nullable=False, index=True),
    Column("gpu_count", Integer, nullable=False),
    Column("since_ms", BigInteger, nullable=False),
    Column("gpu_ms", BigInteger, nullable=False),
)
"""GPUs held since a moment, and GPU-milliseconds before it. Whole numbers, so the sum is exact:
2**63 GPU-milliseconds are 10,000 GPUs for 29,000 years."""
