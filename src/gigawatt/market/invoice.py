"""Invoices: lines rounded once each to the micro-dollar, totals to the cent, and they add up.

A line's amount is its exact amount, rounded half up to a whole micro-USD. The lines are then
summed without rounding. A bill is paid in cents, so one line more, "rounding", takes the sum to
the nearest cent; it is part of the document and of the ledger, and never more than half a cent.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import Any

from gigawatt.errors import DataError
from gigawatt.identity.accounts import OrganisationId
from gigawatt.market.charge import Key, half_up
from gigawatt.market.contract import ContractItem, Effect, effect_of
from gigawatt.market.ledger import CURRENCY

CENT_MICRO_USD = 10_000


class LineKind(StrEnum):
    """What a line is; the first four are those of ``ChargeKind``."""

    GPU = "gpu"
    RESERVATION = "reservation"
    STORAGE = "storage"
    EXTERNAL = "external"
    MINIMUM = "minimum"
    """What is missing of an agreed minimum."""
    COMMITMENT = "commitment"
    """A commitment that is bought."""
    DRAWDOWN = "drawdown"
    """What a commitment pays; negative."""
    CREDIT = "credit"
    """What a credit pays; negative."""
    CORRECTION = "correction"
    """What an earlier invoice asked too much; negative."""
    TAX = "tax"
    ROUNDING = "rounding"
    """To the cent."""


CHARGES = frozenset({LineKind.GPU, LineKind.RESERVATION, LineKind.STORAGE, LineKind.EXTERNAL})


@dataclass(frozen=True, slots=True)
class InvoiceLine:
    """One line; empty texts and zeros where a field means nothing for its kind.

    Fields: see ``charge.Key``; text is what it is called; item_id is what was agreed; month is the
    one that it is for where that is not the document's own, because it became known late. What was
    charged too much then has a quantity below 0.
    """

    kind: LineKind
    text: str
    amount_micro_usd: int
    project_id: str = ""
    subject_id: str = ""
    tag: str = ""
    item: str = ""
    term: str = ""
    site_id: str = ""
    unit: str = ""
    quantity_parts: int = 0
    parts_per_unit: int = 1
    price_micro_usd: int = 0
    item_id: str = ""
    month: str = ""


@dataclass(frozen=True, slots=True)
class Invoice:
    """An invoice, or a credit note if ``corrects`` names one.

    Fields:
        invoice_id: ``INV-2026-11-00001``, without gaps in a month, or ``CN-2026-12-00001``, without
            gaps over all months.
        organisation_name: as it was on the day.
        project_names: of the lines, as they were.
        month: what it is for; of a credit note, the month in which it was made.
        issued_on: ``YYYY-MM-DD``, its date in the books.
        corrects: the invoice that a credit note takes back, in part or as a whole; else empty.
    """

    invoice_id: str
    organisation_id: OrganisationId
    organisation_name: str
    month: str
    issued_on: str
    lines: tuple[InvoiceLine, ...]
    project_names: Mapping[str, str]
    corrects: str = ""
    currency: str = CURRENCY

    def sum_micro_usd(self, *kinds: LineKind) -> int:
        """Sum of the lines of these kinds."""
        return sum(line.amount_micro_usd for line in self.lines if line.kind in kinds)

    @property
    def tax_micro_usd(self) -> int:
        """All taxes."""
        return self.sum_micro_usd(LineKind.TAX)

    @property
    def total_micro_usd(self) -> int:
        """What is to be paid: whole cents, negative for a credit note."""
        return sum(line.amount_micro_usd for line in self.lines)

    @property
    def net_micro_usd(self) -> int:
        """Without taxes and without what rounds to the cent."""
        return self.total_micro_usd - self.sum_micro_usd(LineKind.TAX, LineKind.ROUNDING)


def charge_lines(sums: Mapping[Key, int]) -> list[InvoiceLine]:
    """A line for each key of charges, in the order of their texts."""
    return [_charge_line(key, sums[key]) for key in sorted(sums, key=_place)]


def _place(key: Key) -> tuple[str, ...]:
    texts = (key.project_id, key.kind, key.subject_id, key.tag, key.item, key.term)
    return (*texts, key.site_id or "", key.unit, f"{key.price_micro_usd:020}")


def _charge_line(key: Key, quantity_parts: int) -> InvoiceLine:
    return InvoiceLine(
        kind=LineKind(key.kind.value),
        text=charge_text(key.item, key.term),
        amount_micro_usd=half_up(quantity_parts * key.price_micro_usd, key.parts_per_unit),
        project_id=key.project_id,
        subject_id=key.subject_id,
        tag=key.tag,
        item=key.item,
        term=key.term,
        site_id=key.site_id or "",
        unit=key.unit,
        quantity_parts=quantity_parts,
        parts_per_unit=key.parts_per_unit,
        price_micro_usd=key.price_micro_usd,
    )


def charge_text(item: str, term: str) -> str:
    """What a line of charges is called."""
    return " ".join(word for word in (item, term.replace("_", " ")) if word)


def invoice_lines(
    sums: Mapping[Key, int],
    items: Iterable[ContractItem],
    used: Mapping[str, int],
    month: str,
    late: Sequence[InvoiceLine] = (),
) -> tuple[tuple[InvoiceLine, ...], Effect]:
    """All lines of one organisation's month, and what its contract did to it.

    The lines sum to whole cents. ``late`` are lines for earlier months, 0 or more in all.
    """
    lines = charge_lines(sums)
    charged = sum(line.amount_micro_usd for line in lines)
    effect = effect_of(items, used, month, charged, sum(line.amount_micro_usd for line in late))
    lines += late
    lines += _item_lines(LineKind.MINIMUM, effect.short)
    lines += _item_lines(LineKind.COMMITMENT, effect.bought)
    lines += _item_lines(LineKind.DRAWDOWN, effect.drawn, -1)
    lines += _item_lines(LineKind.CREDIT, effect.credited, -1)
    lines += _item_lines(LineKind.TAX, effect.taxes)
    return with_rounding(lines), effect


def _item_lines(
    kind: LineKind, amounts: Mapping[ContractItem, int], sign: int = 1
) -> list[InvoiceLine]:
    return [
        InvoiceLine(kind, item.name, sign * amount, item_id=item.item_id)
        for item, amount in amounts.items()
    ]


def with_rounding(lines: Sequence[InvoiceLine]) -> tuple[InvoiceLine, ...]:
    """The lines, and one that takes their sum to the nearest cent if it is none."""
    total = sum(line.amount_micro_usd for line in lines)
    rest = half_up(total, CENT_MICRO_USD) * CENT_MICRO_USD - total
    more = (InvoiceLine(LineKind.ROUNDING, "rounding to the cent", rest),) if rest else ()
    return (*lines, *more)


def invoice_text(invoice: Invoice) -> str:
    """An invoice as JSON, always the same text for the same invoice."""
    # As ``dataclasses.asdict`` would, which copies deeply and takes ten times as long.
    whole: dict[str, Any] = {name: getattr(invoice, name) for name in Invoice.__slots__}
    whole["project_names"] = dict(invoice.project_names)
    whole["lines"] = [
        {name: getattr(line, name) for name in InvoiceLine.__slots__} for line in invoice.lines
    ]
    return json.dumps(whole, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def digest_of(text: str) -> str:
    """Digest of an invoice's text: SHA-256 in hex. The ledger keeps it beside the amounts."""
    return sha256(text.encode()).hexdigest()


def invoice_from(text: str) -> Invoice:
    """The invoice of a text that ``invoice_text`` made.

    Raises:
        DataError: it is none.
    """
    try:
        fields: dict[str, Any] = json.loads(text)
        lines = [{**line, "kind": LineKind(line["kind"])} for line in fields.pop("lines")]
        return Invoice(lines=tuple(InvoiceLine(**line) for line in lines), **fields)
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"an invoice does not read: {text[:80]!r}") from error
