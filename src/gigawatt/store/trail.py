"""``SqlTrail``: the ``Trail`` on the store's own database."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sqlalchemy import Select, or_, select

from gigawatt.ids import ClusterId, OperationId
from gigawatt.interfaces.directory import Reach
from gigawatt.interfaces.store import Event
from gigawatt.interfaces.trail import EventFilter, Trail
from gigawatt.store.database import Database
from gigawatt.store.schema import clusters, events, evidence
from gigawatt.store.store import SqlStore


def open_trail(store: SqlStore) -> "SqlTrail":
    """The trail in a store's database."""
    return SqlTrail(store.database)


def _filtered(query: Select[Any], reach: Reach, wanted: EventFilter) -> Select[Any]:
    if reach.project_ids is not None:
        # Those of neither a cluster nor a project are only for those who reach all.
        projects = sorted(reach.project_ids)
        query = query.outerjoin(clusters, clusters.c.cluster_id == events.c.cluster_id)
        is_own = clusters.c.tenant_id.in_(projects) | events.c.project_id.in_(projects)
        query = query.where(is_own)
    if wanted.cluster_id is not None:
        query = query.where(events.c.cluster_id == wanted.cluster_id)
    if wanted.operation_id is not None:
        query = query.where(events.c.operation_id == wanted.operation_id)
    if wanted.kind is not None:
        query = query.where(events.c.kind == wanted.kind)
    if wanted.kinds is not None:
        query = query.where(events.c.kind.in_(sorted(wanted.kinds)))
    if wanted.node_id is not None:
        named = (column.contains(wanted.node_id, autoescape=True) for column in _SAID)
        query = query.where(or_(*named))
    return query


_SAID = (events.c.message, events.c.data)


class SqlTrail:
    """Events and evidence; every method is what ``Trail`` says of it."""

    def __init__(self, database: Database) -> None:
        """Read from a database that has the tables."""
        self._database = database

    def events(
        self, reach: Reach, wanted: EventFilter, place: int, limit: int, *, newest_first: bool
    ) -> tuple[Event, ...]:
        """Events after the sequence number ``place``, or before it when newest come first."""
        sequence = events.c.sequence
        query = _filtered(select(events), reach, wanted).limit(limit)
        if newest_first:
            query = query.where(sequence < place).order_by(sequence.desc())
        else:
            query = query.where(sequence > place).order_by(sequence)
        with self._database.read() as connection:
            rows = connection.execute(query).all()
        return tuple(
            Event(
                sequence=row.sequence,
                at_s=row.at_s,
                cluster_id=None if row.cluster_id is None else ClusterId(row.cluster_id),
                operation_id=None if row.operation_id is None else OperationId(row.operation_id),
                kind=row.kind,
                message=row.message,
                data=json.loads(row.data),
            )
            for row in rows
        )

    def evidence(
        self, cluster_id: ClusterId, after: int, limit: int
    ) -> tuple[tuple[int, Mapping[str, Any]], ...]:
        """Evidence of a cluster after a sequence number, oldest first, each with its own."""
        query = (
            select(evidence)
            .where(evidence.c.cluster_id == cluster_id, evidence.c.sequence > after)
            .order_by(evidence.c.sequence)
            .limit(limit)
        )
        with self._database.read() as connection:
            rows = connection.execute(query).all()
        return tuple(
            (row.sequence, {**json.loads(row.document), "kind": row.kind, "at_s": row.at_s})
            for row in rows
        )


if TYPE_CHECKING:
    _KEEPS_THE_CONTRACT: type[Trail] = SqlTrail
