"""Where a line of the log or a span belongs: the request and the operation of the moment."""

from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from gigawatt.identity.accounts import AccountId
from gigawatt.ids import OperationId, PlanId

REQUEST_ID = "gigawatt.request_id"
"""Where the door puts a request's id."""


@dataclass(slots=True)
class RequestScope:
    """One request while it is served.

    Fields:
        facts: what the server keeps of the request; ``REQUEST_ID`` is put there at the door.
        began_s: Unix seconds.
        operation: id in the permission table, "none" until the request is routed.
        account_id: who calls, empty until that is known; never the key.
        traceparent: what the caller sent in the header of this name, empty if nothing.
        planned: plans that it made.
        touched: plans that it made, checked or committed.
    """

    facts: Mapping[str, Any]
    began_s: float
    operation: str = "none"
    account_id: str = ""
    traceparent: str = ""
    planned: set[PlanId] = field(default_factory=set)
    touched: set[PlanId] = field(default_factory=set)

    @property
    def request_id(self) -> str:
        """Id of the request, empty before the door."""
        return str(self.facts.get(REQUEST_ID, ""))


REQUEST: ContextVar[RequestScope | None] = ContextVar("gigawatt_request", default=None)
"""The request that is being served here, if one is."""


def note_caller(account_id: AccountId) -> None:
    """Say who calls, for the lines and spans of the request that is being served here."""
    scope = REQUEST.get()
    if scope is not None:
        scope.account_id = account_id


OPERATION: ContextVar[tuple[OperationId, PlanId] | None] = ContextVar(
    "gigawatt_operation", default=None
)
"""The operation that is being carried on here, and its plan, if one is."""
