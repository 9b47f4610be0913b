"""Double entry: every movement of money has two sides that sum to zero, and nothing is rewritten.

Amounts are whole micro-dollars; a currency is named and never mixed. Entries are numbered without
gaps and each carries the digest of the one before, so that a changed, missing or inserted row is
found. A mistake is mended by another entry. A closed month takes no more.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from hashlib import sha256

from gigawatt.errors import DataError, InputError

AMOUNT_MICRO_USD_MAX = 10**18
"""A million million dollars: beyond it somebody mistook a unit. Ours."""
CURRENCY = "USD"
"""The books' one currency; others are exchanged before they come in, at a rate that is recorded."""
FIRST_DIGEST = "0" * 64
"""What the first entry follows."""

_ACCOUNT = re.compile(r"(Assets|Liabilities|Income|Expenses|Equity)(:[A-Z0-9][A-Za-z0-9-]*)+")


@dataclass(frozen=True, slots=True)
class Posting:
    """One side of an entry; positive is debit. ``account`` is as in beancount: ``Assets:Cash``."""

    account: str
    amount_micro_usd: int


@dataclass(frozen=True, slots=True)
class Draft:
    """An entry before it is in the books.

    Fields:
        entry_id: names the business event: the same id twice is the same entry.
        date: ``YYYY-MM-DD``, UTC, of the event.
        memo: one line.
        postings: two or more, which sum to zero.
    """

    entry_id: str
    date: str
    memo: str
    postings: tuple[Posting, ...]
    currency: str = CURRENCY


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """An entry in the books: its number from 1 without gaps, and its place in the chain."""

    number: int
    draft: Draft
    digest: str


def chain_digest(before: str, number: int, draft: Draft) -> str:
    """Digest of an entry that follows one whose digest is ``before``: SHA-256 in hex."""
    postings = [[p.account, p.amount_micro_usd] for p in draft.postings]
    row = [before, number, draft.entry_id, draft.date, draft.memo, draft.currency, postings]
    return sha256(json.dumps(row, separators=(",", ":")).encode()).hexdigest()


def check_draft(draft: Draft, closed_month: str = "") -> None:
    """Refuse what does not belong in the books.

    Args:
        draft: the entry.
        closed_month: ``YYYY-MM`` up to which, and with which, the books are closed; empty for none.

    Raises:
        InputError: the reason, with the entry's id.
    """
    reason = _reason(draft, closed_month)
    if reason is not None:
        raise InputError(f"ledger entry {draft.entry_id!r}: {reason}")


def _reason(draft: Draft, closed_month: str) -> str | None:
    month = draft.date[:7]
    if draft.currency != CURRENCY:
        return f"its currency is {draft.currency!r}, the books are in {CURRENCY}"
    if not _is_date(draft.date):
        return f"its date is {draft.date!r}, wanted YYYY-MM-DD"
    if month <= closed_month:
        return f"it is of {month}, and the books are closed up to {closed_month}; correct it later"
    return _postings_reason(draft.postings)


def _is_date(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def _postings_reason(postings: Sequence[Posting]) -> str | None:
    if len(postings) < 2:
        return f"it has {len(postings)} postings, wanted two or more"
    for posting in postings:
        if not _ACCOUNT.fullmatch(posting.account):
            return f"{posting.account!r} is no account; wanted e.g. Assets:Receivable:Org-1"
        if not 0 < abs(posting.amount_micro_usd) <= AMOUNT_MICRO_USD_MAX:
            return f"{posting.account} moves {posting.amount_micro_usd} micro-USD"
    total = sum(posting.amount_micro_usd for posting in postings)
    return f"its postings sum to {total} micro-USD, wanted 0" if total else None


def append(last: LedgerEntry | None, draft: Draft, closed_month: str = "") -> LedgerEntry:
    """The entry that follows ``last`` (None: the books are empty).

    Raises:
        InputError: it does not belong in the books.
    """
    check_draft(draft, closed_month)
    number = 1 if last is None else last.number + 1
    before = FIRST_DIGEST if last is None else last.digest
    return LedgerEntry(number, draft, chain_digest(before, number, draft))


def reversal(entry: LedgerEntry, on: str, memo: str) -> Draft:
    """The entry that takes another back; both stay in the books."""
    postings = tuple(Posting(p.account, -p.amount_micro_usd) for p in entry.draft.postings)
    return Draft(f"{entry.draft.entry_id}/reversed", on, memo, postings)


def check_books(entries: Iterable[LedgerEntry]) -> LedgerEntry | None:
    """The last entry of books that are whole; None if they are empty.

    Raises:
        DataError: an entry is changed, missing, inserted, doubled or does not balance; which.
    """
    last: LedgerEntry | None = None
    seen: set[str] = set()
    for entry in entries:
        number = 1 if last is None else last.number + 1
        before = FIRST_DIGEST if last is None else last.digest
        if entry.number != number:
            raise DataError(f"the ledger goes from entry {number - 1} to {entry.number}")
        if entry.digest != chain_digest(before, number, entry.draft):
            raise DataError(f"ledger entry {number} is not as it was written, or one before it")
        if entry.draft.entry_id in seen:
            raise DataError(f"ledger entry {number}: {entry.draft.entry_id!r} was there before")
        try:
            check_draft(entry.draft)
        except InputError as error:
            raise DataError(f"ledger entry {number} is none: {error}") from error
        seen.add(entry.draft.entry_id)
        last = entry
    return last


def balances(entries: Iterable[LedgerEntry]) -> dict[str, int]:
    """Balance of every account in micro-USD, by name; those of zero too. They sum to zero."""
    found: Counter[str] = Counter()
    for entry in entries:
        for posting in entry.draft.postings:
            found[posting.account] += posting.amount_micro_usd
    return dict(sorted(found.items()))


def to_beancount(entries: Sequence[LedgerEntry]) -> str:
    """The books in the language of beancount, which checks them for itself."""
    lines = [f'option "operating_currency" "{CURRENCY}"', ""]
    first: dict[str, str] = {}
    for entry in entries:
        for posting in entry.draft.postings:
            since = first.get(posting.account, entry.draft.date)
            first[posting.account] = min(since, entry.draft.date)
    lines += [f"{since} open {account} {CURRENCY}" for account, since in sorted(first.items())]
    for entry in entries:
        memo = entry.draft.memo.replace("\\", "\\\\").replace('"', '\\"')
        lines += ["", f'{entry.draft.date} * "{memo}"']
        lines += [f'  number: "{entry.number}"', f'  digest: "{entry.digest}"']
        lines += [f"  {p.account}  {_decimal(p.amount_micro_usd)}" for p in entry.draft.postings]
    return "\n".join(lines) + "\n"


def _decimal(amount_micro_usd: int) -> str:
    whole, part = divmod(abs(amount_micro_usd), 1_000_000)
    sign = "-" if amount_micro_usd < 0 else ""
    return f"{sign}{whole}.{part:06d} {CURRENCY}"
