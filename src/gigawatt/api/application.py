"""The ASGI application: the door, the routes, the description of both."""

from collections.abc import Sequence
from importlib import import_module
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from gigawatt import __version__
from gigawatt.api.door import Door
from gigawatt.api.problems import answer_to
from gigawatt.app.server import Service
from gigawatt.errors import GigawattError
from gigawatt.identity.permissions import PERMISSIONS
from gigawatt.sdk.calls import BASE
from gigawatt.sdk.documents import Health, Problem

MODULES = (
    "accounts",
    "fleet",
    "drawings",
    "plans",
    "clusters",
    "file_systems",
    "firewall",
    "operations",
    "events",
    "passes",
    "economics",
)
"""Modules of ``api.routes``, in the order in which their routes are asked."""

_POST_HEADERS = [
    {
        "name": "Idempotency-Key",
        "in": "header",
        "required": False,
        "description": "Repeating a request with the same key gives the same answer.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
    }
]


def all_routers() -> list[APIRouter]:
    """The routers of all modules."""
    return [import_module(f"gigawatt.api.routes.{name}").router for name in MODULES]


def build_application(service: Service, routers: Sequence[APIRouter] | None = None) -> FastAPI:
    """The application over a service; with these routers only, if some are given."""
    app = FastAPI(
        title="Gigawatt",
        version=__version__,
        openapi_url=f"{BASE}/openapi.json",
        docs_url=None,
        redoc_url=None,
        # Clients that send JSON without saying so exist; the route refuses what says it is not.
        strict_content_type=False,
        redirect_slashes=False,
    )
    app.state.service = service
    for router in all_routers() if routers is None else routers:
        app.include_router(router)
    app.add_api_route("/healthz", _healthy, include_in_schema=False)
    app.add_api_route("/readyz", _ready, include_in_schema=False)
    for kind in (GigawattError, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(kind, _answer)
    app.add_middleware(Door)
    app.openapi = lambda: _described(app)  # type: ignore[method-assign]
    return app


async def _answer(request: Request, error: Exception) -> Response:
    return answer_to(request, error)


async def _healthy() -> Health:
    """The process answers."""
    return Health(status="ok")


def _ready(request: Request) -> Response:
    """The store answers and the worker looks for work."""
    service: Service = request.app.state.service
    service.directory.newest_event()
    if service.is_stopping or not service.worker.is_alive:
        return JSONResponse({"status": "not ready"}, 503)
    return JSONResponse({"status": "ok"})


def _described(app: FastAPI) -> dict[str, Any]:
    """OpenAPI 3.1, with our own words for errors and for who may call."""
    if app.openapi_schema is not None:
        return app.openapi_schema
    schema = get_openapi(title=app.title, version=app.version, routes=app.routes)
    components = schema.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    schemas["Problem"] = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    for path in schema["paths"].values():
        for method, described in path.items():
            described["responses"].pop("422", None)
            described["security"] = [{"key": []}]
            roles = sorted(PERMISSIONS[described["operationId"]].roles)
            described["x-roles"] = [role.value for role in roles]
            if method == "post":
                described.setdefault("parameters", []).extend(_POST_HEADERS)
    app.openapi_schema = schema
    return schema
