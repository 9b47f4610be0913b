"""Closings, invoices, contracts and the ledger."""

from pathlib import Path
from typing import get_args

import typer

from gigawatt.cli.options import Format
from gigawatt.cli.output import (
    Listing,
    ask,
    console,
    count_of,
    pairs,
    remarks,
    show_document,
    show_list,
    table,
)
from gigawatt.cli.work.amounts import micro_usd_of, ppm_of
from gigawatt.cli.work.connect import PAGE_LIMIT, Connection, connected
from gigawatt.errors import DataError, InputError
from gigawatt.market.charge import half_up
from gigawatt.money import format_usd
from gigawatt.sdk import calls
from gigawatt.sdk import documents as doc

_PPM_PER_PERCENT = 10_000


def _organisation(connection: Connection, named: str | None) -> str:
    return named or connection.client.who_am_i().organisation_id


def show_plan(month: str, form: Format) -> None:
    """Show what closing a month would bill."""
    with connected() as connection:
        found = connection.client.plan_closing(month)
    if form is not Format.TABLE:
        show_document(found, form)
        return
    _tell_plan(found)


def _tell_plan(found: doc.ClosingPlan) -> None:
    if found.invoices:
        table(("organisation", "total", "lines"), [_plan_row(i) for i in found.invoices])
    if len(found.invoices) < found.invoice_count:
        console.print(f"and {found.invoice_count - len(found.invoices):,} more")
    if found.credit_notes:
        table(("credit note for", "total", "corrects"), [_note_row(i) for i in found.credit_notes])
    for note in found.notes:
        console.print(f"  note: {note}")
    is_over = "" if found.is_over else ", up to now: the month is not over"
    console.print(
        f"{found.month}: {count_of(found.invoice_count, 'invoice')} of"
        f" {format_usd(found.total_micro_usd)} together{is_over}"
    )
    if found.credit_note_count:
        noun = count_of(found.credit_note_count, "credit note")
        console.print(f"  and {noun} of what earlier months were charged too much")
    if found.close_first is not None:
        console.print(f"  next: close {found.close_first} first")


def _plan_row(found: doc.Invoice) -> tuple[object, ...]:
    return (found.organisation_name, format_usd(found.total_micro_usd), found.line_count)


def _note_row(found: doc.Invoice) -> tuple[object, ...]:
    return (found.organisation_name, format_usd(found.total_micro_usd), found.corrects or "")


def close(month: str, form: Format, *, yes: bool) -> None:
    """Show what will be billed, ask, and close a month."""
    with connected() as connection:
        is_closed = any(one.month == month for one in connection.client.list_closings().items)
        if not yes and not is_closed:
            _tell_plan(connection.client.plan_closing(month))
            if not ask(f"Close {month}? Its invoices cannot be changed afterwards."):
                remarks.print("nothing was changed")
                return
        found = connection.client.close_month(month)
    if form is not Format.TABLE:
        show_document(found, form)
        return
    console.print(
        f"{month} is closed: {count_of(found.invoice_count, 'invoice')} of"
        f" {format_usd(found.total_micro_usd)} together"
    )
    console.print(f"  keep elsewhere: entry {found.entry_number} is {found.entry_digest}")


def list_closings(form: Format) -> None:
    """List closed months."""
    with connected() as connection:
        found = connection.client.list_closings().items
    listing: Listing[doc.Closing] = Listing(
        ("month", "invoices", "total", "last entry"),
        lambda c: (c.month, c.invoice_count, format_usd(c.total_micro_usd), c.entry_number),
        "no month is closed; gw billing plan shows what one would bill",
    )
    show_list(found, form, listing)


def list_invoices(
    organisation: str | None, month: str | None, form: Format, *, quiet: bool
) -> None:
    """List invoices and credit notes."""
    with connected() as connection:
        pages = connection.client.pages(
            calls.list_invoices, organisation_id=organisation, month=month, limit=PAGE_LIMIT
        )
        found = list(pages)
    listing: Listing[doc.Invoice] = Listing(
        ("invoice", "organisation", "month", "total", "open", "lines", "corrects"),
        lambda i: (
            i.id,
            i.organisation_name,
            i.month,
            format_usd(i.total_micro_usd),
            "-" if i.open_micro_usd is None else format_usd(i.open_micro_usd),
            i.line_count,
            i.corrects or "-",
        ),
        "no invoices",
    )
    show_list(found, form, listing, quiet=quiet)


def show_invoice(invoice_id: str, form: Format) -> None:
    """Show one invoice with its lines."""
    with connected() as connection:
        found = connection.client.get_invoice(invoice_id)
    if form is not Format.TABLE:
        show_document(found, form)
        return
    facts = [("for", found.organisation_name), ("month", found.month)]
    facts += [("corrects", found.corrects)] if found.corrects else []
    pairs(found.id, facts)
    table(("what", "amount", "quantity", "for", "tag"), [_line_row(i) for i in found.lines or ()])
    totals = [
        ("net", format_usd(found.net_micro_usd, digits=6)),
        ("tax", format_usd(found.tax_micro_usd, digits=6)),
        ("rounding", format_usd(found.rounding_micro_usd, digits=6)),
        ("total", format_usd(found.total_micro_usd)),
    ]
    pairs("", [*totals, *_became(found)])


def _became(found: doc.Invoice) -> list[tuple[str, str]]:
    """What became of an invoice; nothing for a credit note."""
    if found.open_micro_usd is None or found.paid_micro_usd is None:
        return []
    overdue = f", overdue for {count_of(found.overdue_day_count, 'day')}"
    due = f"{found.due_on}" + overdue * (found.overdue_day_count > 0)
    return [
        ("paid", format_usd(found.paid_micro_usd)),
        ("open", format_usd(found.open_micro_usd)),
        ("due", due),
    ]


def _line_row(line: doc.InvoiceLine) -> tuple[object, ...]:
    amount = format_usd(line.amount_micro_usd, digits=6)
    if not line.unit:
        return (line.text or line.kind, amount, "", line.subject_id, line.tag)
    hundredths = half_up(line.quantity_parts * 100, line.parts_per_unit)
    price = format_usd(line.price_micro_usd, digits=4)
    quantity = f"{hundredths / 100:,.2f} {line.unit} at {price}"
    return (line.text, amount, quantity, line.subject_id, line.tag)


def download(invoice_id: str, file_format: str, to: Path | None) -> None:
    """Save an invoice as a file."""
    for wanted in get_args(doc.InvoiceFormat):
        if wanted == file_format:
            with connected() as connection:
                content = connection.client.get_invoice_file(invoice_id, file_format=wanted)
            _save(to or Path(f"{invoice_id}.{file_format}"), content)


def _save(path: Path, content: bytes) -> None:
    try:
        path.write_bytes(content)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}") from error
    console.print(f"{path} has {len(content):,} bytes")


def credit(invoice_id: str, reason: str, what: tuple[str | None, str | None], *, yes: bool) -> None:
    """Take an invoice back, in part or as a whole; what: an amount, and a commitment it sold."""
    amount, item_id = what
    net = None if amount is None else micro_usd_of(amount)
    wanted = doc.CreateCreditNote(reason=reason, net_micro_usd=net, item_id=item_id)
    with connected() as connection:
        if not yes:
            plan = connection.client.plan_credit_note(invoice_id, wanted)
            _show_credit(plan)
            if not ask(
                f"Credit {format_usd(-plan.note.total_micro_usd)} of {item_id or invoice_id}?"
            ):
                remarks.print("nothing was changed")
                return
        made = connection.client.create_credit_note(invoice_id, wanted)
    console.print(f"{made.id} credits {format_usd(-made.total_micro_usd)} with taxes")


def _show_credit(plan: doc.CreditNotePlan) -> None:
    for posting in plan.postings:
        console.print(f"{posting.account:<44} {format_usd(posting.amount_micro_usd):>16}")
    console.print(
        f"{plan.note.organisation_name} owes {format_usd(plan.owed_micro_usd)} now and"
        f" {format_usd(plan.owed_then_micro_usd)} then"
    )


def set_tag(cluster: str, text: str, project: str | None) -> None:
    """Say what a cluster is called on invoices."""
    with connected() as connection:
        found = connection.cluster(cluster, project)
        connection.client.set_cost_tag(found.id, text)
    console.print(f"{found.name} is {text!r} on invoices" if text else f"{found.name} has no tag")


def show_statement(organisation: str | None, form: Format) -> None:
    """Show what an organisation owes."""
    with connected() as connection:
        found = connection.client.get_statement(_organisation(connection, organisation))
    if form is not Format.TABLE:
        show_document(found, form)
        return
    if found.lines:
        rows = [(i.date, i.kind, format_usd(i.amount_micro_usd), i.memo[:60]) for i in found.lines]
        table(("date", "kind", "amount", "what"), rows)
    console.print(f"{found.organisation_id} owes {format_usd(found.owed_micro_usd)}")
    if found.credit_micro_usd > 0:
        credit = format_usd(found.credit_micro_usd)
        console.print(f"  {format_usd(found.open_micro_usd)} are open, {credit} are credit")
    if found.overdue_micro_usd:
        console.print(f"  {format_usd(found.overdue_micro_usd)} are overdue")


def list_items(organisation: str | None, form: Format) -> None:
    """List what was agreed with an organisation."""
    with connected() as connection:
        owner = _organisation(connection, organisation)
        found = connection.client.list_contract_items(owner).items
    listing: Listing[doc.ContractItem] = Listing(
        ("kind", "name", "amount", "used", "from", "to", "id"),
        lambda i: (
            i.kind,
            i.name,
            f"{i.rate_ppm / _PPM_PER_PERCENT:g} %"
            if i.rate_ppm
            else format_usd(i.amount_micro_usd),
            format_usd(i.used_micro_usd),
            i.from_month,
            i.to_month,
            i.id,
        ),
        "nothing was agreed",
    )
    show_list(found, form, listing)


def add_item(
    what: tuple[str, str, str, str], how_much: tuple[str, str], organisation: str | None
) -> None:
    """Agree on something: kind, name and months; dollars or percent."""
    kind, name, first, last = what
    amount, percent = how_much
    wanted = doc.CreateContractItem.model_validate(
        {
            "kind": kind,
            "name": name,
            "from_month": first,
            "to_month": last,
            "amount_micro_usd": micro_usd_of(amount) if amount else None,
            "rate_ppm": ppm_of(percent) if percent else None,
        }
    )
    with connected() as connection:
        owner = _organisation(connection, organisation)
        made = connection.client.create_contract_item(owner, wanted)
    console.print(f"{made.name} is {made.id}")


def list_prices(form: Format) -> None:
    """List prices of products."""
    with connected() as connection:
        found = connection.client.list_product_prices().items
    listing: Listing[doc.ProductPrice] = Listing(
        ("product", "price", "unit", "from", "organisation"),
        lambda p: (
            p.product,
            format_usd(p.price_micro_usd, digits=6),
            p.unit,
            p.from_month,
            p.organisation_id or "all",
        ),
        "no prices; storage costs nothing",
    )
    show_list(found, form, listing)


def add_price(
    what: tuple[str, str, str], unit: tuple[str | None, int | None], organisation: str | None
) -> None:
    """Set a price: product, dollars and first month; what a unit is, but for storage."""
    product, amount, first = what
    wanted = doc.CreateProductPrice(
        product=product,
        price_micro_usd=micro_usd_of(amount),
        unit=unit[0],
        parts_per_unit=unit[1],
        from_month=first,
        organisation_id=organisation,
    )
    with connected() as connection:
        made = connection.client.create_product_price(wanted)
    price = format_usd(made.price_micro_usd, digits=6)
    console.print(f"{made.product} costs {price} a {made.unit} from {made.from_month} on")


def check_ledger(form: Format) -> None:
    """Check the books.

    Raises:
        DataError: a row is not as it was written.
    """
    with connected() as connection:
        found = connection.client.check_ledger()
    if form is not Format.TABLE:
        show_document(found, form)
    if found.fault is not None:
        raise DataError(found.fault, next_step="Compare the store with a backup.")
    if form is Format.TABLE:
        entries, documents = f"{found.entry_count:,} entries", f"{found.invoice_count:,} invoices"
        console.print(f"the books are whole: {entries}, {documents}")
        console.print(f"  keep elsewhere: entry {found.last_number} is {found.last_digest}")


def export_ledger(export_format: str, to: Path | None) -> None:
    """Write the ledger out."""
    assert export_format == "beancount", "the only one"
    with connected() as connection:
        text = connection.client.export_ledger()
    if to is None:
        typer.echo(text, nl=False)
    else:
        _save(to, text.encode())
