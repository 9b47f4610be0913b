"""Calls of requests that wait for room."""

from gigawatt.sdk import documents as doc
from gigawatt.sdk.calls.call import Call, path_of, query_of


def create_waiting_request(request: doc.CreateWaitingRequest) -> Call[doc.WaitingRequest]:
    """Keep a place in the queue for a cluster."""
    return Call("POST", path_of("waiting"), doc.WaitingRequest, body=request)


def list_waiting_requests(
    *, with_ended: bool | None = None, cursor: str | None = None, limit: int | None = None
) -> Call[doc.Page[doc.WaitingRequest]]:
    """Requests that the caller sees, newest first."""
    query = query_of(with_ended=with_ended, cursor=cursor, limit=limit)
    return Call("GET", path_of("waiting"), doc.Page[doc.WaitingRequest], query)


def get_waiting_request(waiting_id: str) -> Call[doc.WaitingRequest]:
    """One request, with its place in the queue."""
    return Call("GET", path_of("waiting", waiting_id), doc.WaitingRequest)


def withdraw_waiting_request(waiting_id: str) -> Call[doc.WaitingRequest]:
    """Give the place in the queue up."""
    return Call("POST", path_of("waiting", waiting_id, verb="withdraw"), doc.WaitingRequest)
