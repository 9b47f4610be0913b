"""What the books of money must offer: contracts, closed months, invoices, and the ledger.

Every method is one transaction, like those of ``Store``, and raises ``DataError`` and
``StorageFullError`` as they do. Nothing that is in the books is changed or removed.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

from gigawatt.identity.accounts import OrganisationId
from gigawatt.market.closing import Closing
from gigawatt.market.contract import ContractItem
from gigawatt.market.invoice import Invoice
from gigawatt.market.ledger import LedgerEntry
from gigawatt.market.product import ProductPrice


@dataclass(frozen=True, slots=True)
class Agreed:
    """What was agreed, as a closing needs it.

    Fields:
        closed_month: the last that is closed; empty for none.
        items: of all organisations and times.
        used: micro-USD of each item that closed months used and credit notes did not give back,
            by its id.
        prices: of products, of all times.
        newest_external: number of the external event of the month asked for that came last, 0 for
            none.
        first_month: the first that was closed; empty for none.
        note_count: credit notes of all organisations and months.
    """

    closed_month: str
    items: tuple[ContractItem, ...]
    used: Mapping[str, int]
    prices: tuple[ProductPrice, ...]
    newest_external: int = 0
    first_month: str = ""
    note_count: int = 0


@dataclass(frozen=True, slots=True)
class ClosedMonth:
    """A month whose invoices are out.

    Fields: entry is the last of the ledger when it was closed: number (0 for none) and digest.
    """

    month: str
    closed_s: float
    invoice_count: int
    total_micro_usd: int
    entry_number: int
    entry_digest: str


@dataclass(frozen=True, slots=True)
class StatementLine:
    """One movement of what an organisation owes; positive is more. ``entry_id``: of the ledger."""

    entry_number: int
    entry_id: str
    date: str
    memo: str
    amount_micro_usd: int


@dataclass(frozen=True, slots=True)
class Correctable:
    """An invoice as a credit note needs it.

    Fields: before are its credit notes, the oldest first; agreed is what was agreed as of the same
    transaction.
    """

    invoice: Invoice
    before: tuple[Invoice, ...]
    agreed: Agreed


@dataclass(frozen=True, slots=True)
class BooksVerdict:
    """What a check of the books found.

    Fields: fault is one sentence that names the row; None if they are as they were written.
    """

    entry_count: int
    invoice_count: int
    last_number: int
    last_digest: str
    fault: str | None = None


class BillingBook(Protocol):
    """The books of money."""

    def agreed(self, month: str = "") -> Agreed:
        """What was agreed until now; ``newest_external`` is of a month if one is named."""
        ...

    def add_item(self, item: ContractItem, now_s: float) -> None:
        """Keep what was agreed.

        Raises:
            InputError: it is none, or its first month is closed.
        """
        ...

    def add_price(self, price: ProductPrice, now_s: float) -> None:
        """Keep a price.

        Raises:
            InputError: it is none, or its first month is closed.
        """
        ...

    def tags(self) -> Mapping[str, str]:
        """What tenants call clusters and file systems in their own books, by id."""
        ...

    def set_tag(self, subject_id: str, tag: str, now_s: float) -> None:
        """Call a cluster or a file system so from the next closing on; empty for nothing.

        Raises:
            InputError: the tag cannot be shown in one line.
        """
        ...

    def close(self, month: str, make: Callable[[Agreed], Closing], now_s: float) -> ClosedMonth:
        """Close a month with what ``make`` says, or give what closed it before.

        ``make`` sees what was agreed as of the same transaction.

        Raises:
            InputError: a later month is closed already, or an entry does not belong in the books.
        """
        ...

    def closings(self) -> tuple[ClosedMonth, ...]:
        """Closed months, the newest first."""
        ...

    def correctable(self, invoice_id: str) -> Correctable:
        """What a credit note of an invoice follows now.

        Raises:
            UnknownIdError: there is no such invoice.
        """
        ...

    def credit(self, invoice_id: str, make: Callable[[Correctable], Invoice]) -> Invoice:
        """Keep a credit note, with its entry.

        Args:
            invoice_id: what it corrects.
            make: the note, from what it follows as of the same transaction.

        Raises:
            UnknownIdError: there is no such invoice.
            InputError: ``make`` refuses.
        """
        ...

    def invoice(self, invoice_id: str) -> Invoice:
        """One invoice or credit note.

        Raises:
            UnknownIdError: there is none.
        """
        ...

    def invoices(
        self,
        organisation_ids: Collection[OrganisationId] | None,
        month: str | None,
        before: str,
        limit: int,
    ) -> tuple[Invoice, ...]:
        """Invoices and credit notes with ids before one, the newest first; None for all."""
        ...

    def statement(self, organisation_id: OrganisationId) -> tuple[StatementLine, ...]:
        """Every movement of what an organisation owes, in the order of the books."""
        ...

    def entries(self) -> tuple[LedgerEntry, ...]:
        """All of the ledger."""
        ...

    def check(self) -> BooksVerdict:
        """Compute every digest again: of the entries, and of the documents that they name."""
        ...
