"""Usage: records, sums, and what other services measured."""

import json
from collections.abc import Iterable, Mapping
from typing import Annotated

from fastapi import Query

from gigawatt.api.access import Access, Allowed
from gigawatt.api.paging import Cursor, Limit, number_place, page_of
from gigawatt.api.routing import new_router, operation
from gigawatt.app.market.usage import DAY_MS, month_start_ms
from gigawatt.errors import InputError, UnknownIdError
from gigawatt.identity.accounts import OrganisationId
from gigawatt.ids import ClusterId, TenantId
from gigawatt.interfaces.usage import (
    ExternalUsage,
    StorageRecord,
    UsageLine,
    UsageQuery,
    UsageRecord,
)
from gigawatt.market.meter import MS_PER_HOUR, rounded_micro_usd
from gigawatt.sdk import documents as doc
from gigawatt.units import GIB

router = new_router("usage")

DAYS_MAX = 400
"""Days that one summary by day may have."""
DATA_BYTES_MAX = 8_192
"""Further fields of one event, as JSON."""

ProjectQuery = Annotated[doc.Id | None, Query(description="Of this project only.")]
ClusterQuery = Annotated[doc.Id | None, Query(description="Of this cluster only.")]
FromQuery = Annotated[doc.UnixMs | None, Query(description="From this moment, Unix ms.")]
ByQuery = Annotated[doc.UsageBy, Query(description="What a line is of; days are of UTC.")]
ToQuery = Annotated[doc.UnixMs | None, Query(description="Up to this moment, Unix ms.")]


def _now_ms(access: Access) -> int:
    return round(access.service.now_s() * 1000)


def _asked(
    access: Access,
    whose: tuple[str | None, str | None],
    from_ms: int,
    to_ms: int,
) -> UsageQuery:
    """The query of a project and a cluster, within what the caller reaches."""
    project_id, cluster_id = whose
    reached = access.reach().project_ids
    if from_ms >= to_ms:
        raise InputError(f"usage from {from_ms} to {to_ms} ms is of no time at all")
    if project_id is not None:
        wanted = frozenset({TenantId(project_id)})
        reached = wanted if reached is None else reached & wanted
    return UsageQuery(
        from_ms,
        to_ms,
        project_ids=reached,
        cluster_id=None if cluster_id is None else ClusterId(cluster_id),
    )


def _record(record: UsageRecord) -> doc.UsageRecord:
    assert record.number is not None, "a record that was written has a number"
    return doc.UsageRecord(
        cluster_id=record.cluster_id,
        number=record.number,
        project_id=record.project_id,
        node_id=record.node_id,
        gpu_type=record.gpu_type,
        site_id=record.site_id,
        term=record.term.value,
        gpu_count=record.gpu_count,
        price_micro_usd_per_gpu_hour=record.price_micro_usd_per_gpu_hour,
        from_ms=record.from_ms,
        to_ms=record.to_ms,
        reservation_id=record.reservation_id,
        amount_micro_usd=rounded_micro_usd(record.rated),
    )


@operation(router, "GET", "/usage")
def list_usage(
    access: Allowed,
    project_id: ProjectQuery = None,
    cluster_id: ClusterQuery = None,
    from_ms: FromQuery = None,
    to_ms: ToQuery = None,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> doc.Page[doc.UsageRecord]:
    """Records of usage that the caller sees, in the order in which they were written.

    Records are clipped to the time asked for. What is under way has none until it ends, or until
    the day does.
    """
    until_ms = _now_ms(access) if to_ms is None else to_ms
    query = _asked(access, (project_id, cluster_id), from_ms or 0, until_ms)
    found = access.service.market.usage.page(query, number_place(cursor, 0), limit + 1)
    return page_of(found, limit, lambda row: row[0], lambda row: _record(row[1]))


def _line(line: UsageLine, name: str | None) -> doc.UsageLine:
    return doc.UsageLine(
        key=line.key,
        name=name,
        gpu_ms=line.gpu_ms,
        gpu_hours=line.gpu_ms / MS_PER_HOUR,
        amount_micro_usd=rounded_micro_usd(line.rated),
    )


@operation(router, "GET", "/usage/summary")
def get_usage_summary(
    access: Allowed,
    by: Annotated[
        doc.UsageBy, Query(description="What a line is of; days are of UTC.")
    ] = "project",
    project_id: ProjectQuery = None,
    cluster_id: ClusterQuery = None,
    from_ms: FromQuery = None,
    to_ms: ToQuery = None,
) -> doc.UsageSummary:
    """GPU-hours and amounts, with what is under way; of this month of UTC unless said otherwise."""
    now_ms, book = _now_ms(access), access.service.market.usage
    until_ms = now_ms if to_ms is None else to_ms
    since_ms = month_start_ms(until_ms) if from_ms is None else from_ms
    query = _asked(access, (project_id, cluster_id), since_ms, until_ms)
    if by == "day" and until_ms - since_ms > DAYS_MAX * DAY_MS:
        raise InputError(f"a summary by day is of at most {DAYS_MAX} days")
    lines = book.summary(query, by, now_ms)
    total = UsageLine("total", sum(li.gpu_ms for li in lines), sum(li.rated for li in lines))
    return doc.UsageSummary(
        by=by,
        from_ms=since_ms,
        to_ms=until_ms,
        lines=[_line(line, _name(access, by, line.key)) for line in lines],
        total=_line(total, None),
        storage=_storage(access, query, now_ms),
        external=[] if query.cluster_id else _external_lines(access, query),
    )


def _name(access: Access, by: doc.UsageBy, key: str) -> str | None:
    """The name of a project or cluster that a line is of; None if it is gone, or has none."""
    try:
        if by == "project":
            return access.service.directory.project(TenantId(key)).name
        if by == "cluster":
            return access.service.control.around.store.cluster(ClusterId(key)).name
    except UnknownIdError:
        return None
    return None


def _storage(access: Access, query: UsageQuery, now_ms: int) -> list[doc.StorageLine]:
    """Storage by holder, in the order of ids."""
    book, byte_ms = access.service.market.usage, dict[ClusterId, int]()
    newest: dict[ClusterId, StorageRecord] = {}
    running = {r.holder_id: r for r in book.storage_under_way(now_ms, query)}
    for record in (*book.storage_usages(query), *running.values()):
        byte_ms[record.holder_id] = byte_ms.get(record.holder_id, 0) + record.byte_ms
        newest[record.holder_id] = record
    return [
        doc.StorageLine(
            holder_id=holder_id,
            name=access.service.control.around.store.cluster(holder_id).name,
            project_id=newest[holder_id].project_id,
            byte_ms=sum_ms,
            gib_hours=sum_ms / MS_PER_HOUR / GIB,
            storage_bytes=newest[holder_id].storage_bytes,
            is_under_way=holder_id in running,
        )
        for holder_id, sum_ms in sorted(byte_ms.items())
    ]


def _external_lines(access: Access, query: UsageQuery) -> list[doc.ExternalLine]:
    """What other services measured, by product, project and unit."""
    sums: dict[tuple[str, str, str], tuple[int, int]] = {}
    for usage in access.service.market.usage.external_usages(query):
        key = usage.kind, usage.project_id, usage.unit
        quantity, count = sums.get(key, (0, 0))
        sums[key] = quantity + usage.quantity, count + 1
    return [
        doc.ExternalLine(
            product=product, project_id=project_id, quantity=quantity, unit=unit, event_count=count
        )
        for (product, project_id, unit), (quantity, count) in sorted(sums.items())
    ]


@operation(router, "POST", "/usage/events")
def send_usage_events(
    body: doc.UsageEvents | doc.UsageEvent, access: Allowed
) -> doc.UsageEventsKept:
    """Keep what another service measured: one CloudEvent, or several; each once, all or none."""
    access.permit()
    sent = body.root if isinstance(body, doc.UsageEvents) else [body]
    owners = _owners(access, (event.data.project_id for event in sent))
    events = [_external(event, owners[event.data.project_id]) for event in sent]
    new_count = access.service.market.usage.add_external(events, access.service.now_s())
    return doc.UsageEventsKept(event_count=len(events), new_count=new_count)


def _owners(access: Access, project_ids: Iterable[str]) -> Mapping[str, OrganisationId]:
    """The organisation of each project.

    Raises:
        UnknownIdError: there is no such project.
    """
    directory = access.service.directory
    return {
        project_id: directory.project(TenantId(project_id)).organisation_id
        for project_id in set(project_ids)
    }


def _external(event: doc.UsageEvent, organisation_id: OrganisationId) -> ExternalUsage:
    """What an event says.

    Raises:
        InputError: its time has no zone, or it says too much.
    """
    name, further = f"event {event.id!r} of {event.source!r}", event.data.further()
    if event.time.tzinfo is None:
        raise InputError(
            f"{name} is of {event.time.isoformat()}, which names no time zone",
            next_step="Write a time as RFC 3339 does, e.g. 2026-01-31T12:00:00Z.",
        )
    size_bytes = len(json.dumps(further))
    if size_bytes > DATA_BYTES_MAX:
        raise InputError(
            f"{name} has {size_bytes} bytes beside its usage, {DATA_BYTES_MAX} at most"
        )
    return ExternalUsage(
        source=event.source,
        event_id=event.id,
        kind=event.type,
        at_ms=round(event.time.timestamp() * 1000),
        subject=event.subject,
        organisation_id=organisation_id,
        project_id=TenantId(event.data.project_id),
        quantity=event.data.quantity,
        unit=event.data.unit,
        data=further,
    )


@operation(router, "GET", "/usage/check")
def check_usage(access: Allowed, cluster_id: ClusterQuery = None) -> doc.UsageCheck:
    """Reckon usage again from the audit trail, of one cluster or all; say where records differ."""
    access.permit()
    chosen = None if cluster_id is None else ClusterId(cluster_id)
    found = access.service.market.usage.check(chosen)
    return doc.UsageCheck(
        cluster_count=found.cluster_count,
        storage_holder_count=found.holder_count,
        is_sound=not found.differences,
        differences=[
            doc.UsageDifference(
                cluster_id=difference.cluster_id,
                node_id=difference.node_id,
                from_ms=difference.from_ms,
                to_ms=difference.to_ms,
                sentence=difference.sentence,
            )
            for difference in found.differences[:1_000]
        ],
    )
