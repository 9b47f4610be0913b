"""Errors as HTTP answers: one table from class to status, one form (RFC 9457)."""

import logging
from collections.abc import Mapping
from http import HTTPStatus

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from gigawatt import errors as ours
from gigawatt.errors import DriftError, GigawattError, InputError, NoCapacityError, RateError
from gigawatt.sdk.documents import Problem

STATUS: Mapping[type[GigawattError], int] = {
    ours.GigawattError: 500,
    ours.InputError: 400,
    ours.UnknownIdError: 404,
    ours.UnauthenticatedError: 401,
    ours.ForbiddenError: 403,
    ours.QuotaError: 403,
    ours.ImpossibleError: 400,
    ours.TooLargeError: 413,
    ours.MediaTypeError: 415,
    ours.KeyReusedError: 422,
    ours.RateError: 429,
    ours.NoCapacityError: 507,
    ours.ConflictError: 409,
    ours.VersionError: 412,
    ours.DriverError: 502,
    ours.DriverRetryableError: 503,
    ours.DriverPermanentError: 502,
    ours.StaleGenerationError: 409,
    ours.DriftError: 500,
    ours.UnwindError: 500,
    ours.DataError: 500,
    ours.StorageFullError: 507,
    ours.OutOfReachError: 503,
}
"""Status of every error class. A test fails when a class has no row."""

MEDIA_TYPE = "application/problem+json"

NOTES_SENT_MAX = 100
"""Differences that one answer names."""

PROBLEM_STATUSES = (400, 401, 403, 404, 409, 412, 413, 415, 422, 429, 500, 502, 503, 507)

_log = logging.getLogger("gigawatt.api")


def request_id_of(request: Request) -> str:
    """The id of a request, given at the door."""
    return str(request.scope.get("gigawatt.request_id", ""))


def problem_response(
    request: Request, status: int, document: Mapping[str, object], headers: Mapping[str, str]
) -> JSONResponse:
    """A problem; what ``document`` leaves out is filled in."""
    title = HTTPStatus(status).phrase
    content = {"title": title, "status": status, "request_id": request_id_of(request), **document}
    return JSONResponse(
        Problem.model_validate(content).model_dump(mode="json"),
        status,
        headers=dict(headers),
        media_type=MEDIA_TYPE,
    )


def answer_to(request: Request, error: Exception) -> Response:
    """The answer to an error of ours, of the framework's, or to a request that does not parse."""
    if isinstance(error, RequestValidationError):
        return answer_to(request, InputError(findings(error)))
    if isinstance(error, HTTPException):
        return _of_framework(request, error)
    if isinstance(error, GigawattError):
        return _of_ours(request, error)
    _log.exception("request %s: a bug", request_id_of(request), exc_info=error)
    bug = GigawattError("the server has a bug; nothing is known about why")
    bug.next_step = "Report the request id to the operator."
    return _of_ours(request, bug)


def _of_ours(request: Request, error: GigawattError) -> Response:
    headers = {}
    document: dict[str, object] = {
        "type": f"urn:gigawatt:error:{type(error).__name__}",
        "detail": str(error),
        "next_step": error.next_step,
    }
    if isinstance(error, NoCapacityError):
        document |= {"reasons": list(error.reasons), "would_fit": list(error.would_fit)}
    if isinstance(error, DriftError):
        document["notes"] = list(error.notes[:NOTES_SENT_MAX])
    if isinstance(error, RateError):
        headers["Retry-After"] = str(max(1, round(error.retry_after_s + 0.5)))
    status = STATUS[type(error)]
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return problem_response(request, status, document, headers)


def _of_framework(request: Request, error: HTTPException) -> Response:
    document = {
        "type": f"urn:gigawatt:error:Http{error.status_code}",
        "detail": f"{request.method} {request.url.path}: {error.detail}",
        "next_step": "See /gw/v1/openapi.json for what there is.",
    }
    return problem_response(request, error.status_code, document, error.headers or {})


def findings(error: RequestValidationError) -> str:
    """What is wrong with a request, without the values that came: they may be secret."""
    found = [
        ".".join(str(part) for part in finding["loc"]) + ": " + str(finding["msg"])
        for finding in error.errors()[:10]
    ]
    return "the request does not parse: " + "; ".join(found)
