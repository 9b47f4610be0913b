"""``SqlBilling``: the ``BillingBook`` on the store's own database (ADR-0043)."""

from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Row, delete, func, insert, select

from gigawatt.errors import InputError, UnknownIdError
from gigawatt.identity.accounts import OrganisationId, check_label
from gigawatt.interfaces.billing import (
    Agreed,
    BillingBook,
    BooksVerdict,
    ClosedMonth,
    Correctable,
    StatementLine,
)
from gigawatt.market.closing import Closing, invoice_draft, receivable
from gigawatt.market.contract import ContractItem, ItemKind, check_item
from gigawatt.market.credit_note import returns_of
from gigawatt.market.invoice import Invoice, digest_of, invoice_from, invoice_text
from gigawatt.market.ledger import FIRST_DIGEST, LedgerEntry
from gigawatt.market.month import next_month, start_ms
from gigawatt.market.product import ProductPrice, check_price
from gigawatt.store import external_usage
from gigawatt.store.billing_schema import (
    closed_months,
    contract_items,
    contract_returns,
    contract_uses,
    cost_tags,
    invoices,
    ledger_entries,
    ledger_postings,
    product_prices,
)
from gigawatt.store.books import check
from gigawatt.store.database import Database, lock_generation
from gigawatt.store.ledger import add_entries, closed_month, first_month, read_entries
from gigawatt.store.store import SqlStore


class SqlBilling:
    """The books of money; every method is what ``BillingBook`` says of it."""

    def __init__(self, database: Database) -> None:
        """Serve from a database that has the tables."""
        self._database = database

    def agreed(self, month: str = "") -> Agreed:
        """What was agreed until now."""
        with self._database.read() as connection:
            return _agreed(connection, month)

    def add_item(self, item: ContractItem, now_s: float) -> None:
        """Keep what was agreed."""
        with self._database.write() as connection:
            lock_generation(connection)
            check_item(item, closed_month(connection))
            connection.execute(insert(contract_items), _item_row(item, now_s))

    def add_price(self, price: ProductPrice, now_s: float) -> None:
        """Keep a price."""
        with self._database.write() as connection:
            lock_generation(connection)
            check_price(price, closed_month(connection))
            row = {
                "price_id": price.price_id,
                "product": price.product,
                "price_micro_usd": price.price_micro_usd,
                "unit": price.unit,
                "parts_per_unit": price.parts_per_unit,
                "from_month": price.from_month,
                "organisation_id": price.organisation_id,
                "created_s": now_s,
            }
            connection.execute(insert(product_prices), row)

    def tags(self) -> Mapping[str, str]:
        """What tenants call clusters and file systems in their own books, by id."""
        query = select(cost_tags.c.subject_id, cost_tags.c.tag)
        with self._database.read() as connection:
            return {row[0]: row[1] for row in connection.execute(query)}

    def set_tag(self, subject_id: str, tag: str, now_s: float) -> None:
        """Call a cluster or a file system so from the next closing on; empty for nothing."""
        if tag:
            check_label("a cost tag", tag)
        with self._database.write() as connection:
            connection.execute(delete(cost_tags).where(cost_tags.c.subject_id == subject_id))
            if tag:
                row = {"subject_id": subject_id, "tag": tag, "changed_s": now_s}
                connection.execute(insert(cost_tags), row)

    def close(self, month: str, make: Callable[[Agreed], Closing], now_s: float) -> ClosedMonth:
        """Close a month with what ``make`` says, or give what closed it before."""
        with self._database.write() as connection:
            lock_generation(connection)
            known = _closing(connection, month)
            if known is not None:
                return known
            agreed = _agreed(connection, month)
            if month < agreed.closed_month:
                raise InputError(
                    f"{month} was not closed, and {agreed.closed_month} is: nothing is put before",
                    next_step="Correct it by a credit note or a contract item of an open month.",
                )
            made = make(agreed)
            _keep_invoices(connection, (*made.invoices, *made.notes))
            _keep_returns(connection, made.notes)
            if made.credits:
                rows = [_item_row(item, now_s) for item in made.credits]
                connection.execute(insert(contract_items), rows)
            last = add_entries(connection, made.drafts)
            uses = [
                {"item_id": item_id, "month": month, "amount_micro_usd": amount}
                for item_id, amount in made.used.items()
            ]
            if uses:
                connection.execute(insert(contract_uses), uses)
            found = ClosedMonth(
                month=month,
                closed_s=now_s,
                invoice_count=len(made.invoices),
                total_micro_usd=made.total_micro_usd,
                entry_number=0 if last is None else last.number,
                entry_digest=FIRST_DIGEST if last is None else last.digest,
            )
            connection.execute(insert(closed_months), _month_row(found))
            return found

    def closings(self) -> tuple[ClosedMonth, ...]:
        """Closed months, the newest first."""
        query = select(closed_months).order_by(closed_months.c.month.desc())
        with self._database.read() as connection:
            return tuple(map(_month_of, connection.execute(query)))

    def correctable(self, invoice_id: str) -> Correctable:
        """What a credit note of an invoice follows now."""
        with self._database.read() as connection:
            return _correctable(connection, invoice_id)

    def credit(self, invoice_id: str, make: Callable[[Correctable], Invoice]) -> Invoice:
        """Keep a credit note, with its entry."""
        with self._database.write() as connection:
            lock_generation(connection)
            note = make(_correctable(connection, invoice_id))
            _keep_invoices(connection, (note,))
            _keep_returns(connection, (note,))
            draft = invoice_draft(note)
            add_entries(connection, [] if draft is None else [draft])
            return note

    def invoice(self, invoice_id: str) -> Invoice:
        """One invoice or credit note."""
        with self._database.read() as connection:
            return _invoice(connection, invoice_id)

    def invoices(
        self,
        organisation_ids: Collection[OrganisationId] | None,
        month: str | None,
        before: str,
        limit: int,
    ) -> tuple[Invoice, ...]:
        """Invoices and credit notes with ids before one, the newest first."""
        columns = invoices.c
        query = select(columns.document).order_by(columns.month.desc(), columns.invoice_id.desc())
        if before:
            earlier = columns.month < before[-13:-6]
            same = (columns.month == before[-13:-6]) & (columns.invoice_id < before)
            query = query.where(earlier | same)
        if organisation_ids is not None:
            query = query.where(columns.organisation_id.in_(sorted(organisation_ids)))
        if month is not None:
            query = query.where(columns.month == month)
        with self._database.read() as connection:
            found = connection.execute(query.limit(limit)).scalars()
            return tuple(invoice_from(text) for text in found)

    def statement(self, organisation_id: OrganisationId) -> tuple[StatementLine, ...]:
        """Every movement of what an organisation owes, in the order of the books."""
        query = (
            select(
                ledger_entries.c.number,
                ledger_entries.c.entry_id,
                ledger_entries.c.date,
                ledger_entries.c.memo,
                ledger_postings.c.amount_micro_usd,
            )
            .join(ledger_postings, ledger_postings.c.number == ledger_entries.c.number)
            .where(ledger_postings.c.account == receivable(organisation_id))
            .order_by(ledger_entries.c.number)
        )
        with self._database.read() as connection:
            return tuple(StatementLine(*row) for row in connection.execute(query))

    def entries(self) -> tuple[LedgerEntry, ...]:
        """All of the ledger."""
        with self._database.read() as connection:
            return tuple(read_entries(connection))

    def check(self) -> BooksVerdict:
        """Compute every digest again."""
        with self._database.read() as connection:
            return check(connection)


def open_billing(store: SqlStore) -> SqlBilling:
    """The books of money in a store's database."""
    return SqlBilling(store.database)


def _agreed(connection: Connection, month: str) -> Agreed:
    return Agreed(
        closed_month=closed_month(connection),
        items=tuple(map(_item_of, connection.execute(select(contract_items)))),
        used=_used(connection),
        prices=tuple(map(_price_of, connection.execute(select(product_prices)))),
        newest_external=external_usage.newest(
            connection, start_ms(month), start_ms(next_month(month))
        )
        if month
        else 0,
        first_month=first_month(connection),
        note_count=int(
            connection.execute(select(func.count()).where(invoices.c.corrects != "")).scalar_one()
        ),
    )


def _used(connection: Connection) -> dict[str, int]:
    """What is used up of each item, less what credit notes gave back."""
    found: dict[str, int] = {}
    for table, sign in ((contract_uses, 1), (contract_returns, -1)):
        sums = select(table.c.item_id, func.sum(table.c.amount_micro_usd))
        for item_id, amount in connection.execute(sums.group_by(table.c.item_id)):
            found[item_id] = found.get(item_id, 0) + sign * int(amount)
    return found


def _item_row(item: ContractItem, now_s: float) -> dict[str, Any]:
    return {
        "item_id": item.item_id,
        "organisation_id": item.organisation_id,
        "kind": item.kind.value,
        "name": item.name,
        "amount_micro_usd": item.amount_micro_usd,
        "rate_ppm": item.rate_ppm,
        "from_month": item.from_month,
        "to_month": item.to_month,
        "created_s": now_s,
    }


def _item_of(row: Row[Any]) -> ContractItem:
    return ContractItem(
        item_id=row.item_id,
        organisation_id=OrganisationId(row.organisation_id),
        kind=ItemKind(row.kind),
        name=row.name,
        amount_micro_usd=row.amount_micro_usd,
        rate_ppm=row.rate_ppm,
        from_month=row.from_month,
        to_month=row.to_month,
    )


def _price_of(row: Row[Any]) -> ProductPrice:
    owner = row.organisation_id
    return ProductPrice(
        price_id=row.price_id,
        product=row.product,
        price_micro_usd=row.price_micro_usd,
        unit=row.unit,
        parts_per_unit=row.parts_per_unit,
        from_month=row.from_month,
        organisation_id=None if owner is None else OrganisationId(owner),
    )


def _month_row(found: ClosedMonth) -> dict[str, Any]:
    return {name: getattr(found, name) for name in ClosedMonth.__slots__}


def _month_of(row: Row[Any]) -> ClosedMonth:
    return ClosedMonth(**row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for a row


def _closing(connection: Connection, month: str) -> ClosedMonth | None:
    query = select(closed_months).where(closed_months.c.month == month)
    row = connection.execute(query).one_or_none()
    return None if row is None else _month_of(row)


def _invoice(connection: Connection, invoice_id: str) -> Invoice:
    query = select(invoices.c.document).where(invoices.c.invoice_id == invoice_id)
    text = connection.execute(query).scalar_one_or_none()
    if text is None:
        raise UnknownIdError(f"no invoice {invoice_id!r}", next_step="See 'gw invoice list'.")
    return invoice_from(text)


def _correctable(connection: Connection, invoice_id: str) -> Correctable:
    invoice = _invoice(connection, invoice_id)
    notes = select(invoices.c.document).where(invoices.c.corrects == invoice_id)
    before = connection.execute(notes.order_by(invoices.c.invoice_id)).scalars()
    notes_before = tuple(map(invoice_from, before))
    return Correctable(invoice, notes_before, _agreed(connection, ""))


def _keep_invoices(connection: Connection, made: Collection[Invoice]) -> None:
    rows = []
    for invoice in made:
        text = invoice_text(invoice)
        rows.append(
            {
                "invoice_id": invoice.invoice_id,
                "organisation_id": invoice.organisation_id,
                "month": invoice.month,
                "corrects": invoice.corrects,
                "total_micro_usd": invoice.total_micro_usd,
                "document": text,
                "digest": digest_of(text),
            }
        )
    if rows:
        connection.execute(insert(invoices), rows)


def _keep_returns(connection: Connection, notes: Collection[Invoice]) -> None:
    """What credit notes give back to contract items."""
    returns = [
        {"note_id": note.invoice_id, "item_id": item_id, "amount_micro_usd": amount}
        for note in notes
        for item_id, amount in returns_of(note).items()
    ]
    if returns:
        connection.execute(insert(contract_returns), returns)


if TYPE_CHECKING:
    _KEEPS_THE_CONTRACT: type[BillingBook] = SqlBilling
