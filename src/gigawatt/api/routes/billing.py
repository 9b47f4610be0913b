"""Money: closing months, invoices as documents and files, credit notes, the ledger."""

from typing import Annotated

from fastapi import Path, Query, Response

from gigawatt.api.access import Access, Allowed
from gigawatt.api.billing_views import (
    closing_document,
    credit_plan_document,
    invoice_document,
    plan_document,
    statement_document,
    verdict_document,
)
from gigawatt.api.paging import Cursor, Limit, page_of, text_place
from gigawatt.api.routing import new_router, operation
from gigawatt.app.market.invoice_csv import invoice_csv
from gigawatt.app.market.invoice_html import invoice_html
from gigawatt.identity.accounts import OrganisationId
from gigawatt.market.credit_note import CreditWish
from gigawatt.market.invoice import Invoice
from gigawatt.market.ledger import to_beancount
from gigawatt.market.month import day_at
from gigawatt.sdk import documents as doc

router = new_router("billing")

MonthPath = Annotated[str, Path(pattern=r"^20[0-9]{2}-(0[1-9]|1[0-2])$", description="YYYY-MM")]
MonthQuery = Annotated[str | None, Query(pattern=r"^20[0-9]{2}-(0[1-9]|1[0-2])$")]


@operation(router, "GET", "/billing/months")
def list_closings(access: Allowed) -> doc.Page[doc.Closing]:
    """Closed months, the newest first."""
    access.permit()
    found = access.service.market.billing.book.closings()
    return doc.Page(items=[closing_document(one) for one in found])


@operation(router, "GET", "/billing/months/{month}/plan")
def plan_closing(month: MonthPath, access: Allowed) -> doc.ClosingPlan:
    """What closing a month would bill; nothing is changed."""
    access.permit()
    return plan_document(month, access.service.market.billing.plan(month))


@operation(router, "POST", "/billing/months/{month}:close")
def close_month(month: MonthPath, access: Allowed) -> doc.Closing:
    """Close a month that is over: its invoices go out; twice is the same as once."""
    access.permit()
    closed = closing_document(access.service.market.billing.close(month))
    access.note_change(None, closed)
    return closed


@operation(router, "GET", "/invoices")
def list_invoices(
    access: Allowed,
    organisation_id: Annotated[str | None, Query(max_length=128)] = None,
    month: MonthQuery = None,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> doc.Page[doc.Invoice]:
    """Invoices and credit notes that the caller sees, without lines, the newest first."""
    access.permit()
    book = access.service.market.billing.book
    wanted = seen_by(access, organisation_id)
    found = book.invoices(wanted, month, text_place(cursor), limit + 1)
    whose = frozenset(row.organisation_id for row in found)
    owed = access.service.market.payments.owed_by(whose) if whose else {}
    bills = {bill.bill.invoice_id: bill for one in owed.values() for bill in one.bills}
    day = today_of(access)
    return page_of(
        found,
        limit,
        lambda row: row.invoice_id,
        lambda row: invoice_document(row, open_bill=bills.get(row.invoice_id), today=day),
    )


def today_of(access: Access) -> str:
    """The day of a request, ``YYYY-MM-DD``."""
    return day_at(round(access.service.now_s() * 1000))


def seen_by(access: Access, named: str | None) -> frozenset[OrganisationId] | None:
    """Organisations whose invoices a list holds; None for all."""
    asked = None if named is None else frozenset({OrganisationId(named)})
    caller = access.caller
    if caller.key.project_id is not None:
        # A key for one project does not see what the others cost.
        return frozenset()
    if caller.is_operator:
        return asked
    own = frozenset({caller.account.organisation_id})
    return own if asked is None else own & asked


@operation(router, "GET", "/invoices/{invoice_id}")
def get_invoice(invoice_id: str, access: Allowed) -> doc.Invoice:
    """One invoice or credit note with its lines."""
    invoice = access.invoice(invoice_id)
    owed = access.service.market.payments.owed(invoice.organisation_id)
    bills = {bill.bill.invoice_id: bill for bill in owed.bills}
    return invoice_document(
        invoice, with_lines=True, open_bill=bills.get(invoice.invoice_id), today=today_of(access)
    )


@operation(router, "GET", "/invoices/{invoice_id}/file", media="*/*")
def get_invoice_file(
    invoice_id: str, access: Allowed, file_format: doc.InvoiceFormat = "pdf"
) -> Response:
    """An invoice as a file: PDF, HTML or CSV, to be saved and not shown in place."""
    invoice = access.invoice(invoice_id)
    content, kind = _file_of(invoice, file_format)
    name = f'attachment; filename="{invoice.invoice_id}.{file_format}"'
    return Response(content, media_type=kind, headers={"Content-Disposition": name})


def _file_of(invoice: Invoice, file_format: doc.InvoiceFormat) -> tuple[bytes, str]:
    if file_format == "csv":
        return invoice_csv(invoice).encode(), "text/csv"
    if file_format == "html":
        return invoice_html(invoice).encode(), "text/html"
    # Drawing takes long to import, and whoever reads amounts needs none of it.
    from gigawatt.app.market.invoice_pdf import invoice_pdf  # noqa: PLC0415

    return invoice_pdf(invoice), "application/pdf"


@operation(router, "POST", "/invoices/{invoice_id}/credit-notes", 201)
def create_credit_note(invoice_id: str, body: doc.CreateCreditNote, access: Allowed) -> doc.Invoice:
    """Take an invoice back, in part or what is left of it, by a new document of this month."""
    invoice = access.invoice(invoice_id)
    billing = access.service.market.billing
    note = billing.credit(invoice.invoice_id, _credit_wish(body))
    made = invoice_document(note, with_lines=True)
    access.note_change(None, made)
    return made


def _credit_wish(body: doc.CreateCreditNote) -> CreditWish:
    return CreditWish(body.reason, body.net_micro_usd, body.item_id or "")


@operation(router, "POST", "/invoices/{invoice_id}/credit-notes/plan")
def plan_credit_note(
    invoice_id: str, body: doc.CreateCreditNote, access: Allowed
) -> doc.CreditNotePlan:
    """What a credit note would write, and what would be owed then; nothing is changed."""
    invoice = access.invoice(invoice_id)
    billing = access.service.market.billing
    plan = billing.plan_credit(invoice.invoice_id, _credit_wish(body))
    return credit_plan_document(plan, billing.book.statement(invoice.organisation_id))


@operation(router, "GET", "/organisations/{organisation_id}/statement")
def get_statement(organisation_id: str, access: Allowed) -> doc.Statement:
    """What an organisation owes, and how it came to that."""
    found = access.organisation(organisation_id)
    market = access.service.market
    lines, owed = market.billing.book.statement(found), market.payments.owed(found)
    return statement_document(found, lines, owed, today_of(access))


@operation(router, "GET", "/ledger/verdict")
def check_ledger(access: Allowed) -> doc.LedgerVerdict:
    """Whether the books are as they were written; the first row that is not is named."""
    access.permit()
    return verdict_document(access.service.market.billing.book.check())


@operation(router, "GET", "/ledger/beancount", media="text/plain")
def export_ledger(access: Allowed) -> Response:
    """The ledger in the language of beancount."""
    access.permit()
    text = to_beancount(access.service.market.billing.book.entries())
    return Response(text, media_type="text/plain")
