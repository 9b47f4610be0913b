"""Errors in Lambda's form: ``{"error": {code, message, suggestion}}``, by one table.

Source of codes and statuses: Lambda Cloud API 1.10.0. Codes that it does not list are for what it
leaves open (a rate limit has no body there) or cannot be seen from outside.
"""

import logging
from collections.abc import Mapping

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from gigawatt import errors as ours
from gigawatt.api.lambda_cloud.documents import Failure, FailureAnswer
from gigawatt.api.problems import findings, request_id_of
from gigawatt.errors import GigawattError, InputError, RateError

INVALID = "global/invalid-parameters"
INTERNAL = "global/internal-error"
CONFLICT = "global/conflict"
NOT_FOUND = "global/not-found"
UPSTREAM = "provider/internal-unavailable"

CODES: Mapping[type[GigawattError], tuple[int, str]] = {
    ours.GigawattError: (500, INTERNAL),
    ours.InputError: (400, INVALID),
    ours.UnknownIdError: (404, "global/object-does-not-exist"),
    ours.UnauthenticatedError: (401, "global/invalid-api-key"),
    ours.ForbiddenError: (403, "global/forbidden"),
    ours.QuotaError: (400, "global/quota-exceeded"),
    ours.ImpossibleError: (400, INVALID),
    ours.TooLargeError: (400, INVALID),
    ours.MediaTypeError: (400, INVALID),
    ours.KeyReusedError: (400, INVALID),
    ours.RateError: (429, "global/too-many-requests"),
    ours.NoCapacityError: (400, "instance-operations/launch/insufficient-capacity"),
    ours.ConflictError: (409, CONFLICT),
    ours.VersionError: (409, CONFLICT),
    ours.DriverError: (502, UPSTREAM),
    ours.DriverRetryableError: (503, UPSTREAM),
    ours.DriverPermanentError: (502, UPSTREAM),
    ours.StaleGenerationError: (409, CONFLICT),
    ours.DriftError: (500, INTERNAL),
    ours.UnwindError: (500, INTERNAL),
    ours.DataError: (500, INTERNAL),
    ours.StorageFullError: (500, INTERNAL),
    ours.OutOfReachError: (503, UPSTREAM),
}
"""Status and code of every error class. A test fails when a class has no row."""

_log = logging.getLogger("gigawatt.api.lambda")


class CodedError(InputError):
    """A refusal with a code of its own, where the class of ours says too little; status 400."""

    def __init__(self, code: str, message: str, next_step: str) -> None:
        """Refuse with Lambda's ``code``."""
        super().__init__(message, next_step=next_step)
        self.code = code


def failure(status: int, code: str, message: str, suggestion: str) -> JSONResponse:
    """An error as Lambda's clients read it."""
    said = Failure(code=code, message=message, suggestion=suggestion or None)
    answer = FailureAnswer(error=said)
    return JSONResponse(answer.model_dump(mode="json", exclude_none=True), status)


def answer_to(request: Request, error: Exception) -> Response:
    """The answer to an error of ours, of the framework's, or to a request that does not parse."""
    if isinstance(error, RequestValidationError):
        return answer_to(request, InputError(findings(error)))
    if isinstance(error, HTTPException):
        return _of_framework(request, error)
    if isinstance(error, CodedError):
        return failure(400, error.code, str(error), error.next_step)
    if isinstance(error, GigawattError):
        return _of_ours(error)
    _log.exception("request %s: a bug", request_id_of(request), exc_info=error)
    said = f"request {request_id_of(request)} has met a bug of the server"
    return failure(500, INTERNAL, said, "Report the request to the operator.")


def _of_ours(error: GigawattError) -> Response:
    status, code = CODES[type(error)]
    response = failure(status, code, str(error), error.next_step)
    if isinstance(error, RateError):
        response.headers["Retry-After"] = str(max(1, round(error.retry_after_s + 0.5)))
    if status == 401:
        response.headers["WWW-Authenticate"] = 'Bearer, Basic realm="API key"'
    return response


def _of_framework(request: Request, error: HTTPException) -> Response:
    """A path or a method that is not served, and a body that is not JSON."""
    if error.status_code in {404, 405}:
        said = f"{request.method} {request.url.path} is not served"
        return failure(404, NOT_FOUND, said, "See /api/v1/openapi.json for what there is.")
    return failure(400, INVALID, str(error.detail), "Correct the request and send it again.")
