"""Rows of usage that other services measured: each kept once, by its source and id."""

import json
from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, func, insert, select, tuple_

from gigawatt.errors import ConflictError, InputError
from gigawatt.identity.accounts import OrganisationId
from gigawatt.ids import TenantId
from gigawatt.interfaces.usage import ExternalUsage, UsageQuery
from gigawatt.market.month import month_at
from gigawatt.market.product import check_measured
from gigawatt.store.database import lock_generation
from gigawatt.store.ledger import first_month
from gigawatt.store.usage_records_schema import external_usages

_CONTENT = ("kind", "at_ms", "subject", "organisation_id", "project_id", "quantity", "unit", "data")
AT_ONCE = 200
"""Events that one query asks for: SQLite takes a bounded number of parameters."""

Row = dict[str, str | int | None]


def _row(usage: ExternalUsage) -> Row:
    return {
        "source": usage.source,
        "event_id": usage.event_id,
        "kind": usage.kind,
        "at_ms": usage.at_ms,
        "subject": usage.subject,
        "organisation_id": usage.organisation_id,
        "project_id": usage.project_id,
        "quantity": usage.quantity,
        "unit": usage.unit,
        "data": json.dumps(dict(usage.data), sort_keys=True, separators=(",", ":")),
    }


def add(connection: Connection, events: Sequence[ExternalUsage], now_ms: int) -> int:
    """Keep what is not kept yet; how many were new.

    Raises:
        ConflictError: one has the source and id of another that says something else.
        InputError: one that is new is of a month before the first that was ever closed; or one is
            of a known product in another unit.
    """
    for usage in events:
        check_measured(usage.kind, usage.unit)
    lock_generation(connection)
    known = _known(connection, events)
    new: dict[tuple[str, str], Row] = {}
    for usage in events:
        name, row = (usage.source, usage.event_id), _row(usage)
        first = known.get(name) or new.setdefault(name, row)
        differing = [word for word in _CONTENT if first[word] != row[word]]
        if differing:
            raise ConflictError(
                f"event {usage.event_id!r} of {usage.source!r} was kept with another"
                f" {', '.join(differing)}; nothing of this request was kept",
                next_step="Give what is new an id of its own, or send the same again.",
            )
    _refuse_ancient(new, first_month(connection))
    if new:
        rows = [{**row, "received_ms": now_ms} for row in new.values()]
        connection.execute(insert(external_usages), rows)
    return len(new)


def _refuse_ancient(new: Mapping[tuple[str, str], Row], first: str) -> None:
    """Refuse new events from before the books begin: those are of a clock that is wrong."""
    for (source, event_id), row in new.items():
        month = month_at(int(row["at_ms"] or 0))
        if month < first:
            raise InputError(
                f"event {event_id!r} of {source!r} is of {month}, and the books begin with"
                f" {first}; nothing of this request was kept",
                next_step="Look at the clock of what measured it.",
            )


def newest(connection: Connection, from_ms: int, to_ms: int) -> int:
    """Sequence number of the event between two moments that came last, 0 if there is none."""
    columns = external_usages.c
    is_of_then = (columns.at_ms >= from_ms) & (columns.at_ms < to_ms)
    query = select(func.max(columns.sequence)).where(is_of_then)
    return int(connection.execute(query).scalar_one() or 0)


def _known(connection: Connection, events: Sequence[ExternalUsage]) -> dict[tuple[str, str], Row]:
    columns, found = external_usages.c, {}
    names = sorted({(usage.source, usage.event_id) for usage in events})
    for start in range(0, len(names), AT_ONCE):
        wanted = tuple_(columns.source, columns.event_id).in_(names[start : start + AT_ONCE])
        for row in connection.execute(select(external_usages).where(wanted)):
            content: Row = {word: getattr(row, word) for word in _CONTENT}
            found[row.source, row.event_id] = content
    return found


def page(
    connection: Connection, query: UsageQuery, after: int, limit: int
) -> tuple[tuple[int, ExternalUsage], ...]:
    """Usage of the time of a query after a place in the order in which it came in."""
    columns = external_usages.c
    wanted = select(external_usages).where(
        columns.sequence > after, columns.at_ms >= query.from_ms, columns.at_ms < query.to_ms
    )
    if query.organisation_id is not None:
        wanted = wanted.where(columns.organisation_id == query.organisation_id)
    if query.project_ids is not None:
        wanted = wanted.where(columns.project_id.in_(sorted(query.project_ids)))
    rows = connection.execute(wanted.order_by(columns.sequence).limit(limit))
    return tuple(
        (
            row.sequence,
            ExternalUsage(
                source=row.source,
                event_id=row.event_id,
                kind=row.kind,
                at_ms=row.at_ms,
                subject=row.subject,
                organisation_id=OrganisationId(row.organisation_id),
                project_id=TenantId(row.project_id),
                quantity=row.quantity,
                unit=row.unit,
                data=json.loads(row.data),
            ),
        )
        for row in rows
    )
