"""Payments: asked for, written down, refunded, overdue; and what providers told."""

import sys

from gigawatt.cli.options import Format
from gigawatt.cli.output import (
    Listing,
    ask,
    console,
    moment,
    pairs,
    remarks,
    show_document,
    show_list,
    table,
)
from gigawatt.cli.work.amounts import micro_usd_of
from gigawatt.cli.work.connect import PAGE_LIMIT, connected
from gigawatt.errors import InputError
from gigawatt.money import format_usd
from gigawatt.sdk import calls
from gigawatt.sdk import documents as doc

Filter = tuple[str | None, str | None, str | None]
"""Of which organisation, of which invoice, in which state."""


def pay_invoice(invoice_id: str, amount: str | None, form: Format) -> None:
    """Ask for a page on which an invoice is paid."""
    wanted = doc.PayInvoice(amount_micro_usd=None if amount is None else micro_usd_of(amount))
    with connected() as connection:
        found = connection.client.pay_invoice(invoice_id, wanted)
    if form is not Format.TABLE:
        show_document(found, form)
        return
    amount_text = format_usd(found.amount_micro_usd)
    console.print(f"{found.id} asks {amount_text} for {invoice_id}: {found.state}")
    _tell_page(found)


def _tell_page(found: doc.Payment) -> None:
    if found.url is not None:
        until = "" if found.expires_at is None else f" until {moment(found.expires_at.timestamp())}"
        console.print(f"  pay here{until}: {found.url}", soft_wrap=True)


def list_payments(wanted: Filter, form: Format, *, quiet: bool) -> None:
    """List payments."""
    organisation, invoice, state = wanted
    with connected() as connection:
        pages = connection.client.pages(
            calls.list_payments,
            organisation_id=organisation,
            invoice_id=invoice,
            state=_state_of(state),
            limit=PAGE_LIMIT,
        )
        found = list(pages)
    listing: Listing[doc.Payment] = Listing(
        ("payment", "invoice", "by", "state", "amount", "refunded", "asked for"),
        lambda p: (
            p.id,
            p.invoice_id or "-",
            p.provider,
            p.state,
            format_usd(p.amount_micro_usd),
            format_usd(p.refunded_micro_usd),
            moment(p.created_at.timestamp()),
        ),
        "no payments",
    )
    show_list(found, form, listing, quiet=quiet)


def _state_of(text: str | None) -> doc.PaymentStateName | None:
    states: dict[str, doc.PaymentStateName] = {
        "asked": "asked",
        "open": "open",
        "processing": "processing",
        "expired": "expired",
        "cancelled": "cancelled",
        "failed": "failed",
        "settled": "settled",
    }
    return None if text is None else states[text]


def show_payment(payment_id: str, form: Format) -> None:
    """Show one payment."""
    with connected() as connection:
        _show(connection.client.get_payment(payment_id), form)


def refresh(payment_id: str, form: Format) -> None:
    """Show one payment, after its provider was asked."""
    with connected() as connection:
        _show(connection.client.refresh_payment(payment_id), form)


def _show(found: doc.Payment, form: Format) -> None:
    if form is not Format.TABLE:
        show_document(found, form)
        return
    facts = [
        ("state", found.state),
        ("amount", format_usd(found.amount_micro_usd)),
        ("for", found.invoice_id or "the oldest invoices"),
        ("by", found.provider),
        ("reference", found.reference or "-"),
        ("asked for", moment(found.created_at.timestamp())),
        ("changed", moment(found.changed_at.timestamp())),
    ]
    facts += [("why", found.reason)] if found.reason else []
    if found.charged_back_micro_usd:
        facts.append(("charged back", format_usd(found.charged_back_micro_usd)))
    pairs(found.id, facts)
    if found.refunds:
        rows = [(r.id, format_usd(r.amount_micro_usd), r.state, r.reason) for r in found.refunds]
        table(("refund", "amount", "state", "why"), rows)
    _tell_page(found)


def cancel(payment_id: str) -> None:
    """Take a payment back that nobody has paid."""
    with connected() as connection:
        found = connection.client.cancel_payment(payment_id)
    console.print(f"{found.id} is {found.state}")


def record(reference: str, amount: str, invoice_id: str | None, organisation: str | None) -> None:
    """Write down money that came by bank."""
    wanted = doc.RecordPayment(
        reference=reference, amount_micro_usd=micro_usd_of(amount), invoice_id=invoice_id
    )
    with connected() as connection:
        owner = organisation or connection.client.who_am_i().organisation_id
        found = connection.client.record_payment(owner, wanted)
        owed = connection.client.get_statement(owner).owed_micro_usd
    console.print(f"{found.id} is settled: {owner} owes {format_usd(owed)}")


def refund(payment_id: str, reason: str, amount: str | None, *, yes: bool) -> None:
    """Send money of a payment back."""
    micro_usd = None if amount is None else micro_usd_of(amount)
    wanted = doc.CreateRefund(reason=reason, amount_micro_usd=micro_usd)
    what = "all that is here" if micro_usd is None else format_usd(micro_usd)
    if not yes and not ask(f"Send {what} of {payment_id} back?"):
        remarks.print("nothing was changed")
        return
    with connected() as connection:
        found = connection.client.create_refund(payment_id, wanted)
    last = found.refunds[-1]
    console.print(f"{last.id} of {format_usd(last.amount_micro_usd)} is {last.state}")


def list_overdue(form: Format) -> None:
    """List invoices that should have been paid."""
    with connected() as connection:
        found = connection.client.list_overdue().items
    listing: Listing[doc.OverdueInvoice] = Listing(
        ("invoice", "organisation", "open", "due on", "days"),
        lambda i: (
            i.invoice_id,
            i.organisation_name,
            format_usd(i.open_micro_usd),
            i.due_on,
            i.overdue_day_count,
        ),
        "nothing is overdue",
    )
    show_list(found, form, listing)


def list_payouts(form: Format, *, refresh: bool) -> None:
    """List payouts, and what is still with the providers."""
    with connected() as connection:
        client = connection.client
        found = client.refresh_payouts() if refresh else client.list_payouts(limit=PAGE_LIMIT)
    if form is not Format.TABLE:
        show_document(found, form)
        return
    if found.items:
        rows = [
            (
                p.id,
                p.made_at.date(),
                format_usd(p.amount_micro_usd),
                format_usd(p.fee_micro_usd),
                p.verdict if p.state != "failed" else f"failed, {p.verdict}",
            )
            for p in found.items
        ]
        table(("payout", "made", "amount", "fees", "state"), rows)
    for payout in found.items:
        if payout.reason is not None:
            console.print(f"  {payout.id}: {payout.reason}", soft_wrap=True)
    console.print(f"{format_usd(found.clearing_micro_usd)} are still with providers")


def list_events(verdict: str | None, form: Format) -> None:
    """List what providers told."""
    verdicts: dict[str, doc.EventVerdict] = {
        "applied": "applied", "nothing": "nothing", "waiting": "waiting", "held": "held",
    }  # fmt: skip
    named = None if verdict is None else verdicts[verdict]
    with connected() as connection:
        found = connection.client.list_payment_events(verdict=named, limit=PAGE_LIMIT).items
    listing: Listing[doc.PaymentEvent] = Listing(
        ("event", "what", "verdict", "amount", "payment", "why"),
        lambda e: (
            e.event_id,
            e.kind,
            e.verdict + " (seen)" * (e.note is not None),
            f"{format_usd(e.amount_micro_usd)} {e.currency}",
            e.payment_id or "-",
            e.note or e.reason or "",
        ),
        "no provider told anything",
    )
    show_list(found, form, listing)


def resolve(provider: str, event_id: str, note: str) -> None:
    """Say what was found about an event that is held."""
    with connected() as connection:
        found = connection.client.resolve_payment_event(
            provider, event_id, doc.ResolvePaymentEvent(note=note)
        )
    console.print(f"{found.event_id}: {found.note}")


def seal_keys(provider: str) -> None:
    """Keep a provider's two secrets, from standard input, in this computer's own store."""
    from gigawatt.app.home import Home  # noqa: PLC0415 - only the one command that opens a store
    from gigawatt.app.market.payment_settings import seal_keys as seal  # noqa: PLC0415

    lines = [line.strip() for line in sys.stdin.read(10_000).splitlines() if line.strip()]
    if len(lines) != 2:
        raise InputError(
            f"standard input has {len(lines)} lines with something in them, wanted 2",
            next_step="Give the secret key in the first line, the signing secret in the second.",
        )
    seal(Home.default(), provider, lines[0], lines[1])
    console.print(f"the keys of {provider} are sealed in the store; restart servers that run")
