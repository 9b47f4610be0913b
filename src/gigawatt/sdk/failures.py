"""Errors of the service as errors of ours, so that a caller handles one tree everywhere."""

import ssl

import httpx

from gigawatt import errors
from gigawatt.errors import (
    DriftError,
    DriverPermanentError,
    DriverRetryableError,
    GigawattError,
    InputError,
    NoCapacityError,
    RateError,
)

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
        return not_ours(response)
    if not isinstance(problem, dict):
        return not_ours(response)
    kind = CLASSES.get(str(problem.get("type", "")).rpartition(":")[2], GigawattError)
    detail = str(problem.get("detail") or f"the service answered {response.status_code}")
    request_id = problem.get("request_id") or response.headers.get("X-Request-Id")
    message = f"{detail} (request {request_id})" if request_id else detail
    if kind is NoCapacityError:
        reasons, would_fit = problem.get("reasons") or (), problem.get("would_fit") or ()
        error: GigawattError = NoCapacityError(message, reasons=reasons, would_fit=would_fit)
    elif kind is DriftError:
        error = DriftError(message, notes=problem.get("notes") or ())
    elif kind is RateError:
        wait = response.headers.get("Retry-After", "1")
        error = RateError(message, retry_after_s=float(wait) if wait.isdecimal() else 1.0)
    else:
        error = kind(message)
    if problem.get("next_step"):
        error.next_step = str(problem["next_step"])
    return error


def not_ours(response: httpx.Response) -> GigawattError:
    """The error of an answer that no service of ours gives, e.g. a page of a proxy."""
    place = response.request.url.copy_with(query=None)
    text = " ".join(response.text.split())[:80] if response.is_closed else ""
    if response.status_code in {502, 503, 504}:
        return DriverRetryableError(
            f"{place} answered {response.status_code}: {text}",
            next_step="The server behind this address does not answer; try again later.",
        )
    return InputError(
        f"{place} answered {response.status_code}, but not as a Gigawatt server: {text}",
        next_step="Check the address of the server, e.g. https://gigawatt.example.org.",
    )


def _certificate_words(error: BaseException) -> str:
    """What a failed check of a certificate says, empty for any other failure."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return cause.verify_message or str(cause)
        cause = cause.__cause__ or cause.__context__
    return ""


def is_hopeless(error: httpx.TransportError) -> bool:
    """Whether trying again cannot help: the address or the certificate is wrong."""
    return isinstance(error, httpx.UnsupportedProtocol) or bool(_certificate_words(error))


def unreachable(request: httpx.Request, error: httpx.TransportError) -> GigawattError:
    """The error of a service that cannot be reached or broke off."""
    place = request.url.copy_with(raw_path=b"/")
    if isinstance(error, httpx.UnsupportedProtocol):
        return InputError(
            f"{str(request.url)!r} is not the address of a server",
            next_step="Write it with its scheme, e.g. https://gigawatt.example.org.",
        )
    if words := _certificate_words(error):
        return DriverPermanentError(
            f"the certificate of {place} is not trusted: {words}",
            next_step="Check the address; for a certificate of your own authority set "
            "SSL_CERT_FILE to the authority's certificate.",
        )
    why = str(error) or type(error).__name__
    return DriverRetryableError(
        f"{place} does not answer: {why}",
        next_step="Check the address and that the server runs; repeating a request is safe.",
    )
