"""Login from beginning to end: out to the provider, back, and into an account."""

import logging
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from gigawatt.app.login.admission import Doorkeeper
from gigawatt.app.login.attempt import ATTEMPT_S_MAX, Attempt, check_return, read_attempt
from gigawatt.app.login.id_token import read_id_token
from gigawatt.app.login.provider import OpenidProvider
from gigawatt.app.rate import RateLimiter
from gigawatt.errors import (
    DriverPermanentError,
    InputError,
    UnauthenticatedError,
)
from gigawatt.identity.accounts import Account
from gigawatt.identity.claims import check_claims
from gigawatt.identity.keys import SECRET_BYTE_COUNT, digest_of, secret_text
from gigawatt.identity.provider import LoginSettings
from gigawatt.identity.sessions import (
    USER_AGENT_LENGTH_MAX,
    Browser,
    Session,
    SessionId,
    cookie_text,
)
from gigawatt.interfaces.sessions import Sessions
from gigawatt.units import HOUR_S, MINUTE_S

ATTEMPTS_PER_S = 1.0
ATTEMPT_COUNT_MAX = 60.0
"""Login requests from one address: at once, and for long. Ours: an office behind one address."""

CODE_LENGTH_MAX = 4_096
"""Letters of a code that are passed on to a provider. Ours."""

_log = logging.getLogger("gigawatt.login")


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """A browser after login: whose it is, the value of its cookie, and where it goes."""

    account: Account
    cookie: str
    return_to: str


@dataclass(frozen=True, slots=True)
class DeviceStart:
    """What a person at a command line needs to log in elsewhere (RFC 8628, 3.2)."""

    device_code: str
    user_code: str
    url: str
    whole_url: str | None
    expires_s: float
    interval_s: float


DeviceWait = Literal["pending", "slow_down"]
"""The person has not decided yet; ``slow_down``: ask less often."""


class Login:
    """Login through one provider."""

    def __init__(
        self,
        settings: LoginSettings,
        provider: OpenidProvider,
        doorkeeper: Doorkeeper,
        sessions: Sessions,
        now_s: Callable[[], float],
    ) -> None:
        """Nothing is asked of the provider before somebody logs in."""
        self.settings = settings
        self.rate = RateLimiter(ATTEMPTS_PER_S, ATTEMPT_COUNT_MAX)
        self._provider = provider
        self._doorkeeper = doorkeeper
        self._sessions = sessions
        self._now_s = now_s

    @property
    def idle_s_max(self) -> float:
        """Time without a request after which a session is over."""
        return float(self.settings.idle_minutes * MINUTE_S)

    def begin(self, return_to: str, invitation: str) -> tuple[str, str]:
        """Where to send a browser, and the cookie that it takes along.

        Raises:
            InputError: ``return_to`` is not an address of ours, or the invitation is none.
            DriverError: the provider does not answer, or not as it should.
        """
        if len(invitation) > 128 or not invitation.isascii():
            raise InputError("the link of the invitation is not whole")
        attempt = Attempt(
            secret=_new_secret(),
            expires_s=int(self._now_s() + ATTEMPT_S_MAX),
            return_to=check_return(return_to),
            invitation=invitation,
        )
        url = self._provider.login_url(attempt.state, attempt.nonce, attempt.verifier)
        return url, attempt.cookie()

    def finish(self, said: Mapping[str, str], cookie: str | None, browser: Browser) -> LoggedIn:
        """Who came back from the provider, with a new session.

        Args:
            said: what the provider put into the address.
            cookie: of the attempt.
            browser: who came back; the session that it had ends.

        Raises:
            ConflictError: the invitation is for somebody else, or over.
            DriverError: the provider does not answer, or not as it should.
            ForbiddenError: the person is known to the provider, and not admitted here.
            UnauthenticatedError: the answer is not to this browser's attempt, or not to be trusted.
        """
        attempt = read_attempt(cookie, said.get("state", ""), self._now_s())
        self._check_issuer(said)
        if "error" in said:
            raise _refused(f"the login provider said {_word(said['error'])}")
        code = said.get("code", "")
        if not 1 <= len(code) <= CODE_LENGTH_MAX:
            raise _refused("the login provider gave no code")
        given = self._provider.redeem(code, attempt.verifier)
        if "error" in given:
            raise _refused(f"the login provider refused the code: {_word(given['error'])}")
        claims = self._claims_in(given, attempt.nonce)
        account = self._doorkeeper.account_of(claims, attempt.invitation)
        return LoggedIn(account, self._new_session(account, browser), attempt.return_to)

    def begin_device(self) -> DeviceStart:
        """What a person at a command line needs to log in elsewhere.

        Raises:
            DriverError: the provider offers no such login, or does not answer as it should.
        """
        said = self._provider.begin_device()
        if "error" in said:
            raise DriverPermanentError(
                f"the login provider refuses device logins: {_word(said['error'])}",
                next_step="The operator allows the device grant for our client at the provider.",
            )
        texts = [said.get(name) for name in ("device_code", "user_code", "verification_uri")]
        lifetime_s, interval_s = said.get("expires_in"), said.get("interval", 5)
        if not all(isinstance(each, str) for each in texts) or not all(
            isinstance(each, int | float) for each in (lifetime_s, interval_s)
        ):
            raise DriverPermanentError("the login provider began a device login without its codes")
        whole = said.get("verification_uri_complete")
        return DeviceStart(
            device_code=str(texts[0]),
            user_code=str(texts[1]),
            url=str(texts[2]),
            whole_url=whole if isinstance(whole, str) else None,
            expires_s=self._now_s() + float(lifetime_s or 0),
            interval_s=max(1.0, float(interval_s)),
        )

    def finish_device(self, device_code: str) -> Account | DeviceWait:
        """Whose device it is, once the person has said yes.

        Raises:
            DriverError, ForbiddenError, UnauthenticatedError: as ``finish``.
        """
        given = self._provider.redeem_device(device_code)
        if given.get("error") == "authorization_pending":
            return "pending"
        if given.get("error") == "slow_down":
            return "slow_down"
        if "error" in given:
            raise _refused(f"the login provider said {_word(given['error'])}")
        # The grant has no nonce: the code was given to us directly, and is used up by now.
        return self._doorkeeper.account_of(self._claims_in(given, None), "")

    def _check_issuer(self, said: Mapping[str, str]) -> None:
        """Refuse the answer of a provider that another one was asked for (RFC 9207)."""
        issuer = said.get("iss")
        if issuer is None and not self._provider.metadata().names_itself:
            return
        if issuer != self.settings.issuer:
            raise _refused("the answer is not from the login provider that was asked")

    def _claims_in(self, given: Mapping[str, Any], nonce: str | None) -> Mapping[str, Any]:
        id_token, access_token = given.get("id_token"), given.get("access_token")
        if not isinstance(id_token, str):
            raise _refused("the login provider gave no ID token")
        claims = read_id_token(id_token, self._provider)
        subject = check_claims(
            claims,
            issuer=self.settings.issuer,
            client_id=self.settings.client_id,
            nonce=nonce,
            now_s=self._now_s(),
        )
        if "email" in claims or not isinstance(access_token, str):
            return claims
        more = self._provider.userinfo(access_token)
        # Source: OpenID Connect Core 1.0, 5.3.2: it may be about another person.
        if more.get("sub") != subject:
            return claims
        return {**more, **claims}

    def _new_session(self, account: Account, browser: Browser) -> str:
        """The cookie of a new session; whoever had the old one, has nothing."""
        secret, now_s = _new_secret(), self._now_s()
        session = Session(
            session_id=SessionId(f"ses_{secrets.token_hex(8)}"),
            account_id=account.account_id,
            project_id=account.project_id,
            digest=digest_of(secret),
            created_s=now_s,
            last_used_s=now_s,
            expires_s=now_s + self.settings.session_hours * HOUR_S,
            address=browser.address,
            user_agent=browser.user_agent[:USER_AGENT_LENGTH_MAX],
        )
        self._sessions.add_session(session, browser.former)
        return cookie_text(session.session_id, secret)


def _new_secret() -> str:
    return secret_text(secrets.token_bytes(SECRET_BYTE_COUNT))


def _word(error: object) -> str:
    """The error code of a provider, if it is one word as the standard says."""
    text = str(error)[:60]
    return repr(text) if text.isascii() and text.isprintable() else "something unreadable"


def _refused(why: str) -> UnauthenticatedError:
    _log.warning("login refused: %s", why)
    return UnauthenticatedError(why, next_step="Log in again at /gw/v1/login.")
