"""``SqlFleetHistory``: the ``FleetHistory`` from the store's operations and its audit trail."""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from sqlalchemy import Connection, select

from gigawatt.boundary.target import ClusterTarget
from gigawatt.ids import ClusterId, NodeId
from gigawatt.interfaces.fleet_history import FleetHistory, Holding, HoldKind, Outage
from gigawatt.interfaces.store import OperationRecord
from gigawatt.planner.plan import OperationKind
from gigawatt.store import operations as operation_rows
from gigawatt.store.database import Database
from gigawatt.store.schema import clusters, events, nodes
from gigawatt.store.store import SqlStore
from gigawatt.store.usage_notes import ms_of

_KINDS = ("node", "committed", "revised", "done", "unwound")
"""Events that say that a node was taken out of use, or came back."""


def open_fleet_history(store: SqlStore) -> "SqlFleetHistory":
    """The history in a store's database."""
    return SqlFleetHistory(store.database)


class SqlFleetHistory:
    """History of holdings and outages; every method is what ``FleetHistory`` says of it."""

    def __init__(self, database: Database) -> None:
        """Read from a database that has the tables."""
        self._database = database

    def holdings(self, from_ms: int, to_ms: int) -> Sequence[Holding]:
        """Holdings that touch a stretch of time, by cluster in order of making."""
        columns = clusters.c
        # A cluster that ended before the time held nothing in it.
        alive = select(columns.cluster_id).where(
            ~columns.is_file_system,
            columns.created_s * 1000 < to_ms + 1,
            ~columns.is_ended | (columns.phase_since_s * 1000 > from_ms - 1),
        )
        with self._database.read() as connection:
            names = connection.execute(alive.order_by(columns.created_generation)).scalars().all()
            found = [
                holding
                for name in names
                for holding in _held(ClusterId(name), _history(connection, name), to_ms)
            ]
        return [one for row in found if (one := _clipped(row, from_ms, to_ms)) is not None]

    def outages(self, from_ms: int, to_ms: int) -> Sequence[Outage]:
        """Outages that touch a stretch of time, by node."""
        since: dict[NodeId, int] = {}
        found: list[Outage] = []
        with self._database.read() as connection:
            for at_ms, node_id, is_out in _judgements(connection):
                if is_out:
                    since.setdefault(node_id, at_ms)
                elif node_id in since:
                    found.append(Outage(node_id, since.pop(node_id), at_ms))
            # What is out now is out, even where the trail does not say since when.
            for row in connection.execute(select(nodes.c.node_id, nodes.c.since_s)):
                since.setdefault(NodeId(row.node_id), ms_of(row.since_s))
        found += [Outage(node_id, at_ms, to_ms) for node_id, at_ms in since.items()]
        clipped = (
            Outage(one.node_id, max(one.from_ms, from_ms), min(one.to_ms, to_ms)) for one in found
        )
        return sorted(
            (one for one in clipped if one.from_ms < one.to_ms),
            key=lambda o: (o.node_id, o.from_ms),
        )


def _history(connection: Connection, cluster_id: str) -> tuple[OperationRecord, ...]:
    return operation_rows.of_cluster(connection, ClusterId(cluster_id))


def _masks(target: ClusterTarget | None) -> dict[NodeId, int]:
    members = () if target is None else target.members
    return {member.node_id: member.gpu_mask for member in members}


def _held(
    cluster_id: ClusterId, history: Iterable[OperationRecord], now_ms: int
) -> Iterator[Holding]:
    """What a cluster held: reserved at a commit, let go when the operation has ended."""
    held: dict[NodeId, tuple[int, HoldKind, int]] = {}

    def close(node_id: NodeId, at_ms: int) -> Holding:
        mask, kind, since_ms = held.pop(node_id)
        return Holding(cluster_id, node_id, mask, kind, since_ms, at_ms)

    for operation in history:
        begin_ms, plan = ms_of(operation.started_s), operation.plan
        before, after = _masks(plan.before), _masks(plan.after)
        is_going = operation.kind in {OperationKind.RELEASE, OperationKind.SHRINK}
        for node_id in sorted(before.keys() - after.keys()):
            if is_going and node_id in held:
                mask = held[node_id][0]
                yield close(node_id, begin_ms)
                held[node_id] = mask, "leaving", begin_ms
        for node_id, mask in sorted(after.items()):
            held.setdefault(node_id, (mask, "held", begin_ms))
        if operation.finished_s is None:
            continue
        end_ms = ms_of(operation.finished_s)
        kept = after if operation.state == "done" else before
        for node_id in sorted(held.keys() - kept.keys()):
            yield close(node_id, end_ms)
    for node_id in sorted(held):
        yield close(node_id, now_ms)


def _clipped(holding: Holding, from_ms: int, to_ms: int) -> Holding | None:
    begin, end = max(holding.from_ms, from_ms), min(holding.to_ms, to_ms)
    if begin >= end:
        return None
    return Holding(holding.cluster_id, holding.node_id, holding.gpu_mask, holding.kind, begin, end)


def _judgements(connection: Connection) -> Iterator[tuple[int, NodeId, bool]]:
    """When each node was taken out of use (True) or came back, in the order of the trail."""
    query = (
        select(events.c.at_s, events.c.kind, events.c.data)
        .where(events.c.kind.in_(_KINDS))
        .order_by(events.c.sequence)
    )
    for row in connection.execute(query):
        data, at_ms = json.loads(row.data), ms_of(row.at_s)
        if row.kind == "node" and "state" in data:
            yield at_ms, NodeId(data["node_id"]), data["state"] != "available"
        for node_id in data.get("quarantined", ()):
            yield at_ms, NodeId(node_id), True


if TYPE_CHECKING:
    _KEEPS_THE_CONTRACT: type[FleetHistory] = SqlFleetHistory
