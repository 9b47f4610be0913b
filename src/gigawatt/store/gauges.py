"""``SqlGauges``: a store in numbers, from one read of a dozen small queries."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Select, func, select

from gigawatt.ids import KeyPoolId, NodeId
from gigawatt.interfaces.gauges import Gauges, StoreGauges
from gigawatt.planner.phases import Phase
from gigawatt.store import usage
from gigawatt.store.call_audit_schema import audit_heads
from gigawatt.store.database import Database
from gigawatt.store.schema import (
    allocations,
    clusters,
    events,
    held_keys,
    nodes,
    operations,
    tombstones,
)
from gigawatt.store.store import SqlStore


def _pairs(connection: Connection, query: Select[Any]) -> Mapping[Any, int]:
    """Counts in the last column, by what is before it."""
    return {
        row[0] if len(row) == 2 else tuple(row[:-1]): int(row[-1])
        for row in connection.execute(query)
    }


def _count(connection: Connection, query: Select[Any]) -> int:
    return int(connection.execute(query).scalar_one() or 0)


_IS_CLUSTER = ~clusters.c.is_file_system
_LIVE = select(clusters.c.phase, clusters.c.phase_since_s).where(~clusters.c.is_ended)
_ENDED = select(clusters.c.phase, func.count()).where(clusters.c.is_ended, _IS_CLUSTER)
_GPUS = select(allocations.c.node_id, allocations.c.state, func.count()).group_by(
    allocations.c.node_id, allocations.c.state
)
_OPEN = (
    select(operations.c.kind, operations.c.state, func.count())
    .where(operations.c.is_open)
    .group_by(operations.c.kind, operations.c.state)
)


class SqlGauges:
    """Reads a store's database; ``read`` is what ``Gauges`` says of it."""

    def __init__(self, database: Database) -> None:
        """Read from a database that has the tables."""
        self._database = database

    def read(self, now_s: float, after_event: int) -> StoreGauges:
        """The numbers at a moment."""
        with self._database.read() as connection:
            newest = _count(connection, select(func.max(events.c.sequence)))
            return StoreGauges(
                live_clusters=_phases(connection, _LIVE.where(_IS_CLUSTER)),
                live_file_systems=_phases(connection, _LIVE.where(clusters.c.is_file_system)),
                ended_cluster_count=_pairs(connection, _ENDED.group_by(clusters.c.phase)),
                node_states={
                    NodeId(row.node_id): row.state
                    for row in connection.execute(select(nodes.c.node_id, nodes.c.state))
                },
                gpu_counts={
                    (NodeId(node_id), state): count
                    for (node_id, state), count in _pairs(connection, _GPUS).items()
                },
                key_counts=_keys(connection, now_s),
                tombstone_count=_count(connection, select(func.count()).select_from(tombstones)),
                open_operation_counts=_pairs(connection, _OPEN),
                waiting_operation_count=_count(connection, _waiting(now_s)),
                gpu_seconds=usage.gpu_seconds(connection, now_s),
                event_counts=_pairs(connection, _event_kinds(after_event, newest)),
                newest_event=newest,
                audit_count=_count(connection, select(func.max(audit_heads.c.sequence))),
            )


def _waiting(now_s: float) -> Select[Any]:
    """Open operations, not stuck, that nobody's lease covers."""
    lease_is_over = operations.c.lease_worker.is_(None) | (operations.c.lease_expires_s <= now_s)
    is_waiting = operations.c.is_open & (operations.c.state != "stuck") & lease_is_over
    return select(func.count()).select_from(operations).where(is_waiting)


def _phases(connection: Connection, query: Select[Any]) -> tuple[tuple[Phase, float], ...]:
    return tuple((Phase(row.phase), row.phase_since_s) for row in connection.execute(query))


def _keys(connection: Connection, now_s: float) -> Mapping[tuple[KeyPoolId, str], int]:
    columns = held_keys.c
    is_taken = (columns.state != "cooling") | (columns.free_at_s > now_s)
    query = select(columns.pool_id, columns.state, func.count()).where(is_taken)
    found = _pairs(connection, query.group_by(columns.pool_id, columns.state))
    return {(KeyPoolId(pool_id), state): count for (pool_id, state), count in found.items()}


def _event_kinds(after: int, newest: int) -> Select[Any]:
    """Only lines not counted before, so a long trail is read once in the life of a process."""
    query = select(events.c.kind, func.count()).group_by(events.c.kind)
    return query.where(events.c.sequence > after, events.c.sequence <= newest)


def open_gauges(store: SqlStore) -> SqlGauges:
    """The numbers of a store."""
    return SqlGauges(store.database)


if TYPE_CHECKING:
    _KEEPS_THE_CONTRACT: type[Gauges] = SqlGauges
