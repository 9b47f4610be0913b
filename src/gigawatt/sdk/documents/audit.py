"""Documents of the audit of calls."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from gigawatt.sdk.documents.base import Answer, Request

EntryHash = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class AuditEntry(Answer):
    """One call that changed something, or was refused; ``before`` and ``after`` are what it did.

    ``entry_hash`` is null in rows from before the chain.
    """

    sequence: int
    at: datetime
    account_id: str | None
    key_id: str | None
    operation: str
    path: str
    status: int
    request_id: str
    client_address: str = ""
    before: dict[str, Any] | None = None
    after: dict[str, Any] | None = None
    entry_hash: str | None = None


class AuditHead(Answer):
    """The last row of the chain. Kept elsewhere, it is an anchor: what is cut off later is found.

    ``sequence`` is ``first_sequence`` - 1 while there is no row.
    """

    first_sequence: int
    sequence: int
    entry_hash: str


class AuditAnchor(Request):
    """A head that was kept."""

    sequence: Annotated[int, Field(ge=1, le=1 << 62)]
    entry_hash: EntryHash


class VerifyAudit(Request):
    """Which rows to check: those behind ``after``, at most ``count_max``."""

    after: Annotated[int, Field(ge=0, le=1 << 62)] = 0
    count_max: Annotated[int, Field(ge=1, le=100_000)] = 100_000
    anchor: AuditAnchor | None = None


class AuditVerdict(Answer):
    """What was found; ``broken_sequence`` is the first row that is not as it was written.

    ``last_sequence`` is the last sound row that was seen; with ``is_complete`` false, go on after
    it.
    """

    is_sound: bool
    is_complete: bool
    checked_count: int
    last_sequence: int | None
    broken_sequence: int | None
    reason: str
