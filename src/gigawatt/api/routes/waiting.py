"""Requests that wait for room."""

from typing import Annotated

from fastapi import Query

from gigawatt.api.access import Access, Allowed
from gigawatt.api.changes import recorded, request_of
from gigawatt.api.paging import NEWEST, Cursor, Limit, number_place, page_of
from gigawatt.api.queue_views import waiting_document
from gigawatt.api.routing import new_router, operation
from gigawatt.app.admission import Wish
from gigawatt.app.line import Line
from gigawatt.errors import UnknownIdError
from gigawatt.identity.accounts import told_to_tenants
from gigawatt.ids import OperationId
from gigawatt.interfaces.waiting import WaitingRequest
from gigawatt.sdk import documents as doc

router = new_router("waiting")


@operation(router, "POST", "/waiting", 202)
def create_waiting_request(body: doc.CreateWaitingRequest, access: Allowed) -> doc.WaitingRequest:
    """Keep a place in the queue for a cluster; it starts by itself when there is room."""
    access.project(body.cluster.project_id)
    found = _sent_before(access)
    if found is None:
        service, request = access.service, request_of(access, body.cluster)
        wish = Wish(
            request=request,
            account_id=access.caller.account.account_id,
            price_micro_usd_per_gpu_hour_max=body.price_micro_usd_per_gpu_hour_max,
            duration_s=body.duration_s,
            patience_s=float(body.expires_after_s),
        )
        drawn = None if access.opened is None else access.opened.operation_id
        with recorded(access, request, "waiting"):
            found = service.admission.wait(wish, drawn or OperationId(service.control.new_id("op")))
        service.worker.wake()
    return _document(access, found)


def _sent_before(access: Access) -> WaitingRequest | None:
    """What an earlier, cut-off try of the same request has kept, if anything."""
    if access.opened is None or not access.opened.is_retry:
        return None
    try:
        return access.service.admission.room.of_operation(access.opened.operation_id)
    except UnknownIdError:
        return None


def _document(access: Access, waiting: WaitingRequest) -> doc.WaitingRequest:
    place = Line(access.service.admission).place_of(waiting)
    return waiting_document(waiting, place, access.service.now_s())


@operation(router, "GET", "/waiting")
def list_waiting_requests(
    access: Allowed,
    with_ended: Annotated[bool, Query()] = False,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> doc.Page[doc.WaitingRequest]:
    """Requests that the caller sees, newest first, with their places in the queue."""
    admission = access.service.admission
    found = admission.room.page(
        access.reach(), number_place(cursor, NEWEST), limit + 1, with_ended=with_ended
    )
    line, now_s = Line(admission), admission.now_s()
    return page_of(
        found,
        limit,
        lambda row: row.sequence,
        lambda row: waiting_document(row, line.place_of(row), now_s),
    )


@operation(router, "GET", "/waiting/{waiting_id}")
def get_waiting_request(waiting_id: str, access: Allowed) -> doc.WaitingRequest:
    """One request, with its place in the queue."""
    return _document(access, access.waiting(waiting_id))


@operation(router, "POST", "/waiting/{waiting_id}:withdraw")
def withdraw_waiting_request(waiting_id: str, access: Allowed) -> doc.WaitingRequest:
    """Give the place up; a request that has started is refused, and its cluster stays."""
    waiting, admission = access.waiting(waiting_id), access.service.admission
    if waiting.state != "withdrawn":
        account = access.caller.account
        said = f"withdrawn by {told_to_tenants(account.account_id, account.role)}"
        row = admission.ended(waiting, "withdrawn")
        waiting = admission.room.end(waiting.waiting_id, "withdrawn", said, admission.now_s(), row)
    return _document(access, waiting)
