"""Calls of payments: asking for them, writing them down, sending money back, what was told."""

from gigawatt.sdk import documents as doc
from gigawatt.sdk.calls.call import Call, path_of, query_of


def get_payment_options() -> Call[doc.PaymentOptions]:
    """How invoices can be paid here."""
    return Call("GET", path_of("payment-options"), doc.PaymentOptions)


def pay_invoice(invoice_id: str, wanted: doc.PayInvoice) -> Call[doc.Payment]:
    """A payment of an invoice, with the page where to pay it; a live one is given again."""
    path = path_of("invoices", invoice_id, "payments")
    return Call("POST", path, doc.Payment, body=wanted)


def record_payment(organisation_id: str, payment: doc.RecordPayment) -> Call[doc.Payment]:
    """Write down money that came by bank."""
    path = path_of("organisations", organisation_id, "payments")
    return Call("POST", path, doc.Payment, body=payment)


def list_payments(
    *,
    organisation_id: str | None = None,
    invoice_id: str | None = None,
    state: doc.PaymentStateName | None = None,
    cursor: str | None = None,
    limit: int | None = None,
) -> Call[doc.Page[doc.Payment]]:
    """Payments, the newest first."""
    query = query_of(
        organisation_id=organisation_id,
        invoice_id=invoice_id,
        state=state,
        cursor=cursor,
        limit=limit,
    )
    return Call("GET", path_of("payments"), doc.Page[doc.Payment], query)


def get_payment(payment_id: str) -> Call[doc.Payment]:
    """One payment with its refunds."""
    return Call("GET", path_of("payments", payment_id), doc.Payment)


def refresh_payment(payment_id: str) -> Call[doc.Payment]:
    """One payment, after its provider was asked what came of it."""
    return Call("POST", path_of("payments", payment_id, verb="refresh"), doc.Payment)


def cancel_payment(payment_id: str) -> Call[doc.Payment]:
    """Take a payment back that nobody has paid."""
    return Call("POST", path_of("payments", payment_id, verb="cancel"), doc.Payment)


def create_refund(payment_id: str, wanted: doc.CreateRefund) -> Call[doc.Payment]:
    """Send money of a payment back."""
    path = path_of("payments", payment_id, "refunds")
    return Call("POST", path, doc.Payment, body=wanted)


def list_overdue() -> Call[doc.Page[doc.OverdueInvoice]]:
    """Invoices that should have been paid, the oldest first."""
    return Call("GET", path_of("billing", "overdue"), doc.Page[doc.OverdueInvoice])


def list_payment_events(
    *, verdict: doc.EventVerdict | None = None, limit: int | None = None
) -> Call[doc.Page[doc.PaymentEvent]]:
    """What providers told, the newest first."""
    query = query_of(verdict=verdict, limit=limit)
    return Call("GET", path_of("payment-events"), doc.Page[doc.PaymentEvent], query)


def list_payouts(*, limit: int | None = None) -> Call[doc.Payouts]:
    """What providers sent to our bank, the newest first, and what they still have."""
    return Call("GET", path_of("payouts"), doc.Payouts, query_of(limit=limit))


def refresh_payouts() -> Call[doc.Payouts]:
    """The same, after the providers were asked."""
    return Call("POST", path_of("payouts", verb="refresh"), doc.Payouts)


def resolve_payment_event(
    provider: str, event_id: str, found: doc.ResolvePaymentEvent
) -> Call[doc.PaymentEvent]:
    """Say that a person looked at an event that is held."""
    path = path_of("payment-events", provider, event_id, verb="resolve")
    return Call("POST", path, doc.PaymentEvent, body=found)
