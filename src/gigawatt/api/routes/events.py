"""Events, as pages and as a stream of server-sent events that can be resumed."""

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Annotated

from fastapi import Header, Query, Request
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

from gigawatt.api.access import Access, Allowed, reach_of
from gigawatt.api.paging import NEWEST, number_place, page_of
from gigawatt.api.route import renewal_of
from gigawatt.api.routing import new_router, operation
from gigawatt.api.views import event_document
from gigawatt.app.service import Service
from gigawatt.errors import InputError, RateError, UnauthenticatedError
from gigawatt.identity.permissions import Caller
from gigawatt.ids import ClusterId, NodeId, OperationId
from gigawatt.interfaces.store import Event
from gigawatt.interfaces.trail import EventFilter
from gigawatt.sdk import documents as doc

router = new_router("events")

STREAM_POLL_S = 0.5
"""Pause between two looks for new events. Ours."""

HEARTBEAT_S = 15.0
"""Pause after which a comment is sent. Source: the specification of server-sent events, 9.2.7."""

STREAM_COUNT_MAX = 200
"""Streams that one server holds open. Ours: each looks into the store twice a second."""

ClusterFilter = Annotated[str | None, Query(max_length=128)]


@operation(router, "GET", "/events")
def list_events(
    access: Allowed,
    wanted: Annotated[doc.EventFilter, Query()],
) -> doc.Page[doc.Event]:
    """Events that the caller sees, oldest first unless said otherwise."""
    reach = access.reach()
    found = access.service.trail.events(
        reach,
        EventFilter(
            cluster_id=None if wanted.cluster_id is None else ClusterId(wanted.cluster_id),
            operation_id=None if wanted.operation_id is None else OperationId(wanted.operation_id),
            node_id=None if wanted.node_id is None else NodeId(wanted.node_id),
            kind=wanted.kind,
        ),
        number_place(wanted.cursor, NEWEST if wanted.newest_first else 0),
        wanted.limit + 1,
        newest_first=wanted.newest_first,
    )
    render = partial(event_document, is_for_site=reach.project_ids is None)
    return page_of(found, wanted.limit, lambda row: row.sequence, render)


@operation(router, "GET", "/events:stream")
def stream_events(
    request: Request,
    access: Allowed,
    cluster_id: ClusterFilter = None,
    last_event_id: Annotated[str | None, Header(max_length=20)] = None,
) -> StreamingResponse:
    """Events as they happen; ``Last-Event-ID`` resumes after one, else only new ones come."""
    access.permit()
    if last_event_id is not None and not last_event_id.isdecimal():
        raise InputError(f"Last-Event-ID is {last_event_id!r}, wanted a sequence number")
    service = access.service
    take_stream(service)
    after = service.directory.newest_event() if last_event_id is None else int(last_event_id)
    wanted = None if cluster_id is None else ClusterId(cluster_id)
    return StreamingResponse(
        _stream(access, renewal_of(request), after, wanted), media_type="text/event-stream"
    )


def take_stream(service: Service) -> None:
    """Nothing, while one more stream may be opened.

    Raises:
        RateError: too many are open.
    """
    if service.stream_count >= STREAM_COUNT_MAX:
        raise RateError("too many streams are open", retry_after_s=HEARTBEAT_S)


async def _stream(
    access: Access, renew: Callable[[], Caller], after: int, cluster_id: ClusterId | None
) -> AsyncIterator[str]:
    service = access.service
    service.stream_count += 1
    is_for_site = reach_of(service, access.caller).project_ids is None
    try:
        quiet_s = HEARTBEAT_S
        while not service.is_stopping:
            found = await run_in_threadpool(_next, access, renew, after, cluster_id)
            if found is None:
                return
            for event in found:
                yield _sent(event, is_for_site=is_for_site)
                after = event.sequence
            quiet_s = 0.0 if found else quiet_s + STREAM_POLL_S
            if quiet_s >= HEARTBEAT_S:
                quiet_s = 0.0
                yield ": alive\n\n"
            if len(found) < 100:
                await asyncio.sleep(STREAM_POLL_S)
    finally:
        service.stream_count -= 1


def _next(
    access: Access, renew: Callable[[], Caller], after: int, cluster_id: ClusterId | None
) -> tuple[Event, ...] | None:
    """Events that are due; None when key or session is no longer in force."""
    try:
        caller = renew()
    except UnauthenticatedError:
        return None
    reach = reach_of(access.service, caller)
    return access.service.directory.event_page(reach, after, 100, cluster_id)


def _sent(event: Event, *, is_for_site: bool) -> str:
    document = event_document(event, is_for_site=is_for_site).model_dump_json()
    return f"id: {event.sequence}\nevent: {event.kind}\ndata: {document}\n\n"
