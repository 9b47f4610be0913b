"""The route class of this door: the other's guard, with Lambda's keys, errors and limits."""

from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Callable
from typing import Any, TypeVar

from fastapi import APIRouter, Request, Response
from typing_extensions import override

from gigawatt.api.lambda_cloud.access import LambdaAccess
from gigawatt.api.lambda_cloud.documents import FailureAnswer
from gigawatt.api.lambda_cloud.errors import answer_to
from gigawatt.api.route import GuardedRoute, bearer_of, service_of
from gigawatt.errors import UnauthenticatedError
from gigawatt.identity.permissions import Caller

F = TypeVar("F", bound=Callable[..., Any])

LAUNCH = "launch_lambda_instance"
"""The operation that Lambda limits by itself."""


def key_in(request: Request) -> str:
    """The API key in a request: as a bearer, or as the user of Basic without a password.

    Raises:
        UnauthenticatedError: there is none.
    """
    kind, _, said = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() != "basic":
        return bearer_of(request)
    try:
        user, _, password = b64decode(said.strip(), validate=True).decode().partition(":")
    except (Base64Error, UnicodeDecodeError):
        user, password = "", ""
    if not user or password:
        raise UnauthenticatedError("Basic authentication wants the API key as user, no password")
    return user


class LambdaRoute(GuardedRoute):
    """A guarded route of this door. It knows no idempotency keys: Lambda has none."""

    keeps_answers = False
    takes_cookies = False

    @override
    def key_of(self, request: Request) -> str:
        return key_in(request)

    @override
    def access_of(self, request: Request, caller: Caller, operation: str) -> LambdaAccess:
        return LambdaAccess(service_of(request), caller, operation)

    @override
    def answer(self, request: Request, error: Exception) -> Response:
        return answer_to(request, error)

    @override
    def admit(self, request: Request, caller: Caller) -> None:
        settings = service_of(request).lambda_settings
        if settings.rate is not None:
            settings.rate.take(caller.key.key_id)
        if settings.launch_rate is not None and self.operation_id == LAUNCH:
            settings.launch_rate.take(caller.key.key_id)


def new_router() -> APIRouter:
    """A router whose routes are all guarded."""
    described = {"description": "An error.", "model": FailureAnswer}
    return APIRouter(tags=["lambda"], route_class=LambdaRoute, responses={"default": described})


def operation(router: APIRouter, method: str, path: str) -> Callable[[F], F]:
    """A decorator that serves a function at a path of this door; what is None is left out."""

    def register(handler: F) -> F:
        summary = (handler.__doc__ or "").partition("\n")[0].rstrip(".")
        router.add_api_route(
            path,
            handler,
            methods=[method],
            operation_id=handler.__name__,
            summary=summary,
            response_model_exclude_none=True,
        )
        return handler

    return register
