"""Operations: what is under way, how far, and turning back."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Annotated

from fastapi import Query, Request
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

from gigawatt.api.access import Access, Allowed
from gigawatt.api.paging import NEWEST, Cursor, Limit, number_place, page_of
from gigawatt.api.progress import Progress
from gigawatt.api.route import renewal_of
from gigawatt.api.routes.events import take_stream
from gigawatt.api.routing import new_router, operation
from gigawatt.api.views import operation_document
from gigawatt.errors import ConflictError, UnauthenticatedError
from gigawatt.identity.permissions import Caller
from gigawatt.ids import ClusterId
from gigawatt.sdk import documents as doc

router = new_router("operations")

LOOK_S = 0.2
"""Pause between two looks at one operation. Ours: a bar that moves five times a second."""

REPEAT_S = 1.0
"""Pause after which an operation is sent again although nothing has changed. Ours: clocks go on."""

OPEN = frozenset({"applying", "unwinding"})


@operation(router, "GET", "/operations")
def list_operations(
    access: Allowed,
    cluster_id: Annotated[str | None, Query(max_length=128)] = None,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> doc.Page[doc.Operation]:
    """Operations that the caller sees, newest first."""
    found = access.service.directory.operation_page(
        access.reach(),
        number_place(cursor, NEWEST),
        limit + 1,
        None if cluster_id is None else ClusterId(cluster_id),
    )
    return page_of(found, limit, lambda row: row.opened_generation, operation_document)


# Before the one below, whose path would take "ID:stream" for an id.
@operation(router, "GET", "/operations/{operation_id}:stream")
def stream_operation(operation_id: str, request: Request, access: Allowed) -> StreamingResponse:
    """The operation each time it has changed, at once and until its end, as server-sent events."""
    access.operation_line(operation_id)
    take_stream(access.service)
    return StreamingResponse(
        _stream(access, renewal_of(request), operation_id), media_type="text/event-stream"
    )


@operation(router, "GET", "/operations/{operation_id}")
def get_operation(operation_id: str, access: Allowed) -> doc.Operation:
    """One operation, with its progress by stage and plane."""
    return Progress(access).document(access.operation_line(operation_id))


async def _stream(
    access: Access, renew: Callable[[], Caller], operation_id: str
) -> AsyncIterator[str]:
    service, progress = access.service, Progress(access)
    service.stream_count += 1
    said, number, quiet_s = "", 0, 0.0
    try:
        while not service.is_stopping:
            found = await run_in_threadpool(_look, access, renew, operation_id, progress)
            if found is None:
                return
            text = found.model_dump_json()
            quiet_s += LOOK_S
            if text != said or quiet_s >= REPEAT_S:
                said, number, quiet_s = text, number + 1, 0.0
                yield f"id: {number}\nevent: operation\ndata: {text}\n\n"
            if found.state not in OPEN:
                return
            await asyncio.sleep(LOOK_S)
    finally:
        service.stream_count -= 1


def _look(
    access: Access, renew: Callable[[], Caller], operation_id: str, progress: Progress
) -> doc.Operation | None:
    """The operation now; None when key or session is no longer in force."""
    try:
        renew()
    except UnauthenticatedError:
        return None
    return progress.document(access.operation_line(operation_id))


@operation(router, "POST", "/operations/{operation_id}:cancel", 202)
def cancel_operation(operation_id: str, access: Allowed) -> doc.Operation:
    """Undo a launch or a grow that is under way; whoever carries it on turns back."""
    line = access.operation_line(operation_id)
    if line.state == "unwinding":
        return operation_document(line)
    if line.state != "applying":
        raise ConflictError(f"operation {operation_id!r} is {line.state}, wanted applying")
    if not line.kind.is_reversible:
        raise ConflictError(
            f"operation {operation_id!r} is a {line.kind.value}, which only goes forward",
            next_step="Wait for its end; a launch or a grow can be cancelled.",
        )
    service = access.service
    service.directory.ask_cancel(
        line.operation_id, access.caller.account.account_id, service.now_s()
    )
    service.worker.wake()
    access.before = {"operation_id": line.operation_id, "state": line.state}
    access.after = {"operation_id": line.operation_id, "state": "asked to unwind"}
    return operation_document(line)
