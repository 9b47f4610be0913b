"""The route class of every operation: authenticate, limit, replay, judge, audit; in this order."""

import hashlib
import json
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from typing_extensions import override

from gigawatt.api.access import Access, get_access
from gigawatt.api.cookies import cookie_of, refuse_other_sites
from gigawatt.api.problems import answer_to, request_id_of
from gigawatt.app.service import Service
from gigawatt.app.watch.context import note_caller
from gigawatt.app.watch.redaction import redact
from gigawatt.errors import (
    GigawattError,
    InputError,
    MediaTypeError,
    UnauthenticatedError,
)
from gigawatt.identity.permissions import Caller
from gigawatt.interfaces.call_audit import AuditEntry
from gigawatt.interfaces.directory import KeptAnswer

IDEMPOTENCY_KEY_LENGTH_MAX = 255
"""Source: docs.stripe.com, "Idempotent requests"."""

FAILURE_COST = 10.0
"""Requests that one failed authentication costs its address, so that guessing is slow. Ours."""

PASSING = frozenset({401, 409, 412, 429, 500, 502, 503, 507})
"""Answers that time can cure; they are not kept, so that the same request may be tried again."""

SHOWN_ONCE = {
    "create_api_key": "key",
    "rotate_api_key": "key",
    "create_invitation": "link",
    "rotate_s3_key": "secret_access_key",
}
"""Field of an operation's answer that is a secret; the answer is kept without it."""

STORING_NOTHING = frozenset({
    "compute_chain", "compute_fleet_chain", "compute_gpu_hour", "compute_life", "compute_index",
    "compute_underwriting",
})  # fmt: skip
"""Operations that change nothing: repeating one is harmless, so no answer of theirs is kept."""

JSON_MEDIA_TYPES = frozenset({
    "application/json", "", "application/cloudevents+json", "application/cloudevents-batch+json",
})  # fmt: skip
"""How JSON may be called; the last two are of the CloudEvents JSON format."""

_log = logging.getLogger("gigawatt.api")

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


def service_of(request: Request) -> Service:
    """The service that an application serves."""
    service = request.app.state.service
    assert isinstance(service, Service), "the application was built for a service"
    return service


def bearer_of(request: Request) -> str:
    """The key in the Authorization header.

    Raises:
        UnauthenticatedError: there is none.
    """
    kind, _, key = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() != "bearer" or not key:
        raise UnauthenticatedError("the request carries no API key")
    return key.strip()


def address_of(request: Request) -> str:
    """Where a request comes from, for limits."""
    return f"address {request.client.host if request.client else '-'}"


async def authenticated(
    request: Request, key_of: Callable[[Request], str], *, takes_cookies: bool
) -> Caller:
    """Who calls, by the key that ``key_of`` finds, or without one by the cookie of a session.

    Raises:
        ForbiddenError: another site may have made the request with a person's cookie.
        UnauthenticatedError: no key or session, or one that is not in force.
        RateError: too many requests by this key, or too many failures from this address.
    """
    service, address = service_of(request), address_of(request)
    cookie = cookie_of(request) if takes_cookies else None
    try:
        if cookie is None:
            caller = await run_in_threadpool(service.authenticate, key_of(request))
        else:
            caller = await run_in_threadpool(service.authenticate_session, cookie)
            refuse_other_sites(request, cookie)
    except UnauthenticatedError:
        service.rate.take(address, FAILURE_COST)
        raise
    service.rate.take(caller.key.key_id)
    return caller


def renewal_of(request: Request) -> Callable[[], Caller]:
    """What says who calls as long as key or session is in force, for an answer that goes on.

    It does not prolong the session: an open page is no person.

    Raises:
        UnauthenticatedError: the request carries nothing.
    """
    service, cookie = service_of(request), cookie_of(request)
    if cookie is not None:
        return lambda: service.authenticate_session(cookie, is_use=False)
    key = bearer_of(request)
    return lambda: service.authenticate(key)


class OpenRoute(APIRoute):
    """A route for those who have nothing to show yet; limited by address."""

    def limit(self, request: Request) -> None:
        """Refuse an address that asks too often.

        Raises:
            RateError: it does.
        """
        login = service_of(request).login
        if login is not None:
            login.rate.take(address_of(request))

    @override
    def get_route_handler(self) -> Handler:
        inner = super().get_route_handler()

        async def limited(request: Request) -> Response:
            try:
                self.limit(request)
                _check_media_type(request)
                _refuse_nul(request)
                return await inner(request)
            except (GigawattError, RequestValidationError, HTTPException) as error:
                return answer_to(request, error)
            except Exception as error:  # noqa: BLE001 - the last line: a bug becomes an answer
                return answer_to(request, error)

        return limited


class SignedRoute(OpenRoute):
    """A route for those who sign what they send: only what is not signed well costs them."""

    @override
    def limit(self, request: Request) -> None:
        """Nothing: checking a signature is as cheap as counting."""


class GuardedRoute(APIRoute):
    """A route that nobody passes unseen.

    Another door is a subclass: it may find keys elsewhere, and answer errors in another form.
    """

    keeps_answers = True
    """Whether an Idempotency-Key is heeded."""
    takes_cookies = True
    """Whether a session's cookie stands for a key."""

    def key_of(self, request: Request) -> str:
        """The API key in a request.

        Raises:
            UnauthenticatedError: there is none.
        """
        return bearer_of(request)

    def access_of(self, request: Request, caller: Caller, operation: str) -> Access:
        """The right of a request to an operation."""
        return Access(service_of(request), caller, operation)

    def answer(self, request: Request, error: Exception) -> Response:
        """An error in the form of this door."""
        return answer_to(request, error)

    def admit(self, request: Request, caller: Caller) -> None:
        """Refuse what this door refuses beside the rest; ours refuses nothing more."""

    @override
    def get_route_handler(self) -> Handler:
        inner = super().get_route_handler()
        operation = self.operation_id
        assert operation is not None, f"{self.path} needs an operation id"

        async def guarded(request: Request) -> Response:
            caller = None
            carry_out = _once if self.keeps_answers else _judged
            try:
                caller = await authenticated(request, self.key_of, takes_cookies=self.takes_cookies)
                note_caller(caller.account.account_id)
                request.state.access = self.access_of(request, caller, operation)
                self.admit(request, caller)
                _check_media_type(request)
                _refuse_nul(request)
                response = await carry_out(request, inner)
            except (GigawattError, RequestValidationError, HTTPException) as error:
                response = self.answer(request, error)
            except Exception as error:  # noqa: BLE001 - the last line: a bug becomes an answer
                response = self.answer(request, error)
            if request.method != "GET" and caller is not None:
                await run_in_threadpool(_audit, request, caller, operation, response.status_code)
            return response

        return guarded


def _check_media_type(request: Request) -> None:
    """JSON, or no word at all: some clients send JSON without saying so."""
    said = request.headers.get("Content-Type", "application/json").partition(";")[0].strip()
    if said.lower() not in JSON_MEDIA_TYPES:
        raise MediaTypeError(f"the content type is {said[:80]!r}, wanted 'application/json'")


def _refuse_nul(request: Request) -> None:
    """No id holds the character NUL, and PostgreSQL cannot even be asked for one."""
    if "\0" in request.url.path or "%00" in str(request.url):
        raise InputError("the address holds the character NUL")


async def _judged(request: Request, inner: Handler) -> Response:
    response = await inner(request)
    access: Access = request.state.access
    assert access.is_judged, f"{access.operation} answered without asking who may"
    return response


async def _once(request: Request, inner: Handler) -> Response:
    """Carry a request out, or give the answer that was kept for it."""
    key = request.headers.get("Idempotency-Key")
    access: Access = request.state.access
    if request.method != "POST" or key is None or access.operation in STORING_NOTHING:
        return await _judged(request, inner)
    if not 1 <= len(key) <= IDEMPOTENCY_KEY_LENGTH_MAX or not key.isprintable():
        raise InputError(f"Idempotency-Key has {len(key)} characters, wanted 1 to 255 printable")
    service, account_id = access.service, access.caller.account.account_id
    digest = hashlib.sha256()
    for part in (request.method, request.url.path, request.url.query):
        digest.update(part.encode() + b"\0")
    digest.update(await request.body())
    whole = hashlib.sha256(f"{account_id}\0{key}\0{digest.hexdigest()}".encode())
    access.repeat_key = whole.hexdigest()
    drawn, answer = service.new_try(), None
    service.tries.add(drawn.holder)
    try:
        found = await run_in_threadpool(
            service.directory.open_request,
            account_id,
            key,
            digest.hexdigest(),
            drawn,
            service.now_s(),
        )
        if isinstance(found, KeptAnswer):
            again = {**found.headers, "Idempotent-Replayed": "true"}
            return Response(found.body, found.status, again)
        access.opened = found
        try:
            response = await _answered(request, inner)
            answer = _kept(response, access.operation)
        finally:
            await run_in_threadpool(
                service.directory.close_request, account_id, key, drawn.holder, answer
            )
    finally:
        service.tries.discard(drawn.holder)
    return response


async def _answered(request: Request, inner: Handler) -> Response:
    try:
        return await _judged(request, inner)
    except (GigawattError, RequestValidationError, HTTPException) as error:
        return answer_to(request, error)


def _kept(response: Response, operation: str) -> KeptAnswer | None:
    if response.status_code in PASSING:
        return None
    body = bytes(response.body).decode()
    if operation in SHOWN_ONCE and response.status_code < 400:
        body = json.dumps({**json.loads(body), SHOWN_ONCE[operation]: None})
    names = ("Content-Type", "ETag", "Location")
    headers = {name: response.headers[name] for name in names if name in response.headers}
    return KeptAnswer(response.status_code, headers, body)


def _audit(request: Request, caller: Caller, operation: str, status: int) -> None:
    service, access = service_of(request), get_access(request)
    entry = AuditEntry(
        sequence=0,
        at_s=service.now_s(),
        organisation_id=caller.account.organisation_id,
        account_id=caller.account.account_id,
        key_id=caller.key.key_id,
        operation=operation,
        path=redact(request.url.path)[:500],
        status=status,
        request_id=request_id_of(request),
        client_address=request.client.host if request.client else "",
        before=access.before if status < 400 else None,
        after=access.after if status < 400 else None,
    )
    row = service.directory.add_audit(entry)
    # Wherever logs are kept, they anchor the chain.
    facts = {"audit_sequence": row.sequence, "audit_hash": row.entry_hash}
    _log.info("audit row %d", row.sequence, extra=facts)
