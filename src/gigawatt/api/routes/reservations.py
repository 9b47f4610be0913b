"""Reservations, and free capacity over time."""

from typing import Annotated

from fastapi import Query
from pydantic import AwareDatetime

from gigawatt.api.access import Access, Allowed
from gigawatt.api.paging import NEWEST, Cursor, Limit, number_place, page_of
from gigawatt.api.reservation_views import capacity_document, reservation_document
from gigawatt.api.routing import new_router, operation
from gigawatt.app.market.capacity import capacity_view
from gigawatt.errors import InputError
from gigawatt.ids import ReservationId, SiteId, TenantId
from gigawatt.intent.request import Level
from gigawatt.intent.reservation import MONTH_S, ReservationRequest
from gigawatt.interfaces.reservations import ReservationRecord
from gigawatt.sdk import documents as doc
from gigawatt.units import HOUR_S

router = new_router("reservations")


def _wish(body: doc.ReservationRequest) -> ReservationRequest:
    """The wish in a body.

    Raises:
        InputError: it says both hours and months, or neither.
    """
    if (body.hours is None) == (body.months is None):
        raise InputError("say how long the reservation lasts: either hours or months")
    length_s = MONTH_S * body.months if body.months else HOUR_S * (body.hours or 0.0)
    return ReservationRequest(
        tenant_id=TenantId(body.project_id),
        name=body.name,
        gpu_count=body.gpu_count,
        gpu_type=body.gpu_type,
        from_s=None if body.from_at is None else body.from_at.timestamp(),
        length_s=length_s,
        growth_gpu_count=body.growth_gpu_count,
        is_lent=body.is_lent,
        site_ids=tuple(map(SiteId, body.site_ids)),
        keep_together=Level(body.keep_together),
        price_micro_usd_per_gpu_hour_max=body.price_micro_usd_per_gpu_hour_max,
    )


def _shown(access: Access, record: ReservationRecord, *, is_whole: bool = True) -> doc.Reservation:
    return reservation_document(record, access.service.now_s(), is_whole=is_whole)


def _changed(access: Access, record: ReservationRecord) -> doc.Reservation:
    found = _shown(access, record)
    access.after = found.model_dump(mode="json", exclude={"nodes", "growth_nodes"})
    access.service.worker.wake()
    return found


@operation(router, "POST", "/reservations/plans", 201)
def plan_reservation(body: doc.ReservationRequest, access: Allowed) -> doc.Reservation:
    """Work out nodes and price of a reservation; nothing is promised, and it lapses."""
    access.project(body.project_id)
    account_id = access.caller.account.account_id
    return _shown(access, access.service.market.reservations.plan(_wish(body), account_id))


@operation(router, "POST", "/reservations", 201)
def create_reservation(body: doc.ReservationRequest, access: Allowed) -> doc.Reservation:
    """Plan and book in one: all nodes, or nothing."""
    access.project(body.project_id)
    account_id = access.caller.account.account_id
    drawn = None
    if access.opened is not None:
        # The same request, sent again after it was cut off, books nothing twice.
        drawn = ReservationId("res_" + access.opened.operation_id.removeprefix("op_"))
    made = access.service.market.reservations.create(_wish(body), account_id, drawn)
    return _changed(access, made)


@operation(router, "GET", "/reservations")
def list_reservations(
    access: Allowed,
    with_ended: Annotated[bool, Query()] = False,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> doc.Page[doc.Reservation]:
    """Reservations that the caller sees, newest first."""
    found = access.service.market.reservations.records.page(
        access.reach(),
        number_place(cursor, NEWEST),
        limit + 1,
        with_ended=with_ended,
        now_s=access.service.now_s(),
    )
    return page_of(
        found, limit, lambda row: row.sequence, lambda row: _shown(access, row, is_whole=False)
    )


@operation(router, "GET", "/reservations/{reservation_id}")
def get_reservation(reservation_id: str, access: Allowed) -> doc.Reservation:
    """One reservation, with its nodes."""
    return _shown(access, access.reservation(reservation_id))


@operation(router, "POST", "/reservations/{reservation_id}:book")
def book_reservation(reservation_id: str, access: Allowed) -> doc.Reservation:
    """Promise exactly the nodes that were planned, at the price that was told."""
    record = access.reservation(reservation_id)
    return _changed(access, access.service.market.reservations.book(record.reservation_id))


@operation(router, "POST", "/reservations/{reservation_id}:cancel")
def cancel_reservation(reservation_id: str, access: Allowed) -> doc.Reservation:
    """Give a reservation up before it begins, under the terms that were told."""
    record = access.reservation(reservation_id)
    return _changed(access, access.service.market.reservations.cancel(record.reservation_id))


@operation(router, "GET", "/capacity")
def get_capacity(
    access: Allowed,
    gpus: Annotated[int, Query(ge=1, le=32_000)],
    gpu_type: Annotated[str, Query(min_length=1, max_length=128)],
    hours: Annotated[float, Query(ge=1, le=43_920, allow_inf_nan=False)] = 24.0,
    from_at: Annotated[AwareDatetime | None, Query(alias="from")] = None,
    to_at: Annotated[AwareDatetime | None, Query(alias="to")] = None,
    site_id: Annotated[str | None, Query(max_length=128)] = None,
) -> doc.Capacity:
    """When so many GPUs could start, for so long, between two moments; and what is free until then.

    A cluster on demand has no end that anybody knows, so its nodes are never counted.
    """
    access.permit()
    service = access.service
    wish = ReservationRequest(
        tenant_id=TenantId("any"),
        name="capacity",
        gpu_count=gpus,
        gpu_type=gpu_type,
        from_s=None if from_at is None else from_at.timestamp(),
        length_s=hours * HOUR_S,
        site_ids=() if site_id is None else (SiteId(site_id),),
    )
    until_s = None if to_at is None else to_at.timestamp()
    return capacity_document(capacity_view(service.market.reservations.room(), wish, until_s), wish)
