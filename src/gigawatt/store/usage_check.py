"""Records of usage compared with a second reckoning from the audit trail and the operations."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import Connection, Row, select

from gigawatt.ids import ClusterId, NodeId, ReservationId
from gigawatt.intent.term import Term
from gigawatt.interfaces.usage import UsageChecked, UsageDifference
from gigawatt.market.meter import Promise
from gigawatt.market.reckoning import Reckoning, Span, joined
from gigawatt.planner.plan import OperationKind
from gigawatt.store import operations as operation_rows
from gigawatt.store.schema import clusters, counters, events, operations
from gigawatt.store.storage_check import compare_storage
from gigawatt.store.usage_notes import NOT_READY, leaving, ms_of, promises_of
from gigawatt.store.usage_records_schema import metered_nodes, usage_meters, usage_records

Spans = Mapping[ClusterId, Mapping[NodeId, tuple[Span, ...]]]

_KINDS = ("committed", "revised", "done", "unwound", "stuck", "node", "usage_cut")
"""Events that a bill follows from."""


def compare(connection: Connection, cluster_id: ClusterId | None) -> UsageChecked:
    """Clusters and holders of storage compared, one or all; where records and the trail differ."""
    reckoned = _reckoned(connection, cluster_id)
    recorded = _recorded(connection, cluster_id)
    names = sorted(reckoned.keys() | recorded.keys())
    began_ms = _began_ms(connection)
    differences = [
        difference
        for name in names
        for difference in _differences(
            name, reckoned.get(name, {}), recorded.get(name, {}), began_ms
        )
    ]
    holder_count, of_storage = compare_storage(connection, cluster_id, began_ms)
    return UsageChecked(len(names), holder_count, (*differences, *of_storage))


def _began_ms(connection: Connection) -> int:
    """When the meter began to count in a store that is older than it; 0 in any other."""
    query = select(counters.c.value).where(counters.c.name == "usage_from_ms")
    return int(connection.execute(query).scalar_one_or_none() or 0)


def _differences(
    cluster_id: ClusterId,
    reckoned: Mapping[NodeId, tuple[Span, ...]],
    recorded: Mapping[NodeId, tuple[Span, ...]],
    began_ms: int,
) -> Iterator[UsageDifference]:
    for node_id in sorted(reckoned.keys() | recorded.keys()):
        wanted = set(_since(reckoned.get(node_id, ()), began_ms))
        found = recorded.get(node_id, ())
        for span in wanted - set(found):
            yield _difference(cluster_id, node_id, span, "is in the trail, not in the records")
        for span in set(found) - wanted:
            yield _difference(cluster_id, node_id, span, "is in the records, not in the trail")
        if len(set(found)) != len(found):
            yield _difference(cluster_id, node_id, found[0], "is in the records twice")


def _since(spans: tuple[Span, ...], from_ms: int) -> Iterator[Span]:
    for span in spans:
        if span.to_ms > from_ms:
            yield Span(max(span.from_ms, from_ms), span.to_ms, span.promise)


def _difference(cluster_id: ClusterId, node_id: NodeId, span: Span, said: str) -> UsageDifference:
    promise = span.promise
    sentence = (
        f"{node_id} of {cluster_id}, {promise.gpu_count} GPUs at"
        f" {promise.price_micro_usd_per_gpu_hour} micro-USD from {span.from_ms} to {span.to_ms} ms,"
        f" {said}"
    )
    return UsageDifference(cluster_id, node_id, span.from_ms, span.to_ms, sentence)


def _promise(row: Row[Any]) -> Promise:
    return Promise(
        row.gpu_count,
        row.price_micro_usd_per_gpu_hour,
        Term(row.term),
        None if row.reservation_id is None else ReservationId(row.reservation_id),
    )


def _recorded(connection: Connection, cluster_id: ClusterId | None) -> Spans:
    """What records say, with what is under way up to the last event of each meter."""
    found: dict[ClusterId, dict[NodeId, list[Span]]] = {}
    ended = select(usage_records)
    if cluster_id is not None:
        ended = ended.where(usage_records.c.cluster_id == cluster_id)
    for row in connection.execute(ended):
        nodes = found.setdefault(ClusterId(row.cluster_id), {})
        span = Span(row.from_ms, row.to_ms, _promise(row))
        nodes.setdefault(NodeId(row.node_id), []).append(span)
    running = (
        select(metered_nodes, usage_meters.c.at_ms)
        .join(usage_meters, usage_meters.c.cluster_id == metered_nodes.c.cluster_id)
        .where(metered_nodes.c.since_ms < usage_meters.c.at_ms)
    )
    if cluster_id is not None:
        running = running.where(usage_meters.c.cluster_id == cluster_id)
    for row in connection.execute(running):
        nodes = found.setdefault(ClusterId(row.cluster_id), {})
        span = Span(row.since_ms, row.at_ms, _promise(row))
        nodes.setdefault(NodeId(row.node_id), []).append(span)
    return {
        name: {node_id: joined(spans) for node_id, spans in nodes.items()}
        for name, nodes in found.items()
    }


def _reckoned(connection: Connection, cluster_id: ClusterId | None) -> Spans:
    reckoning = Reckoning()
    query = (
        select(events.c.at_s, events.c.kind, events.c.data, events.c.operation_id)
        .add_columns(events.c.cluster_id, operations.c.kind.label("operation_kind"))
        .select_from(
            events.outerjoin(
                operations, operations.c.operation_id == events.c.operation_id
            ).outerjoin(clusters, clusters.c.cluster_id == events.c.cluster_id)
        )
        .where(events.c.kind.in_(_KINDS), clusters.c.is_file_system.is_not(True))
        .order_by(events.c.sequence)
    )
    for row in connection.execute(query).all():
        _tell(connection, reckoning, row, cluster_id)
    return reckoning.spans()


def _tell(
    connection: Connection, reckoning: Reckoning, row: Row[Any], cluster_id: ClusterId | None
) -> None:
    """Tell the reckoning of one line of the trail; plans are read of the clusters asked for."""
    now_ms, data = ms_of(row.at_s), json.loads(row.data)
    if row.kind == "usage_cut":
        reckoning.cut(data["at_ms"])
        return
    if row.kind == "node":
        # A line that names no state tells of a node and changes nothing.
        if "state" in data:
            reckoning.judged(data["node_id"], now_ms, is_broken=data["state"] == NOT_READY)
        return
    if row.kind in {"committed", "revised"}:
        if row.operation_kind == OperationKind.RELEASE:
            reckoning.released(row.cluster_id, now_ms)
        if row.operation_kind == OperationKind.SHRINK:
            reckoning.left(row.cluster_id, data.get("leaving", ()), now_ms)
    for node_id in data.get("quarantined", ()):
        reckoning.judged(node_id, now_ms, is_broken=True)
    if row.kind == "done" and cluster_id in {None, row.cluster_id}:
        plan = operation_rows.get(connection, row.operation_id).plan
        if plan.after is None:
            reckoning.left(row.cluster_id, leaving(plan), now_ms)
        else:
            reckoning.verified(row.cluster_id, promises_of(plan, plan.after), now_ms)
