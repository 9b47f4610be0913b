"""Sessions of people who logged in with a browser."""

from fastapi import Request, Response

from gigawatt.api.access import Allowed
from gigawatt.api.cookies import drop_cookie
from gigawatt.api.grants import refuse_climb
from gigawatt.api.paging import Cursor, Limit, page_of, text_place
from gigawatt.api.routing import new_router, operation
from gigawatt.api.views import session_document
from gigawatt.errors import ConflictError
from gigawatt.identity.permissions import MANAGERS
from gigawatt.identity.sessions import Session
from gigawatt.sdk import documents as doc

router = new_router("identity")


@operation(router, "GET", "/sessions")
def list_sessions(
    access: Allowed, cursor: Cursor = None, limit: Limit = 100
) -> doc.Page[doc.Session]:
    """Sessions of the organisation for its owners and operators, one's own for others."""
    access.permit()
    service, account = access.service, access.caller.account
    is_manager = account.role in MANAGERS and access.caller.key.project_id is None
    found = service.sessions.sessions(
        account.organisation_id,
        None if is_manager else account.account_id,
        text_place(cursor),
        limit + 1,
    )
    idle_s = service.idle_s_max
    return page_of(
        found, limit, lambda row: row.session_id, lambda row: session_document(row, idle_s)
    )


@operation(router, "DELETE", "/sessions/{session_id}", 204)
def end_session(session_id: str, access: Allowed) -> Response:
    """End a session at once."""
    session, account = access.session(session_id)
    refuse_climb(access, account.role)
    access.service.sessions.end_session(session.session_id)
    return Response(status_code=204)


@operation(router, "POST", "/logout", 204)
def logout(request: Request, access: Allowed) -> Response:
    """End the session that the request came with."""
    access.permit()
    session = access.caller.key
    if not isinstance(session, Session):
        raise ConflictError(
            "the request came with an API key, which has no session",
            next_step="Revoke the key to end it.",
        )
    access.service.sessions.end_session(session.session_id)
    response = Response(status_code=204, headers={"Clear-Site-Data": '"cache", "storage"'})
    drop_cookie(request, response, "gw_session")
    return response
