"""Sign-in of the console: which ways there are, and a session for who shows an API key.

Like the pages of login, these are no operations and stand in no document: programs send keys.
"""

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool

from gigawatt.api.cookies import browser_of, refuse_foreign_sign_in, set_cookie
from gigawatt.api.problems import answer_to, request_id_of
from gigawatt.api.route import FAILURE_COST, address_of, service_of
from gigawatt.app.key_session import begin_key_session
from gigawatt.errors import GigawattError, MediaTypeError, UnauthenticatedError
from gigawatt.identity.permissions import Caller
from gigawatt.interfaces.call_audit import AuditEntry
from gigawatt.sdk import documents as doc
from gigawatt.sdk.calls import BASE

WAYS_PATH = f"{BASE}/login/ways"
KEY_PATH = f"{BASE}/login/key"


class ShownKey(doc.Request):
    """An API key that somebody signs in with."""

    key: doc.Line


def add_sign_in(app: FastAPI) -> None:
    """Serve both."""
    app.add_api_route(WAYS_PATH, _ways, include_in_schema=False)
    app.add_api_route(KEY_PATH, _sign_in, methods=["POST"], include_in_schema=False)


def _ways(request: Request) -> Response:
    """How people may sign in here."""
    return JSONResponse({"has_openid": service_of(request).login is not None})


async def _sign_in(request: Request, body: ShownKey) -> Response:
    """A session for who shows a key: a new one, whatever cookie the browser had."""
    service, address = service_of(request), address_of(request)
    try:
        service.sign_in_rate.take(address)
        refuse_foreign_sign_in(request)
        # A form of another site can post no JSON without being asked whether it may.
        if not request.headers.get("Content-Type", "").startswith("application/json"):
            raise MediaTypeError("a sign-in is sent as 'application/json'")
        caller, cookie = await run_in_threadpool(
            begin_key_session, service, body.key.strip(), browser_of(request)
        )
    except GigawattError as error:
        if isinstance(error, UnauthenticatedError):
            service.sign_in_rate.take(address, FAILURE_COST)
            error.next_step = (
                "Copy the whole key, from 'gw_' to its end; 'gw key create' makes one."
            )
        return answer_to(request, error)
    await run_in_threadpool(_note, request, caller)
    response = Response(status_code=204)
    set_cookie(request, response, "gw_session", cookie, is_strict=True)
    return response


def _note(request: Request, caller: Caller) -> None:
    """Write a sign-in into the audit, with the key that was shown."""
    service = service_of(request)
    entry = AuditEntry(
        sequence=0,
        at_s=service.now_s(),
        organisation_id=caller.account.organisation_id,
        account_id=caller.account.account_id,
        key_id=caller.key.key_id,
        operation="sign_in",
        path=KEY_PATH,
        status=204,
        request_id=request_id_of(request),
        client_address=request.client.host if request.client else "",
    )
    service.directory.add_audit(entry)
