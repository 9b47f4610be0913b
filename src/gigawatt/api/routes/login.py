"""Login: pages for browsers, and the device login for command lines.

The pages are no operations and stand in no document: a browser is sent to them and away again.
"""

from html import escape
from typing import Annotated
from urllib.parse import quote

from fastapi import FastAPI, Query, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.concurrency import run_in_threadpool

from gigawatt.api.console import HEADERS
from gigawatt.api.cookies import browser_of, cookie_in, drop_cookie, set_cookie
from gigawatt.api.problems import STATUS, answer_to, request_id_of
from gigawatt.api.route import address_of, service_of
from gigawatt.api.routing import new_open_router, operation
from gigawatt.api.views import at, key_document
from gigawatt.app.login.login import Login
from gigawatt.app.service import CALLBACK_PATH, Service
from gigawatt.errors import GigawattError, UnknownIdError
from gigawatt.identity.accounts import Account, check_label
from gigawatt.interfaces.call_audit import AuditEntry
from gigawatt.sdk import documents as doc
from gigawatt.sdk.calls import BASE
from gigawatt.units import DAY_S

router = new_open_router("login")

LOGIN_PATH = f"{BASE}/login"

DEVICE_KEY_S_DEFAULT = 7 * DAY_S
"""How long a key from a device login is in force if nobody asks for less. Ours."""


def add_pages(app: FastAPI) -> None:
    """Serve the pages."""
    app.add_api_route(LOGIN_PATH, _begin, include_in_schema=False)
    app.add_api_route(CALLBACK_PATH, _finish, include_in_schema=False)


def login_of(service: Service) -> Login:
    """How people log in.

    Raises:
        UnknownIdError: they cannot; API keys alone are used.
    """
    if service.login is None:
        raise UnknownIdError(
            "people cannot log in here: no login provider is set up",
            next_step="Use an API key; the operator can set a provider up, see docs/identity.md.",
        )
    return service.login


Address = Annotated[str, Query(max_length=4_096)]


async def _begin(request: Request, return_to: Address = "/", invitation: Address = "") -> Response:
    """Send a browser to the provider."""
    try:
        login = login_of(service_of(request))
        login.rate.take(address_of(request))
        url, cookie = await run_in_threadpool(login.begin, return_to, invitation)
    except GigawattError as error:
        return _page(request, error)
    response = RedirectResponse(url, 302)
    set_cookie(request, response, "gw_login", cookie)
    return response


async def _finish(request: Request) -> Response:
    """Take a browser back from the provider."""
    service = service_of(request)
    try:
        login = login_of(service)
        login.rate.take(address_of(request))
        done = await run_in_threadpool(
            login.finish,
            dict(request.query_params),
            cookie_in(request, "gw_login"),
            browser_of(request),
        )
    except GigawattError as error:
        response = _page(request, error)
        if service.login is not None:
            drop_cookie(request, response, "gw_login")
        return response
    await run_in_threadpool(_note_login, request, done.account)
    response = RedirectResponse(quote(done.return_to, safe="/:?&=%#+,;@!$'()*~"), 303)
    set_cookie(request, response, "gw_session", done.cookie)
    drop_cookie(request, response, "gw_login")
    return response


def _note_login(request: Request, account: Account) -> None:
    """Write a login into the audit; the address without what the provider put behind it."""
    service = service_of(request)
    entry = AuditEntry(
        sequence=0,
        at_s=service.now_s(),
        organisation_id=account.organisation_id,
        account_id=account.account_id,
        key_id=None,
        operation="login",
        path=request.url.path,
        status=200,
        request_id=request_id_of(request),
        client_address=request.client.host if request.client else "",
    )
    service.directory.add_audit(entry)


def _page(request: Request, error: GigawattError) -> Response:
    """What went wrong and what to do, for a person; a problem for a program."""
    if "text/html" not in request.headers.get("Accept", ""):
        return answer_to(request, error)
    said = (sentence for sentence in (f"{error}.", error.next_step) if sentence)
    body = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        "<title>You are not signed in · Gigawatt</title>"
        '<link rel="icon" href="/icon.svg"><link rel="stylesheet" href="/plain.css"></head>'
        "<body><main><h1>You are not signed in</h1>"
        f"{''.join(f'<p>{escape(sentence)}</p>' for sentence in said)}"
        f'<p><a href="{LOGIN_PATH}">Log in again</a><a href="/">Other ways to sign in</a></p>'
        f"<small>Request {escape(request_id_of(request))}</small></main></body></html>"
    )
    return HTMLResponse(body, STATUS[type(error)], headers=HEADERS)


@operation(router, "POST", "/login/device")
def start_device_login(request: Request) -> doc.DeviceLogin:
    """Begin a login for a command line: a code to confirm in any browser."""
    begun = login_of(service_of(request)).begin_device()
    return doc.DeviceLogin(
        device_code=begun.device_code,
        user_code=begun.user_code,
        url=begun.url,
        whole_url=begun.whole_url,
        expires_at=at(begun.expires_s),
        interval_s=begun.interval_s,
    )


@operation(router, "POST", "/login/device:finish")
def finish_device_login(body: doc.FinishDeviceLogin, request: Request) -> doc.DeviceLoginResult:
    """Ask whether the code was confirmed; if so, the answer holds an API key, once."""
    service = service_of(request)
    login = login_of(service)
    check_label("a key", body.name)
    found = login.finish_device(body.device_code)
    if isinstance(found, str):
        return doc.DeviceLoginResult(state=found)
    _note_login(request, found)
    now_s = service.now_s()
    key, text = service.new_key(
        found.account_id,
        body.name,
        project_id=found.project_id,
        expires_s=now_s + (body.lifetime_s or DEVICE_KEY_S_DEFAULT),
    )
    return doc.DeviceLoginResult(state="done", key=key_document(key, now_s, text))
