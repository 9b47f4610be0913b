"""Sessions: what a person who logged in with a browser holds, as a cookie ``<id>_<secret>``.

Only a hash of the secret is kept, as of an API key. A session ends when it is idle, when it is old,
when its holder logs out, or when somebody who may ends it. Who signed in by showing an API key has
that key's id in the cookie, ``<id>_<secret>.<key>``; what is kept is a hash of both, so such a
session is worth what the key is worth, and ends with it.
"""

import re
from base64 import urlsafe_b64encode
from dataclasses import dataclass, replace
from hashlib import sha256
from hmac import compare_digest
from hmac import new as new_hmac
from typing import NewType

from gigawatt.errors import ForbiddenError, UnauthenticatedError
from gigawatt.identity.accounts import AccountId, ApiKeyId
from gigawatt.identity.keys import ApiKey, digest_of, digests_in_force
from gigawatt.ids import TenantId
from gigawatt.units import HOUR_S, MINUTE_S

SessionId = NewType("SessionId", str)

IDLE_S_MAX = 30.0 * MINUTE_S
"""Time without a request after which a session is over. Source: NIST SP 800-63B, 4.2.3 (AAL2)."""

AGE_S_MAX = 12.0 * HOUR_S
"""Age at which a session is over though it is used. Source: NIST SP 800-63B, 4.2.3 (AAL2)."""

SESSION_COUNT_MAX = 20
"""Sessions of one account; one more ends the one that was used longest ago. Ours."""

_COOKIE = re.compile(r"([0-9a-f]{16})_([A-Za-z0-9_-]{43}(?:\.[0-9a-f]{16})?)")


USER_AGENT_LENGTH_MAX = 256
"""Characters that are kept of what a browser calls itself. Ours."""


@dataclass(frozen=True, slots=True)
class Browser:
    """Who asks for a session, as far as a server can tell.

    Fields:
        address: where its request came from, as text.
        user_agent: what it calls itself; anything may stand there.
        cookie: of the session that it had before, whoever planted it.
    """

    address: str
    user_agent: str
    cookie: str | None

    @property
    def former(self) -> "SessionId | None":
        """The session that it had before, as far as its cookie is one of ours."""
        if self.cookie is None:
            return None
        try:
            return parse_cookie(self.cookie)[0]
        except UnauthenticatedError:
            return None


@dataclass(frozen=True, slots=True)
class Session:
    """What is kept of a session.

    Fields:
        account_id: who acts through it.
        project_id: the only project that its account reaches, or None.
        digest: SHA-256 of the secret, in hex.
        last_used_s: when it was last used, to the minute.
        expires_s: when it is over though it is used; all in Unix seconds.
        address: where it was begun from; empty where nobody noted it.
        user_agent: what that browser called itself, cut to ``USER_AGENT_LENGTH_MAX``.
    """

    session_id: SessionId
    account_id: AccountId
    project_id: TenantId | None
    digest: str
    created_s: float
    last_used_s: float
    expires_s: float
    address: str = ""
    user_agent: str = ""

    @property
    def key_id(self) -> ApiKeyId:
        """Its id, where records name what a caller has shown."""
        return ApiKeyId(self.session_id)

    def ends_s(self, idle_s_max: float) -> float:
        """When it is over if nobody uses it, in Unix seconds."""
        return min(self.expires_s, self.last_used_s + idle_s_max)


def cookie_text(session_id: SessionId, secret: str) -> str:
    """The value of the cookie."""
    return f"{session_id.removeprefix('ses_')}_{secret}"


def parse_cookie(text: str) -> tuple[SessionId, str]:
    """Id and secret of a session.

    Raises:
        UnauthenticatedError: not a cookie of ours.
    """
    match = _COOKIE.fullmatch(text)
    if match is None:
        raise _over()
    return SessionId(f"ses_{match[1]}"), match[2]


def check_session(session: Session | None, secret: str, now_s: float, idle_s_max: float) -> Session:
    """The session, if the secret is its own and it is in force at ``now_s``.

    Raises:
        UnauthenticatedError: unknown, wrong secret, idle for too long, too old, or ended.
    """
    kept = session.digest if session is not None else digest_of("")
    is_right = compare_digest(kept.encode(), digest_of(secret).encode())
    if session is None or not is_right or session.ends_s(idle_s_max) <= now_s:
        raise _over()
    return session


def secret_with_key(secret: str, key_id: ApiKeyId) -> str:
    """The secret of a session that begins by showing a key: it says which."""
    return f"{secret}.{key_id.removeprefix('key_')}"


def key_behind(secret: str) -> ApiKeyId | None:
    """The key that was shown when a session began; None when a person logged in otherwise."""
    _, has_key, digits = secret.partition(".")
    return ApiKeyId(f"key_{digits}") if has_key else None


def digest_with_key(secret: str, key_digest: str) -> str:
    """What is kept of a session that began by showing a key with this digest."""
    return digest_of(f"{secret}.{key_digest}")


def check_key_session(
    session: Session | None, secret: str, key: ApiKey | None, now_s: float, idle_s_max: float
) -> Session:
    """The session that began by showing a key, if both are in force; as narrow as the key is.

    It does not outlive the key, nor the secret of the key that was shown: a rotation ends it.

    Raises:
        UnauthenticatedError: unknown, wrong secret, idle for too long, too old, or ended.
    """
    kept = (session.digest if session is not None else digest_of("")).encode()
    live = () if key is None else digests_in_force(key, now_s)
    is_right = [compare_digest(kept, digest_with_key(secret, each).encode()) for each in live]
    if session is None or key is None or not any(is_right) or session.ends_s(idle_s_max) <= now_s:
        raise _over()
    return replace(session, project_id=key.project_id or session.project_id)


def _over() -> UnauthenticatedError:
    return UnauthenticatedError("the session is unknown or over", next_step="Sign in again.")


def csrf_text(secret: str) -> str:
    """What proves that a request was made by a page that could read our answers.

    It is bound to the session by its secret, and does not tell it.
    Source: OWASP, "Cross-Site Request Forgery Prevention", HMAC based token pattern.
    """
    made = new_hmac(secret.encode(), b"gigawatt csrf", sha256).digest()
    return urlsafe_b64encode(made).decode().rstrip("=")


def check_origin(
    secret: str, own_origin: str, origin: str | None, fetch_site: str | None, proof: str | None
) -> None:
    """Refuse a request that another site may have made with the cookie of a person.

    Args:
        secret: of the session.
        own_origin: scheme, host and TCP port under which browsers see us.
        origin: header ``Origin``.
        fetch_site: header ``Sec-Fetch-Site``, which scripts cannot set.
        proof: header ``X-CSRF-Token``.

    Raises:
        ForbiddenError: another origin, no word of the origin, or no proof.
    """
    is_same = origin == own_origin if origin is not None else fetch_site == "same-origin"
    is_cross = fetch_site not in {None, "same-origin"}
    if not is_same or is_cross:
        raise ForbiddenError(
            f"the request comes from {origin or fetch_site or 'nowhere'!r}, wanted {own_origin!r}",
            next_step="Send it from a page of this service, or use an API key.",
        )
    if not compare_digest((proof or "").encode(), csrf_text(secret).encode()):
        raise ForbiddenError(
            "the request by cookie carries no X-CSRF-Token of its session",
            next_step="Send csrf_token of GET /gw/v1/me in the header X-CSRF-Token.",
        )
