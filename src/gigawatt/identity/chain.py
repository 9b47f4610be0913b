"""The hash chain of the audit: every row's hash covers its content and the hash before it.

Who changes, removes or moves a row breaks the chain there. Who can write the whole database could
compute the chain anew from there on; that is found by comparing with a head that was kept
elsewhere, an anchor (ADR-0028 says what is found and what is not).
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256

GENESIS = "0" * 64
"""What stands before the first row."""


@dataclass(frozen=True, slots=True)
class Anchor:
    """A row's sequence number and hash, kept outside of the database."""

    sequence: int
    entry_hash: str


@dataclass(frozen=True, slots=True)
class ChainedRow:
    """A row as the database has it; ``content`` is all that its hash covers."""

    sequence: int
    content: Mapping[str, object]
    previous_hash: str | None
    entry_hash: str | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check of the chain found.

    Fields:
        checked_count: rows whose hash was computed again.
        last: the last row that is sound, None if there is none.
        broken_sequence: sequence number of the first row that is not as it was written, or is
            missing; None if none was found.
        reason: what is wrong with it, empty if nothing is.
    """

    checked_count: int
    last: Anchor | None
    broken_sequence: int | None = None
    reason: str = ""

    @property
    def is_sound(self) -> bool:
        """Whether nothing was found."""
        return self.broken_sequence is None


def link(previous_hash: str, content: Mapping[str, object]) -> str:
    """SHA-256 in hex over the hash before and the content as canonical JSON.

    Canonical: keys sorted, no blanks, ASCII only, floats in the shortest form that reads back
    as the same number (RFC 8785 asks for the same of a number).

    Example:
        >>> link(GENESIS, {"b": 1.0, "a": None})[:12]
        'ccb1a28102f5'
    """
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return sha256(f"{previous_hash}\n{text}".encode()).hexdigest()


def check_rows(rows: Iterable[ChainedRow], after: Anchor) -> Verdict:
    """Follow a chain from a row that is trusted, and stop at the first row that is broken.

    Args:
        rows: those after ``after``, by sequence number.
        after: the row before the first of them; ``GENESIS`` stands before the very first.
    """
    last, count = after, 0

    def broken(sequence: int, reason: str) -> Verdict:
        return Verdict(count, last if count or after.sequence else None, sequence, reason)

    for row in rows:
        expected = last.sequence + 1
        if row.sequence != expected:
            return broken(expected, f"row {expected} is missing: row {row.sequence} comes next")
        if row.entry_hash is None:
            return broken(expected, f"row {expected} has no hash")
        if row.previous_hash != last.entry_hash:
            return broken(expected, f"row {expected} does not follow the row before it")
        if link(last.entry_hash, row.content) != row.entry_hash:
            return broken(expected, f"row {expected} is not as it was written")
        last, count = Anchor(row.sequence, row.entry_hash), count + 1
    return Verdict(count, last)


def compare(verdict: Verdict, head: Anchor, source: str) -> Verdict:
    """A sound verdict over all rows, held against a head; it ends where ``head`` says it does.

    Args:
        verdict: of a check that reached the last row.
        head: what the last row should be.
        source: who says so, for the sentence.
    """
    last = verdict.last
    if not verdict.is_sound or last is None or last == head:
        return verdict
    if last.sequence < head.sequence:
        reason = f"row {last.sequence + 1} is missing: {source} knows row {head.sequence}"
        return Verdict(verdict.checked_count, last, last.sequence + 1, reason)
    if last.sequence > head.sequence:
        reason = (
            f"row {head.sequence + 1} was added behind row {head.sequence}, where {source} ends"
        )
        return Verdict(verdict.checked_count, last, head.sequence + 1, reason)
    reason = f"row {head.sequence} has another hash than {source} knows"
    return Verdict(verdict.checked_count, last, head.sequence, reason)
