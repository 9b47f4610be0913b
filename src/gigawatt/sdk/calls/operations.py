"""Calls of operations and events."""

from gigawatt.sdk import documents as doc
from gigawatt.sdk.calls.call import Call, path_of, query_of


def list_operations(
    *, cluster_id: str | None = None, cursor: str | None = None, limit: int | None = None
) -> Call[doc.Page[doc.Operation]]:
    """Operations that the caller sees, newest first."""
    query = query_of(cluster_id=cluster_id, cursor=cursor, limit=limit)
    return Call("GET", path_of("operations"), doc.Page[doc.Operation], query)


def get_operation(operation_id: str) -> Call[doc.Operation]:
    """One operation, with its progress by stage and plane."""
    return Call("GET", path_of("operations", operation_id), doc.Operation)


def cancel_operation(operation_id: str) -> Call[doc.Operation]:
    """Undo a launch or a grow that is under way."""
    return Call("POST", path_of("operations", operation_id, verb="cancel"), doc.Operation)


def list_events(
    wanted: doc.EventFilter | None = None,
    *,
    cluster_id: str | None = None,
    cursor: str | None = None,
    limit: int | None = None,
) -> Call[doc.Page[doc.Event]]:
    """Events that the caller sees, filtered; the other arguments stand above the filter's own."""
    query = {} if wanted is None else wanted.model_dump(mode="json", exclude_none=True)
    query |= query_of(cluster_id=cluster_id, cursor=cursor, limit=limit)
    return Call("GET", path_of("events"), doc.Page[doc.Event], query)
