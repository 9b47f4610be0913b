"""Reservations, and free capacity over time."""

from dataclasses import dataclass
from datetime import UTC, datetime

from gigawatt.cli.options import Format
from gigawatt.cli.output import (
    Listing,
    ask,
    console,
    count_of,
    moment,
    pairs,
    paragraph,
    remarks,
    show_document,
    show_list,
    table,
)
from gigawatt.cli.work.connect import PAGE_LIMIT, Connection, connected
from gigawatt.money import MICRO_USD_PER_USD, format_usd
from gigawatt.sdk import calls
from gigawatt.sdk import documents as doc


@dataclass(frozen=True, slots=True)
class Length:
    """How long: hours, or months of 30 days; and from when in UTC, None for at once."""

    hours: float | None
    months: int | None
    start: datetime | None


@dataclass(frozen=True, slots=True)
class Wish:
    """What the options of a reservation say; see ``doc.ReservationRequest``."""

    name: str
    gpu_count: int
    gpu_type: str
    length: Length
    growth_gpu_count: int
    is_lent: bool
    site_ids: tuple[str, ...]
    price_usd_max: float | None


@dataclass(frozen=True, slots=True)
class Question:
    """What somebody wants to know of free capacity; moments in UTC."""

    gpu_count: int
    gpu_type: str
    hours: float
    start: datetime | None
    end: datetime | None
    site_id: str | None


def _utc(moment_read: datetime | None) -> datetime | None:
    return None if moment_read is None else moment_read.replace(tzinfo=UTC)


def _request(connection: Connection, wish: Wish, project: str | None) -> doc.ReservationRequest:
    most = wish.price_usd_max
    return doc.ReservationRequest(
        project_id=connection.project_id(project),
        name=wish.name,
        gpu_count=wish.gpu_count,
        gpu_type=wish.gpu_type,
        from_at=_utc(wish.length.start),
        hours=wish.length.hours,
        months=wish.length.months,
        growth_gpu_count=wish.growth_gpu_count,
        is_lent=wish.is_lent,
        site_ids=list(wish.site_ids),
        price_micro_usd_per_gpu_hour_max=(
            None if most is None else round(most * MICRO_USD_PER_USD)
        ),
    )


def _tell(connection: Connection, found: doc.Reservation) -> None:
    terms = found.cancellation
    groups = count_of(found.leaf_group_count, "leaf group")
    nodes = count_of(found.node_count, "node")
    free_until = moment(terms.free_until.timestamp())
    charge = format_usd(terms.charge_micro_usd)
    price = format_usd(found.price_micro_usd_per_gpu_hour, digits=4)
    rows = [
        ("state", found.state),
        ("tenant", connection.project_name(found.project_id)),
        ("GPUs", f"{found.gpu_count:,} {found.gpu_type}"),
        (
            "where",
            f"{found.site_id}, fabric {found.fabric_id}: {nodes} in {groups}",
        ),
        ("from", moment(found.from_at.timestamp())),
        ("to", moment(found.to_at.timestamp())),
        ("price", f"{price} a GPU-hour, {format_usd(found.amount_micro_usd)} in all, used or not"),
        ("giving up", f"free until {free_until}, then {charge} until it begins; then it is paid"),
    ]
    if found.growth_gpu_count:
        kept = f"{found.growth_gpu_count:,} GPUs kept free beside it, at the price of the day"
        rows.append(("growth", kept))
    if found.is_lent:
        rows.append(("lent", "others use it, on call, while you do not"))
    rows += [("missing", _gap_words(gap)) for gap in found.gaps or () if gap.replaced_by is None]
    if found.credited_micro_usd:
        rows.append(("credited", f"{format_usd(found.credited_micro_usd)} until now for it"))
    if found.state == "planned" and found.expires_at is not None:
        rows.append(("plan holds", f"until {moment(found.expires_at.timestamp())}"))
    if found.cancelled_at is not None:
        rows.append(("cancelled", f"for {format_usd(found.charged_micro_usd)}"))
    pairs(f"{found.name} ({found.id})", rows)


def _gap_words(gap: doc.ReservationGap) -> str:
    """A node that was out of use and was not replaced."""
    since = moment(gap.since.timestamp())
    until = "now" if gap.until_at is None else moment(gap.until_at.timestamp())
    return f"{gap.node_id}, {count_of(gap.gpu_count, 'GPU')}, from {since} until {until}"


def _show(connection: Connection, found: doc.Reservation, form: Format) -> None:
    if form is not Format.TABLE:
        show_document(found, form)
    else:
        _tell(connection, found)


def plan(wish: Wish, project: str | None, form: Format) -> None:
    """Show what a reservation would be."""
    with connected() as connection:
        request = _request(connection, wish, project)
        _show(connection, connection.client.plan_reservation(request), form)


def create(wish: Wish, project: str | None, form: Format, *, yes: bool) -> None:
    """Show the plan, ask, and book exactly that."""
    with connected() as connection:
        request = _request(connection, wish, project)
        planned = connection.client.plan_reservation(request)
        if not yes:
            _tell(connection, planned)
            if not ask(f"Reserve this for {format_usd(planned.amount_micro_usd)}?"):
                remarks.print("nothing was changed")
                return
        booked = connection.client.book_reservation(planned.id)
        _show(connection, booked, form)
        if form is Format.TABLE:
            use = f"gw cluster create NAME --gpus {booked.gpu_count} --reservation {booked.id}"
            paragraph(f"  next: {use}, once it has begun", remarks)


def list_reservations(form: Format, *, everything: bool, quiet: bool) -> None:
    """List reservations, newest first."""
    with connected() as connection:
        pages = connection.client.pages(
            calls.list_reservations, with_ended=everything, limit=PAGE_LIMIT
        )
        listing: Listing[doc.Reservation] = Listing(
            ("name", "tenant", "gpus", "short", "type", "from", "to", "state", "a GPU-hour", "id"),
            lambda r: (
                r.name,
                connection.project_name(r.project_id),
                r.gpu_count,
                r.short_gpu_count or "-",
                r.gpu_type,
                moment(r.from_at.timestamp()),
                moment(r.to_at.timestamp()),
                r.state,
                format_usd(r.price_micro_usd_per_gpu_hour, digits=4),
                r.id,
            ),
            "nothing is reserved; see what could be: gw capacity --gpus 256 --type h100",
        )
        show_list(list(pages), form, listing, quiet=quiet)


def reservation_named(connection: Connection, word: str) -> doc.Reservation:
    """The reservation of an id, or the newest of a name that has not ended.

    Raises:
        UnknownIdError: there is none.
    """
    client = connection.client
    if not word.startswith("res_"):
        for found in client.pages(calls.list_reservations, limit=PAGE_LIMIT):
            if found.name == word and found.state in {"booked", "running"}:
                return client.get_reservation(found.id)
    return client.get_reservation(word)


def show(word: str, form: Format) -> None:
    """Show one reservation."""
    with connected() as connection:
        _show(connection, reservation_named(connection, word), form)


def cancel(word: str, *, yes: bool) -> None:
    """Give a reservation up, after saying what that costs."""
    with connected() as connection:
        found = reservation_named(connection, word)
        if not yes:
            _tell(connection, found)
            if not ask(f"Give {found.name} up?"):
                remarks.print("nothing was changed")
                return
        ended = connection.client.cancel_reservation(found.id)
        charged = format_usd(ended.charged_micro_usd)
        console.print(f"{ended.name} ({ended.id}) is {ended.state}, for {charged}")


def show_capacity(question: Question, form: Format) -> None:
    """Show when so many GPUs could start."""
    with connected() as connection:
        found = connection.client.get_capacity(
            question.gpu_count,
            question.gpu_type,
            hours=question.hours,
            from_at=_utc(question.start),
            to_at=_utc(question.end),
            site_id=question.site_id,
        )
    if form is not Format.TABLE:
        show_document(found, form)
        return
    what = f"{found.gpu_count:,} {found.gpu_type} for {found.hours:,.0f} h"
    if found.starts_at is not None:
        console.print(f"{what} could start at {moment(found.starts_at.timestamp())}")
    else:
        more = "" if found.is_whole else " among the moments that were looked at"
        console.print(f"{what} could start at no moment that is known{more}")
    table(
        ("from", "free GPUs"),
        [(moment(w.from_at.timestamp()), f"{w.free_gpu_count:,}") for w in found.windows],
    )
