"""An invoice as CSV: one row a line, amounts in dollars with six decimals."""

import csv
import io

from gigawatt.app.market.invoice_sheet import quantity_text
from gigawatt.market.invoice import Invoice

COLUMNS = (
    "invoice_id",
    "month",
    "organisation_id",
    "kind",
    "text",
    "project_id",
    "project",
    "subject_id",
    "tag",
    "item",
    "term",
    "site_id",
    "quantity",
    "unit",
    "price_usd",
    "amount_usd",
)

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def invoice_csv(invoice: Invoice) -> str:
    """The lines, each with the month that it is for; the amounts add up to the total."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    for line in invoice.lines:
        texts = (
            invoice.invoice_id,
            line.month or invoice.month,
            invoice.organisation_id,
            line.kind.value,
            line.text,
            line.project_id,
            invoice.project_names.get(line.project_id, ""),
            line.subject_id,
            line.tag,
            line.item,
            line.term,
            line.site_id,
        )
        quantity = quantity_text(line).replace(",", "") if line.unit else ""
        numbers = (quantity, line.unit, _usd(line.price_micro_usd), _usd(line.amount_micro_usd))
        writer.writerow((*map(_harmless, texts), numbers[0], _harmless(numbers[1]), *numbers[2:]))
    return stream.getvalue()


def _harmless(text: str) -> str:
    """The text so that a spreadsheet does not take it for a formula (OWASP, "CSV Injection")."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def _usd(amount_micro_usd: int) -> str:
    whole, part = divmod(abs(amount_micro_usd), 1_000_000)
    return f"{'-' if amount_micro_usd < 0 else ''}{whole}.{part:06d}"
