"""Pages of clusters, operations and events: what a caller reaches, without reading all there is."""

import json
from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, func, insert, select, true

from gigawatt.errors import UnknownIdError
from gigawatt.identity.accounts import AccountId, told_to_tenants
from gigawatt.ids import ClusterId, OperationId, TenantId
from gigawatt.interfaces.directory import OperationLine, Reach
from gigawatt.interfaces.store import ClusterRecord, Event
from gigawatt.planner.plan import OperationKind
from gigawatt.store.clusters import listed_record_of
from gigawatt.store.directory_schema import accounts, cancellations
from gigawatt.store.schema import allocations, clusters, events, operations

Place = tuple[int, int]
"""(place in the order to go on from, most rows wanted)."""


def _reached(reach: Reach) -> ColumnElement[bool]:
    if reach.project_ids is None:
        return true()
    return clusters.c.tenant_id.in_(sorted(reach.project_ids))


def cluster_page(
    connection: Connection,
    reach: Reach,
    place: Place,
    *,
    with_ended: bool,
    name: str | None,
    is_file_system: bool = False,
) -> tuple[tuple[int, ClusterRecord], ...]:
    """Clusters, or file systems, before a place, newest first."""
    query = select(clusters).where(_reached(reach), clusters.c.created_generation < place[0])
    query = query.where(clusters.c.is_file_system == is_file_system)
    if not with_ended:
        query = query.where(~clusters.c.is_ended)
    if name is not None:
        query = query.where(clusters.c.name == name)
    query = query.order_by(clusters.c.created_generation.desc()).limit(place[1])
    return tuple(
        (row.created_generation, listed_record_of(row)) for row in connection.execute(query)
    )


_LINE = [
    *(column for column in operations.c if column.name != "plan"),
    clusters.c.tenant_id,
    clusters.c.name,
]
_FROM = operations.join(clusters, clusters.c.cluster_id == operations.c.cluster_id)


def _line(row: Row[Any]) -> OperationLine:
    return OperationLine(
        operation_id=OperationId(row.operation_id),
        cluster_id=ClusterId(row.cluster_id),
        project_id=TenantId(row.tenant_id),
        cluster_name=row.name,
        kind=OperationKind(row.kind),
        state=row.state,
        generation=row.generation,
        opened_generation=row.opened_generation,
        started_s=row.started_s,
        finished_s=row.finished_s,
        error=row.error,
    )


def operation_page(
    connection: Connection, reach: Reach, place: Place, cluster_id: ClusterId | None
) -> tuple[OperationLine, ...]:
    """Operations opened before a generation, newest first."""
    query = select(*_LINE).select_from(_FROM)
    query = query.where(_reached(reach), operations.c.opened_generation < place[0])
    if cluster_id is not None:
        query = query.where(operations.c.cluster_id == cluster_id)
    query = query.order_by(operations.c.opened_generation.desc()).limit(place[1])
    return tuple(_line(row) for row in connection.execute(query))


def operation_line(connection: Connection, operation_id: OperationId) -> OperationLine:
    """One operation without its plan.

    Raises:
        UnknownIdError: there is none.
    """
    query = select(*_LINE).select_from(_FROM).where(operations.c.operation_id == operation_id)
    row = connection.execute(query).one_or_none()
    if row is None:
        raise UnknownIdError(f"no operation {operation_id!r}")
    return _line(row)


def event_page(
    connection: Connection, reach: Reach, place: Place, cluster_id: ClusterId | None
) -> tuple[Event, ...]:
    """Events after a sequence number, oldest first.

    Those of neither a cluster nor a project are only for those who reach all.
    """
    query = select(events).where(events.c.sequence > place[0])
    if reach.project_ids is not None:
        query = query.outerjoin(clusters, clusters.c.cluster_id == events.c.cluster_id)
        is_own = events.c.project_id.in_(sorted(reach.project_ids))
        query = query.where(_reached(reach) | is_own)
    if cluster_id is not None:
        query = query.where(events.c.cluster_id == cluster_id)
    rows = connection.execute(query.order_by(events.c.sequence).limit(place[1]))
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


def newest_event(connection: Connection) -> int:
    """Sequence number of the newest event, 0 if there is none."""
    return int(connection.execute(select(func.max(events.c.sequence))).scalar_one() or 0)


def held_gpus(connection: Connection, project_id: TenantId) -> int:
    """GPUs that clusters of a project hold."""
    query = (
        select(func.count())
        .select_from(allocations.join(clusters, clusters.c.cluster_id == allocations.c.cluster_id))
        .where(clusters.c.tenant_id == project_id, allocations.c.state == "held")
    )
    return int(connection.execute(query).scalar_one())


def ask_cancel(
    connection: Connection, operation_id: OperationId, account_id: AccountId, now_s: float
) -> None:
    """Note a wish to unwind; the first one stays."""
    # Wishes of one operation take turns, so that two at once do not both write the first.
    mine = select(operations.c.state).where(operations.c.operation_id == operation_id)
    connection.execute(mine.with_for_update())
    known = select(cancellations).where(cancellations.c.operation_id == operation_id)
    if connection.execute(known).first() is None:
        row = {"operation_id": operation_id, "account_id": account_id, "at_s": now_s}
        connection.execute(insert(cancellations), row)


def read_cancellations(
    connection: Connection, among: Collection[OperationId]
) -> Mapping[OperationId, str]:
    """Who wants to unwind, by operation, in the words that tenants read."""
    if not among:
        return {}
    wish = cancellations.c
    query = (
        select(wish.operation_id, wish.account_id, accounts.c.role)
        .outerjoin_from(cancellations, accounts, accounts.c.account_id == wish.account_id)
        .where(wish.operation_id.in_(sorted(among)))
    )
    return {
        OperationId(row.operation_id): told_to_tenants(row.account_id, row.role)
        for row in connection.execute(query)
    }
