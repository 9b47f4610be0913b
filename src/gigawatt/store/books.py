"""Whether the books are as they were written: the ledger, its documents, and its closed months."""

from collections.abc import Iterator, Mapping

from sqlalchemy import Connection, func, select

from gigawatt.errors import DataError
from gigawatt.interfaces.billing import BooksVerdict
from gigawatt.market.invoice import digest_of, invoice_from
from gigawatt.market.ledger import FIRST_DIGEST, LedgerEntry, check_books
from gigawatt.store.billing_schema import closed_months, invoices, ledger_postings
from gigawatt.store.ledger import read_entries


def check(connection: Connection) -> BooksVerdict:
    """What the first look at everything finds, in one consistent read."""
    seen = _Seen()
    try:
        check_books(seen.noted(read_entries(connection)))
        count = _check_documents(connection, seen.memos)
        _check_closed(connection, seen.digests)
        _check_sides(connection, seen.side_count, seen.side_sum)
    except DataError as error:
        count = int(connection.execute(select(func.count()).select_from(invoices)).scalar_one())
        return BooksVerdict(seen.count, count, seen.count, seen.digest, str(error))
    return BooksVerdict(seen.count, count, seen.count, seen.digest)


class _Seen:
    """What is remembered of the entries while they go by."""

    def __init__(self) -> None:
        self.count = 0
        self.digest = FIRST_DIGEST
        self.memos: dict[str, str] = {}
        self.digests: dict[int, str] = {0: FIRST_DIGEST}
        self.side_count = 0
        self.side_sum = 0

    def noted(self, entries: Iterator[LedgerEntry]) -> Iterator[LedgerEntry]:
        for entry in entries:
            yield entry
            self.count, self.digest = entry.number, entry.digest
            self.memos[entry.draft.entry_id] = entry.draft.memo
            self.digests[entry.number] = entry.digest
            sides = {p.account for p in entry.draft.postings}
            self.side_count += len(sides)
            # Weighed by their numbers, because plain amounts sum to zero in any order.
            self.side_sum += sum(
                p.amount_micro_usd * (entry.number + len(p.account)) for p in entry.draft.postings
            )


def _check_documents(connection: Connection, memos: Mapping[str, str]) -> int:
    """Documents have the digest that the ledger has of them; how many there are.

    Raises:
        DataError: one has not, or is gone.
    """
    named = {i.removeprefix("invoice/") for i in memos if i.startswith("invoice/")}
    count = 0
    for row in connection.execute(select(invoices).order_by(invoices.c.invoice_id)):
        digest, count = digest_of(row.document), count + 1
        memo = memos.get(f"invoice/{row.invoice_id}")
        if digest != row.digest or (memo is not None and not memo.endswith(digest)):
            raise DataError(f"invoice {row.invoice_id} is not as it was written")
        found = invoice_from(row.document)
        if (found.total_micro_usd, found.invoice_id, found.organisation_id, found.corrects) != (
            row.total_micro_usd,
            row.invoice_id,
            row.organisation_id,
            row.corrects,
        ):
            raise DataError(f"invoice {row.invoice_id} is filed under what it does not say")
        if memo is None and any(line.amount_micro_usd for line in found.lines):
            raise DataError(f"invoice {row.invoice_id} has no entry in the ledger")
        named.discard(row.invoice_id)
    for name in sorted(named):
        raise DataError(f"invoice {name} is in the ledger, and its document is gone")
    return count


def _check_closed(connection: Connection, digests: Mapping[int, str]) -> None:
    for row in connection.execute(select(closed_months).order_by(closed_months.c.month)):
        if digests.get(row.entry_number) != row.entry_digest:
            raise DataError(
                f"ledger entry {row.entry_number} is not what it was when {row.month} was closed"
            )


def _check_sides(connection: Connection, count: int, weighed: int) -> None:
    rows = connection.execute(select(ledger_postings)).all()
    found = sum(row.amount_micro_usd * (row.number + len(row.account)) for row in rows)
    if (len(rows), found) != (count, weighed):
        raise DataError("the index of accounts does not say what the ledger says")
