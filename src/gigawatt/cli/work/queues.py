"""The queue: what waits for room, and what was turned away."""

from gigawatt.cli.options import Format
from gigawatt.cli.output import (
    Listing,
    ask,
    console,
    pairs,
    paragraph,
    remarks,
    show_document,
    show_list,
    span,
    table,
    write,
)
from gigawatt.cli.work.clusters import request_document
from gigawatt.cli.work.connect import PAGE_LIMIT, Connection, connected
from gigawatt.intent.request import ClusterRequest
from gigawatt.money import MICRO_USD_PER_USD
from gigawatt.sdk import calls
from gigawatt.sdk import documents as doc
from gigawatt.units import DAY_S


def _place_words(found: doc.WaitingRequest) -> str:
    if found.place is None:
        return "-"
    if found.place.position is None:
        return "held back by the limits of its project"
    return str(found.place.position)


def _wait_words(found: doc.WaitingRequest) -> str:
    place = found.place
    if place is None or place.expected_wait_s is None:
        return "-"
    return f"about {span(place.expected_wait_s)}"


def _tell(connection: Connection, found: doc.WaitingRequest) -> None:
    rows = [
        ("state", f"{found.state} {found.state_reason}".strip()),
        ("tenant", connection.project_name(found.project_id)),
        ("wants", f"{found.gpu_count:,} {found.gpu_type or 'GPUs of any type'}"),
        ("place", _place_words(found)),
        ("expected", _wait_words(found)),
    ]
    if found.place is not None:
        rows.append(("because", found.place.basis))
    if found.why:
        rows.append(("waits for", found.why))
    if found.cluster_id is not None:
        rows.append(("cluster", found.cluster_id))
    pairs(f"{found.name} ({found.id})", rows)


def add(request: ClusterRequest, day_count: int, form: Format, *, quiet: bool) -> None:
    """Keep a place, for so many days at most."""
    with connected() as connection:
        wish = doc.CreateWaitingRequest(
            cluster=request_document(connection, request),
            price_micro_usd_per_gpu_hour_max=request.price_micro_usd_per_gpu_hour_max,
            expires_after_s=int(day_count * DAY_S),
        )
        found = connection.client.create_waiting_request(wish)
        if quiet:
            console.print(found.id)
        elif form is not Format.TABLE:
            show_document(found, form)
        else:
            _tell(connection, found)
            paragraph(f"  next: gw queue show {found.id}", remarks)


def list_waiting(form: Format, *, everything: bool, quiet: bool) -> None:
    """List what waits, newest first."""
    with connected() as connection:
        pages = connection.client.pages(
            calls.list_waiting_requests, with_ended=everything, limit=PAGE_LIMIT
        )
        listing: Listing[doc.WaitingRequest] = Listing(
            ("name", "tenant", "gpus", "type", "state", "place", "expected", "id"),
            lambda w: (
                w.name,
                connection.project_name(w.project_id),
                w.gpu_count,
                w.gpu_type or "any",
                w.state,
                _place_words(w),
                _wait_words(w),
                w.id,
            ),
            "nothing waits; keep a place: gw queue add train --gpus 512",
        )
        show_list(list(pages), form, listing, quiet=quiet)


def show(waiting_id: str, form: Format) -> None:
    """Show one place in the queue."""
    with connected() as connection:
        found = connection.client.get_waiting_request(waiting_id)
        if form is not Format.TABLE:
            show_document(found, form)
        else:
            _tell(connection, found)


def withdraw(waiting_id: str, *, yes: bool) -> None:
    """Give a place up, after asking."""
    with connected() as connection:
        found = connection.client.get_waiting_request(waiting_id)
        if not (yes or ask(f"Give up the place of {found.name} in the queue?")):
            remarks.print("nothing was changed")
            return
        ended = connection.client.withdraw_waiting_request(waiting_id)
        console.print(f"{ended.name} ({ended.id}) is {ended.state}")


def show_supply(form: Format) -> None:
    """Show supply against demand by GPU type."""
    with connected() as connection:
        found = connection.client.get_admission()
    if form is not Format.TABLE:
        show_document(found, form)
        return
    table(
        ("type", "GPUs", "granted", "held", "free", "blocked", "waiting", "turned away, 7 days"),
        [
            (
                row.gpu_type,
                f"{row.gpu_count:,}",
                f"{row.granted_gpu_count:,}",
                f"{row.held_gpu_count:,}",
                f"{row.free_gpu_count:,}",
                f"{row.blocked_gpu_count:,}",
                f"{row.waiting_gpu_count:,}",
                f"{row.turned_away_gpu_count:,}",
            )
            for row in found.gpu_types
        ],
    )
    console.print("Served in this order:")
    for line in found.order:
        console.print(f"  {line}")


def show_turned_away(form: Format) -> None:
    """Show demand that was not served, by day."""
    with connected() as connection:
        found = connection.client.list_turned_away_days().items
    if form is not Format.TABLE:
        write([day.model_dump(mode="json") for day in found], form)
        return
    if not found:
        console.print("nothing was turned away")
        return
    table(
        ("day", "type", "size", "cause", "asked as", "wishes", "GPUs", "list price an hour"),
        [
            (
                day.day.isoformat(),
                day.gpu_type,
                f"{day.gpu_count_from:,} and up",
                day.cause,
                day.origin,
                f"{day.distinct_count:,}",
                f"{day.gpu_count:,}",
                f"${day.list_price_micro_usd_per_hour / MICRO_USD_PER_USD:,.2f}",
            )
            for day in found
        ],
    )
