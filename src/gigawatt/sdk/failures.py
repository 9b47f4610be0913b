"""Errors of the service as errors of ours, so that a caller handles one tree everywhere."""

import httpx

from gigawatt import errors
from gigawatt.errors import DriverRetryableError, GigawattError, NoCapacityError, RateError

CLASSES: dict[str, type[GigawattError]] = {
    name: kind
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, GigawattError)
}
"""Every error by the name of its class, which is the last part of a problem's ``type``."""


def error_of(response: httpx.Response) -> GigawattError:
    """The error that a response with status 400 or above stands for."""
    try:
        problem = response.json()
    except ValueError:
        problem = {}
    if not isinstance(problem, dict):
        problem = {}
    kind = CLASSES.get(str(problem.get("type", "")).rpartition(":")[2], GigawattError)
    detail = str(problem.get("detail") or f"the service answered {response.status_code}")
    request_id = problem.get("request_id") or response.headers.get("X-Request-Id")
    message = f"{detail} (request {request_id})" if request_id else detail
    if kind is NoCapacityError:
        reasons, would_fit = problem.get("reasons") or (), problem.get("would_fit") or ()
        error: GigawattError = NoCapacityError(message, reasons=reasons, would_fit=would_fit)
    elif kind is RateError:
        wait = response.headers.get("Retry-After", "1")
        error = RateError(message, retry_after_s=float(wait) if wait.isdecimal() else 1.0)
    else:
        error = kind(message)
    if problem.get("next_step"):
        error.next_step = str(problem["next_step"])
    return error


def unreachable(request: httpx.Request, error: httpx.TransportError) -> DriverRetryableError:
    """The error of a service that cannot be reached or broke off."""
    return DriverRetryableError(
        f"{request.method} {request.url.copy_with(query=None)}: no answer: {error}",
        next_step="Check the address and that the server runs; repeating a request is safe.",
    )
