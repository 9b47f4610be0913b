"""Own sales as a file: one record a sale, as a CSV table or as JSON lines, strict.

    sale_id,seller,gpu_type,term,region,start,end,gpu_hours,price_usd_per_gpu_hour,currency

A sale is GPUs of one type sold to one tenant at one price from ``start`` to ``end`` (RFC 3339 with
its offset). ``sale_id`` is unique in the file, so that no hour is counted twice. Both forms have
the same fields; ``region`` may be empty. Prices and hours are decimal, in JSON numbers or texts.

The index knows one price a day and product, so hours are shared out over the days (UTC) of a sale
in proportion to time, and a day's price is its unit value.
"""

import csv
import io
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from fractions import Fraction

from gigawatt.economics.index.gpus import gpu_of_text
from gigawatt.economics.index.quote import Offer, Term, UsageRow, offers_of_usage
from gigawatt.errors import InputError

FIELDS = (
    "sale_id", "seller", "gpu_type", "term", "region", "start", "end", "gpu_hours",
    "price_usd_per_gpu_hour", "currency",
)  # fmt: skip
SALE_COUNT_MAX = 1_000_000
SPAN_DAYS_MAX = 3_660
GPU_HOURS_MAX = Decimal(10) ** 12
PRICE_USD_MAX = Decimal(10) ** 6
TEXT_LENGTH_MAX = 256
MICRO = 1_000_000

Key = tuple[date, str, str, Term, str]
"""Day, seller, GPU type, term, region."""


@dataclass(frozen=True, slots=True)
class Sale:
    """GPU-hours sold at one price.

    Fields: place in the file; sale_id; seller, our own name; gpu_type as catalogues write it; term;
    region class, may be empty; start and end in UTC; gpu_hours > 0; price_usd_per_gpu_hour > 0.
    """

    place: str
    sale_id: str
    seller: str
    gpu_type: str
    term: Term
    region: str
    start: datetime
    end: datetime
    gpu_hours: Fraction
    price_usd_per_gpu_hour: Fraction

    def days(self) -> Iterator[tuple[date, Fraction]]:
        """GPU-hours of each day that the sale touches; together they are all."""
        whole = self.end - self.start
        at = self.start
        while at < self.end:
            midnight = datetime.combine(at.date() + timedelta(days=1), time(), UTC)
            until = min(midnight, self.end)
            share = Fraction((until - at) // _MICROSECOND, whole // _MICROSECOND)
            yield at.date(), self.gpu_hours * share
            at = until


_MICROSECOND = timedelta(microseconds=1)


class _Record:
    """One record that names its place and field in every complaint."""

    def __init__(self, place: str, values: Mapping[str, object]) -> None:
        self.place = place
        self.values = values
        for name in FIELDS:
            if name not in values and name != "region":
                raise InputError(f"{place}: field {name!r} is missing")
        for name in values:
            if name not in FIELDS:
                raise InputError(
                    f"{place}: no field {str(name)[:60]!r}",
                    next_step=f"Fields are {', '.join(FIELDS)}.",
                )

    def wrong(self, field: str, wanted: str) -> InputError:
        got = repr(self.values.get(field))[:60]
        return InputError(f"{self.place}, field {field!r}: got {got}, wanted {wanted}")

    def text(self, field: str, *, may_be_empty: bool = False) -> str:
        value = self.values.get(field, "")
        if not isinstance(value, str) or len(value) > TEXT_LENGTH_MAX or not value.isprintable():
            raise self.wrong(field, f"printable text of at most {TEXT_LENGTH_MAX} characters")
        if not value.strip() and not may_be_empty:
            raise self.wrong(field, "text")
        return value.strip()

    def moment(self, field: str) -> datetime:
        try:
            value = datetime.fromisoformat(self.text(field))
        except ValueError:
            raise self.wrong(field, "a time such as 2026-03-01T00:00:00Z") from None
        if value.tzinfo is None:
            raise self.wrong(field, "a time with its offset, such as Z")
        return value.astimezone(UTC)

    def positive(self, field: str, most: Decimal) -> Fraction:
        value = self.values.get(field)
        try:
            number = Decimal("nan") if isinstance(value, bool) else Decimal(str(value))
        except InvalidOperation:
            number = Decimal("nan")
        if not number.is_finite() or not 0 < number <= most or number.adjusted() < -12:
            raise self.wrong(field, f"a number above 0, at most {most}")
        return Fraction(number)

    def sale(self) -> Sale:
        try:
            term = Term(self.text("term"))
        except ValueError:
            names = ", ".join(member.value for member in Term)
            raise self.wrong("term", f"one of {names}") from None
        if self.text("currency") != "USD":
            raise self.wrong("currency", "USD, in which sales are billed")
        start, end = self.moment("start"), self.moment("end")
        if not start < end <= start + timedelta(days=SPAN_DAYS_MAX):
            raise self.wrong("end", f"a time after start, within {SPAN_DAYS_MAX} days of it")
        return Sale(
            place=self.place,
            sale_id=self.text("sale_id"),
            seller=self.text("seller"),
            gpu_type=self.text("gpu_type"),
            term=term,
            region=self.text("region", may_be_empty=True),
            start=start,
            end=end,
            gpu_hours=self.positive("gpu_hours", GPU_HOURS_MAX),
            price_usd_per_gpu_hour=self.positive("price_usd_per_gpu_hour", PRICE_USD_MAX),
        )


def _lines(text: str, name: str) -> Iterator[_Record]:
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        place = f"{name} line {number}"
        try:
            found = json.loads(line, parse_float=Decimal, parse_int=Decimal)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{place}: not JSON: {error}") from error
        if not isinstance(found, dict):
            raise InputError(f"{place}: not an object of field and value")
        yield _Record(place, found)


def _table(text: str, name: str) -> Iterator[_Record]:
    reader = csv.reader(io.StringIO(text), strict=True)
    try:
        header = next(reader, [])
        for cells in reader:
            place = f"{name} line {reader.line_num}"
            if len(cells) != len(header):
                raise InputError(f"{place}: {len(cells)} cells, wanted {len(header)}")
            yield _Record(place, dict(zip(header, cells, strict=True)))
    except csv.Error as error:
        raise InputError(f"{name} line {reader.line_num}: not CSV: {error}") from error


def read_sales(text: str, name: str) -> tuple[Sale, ...]:
    """Sales of a file, in order; JSON lines where it begins with a brace, else CSV.

    Args:
        text: the file.
        name: what to call it in complaints.

    Raises:
        InputError: a record is malformed or a sale is there twice; line and field are named.
    """
    body = text.removeprefix("\ufeff")
    records = _lines(body, name) if body.lstrip().startswith("{") else _table(body, name)
    sales: dict[str, Sale] = {}
    for record in records:
        sale = record.sale()
        if sale.sale_id in sales:
            raise InputError(
                f"{sale.place}, field 'sale_id': {sale.sale_id!r} is in {sales[sale.sale_id].place}"
            )
        if len(sales) >= SALE_COUNT_MAX:
            raise InputError(f"{sale.place}: more than {SALE_COUNT_MAX} sales")
        sales[sale.sale_id] = sale
    if not sales:
        raise InputError(f"{name}: no sale in the file")
    return tuple(sales.values())


def usage_rows(sales: tuple[Sale, ...]) -> tuple[UsageRow, ...]:
    """Usage by day, seller, GPU, term and region; a row's dollars are rounded to the micro-dollar.

    Example:
        >>> line = ('{"sale_id":"1","seller":"we","gpu_type":"H100-SXM-80GB","term":"spot",'
        ...         '"start":"2026-03-01T18:00:00Z","end":"2026-03-02T06:00:00Z",'
        ...         '"gpu_hours":24,"price_usd_per_gpu_hour":2.5,"currency":"USD"}')
        >>> [(r.day.day, r.gpu_hours) for r in usage_rows(read_sales(line, "x"))]
        [(1, 12.0), (2, 12.0)]
    """
    hours: dict[Key, Fraction] = defaultdict(Fraction)
    usd: dict[Key, Fraction] = defaultdict(Fraction)
    for sale in sales:
        for day, part in sale.days():
            key = (day, sale.seller, sale.gpu_type, sale.term, sale.region)
            hours[key] += part
            usd[key] += part * sale.price_usd_per_gpu_hour
    return tuple(
        UsageRow(day, seller, gpu_of_text(gpu_type), term, float(hours[key]),
                 round(usd[key] * MICRO), region)
        for key in sorted(hours)
        for day, seller, gpu_type, term, region in (key,)
    )  # fmt: skip


def offers_of_sales(text: str, name: str, source: str) -> tuple[Offer, ...]:
    """Metered offers of a file of own sales.

    Args:
        text: the file.
        name: what to call it in complaints.
        source: what the quotes name as their source.

    Raises:
        InputError: a record is malformed; line and field are named.
    """
    return offers_of_usage(usage_rows(read_sales(text, name)), source)
