"""An invoice as rows of text, from which every format is made, so that all say the same."""

from dataclasses import dataclass

from gigawatt.market.charge import half_up
from gigawatt.market.invoice import Invoice, InvoiceLine, LineKind
from gigawatt.money import format_usd

COLUMNS = ("what", "project", "for", "tag", "site", "quantity", "unit", "price", "amount")

_QUANTITY_SCALE = 10**6


@dataclass(frozen=True, slots=True)
class Sheet:
    """What is on an invoice.

    Fields: facts and totals are names and values; rows have a cell for each of ``COLUMNS``.
    """

    title: str
    facts: tuple[tuple[str, str], ...]
    rows: tuple[tuple[str, ...], ...]
    totals: tuple[tuple[str, str], ...]


def sheet_of(invoice: Invoice) -> Sheet:
    """The texts of an invoice or a credit note."""
    facts = [
        ("for", invoice.organisation_name),
        ("organisation", invoice.organisation_id),
        ("month", invoice.month),
        ("date", invoice.issued_on),
        ("currency", invoice.currency),
    ]
    if invoice.corrects:
        facts.append(("corrects", invoice.corrects))
    rounding = invoice.sum_micro_usd(LineKind.ROUNDING)
    totals = [
        ("net", format_usd(invoice.net_micro_usd, digits=6)),
        ("tax", format_usd(invoice.tax_micro_usd, digits=6)),
        ("rounding to the cent", format_usd(rounding, digits=6)),
        ("total", format_usd(invoice.total_micro_usd)),
    ]
    noun = "Credit note" if invoice.corrects else "Invoice"
    return Sheet(
        title=f"{noun} {invoice.invoice_id}",
        facts=tuple(facts),
        rows=tuple(_row(line, invoice) for line in invoice.lines),
        totals=tuple(totals),
    )


def _row(line: InvoiceLine, invoice: Invoice) -> tuple[str, ...]:
    is_charge = bool(line.unit)
    return (
        line.text or line.kind.value,
        invoice.project_names.get(line.project_id, line.project_id),
        line.subject_id,
        line.tag,
        line.site_id,
        quantity_text(line) if is_charge else "",
        line.unit,
        format_usd(line.price_micro_usd, digits=6) if is_charge else "",
        format_usd(line.amount_micro_usd, digits=6),
    )


def quantity_text(line: InvoiceLine) -> str:
    """A line's quantity in its unit, to six decimals, e.g. ``1,234.500000``."""
    scaled = half_up(line.quantity_parts * _QUANTITY_SCALE, line.parts_per_unit)
    whole, part = divmod(abs(scaled), _QUANTITY_SCALE)
    return f"{'-' if scaled < 0 else ''}{whole:,}.{part:06d}"
