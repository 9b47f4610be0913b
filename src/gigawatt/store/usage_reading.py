"""Usage read: pages of records, what is under way, and sums made by the database."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Row,
    Select,
    case,
    func,
    literal,
    select,
    union_all,
)

from gigawatt.identity.accounts import OrganisationId
from gigawatt.ids import ClusterId, NodeId, ReservationId, SiteId, StoragePoolId, TenantId
from gigawatt.intent.term import Term
from gigawatt.interfaces.usage import By, StorageRecord, UsageLine, UsageQuery, UsageRecord
from gigawatt.market.meter import MS_PER_HOUR
from gigawatt.store.usage_records_schema import (
    metered_nodes,
    storage_meters,
    storage_records,
    usage_meters,
    usage_records,
)

DAY_MS = 24 * MS_PER_HOUR
_METERED = usage_meters.join(metered_nodes, usage_meters.c.cluster_id == metered_nodes.c.cluster_id)
_SPAN = ("organisation_id", "project_id", "cluster_id", "node_id", "gpu_type", "site_id", "term")


def _later(column: ColumnElement[int], at_ms: int) -> ColumnElement[int]:
    """The later of two moments; SQLite and PostgreSQL have different functions for it."""
    return case((column > at_ms, column), else_=at_ms)


def _asked(table: FromClause, query: UsageQuery, holder: str) -> list[ColumnElement[bool]]:
    """Whose rows of a table are asked for."""
    columns, wanted = table.c, []
    if query.organisation_id is not None:
        wanted.append(columns.organisation_id == query.organisation_id)
    if query.project_ids is not None:
        wanted.append(columns.project_id.in_(sorted(query.project_ids)))
    if query.cluster_id is not None:
        wanted.append(columns[holder] == query.cluster_id)
    return wanted


def _touching(table: FromClause, query: UsageQuery, holder: str) -> Select[Any]:
    """Rows of a table of records that touch the time of a query."""
    is_in_time = (table.c.to_ms > query.from_ms) & (table.c.from_ms < query.to_ms)
    return select(table).where(is_in_time, *_asked(table, query, holder))


def record_page(
    connection: Connection, query: UsageQuery, after: int, limit: int
) -> tuple[tuple[int, UsageRecord], ...]:
    """Records after a place in the order in which they were written."""
    wanted = _touching(usage_records, query, "cluster_id")
    wanted = wanted.where(usage_records.c.sequence > after)
    rows = connection.execute(wanted.order_by(usage_records.c.sequence).limit(limit))
    return tuple((row.sequence, _record(row, query, row.number, row.to_ms)) for row in rows)


def _record(row: Row[Any], query: UsageQuery, number: int | None, to_ms: int) -> UsageRecord:
    return UsageRecord(
        cluster_id=ClusterId(row.cluster_id),
        number=number,
        organisation_id=_whose(row),
        project_id=TenantId(row.project_id),
        node_id=NodeId(row.node_id),
        gpu_type=row.gpu_type,
        site_id=SiteId(row.site_id),
        term=Term(row.term),
        gpu_count=row.gpu_count,
        price_micro_usd_per_gpu_hour=row.price_micro_usd_per_gpu_hour,
        from_ms=max(row.from_ms, query.from_ms),
        to_ms=min(to_ms, query.to_ms),
        reservation_id=None if row.reservation_id is None else ReservationId(row.reservation_id),
    )


def _whose(row: Row[Any]) -> OrganisationId | None:
    return None if row.organisation_id is None else OrganisationId(row.organisation_id)


def _running(query: UsageQuery) -> Select[Any]:
    """Nodes that are billed now, as records that have no end yet."""
    columns = [
        *(c for c in usage_meters.c if c.name in _SPAN),
        *(c for c in metered_nodes.c if c.name in {"node_id", "term", "reservation_id"}),
        metered_nodes.c.gpu_count,
        metered_nodes.c.price_micro_usd_per_gpu_hour,
        metered_nodes.c.since_ms.label("from_ms"),
    ]
    return (
        select(*columns)
        .select_from(_METERED)
        .where(metered_nodes.c.since_ms < query.to_ms, *_asked(usage_meters, query, "cluster_id"))
    )


def running_records(
    connection: Connection, query: UsageQuery, now_ms: int
) -> tuple[UsageRecord, ...]:
    """What is under way up to ``now_ms``, by cluster and node."""
    wanted = _running(query).order_by(metered_nodes.c.cluster_id, metered_nodes.c.node_id)
    rows = connection.execute(wanted)
    found = (_record(row, query, None, max(now_ms, row.from_ms)) for row in rows)
    return tuple(record for record in found if record.to_ms > record.from_ms)


def sums(connection: Connection, query: UsageQuery, by: By, now_ms: int) -> tuple[UsageLine, ...]:
    """GPU time and price by key, in the order of keys; a day's key is its date in UTC."""
    if by != "day":
        return _sums(connection, query, now_ms, by if by == "gpu_type" else f"{by}_id")
    lines: list[UsageLine] = []
    for from_ms in range(query.from_ms - query.from_ms % DAY_MS, query.to_ms, DAY_MS):
        day = UsageQuery(
            max(from_ms, query.from_ms),
            min(from_ms + DAY_MS, query.to_ms),
            query.organisation_id,
            query.project_ids,
            query.cluster_id,
        )
        lines += [
            UsageLine(_date_of(from_ms), line.gpu_ms, line.rated)
            for line in _sums(connection, day, now_ms, None)
        ]
    return tuple(lines)


def _date_of(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).date().isoformat()


def _sums(
    connection: Connection, query: UsageQuery, now_ms: int, key: str | None
) -> tuple[UsageLine, ...]:
    """Sums by one column, or all in one line.

    A product of GPU-milliseconds and a price may be too large for 64 bits, and so may the sum of
    many, so hours and the rest are multiplied and added apart.
    """
    spans = _spans(query, now_ms).subquery()
    gpu_ms = (spans.c.to_ms - spans.c.from_ms) * spans.c.gpu_count
    price = spans.c.price_micro_usd_per_gpu_hour
    rest = (gpu_ms % MS_PER_HOUR) * price
    name = literal("") if key is None else spans.c[key]
    wanted = (
        select(
            name.label("key"),
            func.sum(gpu_ms).label("gpu_ms"),
            func.sum((gpu_ms // MS_PER_HOUR) * price + rest // MS_PER_HOUR).label("whole"),
            func.sum(rest % MS_PER_HOUR).label("rest"),
        )
        .where(spans.c.to_ms > spans.c.from_ms)
        .group_by(*([] if key is None else [name]))
        .order_by("key")
    )
    return tuple(
        UsageLine(row.key, int(row.gpu_ms), int(row.whole) * MS_PER_HOUR + int(row.rest))
        for row in connection.execute(wanted)
        if row.gpu_ms
    )


def _spans(query: UsageQuery, now_ms: int) -> Any:  # noqa: ANN401 - SQLAlchemy's compound select
    """Records and what is under way, clipped to the query."""
    ended = _touching(usage_records, query, "cluster_id").subquery()
    running = _running(query).subquery()
    until_ms = min(now_ms, query.to_ms)
    keys = ("project_id", "cluster_id", "gpu_type", "gpu_count", "price_micro_usd_per_gpu_hour")
    return union_all(
        select(
            *(ended.c[name] for name in keys),
            _later(ended.c.from_ms, query.from_ms).label("from_ms"),
            case((ended.c.to_ms < query.to_ms, ended.c.to_ms), else_=query.to_ms).label("to_ms"),
        ),
        select(
            *(running.c[name] for name in keys),
            _later(running.c.from_ms, query.from_ms).label("from_ms"),
            literal(until_ms).label("to_ms"),
        ),
    )


def storage_page(
    connection: Connection, query: UsageQuery, after: int, limit: int
) -> Sequence[tuple[int, StorageRecord]]:
    """Records of storage after a place in the order in which they were written."""
    wanted = _touching(storage_records, query, "holder_id")
    wanted = wanted.where(storage_records.c.sequence > after)
    rows = connection.execute(wanted.order_by(storage_records.c.sequence).limit(limit))
    return [(row.sequence, _storage(row, query, row.number, row.to_ms)) for row in rows]


def storage_running(
    connection: Connection, query: UsageQuery, now_ms: int
) -> Iterator[StorageRecord]:
    """Storage that is had now, up to ``now_ms``, by holder."""
    columns = storage_meters.c
    wanted = (
        select(storage_meters, columns.since_ms.label("from_ms"))
        .where(columns.since_ms < query.to_ms, *_asked(storage_meters, query, "holder_id"))
        .order_by(columns.holder_id)
    )
    for row in connection.execute(wanted):
        record = _storage(row, query, None, max(now_ms, row.from_ms))
        if record.to_ms > record.from_ms:
            yield record


def _storage(row: Row[Any], query: UsageQuery, number: int | None, to_ms: int) -> StorageRecord:
    return StorageRecord(
        holder_id=ClusterId(row.holder_id),
        number=number,
        organisation_id=_whose(row),
        project_id=TenantId(row.project_id),
        storage_pool_id=StoragePoolId(row.storage_pool_id),
        site_id=SiteId(row.site_id),
        storage_bytes=row.storage_bytes,
        from_ms=max(row.from_ms, query.from_ms),
        to_ms=min(to_ms, query.to_ms),
    )
