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
from gigawatt.api.watching import Watched
from gigawatt.app.service import Service
from gigawatt.errors import GigawattError
from gigawatt.identity.permissions import PERMISSIONS, Scope
from gigawatt.sdk.calls import BASE
from gigawatt.sdk.documents import Health, Problem

LAMBDA_BASE = "/api/v1"
"""Where the Lambda-compatible door is mounted: tools of others expect it there."""

MODULES = (
    "accounts",
    "members",
    "tenancy",
    "sessions",
    "login",
    "audit",
    "fleet",
    "drawings",
    "power",
    "stranded",
    "receipts",
    "site",
    "rates",
    "plans",
    "clusters",
    "file_systems",
    "object_doors",
    "firewall",
    "redfish",
    "operations",
    "events",
    "passes",
    "reconciler",
    "economics",
    "waiting",
    "reservations",
    "spot",
    "admission",
    "billing",
    "payments",
    "payment_events",
    "contracts",
    "budgets",
    "usage",
    "utilisation",
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
    if routers is None:
        _add_other_doors(app, service)
    app.add_api_route("/healthz", _healthy, include_in_schema=False)
    app.add_api_route("/readyz", _ready, include_in_schema=False)
    for kind in (GigawattError, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(kind, _answer)
    app.add_middleware(Door, answer=_answer_at)
    app.add_middleware(Watched, service=service)
    app.openapi = lambda: _described(app)  # type: ignore[method-assign]
    return app


def _add_other_doors(app: FastAPI, service: Service) -> None:
    """Login, the console, and the door that speaks Lambda's words; a command needs none."""
    from gigawatt.api.console import add_console  # noqa: PLC0415
    from gigawatt.api.lambda_cloud.application import build_lambda_application  # noqa: PLC0415
    from gigawatt.api.routes import login  # noqa: PLC0415
    from gigawatt.api.sign_in import add_sign_in  # noqa: PLC0415

    login.add_pages(app)
    add_sign_in(app)
    app.mount(LAMBDA_BASE, build_lambda_application(service))
    add_console(app)


async def _answer(request: Request, error: Exception) -> Response:
    return answer_to(request, error)


def _answer_at(request: Request, error: Exception) -> Response:
    """An error of the door, in the form of the part of the site that was asked."""
    if not request.url.path.startswith(f"{LAMBDA_BASE}/"):
        return answer_to(request, error)
    from gigawatt.api.lambda_cloud import errors as lambda_errors  # noqa: PLC0415

    return lambda_errors.answer_to(request, error)


async def _healthy() -> Health:
    """The process answers."""
    return Health(status="ok")


def _ready(request: Request) -> Response:
    """The store answers and the worker looks for work; the store itself is not asked here."""
    service: Service = request.app.state.service
    troubles = service.worker.troubles()
    if service.is_stopping or troubles:
        return JSONResponse({"status": "not ready", "reasons": list(troubles)}, 503)
    return JSONResponse({"status": "ok"})


def _described(app: FastAPI) -> dict[str, Any]:
    """OpenAPI 3.1, with our own words for errors and for who may call."""
    if app.openapi_schema is not None:
        return app.openapi_schema
    schema = get_openapi(title=app.title, version=app.version, routes=app.routes)
    components = schema.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    schemas["Problem"] = Problem.model_json_schema(
        mode="serialization", ref_template="#/components/schemas/{model}"
    )
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    components["securitySchemes"] = {
        "key": {"type": "http", "scheme": "bearer"},
        "session": {"type": "apiKey", "in": "cookie", "name": "__Host-gw_session"},
    }
    for path in schema["paths"].values():
        for method, described in path.items():
            described["responses"].pop("422", None)
            permission = PERMISSIONS[described["operationId"]]
            is_public = permission.scope is Scope.PUBLIC
            described["security"] = [] if is_public else [{"key": []}, {"session": []}]
            roles = sorted(permission.roles)
            described["x-roles"] = [role.value for role in roles]
            if method == "post" and not is_public:
                described.setdefault("parameters", []).extend(_POST_HEADERS)
    app.openapi_schema = schema
    return schema
