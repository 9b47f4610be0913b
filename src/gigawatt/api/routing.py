"""How a handler becomes an operation: its function's name is the operation's id."""

from collections.abc import Callable
from typing import Any, TypeVar

from fastapi import APIRouter, Response

from gigawatt.api.problems import MEDIA_TYPE
from gigawatt.api.route import GuardedRoute, OpenRoute
from gigawatt.sdk.calls import BASE

F = TypeVar("F", bound=Callable[..., Any])

PROBLEMS: dict[int | str, dict[str, Any]] = {
    "default": {
        "description": "A problem, after RFC 9457.",
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
}


def new_router(tag: str) -> APIRouter:
    """A router whose routes are all guarded."""
    return APIRouter(prefix=BASE, tags=[tag], route_class=GuardedRoute, responses=PROBLEMS)


def new_open_router(tag: str, route_class: type[OpenRoute] = OpenRoute) -> APIRouter:
    """A router for those who have nothing to show yet."""
    return APIRouter(prefix=BASE, tags=[tag], route_class=route_class, responses=PROBLEMS)


def operation(
    router: APIRouter, method: str, path: str, status: int = 200, media: str | None = None
) -> Callable[[F], F]:
    """A decorator that serves a function at a path below ``BASE``; ``media`` if it is no JSON."""
    described: dict[str, Any] = {}
    if media is not None:
        schema = {"type": "string", "format": "binary"}
        content = {media: {"schema": schema}}
        described = {
            "responses": {status: {"description": "The file.", "content": content}},
            "response_class": Response,
        }

    def register(handler: F) -> F:
        summary = (handler.__doc__ or "").partition("\n")[0].rstrip(".")
        router.add_api_route(
            path,
            handler,
            methods=[method],
            status_code=status,
            operation_id=handler.__name__,
            summary=summary,
            **described,
        )
        return handler

    return register
