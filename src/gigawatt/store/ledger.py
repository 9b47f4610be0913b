"""The ledger's rows: appended in the transaction of what they are about, never changed."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select

from gigawatt.errors import ConflictError, DataError
from gigawatt.market.ledger import Draft, LedgerEntry, Posting, append
from gigawatt.store.billing_schema import closed_months, ledger_entries, ledger_postings

ROWS_AT_ONCE = 1_000
"""Rows held in memory while the ledger is read."""


def closed_month(connection: Connection) -> str:
    """The last month that is closed; empty for none."""
    return str(connection.execute(select(func.max(closed_months.c.month))).scalar_one() or "")


def first_month(connection: Connection) -> str:
    """The first month that was closed; empty for none."""
    return str(connection.execute(select(func.min(closed_months.c.month))).scalar_one() or "")


def last_entry(connection: Connection) -> LedgerEntry | None:
    """The last entry; None while there is none."""
    query = select(ledger_entries).order_by(ledger_entries.c.number.desc()).limit(1)
    row = connection.execute(query).one_or_none()
    return None if row is None else entry_of(row)


def add_entries(connection: Connection, drafts: Sequence[Draft]) -> LedgerEntry | None:
    """Append to the ledger in a write transaction that holds the lock of the generation.

    An entry whose id is there already, saying the same, is not written again. The last entry.

    Raises:
        ConflictError: the id is there and says something else.
        InputError: it does not belong in the books, or its month is closed.
    """
    closed, last = closed_month(connection), last_entry(connection)
    rows: list[dict[str, Any]] = []
    sides: list[dict[str, Any]] = []
    for draft in drafts:
        if _is_there(connection, draft):
            continue
        last = append(last, draft, closed)
        rows.append(_row(last))
        sides += _sides(last)
    if rows:
        connection.execute(insert(ledger_entries), rows)
        connection.execute(insert(ledger_postings), sides)
    return last


def _is_there(connection: Connection, draft: Draft) -> bool:
    found = entry_by_id(connection, draft.entry_id)
    if found is None:
        return False
    if (found.draft.postings, found.draft.memo) != (draft.postings, draft.memo):
        raise ConflictError(
            f"ledger entry {draft.entry_id!r} is in the books and says something else",
            next_step="Take another id, or correct it by another entry.",
        )
    return True


def entry_by_id(connection: Connection, entry_id: str) -> LedgerEntry | None:
    """The entry of a business event; None if there is none."""
    query = select(ledger_entries).where(ledger_entries.c.entry_id == entry_id)
    row = connection.execute(query).one_or_none()
    return None if row is None else entry_of(row)


def _row(entry: LedgerEntry) -> dict[str, Any]:
    draft = entry.draft
    return {
        "number": entry.number,
        "entry_id": draft.entry_id,
        "date": draft.date,
        "memo": draft.memo,
        "currency": draft.currency,
        "postings": json.dumps([[p.account, p.amount_micro_usd] for p in draft.postings]),
        "digest": entry.digest,
    }


def _sides(entry: LedgerEntry) -> list[dict[str, Any]]:
    amounts: dict[str, int] = {}
    for posting in entry.draft.postings:
        amounts[posting.account] = amounts.get(posting.account, 0) + posting.amount_micro_usd
    return [
        {"account": account, "number": entry.number, "amount_micro_usd": amount}
        for account, amount in amounts.items()
    ]


def entry_of(row: Row[Any]) -> LedgerEntry:
    """The entry of a row.

    Raises:
        DataError: it does not read.
    """
    try:
        postings = tuple(Posting(account, amount) for account, amount in json.loads(row.postings))
    except (TypeError, ValueError) as error:
        raise DataError(f"ledger entry {row.number} does not read: {row.postings[:80]!r}") from (
            error
        )
    draft = Draft(row.entry_id, row.date, row.memo, postings, row.currency)
    return LedgerEntry(row.number, draft, row.digest)


def read_entries(connection: Connection) -> Iterator[LedgerEntry]:
    """All of the ledger in order, in pages, so that long books need no long memory."""
    after, columns = 0, ledger_entries.c
    while True:
        query = select(ledger_entries).where(columns.number > after).order_by(columns.number)
        page = connection.execute(query.limit(ROWS_AT_ONCE)).all()
        yield from map(entry_of, page)
        if len(page) < ROWS_AT_ONCE:
            return
        after = page[-1].number
