"""What the audit of calls must offer: append, read, and prove that nothing was changed since."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from gigawatt.identity.accounts import AccountId, ApiKeyId, OrganisationId
from gigawatt.identity.chain import Anchor, Verdict


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One call that changed something, or was refused.

    Fields:
        operation: the id in the permission table.
        status: the HTTP status.
        client_address: network address that the call came from, empty if unknown.
        before, after: what it changed, bounded and without secrets; None where it changed nothing
            that has a document, and ``before`` of what is new, ``after`` of what is gone.
        entry_hash: hash of this row and, through the row before, of all rows before it; empty
            for rows from before the chain began.
    """

    sequence: int
    at_s: float
    organisation_id: OrganisationId | None
    account_id: AccountId | None
    key_id: ApiKeyId | None
    operation: str
    path: str
    status: int
    request_id: str
    client_address: str = ""
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None
    entry_hash: str = ""


@dataclass(frozen=True, slots=True)
class AuditHead:
    """Where the chain is: its first row's number, and its last row.

    ``last.sequence`` is ``first_sequence`` - 1 while there is no row.
    """

    first_sequence: int
    last: Anchor


class CallAudit(Protocol):
    """The audit of calls, as a chain."""

    def head(self) -> AuditHead:
        """Where the chain is now; keep ``last`` elsewhere, and a truncated tail is found.

        Raises:
            DataError: the chain has lost its head.
        """
        ...

    def verify(self, *, after: int, count_max: int, anchor: Anchor | None) -> Verdict:
        """Compute hashes again, in one consistent read, up to the first broken row.

        Args:
            after: check the rows behind this one, whose own hash is then trusted; 0 for all.
            count_max: most rows to check, >= 1; the verdict says where to go on.
            anchor: a row that must be there with this hash.

        Raises:
            DataError: the chain has lost its head.
            InputError: ``after`` names no row of the chain.
        """
        ...
