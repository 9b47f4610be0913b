"""Meters of live clusters: read, advanced by what happens, and written back (ADR-0042).

``note`` runs in the transaction that makes it happen, under the lock of the generation counter,
so that the store and its bill never differ and two servers never advance one meter at once.
"""

from collections.abc import Mapping
from types import MappingProxyType

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from gigawatt.ids import ClusterId, NodeId, ReservationId, TenantId
from gigawatt.intent.term import Term
from gigawatt.market.meter import MeterEvent, Promise, Usage, UsageMeter, advance
from gigawatt.store.directory_schema import projects
from gigawatt.store.usage_records_schema import metered_nodes, usage_meters, usage_records

_Row = dict[str, str | int | bool | None]


def organisation_of(connection: Connection, project_id: TenantId) -> str | None:
    """The organisation of a project, None for a tenant that is no project."""
    query = select(projects.c.organisation_id).where(projects.c.project_id == project_id)
    return connection.execute(query).scalar_one_or_none()


def is_metered(connection: Connection, cluster_id: ClusterId) -> bool:
    """Whether a cluster has a meter: it was delivered once."""
    query = select(usage_meters.c.cluster_id).where(usage_meters.c.cluster_id == cluster_id)
    return connection.execute(query).first() is not None


def read(connection: Connection, cluster_id: ClusterId) -> UsageMeter:
    """The meter of a cluster that has one."""
    row = connection.execute(
        select(usage_meters).where(usage_meters.c.cluster_id == cluster_id)
    ).one()
    promises: dict[NodeId, Promise] = {}
    unready: set[NodeId] = set()
    since_ms: dict[NodeId, int] = {}
    query = select(metered_nodes).where(metered_nodes.c.cluster_id == cluster_id)
    for found in connection.execute(query):
        node_id = NodeId(found.node_id)
        promises[node_id] = Promise(
            found.gpu_count,
            found.price_micro_usd_per_gpu_hour,
            Term(found.term),
            None if found.reservation_id is None else ReservationId(found.reservation_id),
        )
        if not found.is_ready:
            unready.add(node_id)
        if found.since_ms is not None:
            since_ms[node_id] = found.since_ms
    return UsageMeter(
        cluster_id=cluster_id,
        at_ms=row.at_ms,
        is_delivered=row.is_delivered,
        promises=MappingProxyType(promises),
        unready=frozenset(unready),
        since_ms=since_ms,
        next_number=row.next_number,
    )


def note(connection: Connection, cluster_id: ClusterId, *events: MeterEvent) -> None:
    """Advance the meter of a cluster that has one."""
    before = after = read(connection, cluster_id)
    usages: list[Usage] = []
    for event in events:
        after, ended = advance(after, event)
        usages += ended
    _write(connection, before, after)
    _append(connection, cluster_id, usages)


def _append(connection: Connection, cluster_id: ClusterId, usages: list[Usage]) -> None:
    if not usages:
        return
    columns = usage_meters.c
    query = select(columns.organisation_id, columns.project_id, columns.gpu_type, columns.site_id)
    whose = connection.execute(query.where(columns.cluster_id == cluster_id)).one()
    rows = [
        {
            "cluster_id": cluster_id,
            "number": usage.number,
            **whose._mapping,  # noqa: SLF001 - SQLAlchemy's public name for a row as a mapping
            "node_id": usage.node_id,
            **_promise_row(usage.promise),
            "from_ms": usage.from_ms,
            "to_ms": usage.to_ms,
        }
        for usage in usages
    ]
    connection.execute(insert(usage_records), rows)


def _promise_row(promise: Promise) -> _Row:
    return {
        "gpu_count": promise.gpu_count,
        "price_micro_usd_per_gpu_hour": promise.price_micro_usd_per_gpu_hour,
        "term": promise.term.value,
        "reservation_id": promise.reservation_id,
    }


def _node_rows(usage_meter: UsageMeter) -> Mapping[NodeId, _Row]:
    return {
        node_id: {
            **_promise_row(promise),
            "is_ready": node_id not in usage_meter.unready,
            "since_ms": usage_meter.since_ms.get(node_id),
        }
        for node_id, promise in usage_meter.promises.items()
    }


_ONE_NODE = (
    metered_nodes.c.cluster_id == bindparam("of_cluster"),
    metered_nodes.c.node_id == bindparam("of_node"),
)


_CHANGE_NODE = (
    update(metered_nodes)
    .where(*_ONE_NODE)
    .values(
        gpu_count=bindparam("gpu_count"),
        price_micro_usd_per_gpu_hour=bindparam("price_micro_usd_per_gpu_hour"),
        term=bindparam("term"),
        reservation_id=bindparam("reservation_id"),
        is_ready=bindparam("is_ready"),
        since_ms=bindparam("since_ms"),
    )
)


def _write(connection: Connection, before: UsageMeter, after: UsageMeter) -> None:
    """Write what differs; of a node that left nothing is kept, whatever its state was."""
    name = after.cluster_id
    connection.execute(
        update(usage_meters)
        .where(usage_meters.c.cluster_id == name)
        .values(at_ms=after.at_ms, is_delivered=after.is_delivered, next_number=after.next_number)
    )
    old, new = _node_rows(before), _node_rows(after)
    gone = [{"of_cluster": name, "of_node": node_id} for node_id in old.keys() - new.keys()]
    changed = [
        {"of_cluster": name, "of_node": node_id, **row}
        for node_id, row in new.items()
        if node_id in old and old[node_id] != row
    ]
    come = [
        {"cluster_id": name, "node_id": node_id, **row}
        for node_id, row in new.items()
        if node_id not in old
    ]
    if gone:
        connection.execute(delete(metered_nodes).where(*_ONE_NODE), gone)
    if changed:
        connection.execute(_CHANGE_NODE, changed)
    if come:
        connection.execute(insert(metered_nodes), come)


def holders_of(connection: Connection, node_id: NodeId, *, is_ready: bool) -> list[ClusterId]:
    """Clusters that have a node as a member which counts as ready, or as not ready."""
    query = select(metered_nodes.c.cluster_id).where(
        metered_nodes.c.node_id == node_id, metered_nodes.c.is_ready == is_ready
    )
    found = connection.execute(query.order_by(metered_nodes.c.cluster_id)).scalars()
    return [ClusterId(cluster_id) for cluster_id in found]
