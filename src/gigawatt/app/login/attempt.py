"""One attempt to log in, as the browser keeps it between our page and the provider's.

It is a cookie and nothing else: nobody who merely visits the login page makes us write anything.
State, nonce and PKCE verifier are derived from its secret, so whoever comes back with the right
state holds the cookie, and what else is in the cookie cannot have been changed on the way.
"""

import hmac
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import asdict, dataclass
from hashlib import sha256

from gigawatt.errors import InputError, UnauthenticatedError

ATTEMPT_S_MAX = 600.0
"""How long a person may take at the provider. Ours."""

RETURN_LENGTH_MAX = 2_000
"""Letters of the address to go to after login. Ours."""

_COOKIE_LENGTH_MAX = 4_096
"""Source: RFC 6265, 6.1."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """What a browser was sent away with.

    Fields:
        secret: 43 random letters.
        expires_s: Unix seconds.
        return_to: where to go afterwards, an address of ours without scheme and host.
        invitation: what the link of an invitation carried, or empty.
    """

    secret: str
    expires_s: int
    return_to: str
    invitation: str

    @property
    def state(self) -> str:
        """What the provider hands back; it depends on every field."""
        return self._derived("state")

    @property
    def nonce(self) -> str:
        """What the ID token must carry."""
        return self._derived("nonce")

    @property
    def verifier(self) -> str:
        """What proves to the provider that we began (RFC 7636, 4.1)."""
        return self._derived("verifier")

    def _derived(self, use: str) -> str:
        said = json.dumps([use, self.expires_s, self.return_to, self.invitation])
        made = hmac.new(self.secret.encode(), said.encode(), sha256).digest()
        return urlsafe_b64encode(made).decode().rstrip("=")

    def cookie(self) -> str:
        """The value of the cookie."""
        return urlsafe_b64encode(json.dumps(asdict(self)).encode()).decode()


def read_attempt(cookie: str | None, state: str, now_s: float) -> Attempt:
    """The attempt that a browser comes back from.

    Raises:
        UnauthenticatedError: it began none, began another one since, or took too long.
    """
    attempt = _parsed(cookie or "")
    if attempt is None or not hmac.compare_digest(attempt.state.encode(), state.encode()):
        raise UnauthenticatedError(
            "this login was not begun in this browser, or another was begun since",
            next_step="Log in again at /gw/v1/login, with cookies allowed.",
        )
    if attempt.expires_s <= now_s:
        raise UnauthenticatedError(
            "the login took too long", next_step="Log in again at /gw/v1/login."
        )
    return attempt


def _parsed(cookie: str) -> Attempt | None:
    if len(cookie) > _COOKIE_LENGTH_MAX or not cookie.isascii():
        return None
    try:
        found = json.loads(urlsafe_b64decode(cookie))
        attempt = Attempt(**found)
        check_return(attempt.return_to)
    except (ValueError, TypeError, InputError):
        return None
    is_whole = all(isinstance(each, str) for each in (attempt.secret, attempt.invitation))
    return attempt if is_whole and isinstance(attempt.expires_s, int) else None


def check_return(address: str) -> str:
    r"""An address of ours to go to, without scheme and host.

    Browsers take ``//host``, ``/\host`` and both with control characters between for other hosts.

    Raises:
        InputError: it could lead to another host.

    Example:
        >>> check_return("/gw/v1/me?x=1")
        '/gw/v1/me?x=1'
    """
    is_plain = address.isascii() and address.isprintable() and " " not in address
    is_ours = address.startswith("/") and not address.startswith("//") and "\\" not in address
    if not is_plain or not is_ours or len(address) > RETURN_LENGTH_MAX:
        raise InputError(
            "return_to is no address of this service",
            next_step="Write a path that begins with one slash, e.g. /gw/v1/me.",
        )
    return address
