"""What an ID token must say before we believe it, once its signature is known to be right.

Source of every rule: OpenID Connect Core 1.0, 3.1.3.7.
"""

from collections.abc import Mapping
from hmac import compare_digest
from typing import Any

from gigawatt.errors import InputError, UnauthenticatedError
from gigawatt.identity.invitations import plain_email

SKEW_S_MAX = 60.0
"""How far the clocks of a provider and of this server may be apart. Ours."""

TOKEN_AGE_S_MAX = 600.0
"""Age at which an ID token is refused though it is in force: one is made for each login. Ours."""

_FAR_S = 1e12
"""A moment farther away is nonsense, and may not fit a float."""

SUBJECT_LENGTH_MAX = 255
"""Source: OpenID Connect Core 1.0, 2 (sub)."""


def check_claims(
    claims: Mapping[str, Any], *, issuer: str, client_id: str, nonce: str | None, now_s: float
) -> str:
    """The subject of an ID token that was made for us, now, and for this login.

    Args:
        claims: of the token, whose signature is right.
        issuer: who must have made it.
        client_id: for whom it must be made.
        nonce: what the login was begun with; None for a login that has none (RFC 8628).
        now_s: Unix seconds.

    Raises:
        UnauthenticatedError: says which claim is wrong, never its value.
    """
    if claims.get("iss") != issuer:
        raise _refused("iss", "another issuer made it")
    _check_audience(claims, client_id)
    _check_times(claims, now_s)
    said = claims.get("nonce")
    if nonce is not None and not (
        isinstance(said, str) and compare_digest(said.encode(), nonce.encode())
    ):
        raise _refused("nonce", "it belongs to another login")
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 1 <= len(subject) <= SUBJECT_LENGTH_MAX:
        raise _refused("sub", "it names nobody")
    if not subject.isprintable():
        raise _refused("sub", "it does not read")
    return subject


def _check_audience(claims: Mapping[str, Any], client_id: str) -> None:
    audience = claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    if client_id not in audiences:
        raise _refused("aud", "it is for another service")
    authorised = claims.get("azp")
    if authorised != client_id and (authorised is not None or len(audiences) > 1):
        raise _refused("azp", "it was given to another service")


def _check_times(claims: Mapping[str, Any], now_s: float) -> None:
    expires_s, issued_s = _number(claims, "exp"), _number(claims, "iat")
    if expires_s is None or expires_s + SKEW_S_MAX <= now_s:
        raise _refused("exp", "it has expired")
    if issued_s is None or issued_s - SKEW_S_MAX > now_s:
        raise _refused("iat", "it is from the future")
    if issued_s + TOKEN_AGE_S_MAX + SKEW_S_MAX <= now_s:
        raise _refused("iat", "it is too old")
    not_before_s = _number(claims, "nbf") if "nbf" in claims else issued_s
    if not_before_s is None or not_before_s - SKEW_S_MAX > now_s:
        raise _refused("nbf", "it is not in force yet")


def _number(claims: Mapping[str, Any], name: str) -> float | None:
    found = claims.get(name)
    if isinstance(found, bool) or not isinstance(found, int | float) or abs(found) > _FAR_S:
        return None
    return float(found)


def _refused(claim: str, why: str) -> UnauthenticatedError:
    return UnauthenticatedError(
        f"the login was refused: {claim} of the ID token is wrong: {why}",
        next_step="Log in again; if it persists, tell the operator, with the request id.",
    )


def verified_email(claims: Mapping[str, Any]) -> str | None:
    """The e-mail address that a provider vouches for, in plain form; None if it does not.

    Only ``email_verified: true`` counts, as the Boolean that the standard asks for.
    """
    said = claims.get("email")
    if claims.get("email_verified") is not True or not isinstance(said, str):
        return None
    try:
        return plain_email(said)
    except InputError:
        return None
