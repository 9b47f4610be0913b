"""Cookies of people who log in with a browser, and proof that no other site uses them.

Source of the choices: OWASP, "Session Management Cheat Sheet" (cookie attributes, __Host- prefix)
and "Cross-Site Request Forgery Prevention Cheat Sheet" (Fetch Metadata and Origin, with a token
bound to the session in a header of its own; SameSite alone is no defence).
"""

from typing import TYPE_CHECKING, Literal

from fastapi import Request, Response

from gigawatt.app.login.attempt import ATTEMPT_S_MAX
from gigawatt.app.service import Service
from gigawatt.identity.sessions import check_origin, parse_cookie
from gigawatt.units import HOUR_S

if TYPE_CHECKING:
    # Cryptography takes a while to import, and most requests need none of it.
    from gigawatt.app.login.login import Login

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing. Source: RFC 9110, 9.2.1."""

CookieUse = Literal["gw_session", "gw_login"]


def _login_of(request: Request) -> "Login | None":
    service: Service = request.app.state.service
    return service.login


def cookie_name(login: "Login", use: CookieUse) -> str:
    """The name of a cookie; under TLS one that no other host or page without TLS can set."""
    return f"__Host-{use}" if login.settings.has_tls else use


def cookie_of(request: Request) -> str | None:
    """The cookie of a session, when a request carries no other credential.

    Whoever sends an Authorization header is judged by that alone: no other site can send one.
    """
    login = _login_of(request)
    if login is None or "Authorization" in request.headers:
        return None
    return request.cookies.get(cookie_name(login, "gw_session"))


def refuse_other_sites(request: Request, cookie: str) -> None:
    """Refuse a request that changes something and may have been made by another site's page.

    Raises:
        ForbiddenError: it may.
    """
    login = _login_of(request)
    if login is None or request.method in SAFE_METHODS:
        return
    headers = request.headers
    check_origin(
        parse_cookie(cookie)[1],
        login.settings.public_url,
        headers.get("Origin"),
        headers.get("Sec-Fetch-Site"),
        headers.get("X-CSRF-Token"),
    )


def set_cookie(response: Response, login: "Login", use: CookieUse, value: str) -> None:
    """Give a browser a cookie that scripts cannot read and other sites' requests do not carry."""
    # A session's cookie lives longer than the session; the server decides when that is over.
    age_s = ATTEMPT_S_MAX if use == "gw_login" else login.settings.session_hours * HOUR_S
    response.set_cookie(
        cookie_name(login, use),
        value,
        max_age=int(age_s),
        path="/",
        secure=login.settings.has_tls,
        httponly=True,
        samesite="lax",
    )


def drop_cookie(response: Response, login: "Login", use: CookieUse) -> None:
    """Make a browser forget a cookie."""
    response.delete_cookie(
        cookie_name(login, use),
        path="/",
        secure=login.settings.has_tls,
        httponly=True,
        samesite="lax",
    )
