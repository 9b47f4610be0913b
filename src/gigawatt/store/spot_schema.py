"""Tables of spot: rounds that were cleared, notices to give nodes back, and saved checkpoints."""

from sqlalchemy import BigInteger, CheckConstraint, Column, Double, ForeignKey, Integer, Table, Text

from gigawatt.store.directory_schema import metadata
from gigawatt.store.schema import NAME, SEQUENCE, Prose

__all__ = ["metadata"]


spot_rounds = Table(
    "spot_round",
    metadata,
    Column("sequence", SEQUENCE, primary_key=True),
    Column("at_s", Double, nullable=False, index=True),
    Column("gpu_type", NAME, nullable=False),
    Column("site_id", NAME, nullable=False),
    Column("price_micro_usd_per_gpu_hour", BigInteger, nullable=False),
    Column("floor_micro_usd_per_gpu_hour", BigInteger, nullable=False),
    Column("offered_gpu_count", Integer, nullable=False),
    Column("sold_gpu_count", Integer, nullable=False),
    Column("bid_count", Integer, nullable=False),
)
"""Rounds with another outcome than the one before them at their place."""

notices = Table(
    "notice",
    metadata,
    Column("sequence", SEQUENCE, primary_key=True),
    Column("notice_id", NAME, nullable=False, unique=True),
    Column("cluster_id", NAME, ForeignKey("cluster.cluster_id"), nullable=False, index=True),
    Column("project_id", NAME, nullable=False),
    Column("node_ids", Text, nullable=False),
    Column("cause", NAME, nullable=False),
    Column("cause_id", NAME, nullable=False),
    Column("reason", Prose, nullable=False),
    Column("given_s", Double, nullable=False),
    Column("deadline_s", Double, nullable=False),
    Column("operation_id", NAME, nullable=False, unique=True),
    Column(
        "state",
        NAME,
        CheckConstraint("state IN ('given', 'begun', 'done', 'withdrawn')"),
        nullable=False,
        index=True,
    ),
    Column("state_since_s", Double, nullable=False),
    CheckConstraint("deadline_s > given_s", name="notice_has_length"),
)
"""Who was asked to give which nodes back by when. ``operation_id`` is drawn before the operation
is committed under it, so that nobody is preempted twice. Node ids are JSON."""

notice_nodes = Table(
    "notice_node",
    metadata,
    Column("cluster_id", NAME, ForeignKey("cluster.cluster_id"), primary_key=True),
    Column("node_id", NAME, primary_key=True),
    Column("notice_id", NAME, ForeignKey("notice.notice_id"), nullable=False, index=True),
)
"""Nodes of clusters that are asked back now: each once."""

checkpoints = Table(
    "checkpoint",
    metadata,
    Column("cluster_id", NAME, ForeignKey("cluster.cluster_id"), primary_key=True),
    Column("saved_s", Double, nullable=False),
)
"""When the tenant of a cluster last said that its work is saved."""

notice_answers = Table(
    "notice_answer",
    metadata,
    Column("notice_id", NAME, ForeignKey("notice.notice_id"), primary_key=True),
    Column("answer", NAME, CheckConstraint("answer IN ('saved', 'failed')"), nullable=False),
    Column("answered_s", Double, nullable=False),
    Column("detail", Prose, nullable=False),
)
"""What the tenant of a cluster said of its work after a notice."""
