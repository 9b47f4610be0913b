"""Tables of the queue: what waits, what was turned away, what was freed, and limits of projects."""

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
)

from gigawatt.store.directory_schema import metadata
from gigawatt.store.schema import NAME, SEQUENCE, Prose

__all__ = ["metadata"]


waiting_requests = Table(
    "waiting_request",
    metadata,
    Column("sequence", SEQUENCE, primary_key=True),
    Column("waiting_id", NAME, nullable=False, unique=True),
    Column("project_id", NAME, nullable=False),
    Column("account_id", NAME, nullable=True),
    Column("name", NAME, nullable=False),
    Column("request", Text, nullable=False),
    Column("gpu_count", Integer, nullable=False),
    Column("gpu_type", NAME, nullable=False),
    Column("places", Text, nullable=False),
    Column("price_micro_usd_per_gpu_hour_max", BigInteger, nullable=True),
    Column("duration_s", Double, nullable=True),
    Column("operation_id", NAME, nullable=False, unique=True),
    Column("since_s", Double, nullable=False),
    Column("expires_s", Double, nullable=False),
    Column("front_since_s", Double, nullable=True),
    Column("state", NAME, nullable=False, index=True),
    Column("state_reason", Prose, nullable=False),
    Column("state_since_s", Double, nullable=False),
    Column("why_kind", NAME, nullable=True),
    Column("why", Prose, nullable=True),
    Column("cluster_id", NAME, nullable=True),
    Column("launch_count", Integer, nullable=False),
)
"""Requests that wait or did. Request and places are JSON. ``operation_id`` is drawn before the
operation is committed under it, so that no request is ever started twice."""

Index(
    "waiting_request_name",
    waiting_requests.c.project_id,
    waiting_requests.c.name,
    unique=True,
    sqlite_where=waiting_requests.c.state == "waiting",
    postgresql_where=waiting_requests.c.state == "waiting",
)

queue_turns = Table(
    "queue_turn",
    metadata,
    Column("name", NAME, primary_key=True),
    Column("worker", NAME, nullable=False),
    Column("expires_s", Double, nullable=False),
)
"""Row "queue": who serves the queue now."""

freed_gpus = Table(
    "freed_gpu",
    metadata,
    Column("operation_id", NAME, ForeignKey("operation.operation_id"), primary_key=True),
    Column("at_s", Double, nullable=False, index=True),
    Column("gpu_type", NAME, nullable=False),
    Column("gpu_count", Integer, nullable=False),
)
"""What releases and shrinks gave back."""

turned_away = Table(
    "turned_away",
    metadata,
    Column("sequence", SEQUENCE, primary_key=True),
    Column("source_key", NAME, nullable=False, unique=True),
    Column("at_s", Double, nullable=False, index=True),
    Column("project_id", NAME, nullable=False),
    Column("cause", NAME, nullable=False),
    Column("origin", NAME, nullable=False),
    Column("outcome", NAME, nullable=False),
    Column("gpu_type", NAME, nullable=False),
    Column("gpu_count", Integer, nullable=False),
    Column("shape", Prose, nullable=False),
    Column("price_micro_usd_per_gpu_hour_max", BigInteger, nullable=True),
    Column("list_price_micro_usd_per_hour", BigInteger, nullable=True),
    Column("duration_s", Double, nullable=True),
    Column("waited_s", Double, nullable=False),
    Column("reasons", Prose, nullable=False),
    Column("fingerprint", NAME, nullable=False),
)
"""Requests that were not served. Reasons are JSON."""

turned_away_days = Table(
    "turned_away_day",
    metadata,
    Column("day", Integer, primary_key=True, autoincrement=False),
    Column("gpu_type", NAME, primary_key=True),
    Column("gpu_count_from", Integer, primary_key=True, autoincrement=False),
    Column("cause", NAME, primary_key=True),
    Column("origin", NAME, primary_key=True),
    Column("request_count", BigInteger, nullable=False),
    Column("distinct_count", BigInteger, nullable=False),
    Column("gpu_count", BigInteger, nullable=False),
    Column("gpu_s", Double, nullable=False),
    Column("timed_count", BigInteger, nullable=False),
    Column("list_price_micro_usd_per_hour", BigInteger, nullable=False),
)
"""Sums of rows that were dropped from ``turned_away``."""

quota_limits = Table(
    "quota_limit",
    metadata,
    Column("project_id", NAME, ForeignKey("project.project_id"), primary_key=True),
    Column("kind", NAME, primary_key=True),
    Column("name", NAME, primary_key=True),
    Column("count_max", BigInteger, nullable=False),
)
"""Limits beside the count of GPUs: kind "gpu_type" with the type as name, "cluster", "waiting"."""
