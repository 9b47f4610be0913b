"""``gw invoice``: what a month cost, line by line, and as a file."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from gigawatt.cli import backend
from gigawatt.cli.options import (
    Format,
    NameArgument,
    OneOrganisationOption,
    OutputOption,
    QuietOption,
    WhoseOption,
    YesOption,
    new_group,
)

app = new_group("See invoices, pay them, save them; say what clusters are called on them.")

InvoiceArgument = Annotated[str, typer.Argument(help="Id of an invoice (INV-...).")]


class FileFormat(StrEnum):
    """Formats of a file."""

    PDF = "pdf"
    HTML = "html"
    CSV = "csv"


@app.command("list")
def list_(
    organisation: OneOrganisationOption = None,
    month: Annotated[str | None, typer.Option("--month", help="One month alone.")] = None,
    output: OutputOption = Format.TABLE,
    quiet: QuietOption = False,
) -> None:
    """List invoices and credit notes, the newest first.

    Example: gw invoice list --month 2026-11
    """
    backend.billing.list_invoices(organisation, month, output, quiet=quiet)


@app.command()
def show(invoice: InvoiceArgument, output: OutputOption = Format.TABLE) -> None:
    """Show one invoice, line by line.

    Example: gw invoice show INV-2026-11-00001
    """
    backend.billing.show_invoice(invoice, output)


@app.command()
def download(
    invoice: InvoiceArgument,
    file_format: Annotated[FileFormat, typer.Option("--format", help="Kind.")] = FileFormat.PDF,
    to: Annotated[Path | None, typer.Option("--to", help="File; left out: its own name.")] = None,
) -> None:
    """Save an invoice as PDF, HTML or CSV.

    Example: gw invoice download INV-2026-11-00001 --format pdf
    """
    backend.billing.download(invoice, file_format.value, to)


@app.command()
def pay(
    invoice: InvoiceArgument,
    amount: Annotated[
        str | None, typer.Option("--amount", help="Dollars; left out: all that is open of it.")
    ] = None,
    output: OutputOption = Format.TABLE,
) -> None:
    """Ask for a page on which an invoice is paid; asked again, it is the same page.

    Example: gw invoice pay INV-2026-11-00001
    """
    backend.payments.pay_invoice(invoice, amount, output)


@app.command()
def credit(
    invoice: InvoiceArgument,
    reason: Annotated[str, typer.Option("--reason", help="Why, in one line.")],
    amount: Annotated[
        str | None, typer.Option("--amount", help="Dollars before taxes; left out: all.")
    ] = None,
    item: Annotated[
        str | None, typer.Option("--item", help="A commitment (ctr_...) that it sold, instead.")
    ] = None,
    yes: YesOption = False,
) -> None:
    """Take an invoice back, in part or as a whole, by a credit note of this month; for operators.

    What commitments and credits paid of it goes back to them.

    Example: gw invoice credit INV-2026-11-00001 --amount 100.00 --reason "node was slow"
    """
    backend.billing.credit(invoice, reason, (amount, item), yes=yes)


@app.command()
def tag(
    cluster: NameArgument,
    text: Annotated[str, typer.Argument(help="What invoices call it; '' for nothing.")],
    project: WhoseOption = None,
) -> None:
    """Say what a cluster is called on invoices, e.g. a cost centre of yours.

    Example: gw invoice tag train research-42
    """
    backend.billing.set_tag(cluster, text, project)
