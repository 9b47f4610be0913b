"""Payments: asked for, written down, sent back, overdue; and what providers told."""

from typing import Annotated

from fastapi import Query

from gigawatt.api.access import Allowed
from gigawatt.api.paging import Cursor, Limit, page_of, text_place
from gigawatt.api.payment_views import (
    SHOWN_MAX,
    event_document,
    overdue_document,
    payment_document,
    payouts_document,
)
from gigawatt.api.routes.billing import seen_by
from gigawatt.api.routing import new_router, operation
from gigawatt.interfaces.payments import PaymentQuery
from gigawatt.market.payment import Money, PaymentState
from gigawatt.sdk import documents as doc

router = new_router("payments")


@operation(router, "GET", "/payment-options")
def get_payment_options(access: Allowed) -> doc.PaymentOptions:
    """How invoices can be paid here."""
    access.permit()
    payments = access.service.market.payments
    first = next(iter(payments.providers.values()), None)
    limits = None if first is None else first.limits
    return doc.PaymentOptions(
        providers=list(payments.providers),
        amount_micro_usd_min=None if limits is None else limits.amount_micro_usd_min,
        amount_micro_usd_max=None if limits is None else limits.amount_micro_usd_max,
        due_day_count=payments.due_days,
    )


@operation(router, "POST", "/invoices/{invoice_id}/payments", 201)
def pay_invoice(invoice_id: str, body: doc.PayInvoice, access: Allowed) -> doc.Payment:
    """A payment of what is open of an invoice, or of a part, with the page where to pay it.

    The live payment of the same amount is given again.
    """
    invoice = access.invoice(invoice_id)
    payer = access.caller.account.account_id
    payments = access.service.market.payments
    made = payment_document(Money(payments.pay(invoice, body.amount_micro_usd, payer)))
    access.note_change(None, made)
    return made


@operation(router, "POST", "/organisations/{organisation_id}/payments", 201)
def record_payment(organisation_id: str, body: doc.RecordPayment, access: Allowed) -> doc.Payment:
    """Write down money that came by bank; a payment of the same reference is written once."""
    found, market = access.organisation(organisation_id), access.service.market
    named = body.invoice_id
    invoice = None if named is None else market.billing.book.invoice(named)
    payment = market.payments.record(
        found, body.reference, body.amount_micro_usd, invoice, access.caller.account.account_id
    )
    made = payment_document(Money(payment))
    access.note_change(None, made)
    return made


@operation(router, "GET", "/payments")
def list_payments(
    access: Allowed,
    organisation_id: Annotated[str | None, Query(max_length=128)] = None,
    invoice_id: Annotated[str | None, Query(max_length=128)] = None,
    state: doc.PaymentStateName | None = None,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> doc.Page[doc.Payment]:
    """Payments that the caller sees, the newest first."""
    access.permit()
    query = PaymentQuery(
        organisation_ids=seen_by(access, organisation_id),
        invoice_id=invoice_id,
        states=None if state is None else (PaymentState(state),),
        before=text_place(cursor),
        limit=limit + 1,
    )
    found = access.service.market.payments.book.find(query)
    return page_of(found, limit, lambda money: money.payment.payment_id, payment_document)


@operation(router, "GET", "/payments/{payment_id}")
def get_payment(payment_id: str, access: Allowed) -> doc.Payment:
    """One payment with its refunds."""
    return payment_document(access.payment(payment_id))


@operation(router, "POST", "/payments/{payment_id}:refresh")
def refresh_payment(payment_id: str, access: Allowed) -> doc.Payment:
    """One payment, after its provider was asked what came of it."""
    before = access.payment(payment_id)
    found = access.service.market.payments.refresh(before.payment.payment_id)
    access.note_change(payment_document(before), payment_document(found))
    return payment_document(found)


@operation(router, "POST", "/payments/{payment_id}:cancel")
def cancel_payment(payment_id: str, access: Allowed) -> doc.Payment:
    """Take a payment back that nobody has paid."""
    before = access.payment(payment_id)
    found = access.service.market.payments.cancel(before.payment.payment_id)
    access.note_change(payment_document(before), payment_document(found))
    return payment_document(found)


@operation(router, "POST", "/payments/{payment_id}/refunds", 201)
def create_refund(payment_id: str, body: doc.CreateRefund, access: Allowed) -> doc.Payment:
    """Send money of a payment back; what is owed rises by it."""
    before = access.payment(payment_id)
    found = access.service.market.payments.refund(
        before.payment.payment_id,
        body.amount_micro_usd,
        body.reason,
        access.caller.account.account_id,
    )
    access.note_change(payment_document(before), payment_document(found))
    return payment_document(found)


@operation(router, "GET", "/billing/overdue")
def list_overdue(access: Allowed) -> doc.Page[doc.OverdueInvoice]:
    """Invoices that should have been paid, the oldest first; nothing is stopped because of it."""
    access.permit()
    found = access.service.market.payments.overdue()
    return doc.Page(items=[overdue_document(one) for one in found])


@operation(router, "GET", "/payment-events")
def list_payment_events(
    access: Allowed, verdict: doc.EventVerdict | None = None, limit: Limit = 100
) -> doc.Page[doc.PaymentEvent]:
    """What providers told, the newest first; ``held`` is what a person has to look at."""
    access.permit()
    found = access.service.market.payments.book.events(verdict, limit)
    return doc.Page(items=[event_document(event) for event in found])


@operation(router, "POST", "/payment-events/{provider}/{event_id}:resolve")
def resolve_payment_event(
    provider: str, event_id: str, body: doc.ResolvePaymentEvent, access: Allowed
) -> doc.PaymentEvent:
    """Say that a person looked at an event that is held; it moves no money."""
    access.permit()
    book = access.service.market.payments.book
    event = book.resolve(provider, event_id, body.note, access.service.now_s())
    made = event_document(event)
    access.note_change(None, made)
    return made


@operation(router, "GET", "/payouts")
def list_payouts(access: Allowed, limit: Limit = 100) -> doc.Payouts:
    """What providers sent to our bank, the newest first, and what they still have of ours."""
    access.permit()
    market = access.service.market
    return payouts_document(market.payouts.book, list(market.payments.providers), limit)


@operation(router, "POST", "/payouts:refresh")
def refresh_payouts(access: Allowed) -> doc.Payouts:
    """The same, after the providers were asked; what fits the books is entered."""
    access.permit()
    market = access.service.market
    market.payouts.refresh()
    return payouts_document(market.payouts.book, list(market.payments.providers), SHOWN_MAX)
