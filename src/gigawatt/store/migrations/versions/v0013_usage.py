"""Revision 0013: meters of clusters and storage, their records, and what other services measured.

Written out once and never changed. Clusters and file systems that are there are metered from the
last line of the trail, at the price of the plan that made them what they are.
"""

import json
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"

_NAME = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_SEQUENCE = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_FUNCTION = """CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger
LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION '% only grows', TG_TABLE_NAME; END $$"""
_POSTGRES = """CREATE TRIGGER {table}_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"""
_SQLITE = """CREATE TRIGGER {table}_no_{verb} BEFORE {verb} ON {table}
BEGIN SELECT RAISE(ABORT, '{table} only grows'); END"""
_LIVE = sa.text(
    "SELECT c.cluster_id, c.tenant_id, c.target, c.is_file_system, p.organisation_id"
    " FROM cluster AS c LEFT JOIN project AS p ON p.project_id = c.tenant_id"
    " WHERE c.phase IN ('active', 'changing') AND c.target IS NOT NULL"
)
_LAST = sa.text(
    "SELECT kind, is_open, plan, started_s, finished_s FROM operation"
    " WHERE cluster_id = :cluster_id ORDER BY opened_generation DESC LIMIT 1"
)


def _big(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=nullable)


def _word(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, _NAME, nullable=nullable)


def _cluster(name: str, *, is_key: bool = False) -> sa.Column[str]:
    reference = sa.ForeignKey("cluster.cluster_id")
    return sa.Column(name, _NAME, reference, primary_key=is_key, nullable=False)


def _sequence() -> sa.Column[int]:
    return sa.Column("sequence", _SEQUENCE, primary_key=True)


def upgrade() -> None:
    """Make the tables and begin to meter what is live."""
    meters = _make_meters()
    _make_records()
    if op.get_bind().dialect.name == "postgresql":
        op.execute(_FUNCTION)
    for table in ("usage_record", "storage_usage_record", "external_usage"):
        if op.get_bind().dialect.name == "postgresql":
            op.execute(_POSTGRES.format(table=table))
        else:
            op.execute(_SQLITE.format(table=table, verb="update"))
            op.execute(_SQLITE.format(table=table, verb="delete"))
    _begin(*meters)


def _promise() -> list[sa.Column[Any]]:
    return [
        sa.Column("gpu_count", sa.Integer, nullable=False),
        _big("price_micro_usd_per_gpu_hour"),
    ]


def _make_meters() -> tuple[sa.Table, sa.Table, sa.Table]:
    meters = op.create_table(
        "usage_meter",
        _cluster("cluster_id", is_key=True),
        _word("organisation_id", nullable=True),
        _word("project_id"),
        _word("gpu_type"),
        _word("site_id"),
        _big("at_ms"),
        sa.Column("is_delivered", sa.Boolean, nullable=False),
        _big("next_number"),
    )
    nodes = op.create_table(
        "usage_meter_node",
        sa.Column("cluster_id", _NAME, sa.ForeignKey("usage_meter.cluster_id"), primary_key=True),
        sa.Column("node_id", _NAME, primary_key=True),
        *_promise(),
        _word("term"),
        _word("reservation_id", nullable=True),
        sa.Column("is_ready", sa.Boolean, nullable=False),
        _big("since_ms", nullable=True),
    )
    op.create_index("ix_usage_meter_node_node_id", "usage_meter_node", ["node_id"])
    storage = op.create_table(
        "storage_meter",
        _cluster("holder_id", is_key=True),
        _word("organisation_id", nullable=True),
        _word("project_id"),
        _word("storage_pool_id"),
        _word("site_id"),
        _big("at_ms"),
        _big("storage_bytes"),
        _big("since_ms", nullable=True),
        _big("next_number"),
    )
    return meters, nodes, storage


def _make_records() -> None:
    op.create_table(
        "usage_record",
        _sequence(),
        _cluster("cluster_id"),
        _big("number"),
        _word("organisation_id", nullable=True),
        *(_word(name) for name in ("project_id", "node_id", "gpu_type", "site_id", "term")),
        *_promise(),
        _big("from_ms"),
        _big("to_ms"),
        _word("reservation_id", nullable=True),
        sa.UniqueConstraint("cluster_id", "number", name="usage_record_number"),
    )
    op.create_index("usage_record_time", "usage_record", ["to_ms"])
    for whose in ("project", "organisation"):
        op.create_index(f"usage_record_{whose}", "usage_record", [f"{whose}_id", "to_ms"])
    op.create_table(
        "storage_usage_record",
        _sequence(),
        _cluster("holder_id"),
        _big("number"),
        _word("organisation_id", nullable=True),
        *(_word(name) for name in ("project_id", "storage_pool_id", "site_id")),
        *(_big(name) for name in ("storage_bytes", "from_ms", "to_ms")),
        sa.UniqueConstraint("holder_id", "number", name="storage_usage_record_number"),
    )
    op.create_index("storage_usage_record_project", "storage_usage_record", ["project_id", "to_ms"])
    op.create_table(
        "external_usage",
        _sequence(),
        *(_word(name) for name in ("source", "event_id", "kind")),
        _big("at_ms"),
        sa.Column("subject", sa.Text, nullable=True),
        *(_word(name) for name in ("organisation_id", "project_id")),
        _big("quantity"),
        _word("unit"),
        sa.Column("data", sa.Text, nullable=False),
        _big("received_ms"),
        sa.UniqueConstraint("source", "event_id", name="external_usage_event"),
    )
    op.create_index("external_usage_project", "external_usage", ["project_id", "at_ms"])


def _begin(meters: sa.Table, nodes: sa.Table, storage: sa.Table) -> None:
    """Begin to meter what is live."""
    connection = op.get_bind()
    broken = sa.text("SELECT node_id FROM node WHERE state = 'quarantined'")
    unready = set(connection.execute(broken).scalars())
    newest_s = connection.execute(sa.text("SELECT max(at_s) FROM event")).scalar() or 0.0
    began = {"name": "usage_from_ms", "value": round(newest_s * 1000)}
    op.bulk_insert(sa.table("counter", sa.column("name"), sa.column("value")), [began])
    for cluster in connection.execute(_LIVE).all():
        last = connection.execute(_LAST, {"cluster_id": cluster.cluster_id}).one()
        plan, target = json.loads(last.plan), json.loads(cluster.target)
        since_ms = round(max(newest_s, last.finished_s or last.started_s) * 1000)
        whose = {
            "organisation_id": cluster.organisation_id,
            "project_id": cluster.tenant_id,
            "site_id": target["site_id"],
            "at_ms": since_ms,
            "next_number": 0,
        }
        if last.is_open and last.kind != "shrink":
            target = plan["before"]
        if target["pool_id"] is not None and target["storage_bytes"]:
            had = {
                "holder_id": cluster.cluster_id,
                "storage_pool_id": target["pool_id"],
                "storage_bytes": target["storage_bytes"],
                "since_ms": since_ms,
            }
            op.bulk_insert(storage, [{**whose, **had}])
        if cluster.is_file_system:
            continue
        meter = {
            "cluster_id": cluster.cluster_id,
            "gpu_type": plan["report"]["gpu_type"],
            "is_delivered": True,
        }
        op.bulk_insert(meters, [{**whose, **meter}])
        price = _price(plan)
        op.bulk_insert(
            nodes,
            [
                {
                    "cluster_id": cluster.cluster_id,
                    "node_id": member["node_id"],
                    "gpu_count": member["gpu_mask"].bit_count(),
                    "price_micro_usd_per_gpu_hour": price,
                    "term": "on_demand",
                    "is_ready": member["node_id"] not in unready,
                    "since_ms": None if member["node_id"] in unready else since_ms,
                }
                for member in target["members"]
            ],
        )


def _price(plan: Mapping[str, Any]) -> int:
    members = plan["after"]["members"] if plan["after"] else []
    gpu_count = sum(int(member["gpu_mask"]).bit_count() for member in members)
    return int(plan["report"]["price_micro_usd_per_hour"]) // max(gpu_count, 1)
