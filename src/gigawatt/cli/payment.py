"""``gw payment``: what was paid and asked for, transfers, refunds, what is overdue."""

from enum import StrEnum
from typing import Annotated

import typer

from gigawatt.cli import backend
from gigawatt.cli.options import (
    Format,
    OneOrganisationOption,
    OutputOption,
    QuietOption,
    YesOption,
    new_group,
)
from gigawatt.cli.project import OrganisationOption

app = new_group("See payments; write transfers down, refund, see what is overdue.")

PaymentArgument = Annotated[str, typer.Argument(help="Id of a payment (pay_...).")]


class State(StrEnum):
    """How far a payment is."""

    ASKED = "asked"
    OPEN = "open"
    PROCESSING = "processing"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    FAILED = "failed"
    SETTLED = "settled"


class Verdict(StrEnum):
    """What became of an event."""

    APPLIED = "applied"
    NOTHING = "nothing"
    WAITING = "waiting"
    HELD = "held"


@app.command("list")
def list_(
    organisation: OneOrganisationOption = None,
    invoice: Annotated[
        str | None, typer.Option("--invoice", help="Those of one invoice alone.")
    ] = None,
    state: Annotated[State | None, typer.Option("--state", help="Those in one state.")] = None,
    output: OutputOption = Format.TABLE,
    quiet: QuietOption = False,
) -> None:
    """List payments, the newest first.

    Example: gw payment list --state open
    """
    wanted = None if state is None else state.value
    backend.payments.list_payments((organisation, invoice, wanted), output, quiet=quiet)


@app.command()
def show(payment: PaymentArgument, output: OutputOption = Format.TABLE) -> None:
    """Show one payment, with its page while it is open, and its refunds.

    Example: gw payment show pay_0123456789abcdef
    """
    backend.payments.show_payment(payment, output)


@app.command()
def refresh(payment: PaymentArgument, output: OutputOption = Format.TABLE) -> None:
    """Ask the provider now what came of a payment.

    Example: gw payment refresh pay_0123456789abcdef
    """
    backend.payments.refresh(payment, output)


@app.command()
def cancel(payment: PaymentArgument) -> None:
    """Take a payment back that nobody has paid.

    Example: gw payment cancel pay_0123456789abcdef
    """
    backend.payments.cancel(payment)


@app.command()
def record(
    reference: Annotated[str, typer.Argument(help="The bank's id of the transfer.")],
    amount: Annotated[str, typer.Argument(help="Dollars, e.g. 1250.00.")],
    invoice: Annotated[
        str | None, typer.Option("--invoice", help="What it is for; left out: the oldest first.")
    ] = None,
    organisation: OrganisationOption = None,
) -> None:
    """Write a transfer down that came by bank; the same id is written once; for operators.

    Example: gw payment record bank-4711 1250.00 --organisation org_0123456789abcdef
    """
    backend.payments.record(reference, amount, invoice, organisation)


@app.command()
def refund(
    payment: PaymentArgument,
    reason: Annotated[str, typer.Option("--reason", help="Why, in one line.")],
    amount: Annotated[
        str | None, typer.Option("--amount", help="Dollars; left out: all that is here of it.")
    ] = None,
    yes: YesOption = False,
) -> None:
    """Send money of a payment back, so that it is owed again; for operators.

    Of a transfer it only writes down that you sent the money.

    Example: gw payment refund pay_0123456789abcdef --amount 50.00 --reason "paid twice"
    """
    backend.payments.refund(payment, reason, amount, yes=yes)


@app.command()
def overdue(output: OutputOption = Format.TABLE) -> None:
    """List invoices that should have been paid, the oldest first; for operators.

    Nothing is stopped because of it.

    Example: gw payment overdue
    """
    backend.payments.list_overdue(output)


@app.command()
def payouts(
    refresh: Annotated[
        bool, typer.Option("--refresh", help="Ask the providers now; servers do so every hour.")
    ] = False,
    output: OutputOption = Format.TABLE,
) -> None:
    """List what providers sent to the bank, and what they still have; for operators.

    What fits the books is entered with its fees; 'held' says what does not.

    Example: gw payment payouts --refresh
    """
    backend.payments.list_payouts(output, refresh=refresh)


@app.command()
def events(
    verdict: Annotated[
        Verdict | None, typer.Option("--verdict", help="Those with one verdict, e.g. held.")
    ] = None,
    output: OutputOption = Format.TABLE,
) -> None:
    """List what providers told, the newest first; 'held' waits for a person; for operators.

    Example: gw payment events --verdict held
    """
    backend.payments.list_events(None if verdict is None else verdict.value, output)


@app.command()
def resolve(
    event: Annotated[str, typer.Argument(help="Id of an event that is held.")],
    note: Annotated[str, typer.Option("--note", help="What you found and did, in one line.")],
    provider: Annotated[str, typer.Option("--provider", help="Who told it.")] = "stripe",
) -> None:
    """Say what you found about an event that is held; it moves no money; for operators.

    Example: gw payment resolve evt_1 --note "paid twice, refunded at Stripe"
    """
    backend.payments.resolve(provider, event, note)


@app.command()
def keys(
    provider: Annotated[str, typer.Argument(help="Whose.")] = "stripe",
) -> None:
    """Seal a provider's secret key and signing secret in the store, two lines of standard input.

    It is this computer's own store, also when a server is configured.

    Example: gw payment keys stripe < two-lines
    """
    backend.payments.seal_keys(provider)
