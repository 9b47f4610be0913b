"""Price files: our own table of offers, and the daily panels that price trackers publish.

Own table, one offer a row, strict: every complaint names file, line and column.

    day,provider,gpu,form_factor,memory_gbyte,term,region,sku,gpu_count,price,basis,currency,kind,
    quantity_gpu_hours,source,retrieved

Empty cells: ``form_factor``, ``region``, ``sku``, ``memory_gbyte`` and ``gpu_count`` (unknown),
``price`` (none published), ``quantity_gpu_hours`` (secret). Price is in units of ``currency``.

Daily panel, one median a row: ``date,provider,gpu_model,rental_type,price_median_usd`` and more
columns that are not used. It says no node size and no region; the file is its source.
"""

import csv
import io
from collections.abc import Callable, Iterable
from datetime import date
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from enum import StrEnum
from typing import TypeVar

from gigawatt.economics.index.gpus import gpu_of_text
from gigawatt.economics.index.quote import Gpu, Offer, PriceBasis, PriceKind, Term
from gigawatt.errors import InputError

COLUMNS = (
    "day", "provider", "gpu", "form_factor", "memory_gbyte", "term", "region", "sku", "gpu_count",
    "price", "basis", "currency", "kind", "quantity_gpu_hours", "source", "retrieved",
)  # fmt: skip
PANEL_COLUMNS = ("date", "provider", "gpu_model", "rental_type", "price_median_usd")
ROW_COUNT_MAX = 5_000_000
PRICE_MAX = Decimal(1_000_000)
"""Per hour, in any currency; more is a mistake."""
TEXT_LENGTH_MAX = 256

E = TypeVar("E", bound=StrEnum)


class _Row:
    """One row that names file, line and column in every complaint."""

    def __init__(self, place: str, cells: dict[str, str]) -> None:
        self.place = place
        self.cells = cells

    def wrong(self, column: str, wanted: str) -> InputError:
        got = self.cells[column][:60]
        return InputError(
            f"{self.place}, column {column!r}: got {got!r}, wanted {wanted}",
            next_step="Correct the cell; docs/index.md describes the columns.",
        )

    def text(self, column: str, *, may_be_empty: bool = False) -> str:
        value = self.cells[column].strip()
        if (not value and not may_be_empty) or len(value) > TEXT_LENGTH_MAX:
            raise self.wrong(column, f"text of at most {TEXT_LENGTH_MAX} characters")
        if not value.isprintable():
            raise self.wrong(column, "printable text")
        return value

    def day(self, column: str) -> date:
        try:
            return date.fromisoformat(self.cells[column].strip())
        except ValueError:
            raise self.wrong(column, "a day such as 2026-02-11") from None

    def number(self, column: str) -> Decimal | None:
        text = self.cells[column].strip()
        if not text:
            return None
        try:
            value = Decimal(text)
        except InvalidOperation:
            raise self.wrong(column, "a number") from None
        if not value.is_finite() or abs(value) > PRICE_MAX * 1_000_000:
            raise self.wrong(column, "a finite number")
        return value

    def micro(self, column: str) -> int | None:
        value = self.number(column)
        if value is None:
            return None
        if abs(value) > PRICE_MAX:
            raise self.wrong(column, f"at most {PRICE_MAX} an hour")
        return int((value * 1_000_000).to_integral_value(ROUND_HALF_UP))

    def choice(self, column: str, kind: type[E]) -> E:
        try:
            return kind(self.cells[column].strip())
        except ValueError:
            raise self.wrong(
                column, "one of " + ", ".join(member.value for member in kind)
            ) from None

    def memory_gbyte(self, column: str) -> int:
        value = self.number(column)
        if value is None:
            return 0
        if not 1 <= value <= 100_000:
            raise self.wrong(column, "GB from 1 to 100000, or nothing")
        return int(value.to_integral_value(ROUND_HALF_UP))


def _offer_of_row(row: _Row) -> Offer:
    count, hours = row.number("gpu_count"), row.number("quantity_gpu_hours")
    currency = row.text("currency")
    if not (len(currency) == 3 and currency.isascii() and currency.isupper()):
        raise row.wrong("currency", "an ISO 4217 code such as USD")
    return Offer(
        place=row.place,
        day=row.day("day"),
        provider=row.text("provider"),
        gpu=Gpu(
            row.text("gpu"),
            row.text("form_factor", may_be_empty=True),
            row.memory_gbyte("memory_gbyte"),
        ),
        term=row.choice("term", Term),
        price_micro=row.micro("price"),
        currency=currency,
        source=row.text("source"),
        retrieved=row.day("retrieved"),
        region=row.text("region", may_be_empty=True),
        sku=row.text("sku", may_be_empty=True),
        gpu_count=None if count is None else float(count),
        basis=row.choice("basis", PriceBasis),
        kind=row.choice("kind", PriceKind),
        quantity_gpu_hours=None if hours is None else float(hours),
    )


def _offer_of_panel_row(row: _Row, source: str) -> Offer:
    day = row.day("date")
    return Offer(
        place=row.place,
        day=day,
        provider=row.text("provider"),
        gpu=gpu_of_text(row.text("gpu_model")),
        term=row.choice("rental_type", Term),
        price_micro=row.micro("price_median_usd"),
        currency="USD",
        source=source,
        # A tracker's daily row is a snapshot of its own day.
        retrieved=day,
    )


def _reader_of(header: list[str], name: str) -> Callable[[_Row], Offer]:
    if header == list(COLUMNS):
        return _offer_of_row
    if header[: len(PANEL_COLUMNS)] == list(PANEL_COLUMNS):
        return lambda row: _offer_of_panel_row(row, name)
    for column in COLUMNS:
        if column not in header:
            raise InputError(
                f"{name} line 1: column {column!r} is missing",
                next_step="Start the file with " + ",".join(COLUMNS),
            )
    raise InputError(f"{name} line 1: columns are {header[:20]}, wanted {list(COLUMNS)}")


def read_offers(text: str, name: str) -> tuple[Offer, ...]:
    """Offers of a price file, in order.

    Args:
        text: the file, our own table or a daily panel.
        name: what to call it in complaints and, for a panel, as the source.

    Raises:
        InputError: the file is malformed; line and column are named.
    """
    reader = csv.reader(io.StringIO(text.removeprefix("\ufeff")), strict=True)
    offers: list[Offer] = []
    try:
        header = next(reader, [])
        convert = _reader_of(header, name)
        for cells in reader:
            place = f"{name} line {reader.line_num}"
            if len(cells) != len(header):
                raise InputError(f"{place}: {len(cells)} cells, wanted {len(header)}")
            if len(offers) >= ROW_COUNT_MAX:
                raise InputError(f"{place}: more than {ROW_COUNT_MAX} rows")
            offers.append(convert(_Row(place, dict(zip(header, cells, strict=True)))))
    except csv.Error as error:
        raise InputError(f"{name} line {reader.line_num}: not CSV: {error}") from error
    if not offers:
        raise InputError(f"{name}: no offer in the file")
    return tuple(offers)


def _number_text(value: float | None) -> str:
    if value is None:
        return ""
    return str(int(value)) if float(value).is_integer() else repr(float(value))


def _micro_text(value: int | None) -> str:
    return "" if value is None else format((Decimal(value) / 1_000_000).normalize(), "f")


def write_offers(offers: Iterable[Offer]) -> str:
    """Our own table of offers; ``read_offers`` gives them back, but for ``place``."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for offer in offers:
        writer.writerow((
            offer.day.isoformat(), offer.provider, offer.gpu.name, offer.gpu.form_factor,
            offer.gpu.memory_gbyte or "", offer.term.value, offer.region, offer.sku,
            _number_text(offer.gpu_count), _micro_text(offer.price_micro), offer.basis.value,
            offer.currency, offer.kind.value, _number_text(offer.quantity_gpu_hours), offer.source,
            offer.retrieved.isoformat(),
        ))  # fmt: skip
    return out.getvalue()
