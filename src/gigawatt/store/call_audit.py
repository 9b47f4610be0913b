"""``SqlCallAudit``: the audit of calls as a hash chain (ADR-0028)."""

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Row, func, insert, select, update

from gigawatt.errors import DataError, InputError
from gigawatt.identity.accounts import AccountId, ApiKeyId, OrganisationId
from gigawatt.identity.chain import GENESIS, Anchor, ChainedRow, Verdict, check_rows, compare, link
from gigawatt.identity.changed import change_text
from gigawatt.interfaces.call_audit import AuditEntry, AuditHead, CallAudit
from gigawatt.store.call_audit_schema import CHAIN, audit_heads
from gigawatt.store.database import Database
from gigawatt.store.directory_schema import audit_entries
from gigawatt.store.store import SqlStore

ROWS_AT_ONCE = 1_000
"""Rows held in memory while the chain is checked."""

_HASHES = frozenset({"previous_hash", "entry_hash"})


def _head(connection: Connection, *, lock: bool = False) -> AuditHead:
    query = select(audit_heads).where(audit_heads.c.name == CHAIN)
    row = connection.execute(query.with_for_update() if lock else query).one_or_none()
    if row is None:
        raise DataError(
            "the audit has lost the head of its chain",
            next_step="Somebody removed it; compare the store with a backup.",
        )
    return AuditHead(row.first_sequence, Anchor(row.sequence, row.entry_hash))


def append(connection: Connection, entry: AuditEntry) -> Anchor:
    """Append a call to the chain; its place there, which ``entry`` need not know.

    Raises:
        DataError: the chain has lost its head.
    """
    head = _head(connection, lock=True)
    content = {
        "sequence": head.last.sequence + 1,
        "at_s": float(entry.at_s),
        "organisation_id": entry.organisation_id,
        "account_id": entry.account_id,
        "key_id": entry.key_id,
        "operation": entry.operation,
        "path": entry.path.replace("\0", "\N{REPLACEMENT CHARACTER}"),
        "status": entry.status,
        "request_id": entry.request_id,
        "client_address": entry.client_address,
        "before": change_text(entry.before),
        "after": change_text(entry.after),
    }
    made = Anchor(head.last.sequence + 1, link(head.last.entry_hash, content))
    hashes = {"previous_hash": head.last.entry_hash, "entry_hash": made.entry_hash}
    connection.execute(insert(audit_entries), {**content, **hashes})
    connection.execute(
        update(audit_heads)
        .where(audit_heads.c.name == CHAIN)
        .values(sequence=made.sequence, entry_hash=made.entry_hash)
    )
    return made


def _document(text: str | None) -> Mapping[str, Any] | None:
    return None if text is None else dict(json.loads(text))


def read_page(
    connection: Connection, organisation_id: OrganisationId, before: int, limit: int
) -> tuple[AuditEntry, ...]:
    """Calls of an organisation's accounts, newest first, before a sequence number."""
    columns = audit_entries.c
    query = (
        select(audit_entries)
        .where(columns.organisation_id == organisation_id, columns.sequence < before)
        .order_by(columns.sequence.desc())
        .limit(limit)
    )
    return tuple(
        AuditEntry(
            sequence=row.sequence,
            at_s=row.at_s,
            organisation_id=organisation_id,
            account_id=None if row.account_id is None else AccountId(row.account_id),
            key_id=None if row.key_id is None else ApiKeyId(row.key_id),
            operation=row.operation,
            path=row.path,
            status=row.status,
            request_id=row.request_id,
            client_address=row.client_address or "",
            before=_document(row.before),
            after=_document(row.after),
            entry_hash=row.entry_hash or "",
        )
        for row in connection.execute(query)
    )


def _chained(row: Row[Any]) -> ChainedRow:
    fields = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for a row as a mapping
    content = {name: value for name, value in fields.items() if name not in _HASHES}
    return ChainedRow(row.sequence, content, row.previous_hash, row.entry_hash)


def _rows(connection: Connection, after: int, count_max: int) -> Iterator[ChainedRow]:
    """Rows behind one, in pages, so that a long audit needs no long memory."""
    left, columns = count_max, audit_entries.c
    while left > 0:
        query = select(audit_entries).where(columns.sequence > after).order_by(columns.sequence)
        page = connection.execute(query.limit(min(left, ROWS_AT_ONCE))).all()
        yield from map(_chained, page)
        if len(page) < ROWS_AT_ONCE:
            return
        after, left = page[-1].sequence, left - len(page)


def _hash_of(connection: Connection, sequence: int) -> str | None:
    query = select(audit_entries.c.entry_hash).where(audit_entries.c.sequence == sequence)
    return connection.execute(query).scalar_one_or_none()


class SqlCallAudit:
    """The audit of calls in a store's database; every method is what ``CallAudit`` says of it."""

    def __init__(self, database: Database) -> None:
        """Serve from a database that has the tables."""
        self._database = database

    def head(self) -> AuditHead:
        """Where the chain is now."""
        with self._database.read() as connection:
            return _head(connection)

    def verify(self, *, after: int, count_max: int, anchor: Anchor | None) -> Verdict:
        """Compute hashes again, in one consistent read, up to the first broken row."""
        with self._database.read() as connection:
            head = _head(connection)
            start = _start(connection, head, after)
            earlier = _hidden(connection, head)
            if earlier is not None:
                return Verdict(0, None, earlier, f"row {earlier} is of the chain, before its start")
            found = check_rows(_rows(connection, start.sequence, count_max), start)
            if not found.is_sound:
                return found
            if anchor is not None and _hash_of(connection, anchor.sequence) != anchor.entry_hash:
                return _against(connection, found, anchor)
            if found.checked_count == count_max:
                return found
            return compare(found, head.last, "the head of the chain")


def _start(connection: Connection, head: AuditHead, after: int) -> Anchor:
    """The row to start behind."""
    if after < head.first_sequence:
        return Anchor(head.first_sequence - 1, GENESIS)
    entry_hash = _hash_of(connection, after)
    if entry_hash is None:
        raise InputError(f"the audit's chain has no row {after}", next_step="Start from 0.")
    return Anchor(after, entry_hash)


def _hidden(connection: Connection, head: AuditHead) -> int | None:
    """A row with a hash before the first one: somebody moved the start of the chain."""
    columns = audit_entries.c
    query = select(func.min(columns.sequence)).where(
        columns.sequence < head.first_sequence, columns.entry_hash.is_not(None)
    )
    found = connection.execute(query).scalar_one()
    return None if found is None else int(found)


def _against(connection: Connection, found: Verdict, anchor: Anchor) -> Verdict:
    """The verdict when the row of an anchor is missing or has another hash."""
    newest = int(connection.execute(select(func.max(audit_entries.c.sequence))).scalar_one() or 0)
    at = min(anchor.sequence, newest)
    last = Anchor(at, _hash_of(connection, at) or GENESIS)
    verdict = compare(Verdict(found.checked_count, last), anchor, "the anchor")
    assert not verdict.is_sound, "the anchor's row differs"
    return verdict


def open_call_audit(store: SqlStore) -> SqlCallAudit:
    """The audit of calls in a store's database."""
    return SqlCallAudit(store.database)


if TYPE_CHECKING:
    _KEEPS_THE_CONTRACT: type[CallAudit] = SqlCallAudit
