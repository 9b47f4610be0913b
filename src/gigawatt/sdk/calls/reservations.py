"""Calls of reservations, and of free capacity over time."""

from datetime import datetime

from gigawatt.sdk import documents as doc
from gigawatt.sdk.calls.call import Call, path_of, query_of


def plan_reservation(request: doc.ReservationRequest) -> Call[doc.Reservation]:
    """Work out what a reservation would be and cost; nothing is promised."""
    return Call("POST", path_of("reservations", "plans"), doc.Reservation, body=request)


def create_reservation(request: doc.ReservationRequest) -> Call[doc.Reservation]:
    """Plan and book in one."""
    return Call("POST", path_of("reservations"), doc.Reservation, body=request)


def list_reservations(
    *, with_ended: bool | None = None, cursor: str | None = None, limit: int | None = None
) -> Call[doc.Page[doc.Reservation]]:
    """Reservations that the caller sees, newest first."""
    query = query_of(with_ended=with_ended, cursor=cursor, limit=limit)
    return Call("GET", path_of("reservations"), doc.Page[doc.Reservation], query)


def get_reservation(reservation_id: str) -> Call[doc.Reservation]:
    """One reservation, with its nodes."""
    return Call("GET", path_of("reservations", reservation_id), doc.Reservation)


def book_reservation(reservation_id: str) -> Call[doc.Reservation]:
    """Book exactly what was planned."""
    return Call("POST", path_of("reservations", reservation_id, verb="book"), doc.Reservation)


def cancel_reservation(reservation_id: str) -> Call[doc.Reservation]:
    """Give a reservation up under its terms."""
    return Call("POST", path_of("reservations", reservation_id, verb="cancel"), doc.Reservation)


def get_capacity(
    gpus: int,
    gpu_type: str,
    *,
    hours: float | None = None,
    from_at: datetime | None = None,
    to_at: datetime | None = None,
    site_id: str | None = None,
) -> Call[doc.Capacity]:
    """When so many GPUs could start, and what is free until then."""
    query = query_of(
        gpus=gpus,
        gpu_type=gpu_type,
        hours=hours,
        site_id=site_id,
        **{"from": from_at and from_at.isoformat(), "to": to_at and to_at.isoformat()},
    )
    return Call("GET", path_of("capacity"), doc.Capacity, query)
