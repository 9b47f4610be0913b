"""How long GPUs were held: one row a cluster, kept in the transactions that change holdings."""

from sqlalchemy import BigInteger, Column, ForeignKey, Integer, Table

from gigawatt.store.schema import NAME, metadata

__all__ = ["metadata"]


gpu_usages = Table(
    "gpu_usage",
    metadata,
    Column("cluster_id", NAME, ForeignKey("cluster.cluster_id"), primary_key=True),
    Column("gpu_type", NAME, nullable=False, index=True),
    Column("gpu_count", Integer, nullable=False),
    Column("since_ms", BigInteger, nullable=False),
    Column("gpu_ms", BigInteger, nullable=False),
)
"""GPUs held since a moment, and GPU-milliseconds before it. Whole numbers, so the sum is exact:
2**63 GPU-milliseconds are 10,000 GPUs for 29,000 years."""
