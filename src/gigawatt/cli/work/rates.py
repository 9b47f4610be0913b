"""The rate card, and what something would cost."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from gigawatt.app.clock import SystemClock
from gigawatt.app.home import read_text
from gigawatt.app.market.rate_file import moment_of, read_rate_file
from gigawatt.cli.options import Format
from gigawatt.cli.output import (
    Listing,
    console,
    count_of,
    moment,
    pairs,
    show_document,
    show_list,
    table,
)
from gigawatt.cli.work.connect import PAGE_LIMIT, Connection, connected
from gigawatt.cli.work.pricewords import BASIS_WORDS, TERM_WORDS, price_words
from gigawatt.errors import InputError
from gigawatt.intent.amounts import duration_s_of, micro_usd_of, minute_words
from gigawatt.intent.term import Term
from gigawatt.market.demo_card import NOTE, demo_rates
from gigawatt.money import format_usd
from gigawatt.sdk import calls
from gigawatt.sdk import documents as doc


@dataclass(frozen=True, slots=True)
class Choice:
    """Which rows; None for all."""

    gpu_type: str | None
    term: Term | None
    organisation: str | None


@dataclass(frozen=True, slots=True)
class Row:
    """A row as it was typed."""

    gpu_type: str
    price_usd: str
    term: Term
    site: str | None
    organisation: str | None
    gpu_count_min: int
    month_count_min: int
    since: str | None
    until: str | None
    note: str


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody asks the price of, as it was typed."""

    gpu_count: int
    gpu_type: str | None
    term: Term
    month_count: int
    duration: str | None
    spare_count: int
    sites: tuple[str, ...]
    start: datetime | None


def _history() -> Listing[doc.Rate]:
    """Rows with who set them and when; who may not know sees a dash."""
    plain = _listing()
    return replace(
        plain,
        columns=(*plain.columns, "set", "set by"),
        cells=lambda r: (*plain.cells(r), moment(r.set_at.timestamp()), r.set_by or "-"),
    )


def _listing() -> Listing[doc.Rate]:
    return Listing(
        ("gpu", "term", "a gpu-hour", "for", "state", "from", "until", "note", "id"),
        lambda r: (
            r.gpu_type,
            TERM_WORDS.get(r.term, r.term),
            price_words(r.price_micro_usd_per_gpu_hour),
            _scope_words(r),
            r.state.replace("_", " "),
            f"{r.valid_from:%Y-%m-%d %H:%M:%S} UTC",
            "-" if r.valid_to is None else f"{r.valid_to:%Y-%m-%d %H:%M:%S} UTC",
            r.note or "-",
            r.id,
        ),
        "no rates: on demand costs the fleet's list price; see 'gw rate set --help'",
    )


def _scope_words(rate: doc.Rate) -> str:
    parts = []
    if rate.organisation_id is not None:
        parts.append(rate.organisation_id)
    if rate.site_id is not None:
        parts.append(f"at {rate.site_id}")
    if rate.gpu_count_min > 1:
        parts.append(f"from {rate.gpu_count_min:,} GPUs")
    if rate.month_count_min:
        parts.append(f"from {count_of(rate.month_count_min, 'month')}")
    return ", ".join(parts) or "everybody"


def list_rates(choice: Choice, form: Format, *, quiet: bool, with_past: bool) -> None:
    """List rows, newest first."""
    with connected() as connection:
        pages = connection.client.pages(
            calls.list_rates,
            gpu_type=choice.gpu_type,
            term=None if choice.term is None else choice.term.value,
            organisation_id=choice.organisation,
            with_past=with_past,
            limit=PAGE_LIMIT,
        )
        listing = _history() if with_past else _listing()
        show_list(list(pages), form, listing, quiet=quiet)


def set_rate(row: Row, form: Format) -> None:
    """Add one row.

    Raises:
        InputError: a price or a date does not read.
    """
    begins = None if row.since is None else moment_of(row.since)
    ends = None
    if row.until == "now":
        begins = ends = datetime.fromtimestamp(SystemClock().now_s(), UTC)
    elif row.until is not None:
        ends = moment_of(row.until)
    wanted = doc.NewRate.model_validate(
        {
            "gpu_type": row.gpu_type,
            "term": row.term.value,
            "price_micro_usd_per_gpu_hour": micro_usd_of(row.price_usd),
            "valid_from": begins,
            "valid_to": ends,
            "site_id": row.site,
            "organisation_id": row.organisation,
            "gpu_count_min": row.gpu_count_min,
            "month_count_min": row.month_count_min,
            "note": row.note,
        }
    )
    with connected() as connection:
        added = connection.client.set_rates(doc.SetRates(rates=[wanted])).items
    show_list(added, form, _listing())


def import_rates(path: Path | None, form: Format, *, is_demo: bool, quiet: bool) -> None:
    """Add the rows of a file, or of the illustrative card.

    Raises:
        InputError: neither or both were named, or the file is no rate card.
    """
    if (path is not None) == is_demo:
        raise InputError("name a file, or say --demo", next_step="See 'gw rate import --help'.")
    with connected() as connection:
        if path is None:
            rows = demo_rows(connection)
        else:
            rows = read_rate_file(read_text(path), is_csv=path.suffix.lower() == ".csv")
        added = connection.client.set_rates(doc.SetRates(rates=rows)).items
    show_list(added, form, _listing(), quiet=quiet)


def demo_rows(connection: Connection) -> list[doc.NewRate]:
    """The rows of the illustrative card for a server's fleet."""
    listed: dict[str, int] = {}
    for kind in connection.client.get_fleet().gpu_types:
        price = kind.price_micro_usd_per_gpu_hour
        listed[kind.gpu_type] = max(price, listed.get(kind.gpu_type, 0))
    return [
        doc.NewRate(
            gpu_type=rate.gpu_type,
            term=rate.term.value,
            price_micro_usd_per_gpu_hour=rate.price_micro_usd_per_gpu_hour,
            gpu_count_min=rate.gpu_count_min,
            month_count_min=rate.month_count_min,
            note=NOTE,
        )
        for rate in demo_rates(listed, 0.0)
    ]


def show_price(wish: Wish, project: str | None, form: Format) -> None:
    """Show what a wish costs and the other ways.

    Raises:
        InputError: the duration does not read.
    """
    duration_s = None if wish.duration is None else duration_s_of(wish.duration)
    with connected() as connection:
        asked = doc.AskPrice(
            project_id=connection.project_id(project),
            gpu_count=wish.gpu_count,
            gpu_type=wish.gpu_type,
            term=wish.term.value,
            month_count=wish.month_count,
            duration_s=duration_s,
            spare_count=wish.spare_count,
            site_ids=list(wish.sites),
            from_at=None if wish.start is None else wish.start.replace(tzinfo=UTC),
        )
        answer = connection.client.ask_price(asked)
    if form is not Format.TABLE:
        show_document(answer, form)
        return
    pairs("", _answer_lines(answer, wish.duration))
    if answer.alternatives:
        console.print()
        columns = ("gpus", "type", "term", "site", "a gpu-hour", "an hour", "total", "from")
        table(columns, [_alternative_cells(offer) for offer in answer.alternatives])


def _answer_lines(answer: doc.PriceAnswer, duration: str | None) -> Iterator[tuple[str, str]]:
    offer = answer.offer
    yield "GPUs", f"{offer.gpu_count:,} {offer.gpu_type} at {offer.site_id}, {_term_words(offer)}"
    basis = BASIS_WORDS.get(offer.price_basis, offer.price_basis)
    each = f"{price_words(offer.price_micro_usd_per_gpu_hour)} a GPU-hour ({basis})"
    yield "price", f"{each}, {format_usd(offer.price_micro_usd_per_hour)} an hour"
    if offer.total_micro_usd is not None:
        how_long = f"for {duration}" if duration else f"for {count_of(offer.month_count, 'month')}"
        yield "total", f"{format_usd(offer.total_micro_usd)} {how_long}"
    yield from (("billed", sentence) for sentence in answer.billed)
    yield "ends", offer.cancellation
    yield "from", _start_words(offer)
    if answer.wait:
        yield "wait", answer.wait


def _term_words(offer: doc.PriceOffer) -> str:
    words = TERM_WORDS.get(offer.term, offer.term)
    if offer.term != "reserved":
        return words
    return f"{words} {count_of(offer.month_count, 'month') if offer.month_count else 'as long'}"


def _start_words(offer: doc.PriceOffer) -> str:
    """From when it can be had, as far as anybody knows."""
    if offer.is_free_now is not None:
        return "now" if offer.is_free_now else "not free now"
    if offer.starts_at is not None:
        return minute_words(offer.starts_at.timestamp())
    return "not known"


def _alternative_cells(offer: doc.PriceOffer) -> tuple[object, ...]:
    total = "-" if offer.total_micro_usd is None else format_usd(offer.total_micro_usd)
    return (
        offer.gpu_count,
        offer.gpu_type,
        _term_words(offer),
        offer.site_id,
        price_words(offer.price_micro_usd_per_gpu_hour),
        format_usd(offer.price_micro_usd_per_hour),
        total,
        _start_words(offer),
    )
