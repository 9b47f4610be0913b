"""``SqlFleetHistory``: the ``FleetHistory`` from the store's operations and its audit trail."""

import json
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from sqlalchemy import ColumnElement, Connection, Row, select

from gigawatt.boundary.target import ClusterTarget
from gigawatt.ids import ClusterId, NodeId
from gigawatt.interfaces.fleet_history import FleetHistory, Holding, HoldKind, Outage
from gigawatt.planner.plan import OperationKind, Plan
from gigawatt.store import operations as operation_rows
from gigawatt.store.database import Database
from gigawatt.store.schema import clusters, events, nodes, operations
from gigawatt.store.store import SqlStore
from gigawatt.store.usage_notes import ms_of

_KINDS = ("node", "committed", "revised", "done", "unwound")
"""Events that say that a node was taken out of use, or came back."""

DEEDS_KEPT_MAX = 10_000
"""Ended operations that are remembered. Ours: with 12 nodes each, some ten megabytes."""


def open_fleet_history(store: SqlStore) -> "SqlFleetHistory":
    """The history in a store's database."""
    return SqlFleetHistory(store.database)


class SqlFleetHistory:
    """History of holdings and outages; every method is what ``FleetHistory`` says of it."""

    def __init__(self, database: Database) -> None:
        """Read from a database that has the tables."""
        self._database = database
        self._deeds = _Deeds()

    def holdings(self, from_ms: int, to_ms: int) -> Sequence[Holding]:
        """Holdings that touch a stretch of time, by cluster in order of making."""
        columns = clusters.c
        # A cluster that ended before the time held nothing in it.
        is_alive = (
            ~columns.is_file_system
            & (columns.created_s * 1000 < to_ms + 1)
            & (~columns.is_ended | (columns.phase_since_s * 1000 > from_ms - 1))
        )
        with self._database.read() as connection:
            deeds = self._deeds.read(connection, is_alive)
        found = [
            holding
            for name, own in groupby(deeds, key=lambda deed: deed.cluster_id)
            for holding in _held(name, own, to_ms)
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


@dataclass(frozen=True, slots=True)
class _Deed:
    """What an operation did to who holds what."""

    cluster_id: ClusterId
    kind: OperationKind
    state: str
    started_s: float
    finished_s: float | None
    before: Mapping[NodeId, int]
    after: Mapping[NodeId, int]


class _Deeds:
    """Deeds of clusters; those of ended operations are remembered: nothing changes them.

    Reading a plan of a hundred nodes takes milliseconds, and every report asks for all of them.
    """

    def __init__(self) -> None:
        self._ended: OrderedDict[str, _Deed] = OrderedDict()
        self._lock = threading.Lock()

    def read(self, connection: Connection, is_alive: ColumnElement[bool]) -> list[_Deed]:
        """Deeds of the clusters for which it is so, by cluster in order of making."""
        columns = operations.c
        query = (
            select(
                columns.operation_id,
                columns.cluster_id,
                columns.kind,
                columns.state,
                columns.started_s,
                columns.finished_s,
                columns.is_open,
            )
            .join(clusters, clusters.c.cluster_id == columns.cluster_id)
            .where(is_alive)
            .order_by(clusters.c.created_generation, columns.opened_generation)
        )
        rows = connection.execute(query).all()
        with self._lock:
            known = {r.operation_id: d for r in rows if (d := self._ended.get(r.operation_id))}
        unknown = [row.operation_id for row in rows if row.operation_id not in known]
        plans = operation_rows.plans_of(connection, unknown)
        found = [known.get(row.operation_id) or _deed(row, plans[row.operation_id]) for row in rows]
        self._remember(
            {row.operation_id: deed for row, deed in zip(rows, found, strict=True)
             if not row.is_open}
        )  # fmt: skip
        return found

    def _remember(self, deeds: Mapping[str, _Deed]) -> None:
        with self._lock:
            for operation_id, deed in deeds.items():
                self._ended[operation_id] = deed
                self._ended.move_to_end(operation_id)
            while len(self._ended) > DEEDS_KEPT_MAX:
                self._ended.popitem(last=False)


def _deed(row: Row, plan: Plan) -> _Deed:  # type: ignore[type-arg]
    return _Deed(
        cluster_id=ClusterId(row.cluster_id),
        kind=OperationKind(row.kind),
        state=row.state,
        started_s=row.started_s,
        finished_s=row.finished_s,
        before=_masks(plan.before),
        after=_masks(plan.after),
    )


def _masks(target: ClusterTarget | None) -> dict[NodeId, int]:
    members = () if target is None else target.members
    return {member.node_id: member.gpu_mask for member in members}


def _held(cluster_id: ClusterId, history: Iterable[_Deed], now_ms: int) -> Iterator[Holding]:
    """What a cluster held: reserved at a commit, let go when the operation has ended."""
    held: dict[NodeId, tuple[int, HoldKind, int]] = {}

    def close(node_id: NodeId, at_ms: int) -> Holding:
        mask, kind, since_ms = held.pop(node_id)
        return Holding(cluster_id, node_id, mask, kind, since_ms, at_ms)

    for operation in history:
        begin_ms, before, after = ms_of(operation.started_s), operation.before, operation.after
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
