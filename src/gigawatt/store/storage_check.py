"""Records of storage compared with a second reckoning from the audit trail and the operations."""

import json
from collections.abc import Iterator, Mapping

from sqlalchemy import Connection, select

from gigawatt.ids import ClusterId
from gigawatt.interfaces.usage import UsageDifference
from gigawatt.market.storage_reckoning import StorageReckoning, StorageSpan, joined_storage
from gigawatt.planner.plan import OperationKind
from gigawatt.store import operations as operation_rows
from gigawatt.store.schema import events, operations
from gigawatt.store.usage_notes import ms_of
from gigawatt.store.usage_records_schema import storage_meters, storage_records

_KINDS = ("committed", "revised", "done", "usage_cut")
"""Events that a bill of storage follows from."""

StorageSpans = Mapping[ClusterId, tuple[StorageSpan, ...]]


def compare_storage(
    connection: Connection, holder_id: ClusterId | None, began_ms: int
) -> tuple[int, tuple[UsageDifference, ...]]:
    """Holders compared, one or all, and where records and the trail differ.

    Args:
        connection: to the store.
        holder_id: a cluster or file system; None for all.
        began_ms: when the meter began to count in an older store.
    """
    reckoned = _reckoned(connection, holder_id)
    recorded = _recorded(connection, holder_id)
    names = sorted(reckoned.keys() | recorded.keys())
    found = [
        difference
        for name in names
        for difference in _differences(
            name, _since(reckoned.get(name, ()), began_ms), recorded.get(name, ())
        )
    ]
    return len(names), tuple(found)


def _since(spans: tuple[StorageSpan, ...], from_ms: int) -> set[StorageSpan]:
    return {
        StorageSpan(max(span.from_ms, from_ms), span.to_ms, span.storage_bytes)
        for span in spans
        if span.to_ms > from_ms
    }


def _differences(
    holder_id: ClusterId, wanted: set[StorageSpan], found: tuple[StorageSpan, ...]
) -> Iterator[UsageDifference]:
    for span in sorted(wanted - set(found)):
        yield _difference(holder_id, span, "is in the trail, not in the records")
    for span in sorted(set(found) - wanted):
        yield _difference(holder_id, span, "is in the records, not in the trail")
    if len(set(found)) != len(found):
        yield _difference(holder_id, found[0], "is in the records twice")


def _difference(holder_id: ClusterId, span: StorageSpan, said: str) -> UsageDifference:
    sentence = (
        f"{span.storage_bytes} bytes of {holder_id} from {span.from_ms} to {span.to_ms} ms, {said}"
    )
    return UsageDifference(holder_id, None, span.from_ms, span.to_ms, sentence)


def _recorded(connection: Connection, holder_id: ClusterId | None) -> StorageSpans:
    """What records say, with what is under way up to the last change of each meter."""
    found: dict[ClusterId, list[StorageSpan]] = {}
    ended, meters = storage_records.c, storage_meters.c
    queries = (
        select(ended.holder_id, ended.from_ms, ended.to_ms, ended.storage_bytes),
        select(meters.holder_id, meters.since_ms, meters.at_ms, meters.storage_bytes).where(
            meters.since_ms < meters.at_ms
        ),
    )
    for query in queries:
        for name, from_ms, to_ms, storage_bytes in connection.execute(query):
            if holder_id in {None, name}:
                span = StorageSpan(from_ms, to_ms, storage_bytes)
                found.setdefault(ClusterId(name), []).append(span)
    return {name: joined_storage(spans) for name, spans in found.items()}


def _reckoned(connection: Connection, holder_id: ClusterId | None) -> StorageSpans:
    reckoning = StorageReckoning()
    query = (
        select(events.c.at_s, events.c.kind, events.c.data, events.c.operation_id)
        .add_columns(events.c.cluster_id, operations.c.kind.label("operation_kind"))
        .select_from(
            events.outerjoin(operations, operations.c.operation_id == events.c.operation_id)
        )
        .where(events.c.kind.in_(_KINDS))
        .order_by(events.c.sequence)
    )
    for row in connection.execute(query).all():
        if row.kind == "usage_cut":
            reckoning.cut(json.loads(row.data)["at_ms"])
        elif holder_id not in {None, row.cluster_id}:
            continue
        elif row.kind == "done":
            target = operation_rows.get(connection, row.operation_id).plan.after
            if target is not None:
                held = 0 if target.pool_id is None else target.storage_bytes
                reckoning.promised(row.cluster_id, held, ms_of(row.at_s))
        elif row.operation_kind == OperationKind.RELEASE:
            reckoning.promised(row.cluster_id, 0, ms_of(row.at_s))
    return reckoning.spans()
