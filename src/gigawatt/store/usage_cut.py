"""The end of a day for all meters at once, as a few statements: ``market.meter.Cut`` in SQL.

A site has thousands of clusters, and whoever cuts holds the lock of the generation counter, so one
cluster after the other would keep everybody from committing for seconds.
"""

from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, Table, func, insert, select, update

from gigawatt.store.usage_records_schema import (
    metered_nodes,
    storage_meters,
    storage_records,
    usage_meters,
    usage_records,
)

_WHOSE = ("cluster_id", "organisation_id", "project_id", "gpu_type", "site_id")
_WHAT = ("node_id", "gpu_count", "price_micro_usd_per_gpu_hour", "term", "reservation_id")
_HAD = ("holder_id", "organisation_id", "project_id", "storage_pool_id", "site_id", "storage_bytes")


def is_due(connection: Connection, at_ms: int) -> bool:
    """Whether anything is under way since before a moment."""
    return any(
        connection.execute(
            select(table.c.since_ms).where(table.c.since_ms < at_ms).limit(1)
        ).first()
        for table in (metered_nodes, storage_meters)
    )


def cut(connection: Connection, at_ms: int) -> int:
    """Write down what is under way since before a moment, up to it; how many records.

    A meter that has seen a later moment is cut there, as it counts any earlier one.
    """
    return _cut_gpus(connection, at_ms) + _cut_storage(connection, at_ms)


def _cut_gpus(connection: Connection, at_ms: int) -> int:
    nodes, meters = metered_nodes.c, usage_meters.c
    due = select(nodes.cluster_id).where(nodes.since_ms < at_ms)
    connection.execute(
        update(usage_meters)
        .where(meters.cluster_id.in_(due), meters.at_ms < at_ms)
        .values(at_ms=at_ms)
    )
    place = func.row_number().over(partition_by=nodes.cluster_id, order_by=nodes.node_id)
    columns: dict[str, ColumnElement[Any]] = {
        **{name: meters[name] for name in _WHOSE},
        "number": meters.next_number + place - 1,
        **{name: nodes[name] for name in _WHAT},
        "from_ms": nodes.since_ms,
        "to_ms": meters.at_ms,
    }
    ended = (
        select(*(column.label(name) for name, column in columns.items()))
        .join_from(usage_meters, metered_nodes, meters.cluster_id == nodes.cluster_id)
        .where(nodes.cluster_id.in_(due), nodes.since_ms < meters.at_ms)
        .order_by(nodes.cluster_id, nodes.node_id)
    )
    count = _insert(connection, usage_records, list(columns), ended)
    newest = select(func.max(usage_records.c.number) + 1).where(
        usage_records.c.cluster_id == meters.cluster_id
    )
    connection.execute(
        update(usage_meters)
        .where(meters.cluster_id.in_(due))
        .values(next_number=newest.scalar_subquery())
    )
    now_ms = select(meters.at_ms).where(meters.cluster_id == nodes.cluster_id).scalar_subquery()
    connection.execute(
        update(metered_nodes)
        .where(nodes.cluster_id.in_(due), nodes.since_ms.is_not(None))
        .values(since_ms=now_ms)
    )
    return count


def _insert(connection: Connection, table: Table, names: list[str], rows: Select[Any]) -> int:
    """Insert what a query finds; how many rows."""
    counted = {"preserve_rowcount": True}
    statement = insert(table).from_select(names, rows)
    return int(connection.execute(statement, execution_options=counted).rowcount)


def _cut_storage(connection: Connection, at_ms: int) -> int:
    meters = storage_meters.c
    is_due = meters.since_ms < at_ms
    connection.execute(
        update(storage_meters).where(is_due, meters.at_ms < at_ms).values(at_ms=at_ms)
    )
    columns: dict[str, ColumnElement[Any]] = {
        **{name: meters[name] for name in _HAD},
        "number": meters.next_number,
        "from_ms": meters.since_ms,
        "to_ms": meters.at_ms,
    }
    ended = (
        select(*(column.label(name) for name, column in columns.items()))
        .where(is_due)
        .order_by(meters.holder_id)
    )
    count = _insert(connection, storage_records, list(columns), ended)
    connection.execute(
        update(storage_meters)
        .where(is_due)
        .values(since_ms=meters.at_ms, next_number=meters.next_number + 1)
    )
    return count
