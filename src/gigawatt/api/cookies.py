"""Cookies of people who sign in with a browser, and proof that no other site uses them.

Source of the choices: OWASP, "Session Management Cheat Sheet" (cookie attributes, __Host- prefix)
and "Cross-Site Request Forgery Prevention Cheat Sheet" (Fetch Metadata and Origin, with a token
bound to the session in a header of its own; SameSite alone is no defence).
"""

from dataclasses import dataclass
from typing import Literal

from fastapi import Request, Response

from gigawatt.app.login.attempt import ATTEMPT_S_MAX
from gigawatt.app.service import Service
from gigawatt.errors import ForbiddenError
from gigawatt.identity.sessions import AGE_S_MAX, Browser, check_origin, parse_cookie
from gigawatt.units import HOUR_S

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing. Source: RFC 9110, 9.2.1."""

CookieUse = Literal["gw_session", "gw_login"]


@dataclass(frozen=True, slots=True)
class Seen:
    """How a browser sees the service.

    Fields:
        origin: scheme, host and TCP port.
        has_tls: None when the request does not tell, because a proxy may speak TLS before us.
        session_s: how long a session lives at most.
    """

    origin: str
    has_tls: bool | None
    session_s: float

    def names(self, use: CookieUse) -> tuple[str, ...]:
        """Names of a cookie, best first; under TLS one that no other host can set."""
        safe = f"__Host-{use}"
        return (safe, use) if self.has_tls is None else (safe if self.has_tls else use,)


def browser_of(request: Request) -> Browser:
    """Who asks for a session."""
    return Browser(
        address=request.client.host if request.client else "",
        user_agent=request.headers.get("User-Agent", ""),
        cookie=cookie_in(request, "gw_session"),
    )


def seen_by(request: Request) -> Seen:
    """How the browser that made a request sees the service: as the login settings say, if any.

    Without them it is the host that the request names. A page of another site cannot make a
    browser name ours there and its own in ``Origin``.
    """
    service: Service = request.app.state.service
    if service.login is not None:
        settings = service.login.settings
        return Seen(settings.public_url, settings.has_tls, settings.session_hours * HOUR_S)
    host, origin = request.headers.get("Host", ""), request.headers.get("Origin")
    has_tls: bool | None = None
    if request.url.scheme == "https" or origin == f"https://{host}":
        has_tls = True
    elif origin == f"http://{host}":
        has_tls = False
    return Seen(f"{'https' if has_tls else 'http'}://{host}", has_tls, AGE_S_MAX)


def cookie_in(request: Request, use: CookieUse) -> str | None:
    """The value of a cookie, None when the browser has none."""
    for name in seen_by(request).names(use):
        if name in request.cookies:
            return request.cookies[name]
    return None


def cookie_of(request: Request) -> str | None:
    """The cookie of a session, when a request carries no other credential.

    Whoever sends an Authorization header is judged by that alone: no other site can send one.
    """
    return None if "Authorization" in request.headers else cookie_in(request, "gw_session")


def refuse_other_sites(request: Request, cookie: str) -> None:
    """Refuse a request that changes something and may have been made by another site's page.

    Raises:
        ForbiddenError: it may.
    """
    if request.method in SAFE_METHODS:
        return
    headers = request.headers
    check_origin(
        parse_cookie(cookie)[1],
        seen_by(request).origin,
        headers.get("Origin"),
        headers.get("Sec-Fetch-Site"),
        headers.get("X-CSRF-Token"),
    )


def refuse_foreign_sign_in(request: Request) -> None:
    """Refuse a sign-in that another site's page makes: nobody shall be in without knowing it.

    Raises:
        ForbiddenError: the browser says that it does.
    """
    own, headers = seen_by(request).origin, request.headers
    origin, fetch_site = headers.get("Origin", own), headers.get("Sec-Fetch-Site", "same-origin")
    if origin != own or fetch_site != "same-origin":
        raise ForbiddenError(
            f"the sign-in comes from {origin!r}, wanted {own!r}",
            next_step="Open the console under its own address and sign in there.",
        )


def set_cookie(
    request: Request, response: Response, use: CookieUse, value: str, *, is_strict: bool = False
) -> None:
    """Give a browser a cookie that scripts cannot read and other sites' requests do not carry.

    A strict one is not even carried by a link from elsewhere; a login that comes back from a
    provider needs that.
    """
    seen = seen_by(request)
    # A session's cookie lives longer than the session; the server decides when that is over.
    age_s = ATTEMPT_S_MAX if use == "gw_login" else seen.session_s
    response.set_cookie(
        seen.names(use)[-1],
        value,
        max_age=int(age_s),
        path="/",
        secure=bool(seen.has_tls),
        httponly=True,
        samesite="strict" if is_strict else "lax",
    )


def drop_cookie(request: Request, response: Response, use: CookieUse) -> None:
    """Make a browser forget a cookie."""
    seen = seen_by(request)
    for name in seen.names(use):
        secure = name.startswith("__Host-")
        response.delete_cookie(name, path="/", secure=secure, httponly=True, samesite="lax")
