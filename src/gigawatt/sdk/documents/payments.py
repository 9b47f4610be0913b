"""Documents of payments: what was asked for, what came, what went back, what providers told."""

from datetime import date, datetime
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from gigawatt.sdk.documents.base import Answer, Id, Reason, Request
from gigawatt.sdk.documents.billing import MicroUsd

PaymentStateName = Literal[
    "asked", "open", "processing", "expired", "cancelled", "failed", "settled"
]
RefundStateName = Literal["asked", "pending", "done", "failed"]
EventVerdict = Literal["applied", "nothing", "waiting", "held"]
PayoutStateName = Literal["under_way", "paid", "failed"]
PayoutVerdict = Literal["under_way", "entered", "held"]


class PaymentOptions(Answer):
    """How invoices can be paid here.

    ``providers`` are names of those who show a page; the first is asked. None: by transfer alone.
    An invoice is due so many days after it went out.
    """

    providers: list[str]
    amount_micro_usd_min: int | None = None
    amount_micro_usd_max: int | None = None
    due_day_count: int


class PayInvoice(Request):
    """Ask for a page on which an invoice is paid; the amount left out: what is open of it."""

    amount_micro_usd: MicroUsd | None = None


class RecordPayment(Request):
    """Money that came by bank; the reference is the bank's, and is booked once."""

    reference: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,100}$")]
    amount_micro_usd: MicroUsd
    invoice_id: Id | None = None


class CreateRefund(Request):
    """Send money of a payment back; the amount left out: all that is here of it."""

    amount_micro_usd: MicroUsd | None = None
    reason: Reason


class Refund(Answer):
    """Money of a payment that goes back to the payer."""

    id: str
    amount_micro_usd: int
    state: RefundStateName
    reason: str
    created_at: datetime
    changed_at: datetime


class Payment(Answer):
    """Money that is asked for, or came.

    ``url`` is where the payer pays, null unless the payment is open. A payment that names no
    invoice pays the oldest ones. ``reference`` is the id of the money at the provider or bank.
    """

    id: str
    organisation_id: str
    invoice_id: str | None = None
    provider: str
    state: PaymentStateName
    amount_micro_usd: int
    currency: str
    refunded_micro_usd: int
    charged_back_micro_usd: int
    url: str | None = None
    expires_at: datetime | None = None
    reference: str | None = None
    reason: str | None = None
    created_at: datetime
    changed_at: datetime
    refunds: list[Refund]


class OverdueInvoice(Answer):
    """An invoice that should have been paid. Nothing is stopped because of it."""

    invoice_id: str
    organisation_id: str
    organisation_name: str
    month: str
    due_on: date
    overdue_day_count: int
    total_micro_usd: int
    open_micro_usd: int


class PaymentEvent(Answer):
    """What a provider told, and what became of it.

    ``held``: it does not fit, ``reason`` says why, nothing was entered, and a person has to look;
    ``note`` is what they wrote. ``waiting``: it is about a payment that is not settled yet.
    """

    provider: str
    event_id: str
    kind: str
    verdict: EventVerdict
    reason: str | None = None
    payment_id: str | None = None
    reference: str | None = None
    amount_micro_usd: int
    currency: str
    happened_at: datetime
    received_at: datetime
    note: str | None = None


class Payout(Answer):
    """Money that a provider sent to our bank; below 0 where it took some.

    ``entered``: all of it is money that the books know, and it is in the ledger with the fee that
    the provider kept. ``held``: it does not fit, ``reason`` says why, nothing was entered, and it
    is compared again at every look.
    """

    id: str
    provider: str
    state: PayoutStateName
    verdict: PayoutVerdict
    amount_micro_usd: int
    currency: str
    fee_micro_usd: int
    line_count: int
    reason: str | None = None
    made_at: datetime
    changed_at: datetime


class Payouts(Answer):
    """What providers sent to our bank, the newest first, and what they still have of ours.

    ``clearing_micro_usd`` is by the ledger, of all providers that take payments here.
    """

    items: list[Payout]
    clearing_micro_usd: int


class ResolvePaymentEvent(Request):
    """What a person found who looked at an event that is held."""

    note: Annotated[Reason, Field(description="What was found and done, in one line.")]
