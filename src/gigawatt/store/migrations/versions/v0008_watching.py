"""Revision 0008: the audit as a hash chain, and GPU time held.

Written out once and never changed. Rows of the audit that are there keep what they say and get no
hash: the chain begins behind them. GPU time of clusters that are there counts from the last change
of what they hold.
"""

import json

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

_NAME = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_GENESIS = "0" * 64
_WHEN = sa.text(
    "SELECT kind, plan, started_s, finished_s FROM operation"
    " WHERE cluster_id = :cluster_id ORDER BY opened_generation DESC LIMIT 1"
)
_HELD = sa.text(
    "SELECT cluster_id, count(*) FROM allocation WHERE state = 'held' GROUP BY cluster_id"
)


def upgrade() -> None:
    """Add columns to the audit, its head, and the table of GPU time."""
    _chain()
    _usage()


def _chain() -> None:
    for name, kind in (
        ("client_address", _NAME),
        ("before", sa.Text),
        ("after", sa.Text),
        ("previous_hash", _NAME),
        ("entry_hash", _NAME),
    ):
        op.add_column("audit_entry", sa.Column(name, kind, nullable=True))
    heads = op.create_table(
        "audit_head",
        sa.Column("name", _NAME, primary_key=True),
        sa.Column("first_sequence", sa.BigInteger, nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.Column("entry_hash", _NAME, nullable=False),
    )
    newest = op.get_bind().execute(sa.text("SELECT max(sequence) FROM audit_entry")).scalar() or 0
    head = {"name": "calls", "first_sequence": newest + 1, "sequence": newest}
    op.bulk_insert(heads, [{**head, "entry_hash": _GENESIS}])


def _usage() -> None:
    usages = op.create_table(
        "gpu_usage",
        sa.Column("cluster_id", _NAME, sa.ForeignKey("cluster.cluster_id"), primary_key=True),
        sa.Column("gpu_type", _NAME, nullable=False),
        sa.Column("gpu_count", sa.Integer, nullable=False),
        sa.Column("since_ms", sa.BigInteger, nullable=False),
        sa.Column("gpu_ms", sa.BigInteger, nullable=False),
    )
    op.create_index("ix_gpu_usage_gpu_type", "gpu_usage", ["gpu_type"])
    connection = op.get_bind()
    for cluster_id, gpu_count in connection.execute(_HELD).all():
        last = connection.execute(_WHEN, {"cluster_id": cluster_id}).one()
        changed_s = last.started_s if last.finished_s is None else last.finished_s
        row = {
            "cluster_id": cluster_id,
            "gpu_type": json.loads(last.plan)["report"]["gpu_type"],
            "gpu_count": gpu_count,
            "since_ms": round(changed_s * 1000),
            "gpu_ms": 0,
        }
        op.bulk_insert(usages, [row])
