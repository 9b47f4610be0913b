"""The application of this door, with its own errors and its own OpenAPI document."""

from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from gigawatt import __version__
from gigawatt.api.lambda_cloud import (
    audit_events,
    file_systems,
    firewalls,
    images,
    instance_types,
    instances,
    regions,
    ssh_keys,
)
from gigawatt.api.lambda_cloud.errors import answer_to
from gigawatt.app.service import Service
from gigawatt.errors import GigawattError
from gigawatt.identity.permissions import PERMISSIONS

BASE = "/api/v1"
"""Where Lambda's tools look."""

ROUTERS = (
    instances.router,
    instance_types.router,
    regions.router,
    images.router,
    ssh_keys.router,
    file_systems.router,
    firewalls.router,
    audit_events.router,
)


def build_lambda_application(service: Service) -> FastAPI:
    """The door over a service, to be mounted at ``BASE``."""
    app = FastAPI(
        title="Gigawatt, as Lambda Cloud speaks",
        version=__version__,
        openapi_url="/openapi.json",
        docs_url=None,
        redoc_url=None,
        strict_content_type=False,
        redirect_slashes=False,
    )
    app.state.service = service
    for router in ROUTERS:
        app.include_router(router)
    for kind in (GigawattError, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(kind, _answer)
    app.openapi = lambda: _described(app)  # type: ignore[method-assign]
    return app


async def _answer(request: Request, error: Exception) -> Response:
    return answer_to(request, error)


def _described(app: FastAPI) -> dict[str, Any]:
    """OpenAPI 3.1 of this door, with who may call what."""
    if app.openapi_schema is not None:
        return app.openapi_schema
    schema = get_openapi(
        title=app.title, version=app.version, routes=app.routes, servers=[{"url": BASE}]
    )
    components = schema["components"]
    for name in ("HTTPValidationError", "ValidationError"):
        components["schemas"].pop(name, None)
    components["securitySchemes"] = {
        "bearer": {"type": "http", "scheme": "bearer"},
        "basic": {"type": "http", "scheme": "basic"},
    }
    for path in schema["paths"].values():
        for described in path.values():
            described["responses"].pop("422", None)
            described["security"] = [{"bearer": []}, {"basic": []}]
            roles = sorted(PERMISSIONS[described["operationId"]].roles)
            described["x-roles"] = [role.value for role in roles]
    app.openapi_schema = schema
    return schema
