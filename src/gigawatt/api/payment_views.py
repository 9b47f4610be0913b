"""Payments as documents of the wire."""

from collections.abc import Sequence
from datetime import date

from gigawatt.api.views import at, maybe_at
from gigawatt.app.market.payments import Overdue
from gigawatt.interfaces.payments import PaymentEvent
from gigawatt.interfaces.payouts import PayoutBook, PayoutRecord
from gigawatt.market.payment import Money, PaymentState, Refund
from gigawatt.sdk import documents as doc

SHOWN_MAX = 100
"""Payouts that an answer holds which is not asked for a number. Ours."""


def payment_document(money: Money) -> doc.Payment:
    """A payment with its refunds."""
    payment = money.payment
    is_open = payment.state is PaymentState.OPEN
    return doc.Payment(
        id=payment.payment_id,
        organisation_id=payment.organisation_id,
        invoice_id=payment.invoice_id or None,
        provider=payment.provider,
        state=payment.state.value,
        amount_micro_usd=payment.amount_micro_usd,
        currency=payment.currency,
        refunded_micro_usd=money.refunded_micro_usd,
        charged_back_micro_usd=money.charged_back_micro_usd,
        url=payment.url if is_open and payment.url else None,
        expires_at=maybe_at(payment.expires_s) if is_open else None,
        reference=payment.reference or None,
        reason=payment.reason or None,
        created_at=at(payment.created_s),
        changed_at=at(payment.changed_s),
        refunds=[_refund(refund) for refund in money.refunds],
    )


def _refund(refund: Refund) -> doc.Refund:
    return doc.Refund(
        id=refund.refund_id,
        amount_micro_usd=refund.amount_micro_usd,
        state=refund.state.value,
        reason=refund.reason,
        created_at=at(refund.created_s),
        changed_at=at(refund.changed_s),
    )


def overdue_document(found: Overdue) -> doc.OverdueInvoice:
    """An invoice that should have been paid."""
    bill = found.open_bill
    return doc.OverdueInvoice(
        invoice_id=bill.bill.invoice_id,
        organisation_id=bill.bill.organisation_id,
        organisation_name=found.organisation_name,
        month=bill.bill.month,
        due_on=date.fromisoformat(bill.due_on),
        overdue_day_count=found.day_count,
        total_micro_usd=bill.bill.total_micro_usd,
        open_micro_usd=bill.open_micro_usd,
    )


def event_document(event: PaymentEvent) -> doc.PaymentEvent:
    """What a provider told."""
    news = event.news
    return doc.PaymentEvent(
        provider=event.provider,
        event_id=news.event_id,
        kind=news.kind.value,
        verdict=event.verdict,
        reason=event.reason or None,
        payment_id=event.payment_id or news.payment_id or None,
        reference=news.reference or None,
        amount_micro_usd=news.amount_micro_usd,
        currency=news.currency,
        happened_at=at(news.at_s),
        received_at=at(event.received_s),
        note=event.note or None,
    )


def payouts_document(book: PayoutBook, providers: Sequence[str], limit: int) -> doc.Payouts:
    """What providers sent to our bank, and what they still have."""
    return doc.Payouts(
        items=[_payout(record) for record in book.newest(limit)],
        clearing_micro_usd=sum(book.clearing_micro_usd(name) for name in providers),
    )


def _payout(record: PayoutRecord) -> doc.Payout:
    payout = record.payout
    return doc.Payout(
        id=payout.payout_id,
        provider=payout.provider,
        state=payout.state.value,
        verdict=record.verdict,
        amount_micro_usd=payout.amount_micro_usd,
        currency=payout.currency,
        fee_micro_usd=record.fee_micro_usd,
        line_count=record.line_count,
        reason=record.reason or payout.reason or None,
        made_at=at(payout.at_s),
        changed_at=at(record.changed_s),
    )
