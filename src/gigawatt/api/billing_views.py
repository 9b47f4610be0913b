"""Documents of money, from what the books hold."""

from collections.abc import Mapping
from datetime import date
from typing import Any

from gigawatt.api.views import at
from gigawatt.app.market.billing import ClosingPlan, CreditPlan
from gigawatt.interfaces.billing import BooksVerdict, ClosedMonth, StatementLine
from gigawatt.market.contract import ContractItem
from gigawatt.market.invoice import Invoice, InvoiceLine, LineKind
from gigawatt.market.owed import OpenBill, Owed
from gigawatt.market.product import ProductPrice
from gigawatt.sdk import documents as doc

SHOWN_MAX = 500
"""Lines of one kind that an answer holds where it is not paged; the counts are of all. Ours."""


def invoice_document(
    invoice: Invoice,
    *,
    with_lines: bool = False,
    open_bill: OpenBill | None = None,
    today: str = "",
) -> doc.Invoice:
    """An invoice or a credit note; ``open_bill`` is what became of an invoice until today."""
    became = {} if open_bill is None else _became(open_bill, today)
    return doc.Invoice(
        **became,
        id=invoice.invoice_id,
        organisation_id=invoice.organisation_id,
        organisation_name=invoice.organisation_name,
        month=invoice.month,
        issued_on=date.fromisoformat(invoice.issued_on),
        corrects=invoice.corrects or None,
        currency=invoice.currency,
        net_micro_usd=invoice.net_micro_usd,
        tax_micro_usd=invoice.tax_micro_usd,
        rounding_micro_usd=invoice.sum_micro_usd(LineKind.ROUNDING),
        total_micro_usd=invoice.total_micro_usd,
        line_count=len(invoice.lines),
        lines=[_line(line) for line in invoice.lines] if with_lines else None,
    )


def _became(bill: OpenBill, today: str) -> dict[str, Any]:
    return {
        "credited_micro_usd": bill.credited_micro_usd,
        "paid_micro_usd": bill.paid_micro_usd,
        "open_micro_usd": bill.open_micro_usd,
        "due_on": date.fromisoformat(bill.due_on),
        "overdue_day_count": bill.days_overdue(today),
    }


def _line(line: InvoiceLine) -> doc.InvoiceLine:
    return doc.InvoiceLine(
        kind=line.kind.value,
        text=line.text,
        amount_micro_usd=line.amount_micro_usd,
        project_id=line.project_id,
        subject_id=line.subject_id,
        tag=line.tag,
        item=line.item,
        term=line.term,
        site_id=line.site_id,
        unit=line.unit,
        quantity_parts=line.quantity_parts,
        parts_per_unit=line.parts_per_unit,
        price_micro_usd=line.price_micro_usd,
        item_id=line.item_id,
        month=line.month,
    )


def plan_document(month: str, plan: ClosingPlan) -> doc.ClosingPlan:
    """What closing a month would bill."""
    made = plan.closing
    return doc.ClosingPlan(
        month=month,
        is_over=plan.is_over,
        close_first=plan.before or None,
        invoice_count=len(made.invoices),
        entry_count=len(made.drafts),
        total_micro_usd=made.total_micro_usd,
        invoices=[invoice_document(invoice) for invoice in made.invoices[:SHOWN_MAX]],
        credit_note_count=len(made.notes),
        credit_notes=[invoice_document(note) for note in made.notes[:SHOWN_MAX]],
        notes=list(plan.notes[:SHOWN_MAX]),
    )


def credit_plan_document(plan: CreditPlan, lines: tuple[StatementLine, ...]) -> doc.CreditNotePlan:
    """What a credit note would write, beside the statement of who owes."""
    owed = sum(line.amount_micro_usd for line in lines)
    return doc.CreditNotePlan(
        note=invoice_document(plan.note, with_lines=True),
        postings=[
            doc.LedgerPosting(account=posting.account, amount_micro_usd=posting.amount_micro_usd)
            for posting in plan.postings
        ],
        left_micro_usd=plan.left_micro_usd,
        owed_micro_usd=owed,
        owed_then_micro_usd=owed + plan.note.total_micro_usd,
    )


def closing_document(found: ClosedMonth) -> doc.Closing:
    """A month whose invoices are out."""
    return doc.Closing(
        month=found.month,
        closed_at=at(found.closed_s),
        invoice_count=found.invoice_count,
        total_micro_usd=found.total_micro_usd,
        entry_number=found.entry_number,
        entry_digest=found.entry_digest,
    )


STATEMENT_KINDS: Mapping[str, doc.StatementKind] = {
    "payment": "payment",
    "refund": "refund",
    "chargeback": "chargeback",
}
"""What an entry is by the first word of its id, but for documents."""


def statement_document(
    organisation_id: str, lines: tuple[StatementLine, ...], owed: Owed, today: str
) -> doc.Statement:
    """What an organisation owes."""
    return doc.Statement(
        organisation_id=organisation_id,
        owed_micro_usd=owed.balance_micro_usd,
        open_micro_usd=sum(bill.open_micro_usd for bill in owed.bills),
        credit_micro_usd=owed.credit_micro_usd,
        overdue_micro_usd=sum(b.open_micro_usd for b in owed.bills if b.days_overdue(today)),
        line_count=len(lines),
        lines=[_statement_line(line) for line in lines[-SHOWN_MAX:]],
    )


def _statement_line(line: StatementLine) -> doc.StatementLine:
    first, *rest = line.entry_id.split("/")
    kind: doc.StatementKind = STATEMENT_KINDS.get(first, "other")
    if first == "invoice":
        kind = "credit_note" if rest[0].startswith("CN-") else "invoice"
    # What undoes a refund or a chargeback says so behind the id of what it undoes.
    names = [word for word in rest if word not in {"failed", "returned"}]
    return doc.StatementLine(
        entry_number=line.entry_number,
        date=date.fromisoformat(line.date),
        kind=kind,
        subject_id=names[-1] if names else line.entry_id,
        memo=line.memo,
        amount_micro_usd=line.amount_micro_usd,
    )


def item_document(item: ContractItem, used_micro_usd: int) -> doc.ContractItem:
    """What was agreed."""
    return doc.ContractItem(
        id=item.item_id,
        organisation_id=item.organisation_id,
        kind=item.kind.value,
        name=item.name,
        amount_micro_usd=item.amount_micro_usd,
        used_micro_usd=used_micro_usd,
        rate_ppm=item.rate_ppm,
        from_month=item.from_month,
        to_month=item.to_month,
    )


def price_document(price: ProductPrice) -> doc.ProductPrice:
    """A price of a product."""
    return doc.ProductPrice(
        id=price.price_id,
        product=price.product,
        price_micro_usd=price.price_micro_usd,
        unit=price.unit,
        parts_per_unit=price.parts_per_unit,
        from_month=price.from_month,
        organisation_id=price.organisation_id,
    )


def verdict_document(verdict: BooksVerdict) -> doc.LedgerVerdict:
    """Whether the books are as they were written."""
    return doc.LedgerVerdict(
        is_whole=verdict.fault is None,
        fault=verdict.fault,
        entry_count=verdict.entry_count,
        invoice_count=verdict.invoice_count,
        last_number=verdict.last_number,
        last_digest=verdict.last_digest,
    )
