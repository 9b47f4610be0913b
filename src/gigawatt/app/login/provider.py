"""The OpenID provider over HTTP: what it says of itself, its keys, and what it gives for a code."""

import json
import threading
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote_plus, urlencode

import httpx
from authlib.oauth2.auth import ClientAuth
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
from authlib.oauth2.rfc7636 import create_s256_code_challenge

from gigawatt.errors import DriverPermanentError, DriverRetryableError
from gigawatt.identity.provider import LoginSettings, is_safe_url
from gigawatt.units import HOUR_S

METADATA_AGE_S_MAX = float(HOUR_S)
"""Age at which what a provider says of itself, and its keys, are asked for again. Ours."""

REFETCH_S_MIN = 30.0
"""Least time between two looks for a key that was not there, so that tokens with made-up keys
cannot make us flood the provider. Ours."""

ANSWER_S_MAX = 10.0
"""How long a provider may take for one answer. Ours."""

ANSWER_BYTES_MAX = 1 << 20
"""Longest answer of a provider that is read. Ours."""

TALK_COUNT_MAX = 8
"""Requests to a provider at the same time, so that one that hangs does not take all threads of
the server with it. Ours."""

PAUSE_S = 3.0
"""How long a provider that did not answer is not asked again. Ours."""

DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
"""Source: RFC 8628, 3.4."""

_AUTH_METHODS = ("client_secret_basic", "client_secret_post")
_REQUIRED = ("authorization_endpoint", "token_endpoint", "jwks_uri")
_OPTIONAL = ("userinfo_endpoint", "device_authorization_endpoint")


@dataclass(frozen=True, slots=True)
class Metadata:
    """What a provider says of itself (OpenID Connect Discovery 1.0, 3).

    Fields:
        endpoints: URL by name; those that it does not have are absent.
        auth_method: how we show our secret.
        names_itself: it puts its issuer into every answer (RFC 9207).
    """

    endpoints: Mapping[str, str]
    auth_method: str
    names_itself: bool


class OpenidProvider:
    """One provider, and what is remembered of it; safe for several threads."""

    def __init__(
        self,
        settings: LoginSettings,
        secret: str,
        redirect_url: str,
        now_s: Callable[[], float],
    ) -> None:
        """Nothing is asked yet, so that a server starts while its provider is down."""
        self.issuer = settings.issuer
        self._settings = settings
        self._secret = secret
        self._redirect_url = redirect_url
        self._now_s = now_s
        self._lock = threading.Lock()
        self._talks = threading.BoundedSemaphore(TALK_COUNT_MAX)
        self._refetched_s = -REFETCH_S_MIN
        self._absent_s = -PAUSE_S
        self._metadata: tuple[float, Metadata] | None = None
        self._keys: tuple[float, list[Mapping[str, Any]]] | None = None

    def metadata(self) -> Metadata:
        """What it says of itself, not older than ``METADATA_AGE_S_MAX``.

        Raises:
            DriverRetryableError: it does not answer.
            DriverPermanentError: its answer is not what the standard asks for.
        """
        known = self._metadata
        if known is None or self._is_old(known[0]):
            url = self.issuer.rstrip("/") + "/.well-known/openid-configuration"
            known = (self._now_s(), self._metadata_in(self._json("GET", url)))
            self._metadata = known
        return known[1]

    def keys(self, *, again: bool = False) -> list[Mapping[str, Any]]:
        """Its public keys; ``again`` asks it once more, if it was not asked just now.

        Raises:
            DriverRetryableError: it does not answer.
            DriverPermanentError: its answer is no set of keys.
        """
        url = self.metadata().endpoints["jwks_uri"]
        known, now_s = self._keys, self._now_s()
        if known is None or self._is_old(known[0]) or (again and self._may_refetch(now_s)):
            found = self._json("GET", url).get("keys")
            if not isinstance(found, list):
                raise self._nonsense("its keys do not read")
            known = (now_s, [key for key in found if isinstance(key, dict)])
            self._keys = known
        return known[1]

    def _may_refetch(self, now_s: float) -> bool:
        """Whether to look for a key again; True for one caller, then for nobody for a while."""
        with self._lock:
            is_due = not 0 <= now_s - self._refetched_s < REFETCH_S_MIN
            if is_due:
                self._refetched_s = now_s
            return is_due

    def _is_old(self, at_s: float) -> bool:
        return not 0 <= self._now_s() - at_s < METADATA_AGE_S_MAX

    def _metadata_in(self, said: Mapping[str, Any]) -> Metadata:
        if said.get("issuer") != self.issuer:
            raise self._nonsense(f"it names itself {str(said.get('issuer'))[:200]!r}")
        endpoints = {}
        for name in (*_REQUIRED, *_OPTIONAL):
            url = said.get(name)
            if url is None and name in _OPTIONAL:
                continue
            if not isinstance(url, str) or not is_safe_url(url):
                raise self._nonsense(f"its {name} is no URL over TLS")
            endpoints[name] = url
        offered = said.get("token_endpoint_auth_methods_supported") or [_AUTH_METHODS[0]]
        method = next((each for each in _AUTH_METHODS if each in offered), None)
        if method is None:
            raise self._nonsense(f"it takes our secret in none of {', '.join(_AUTH_METHODS)}")
        names_itself = said.get("authorization_response_iss_parameter_supported") is True
        return Metadata(endpoints, method, names_itself)

    def login_url(self, state: str, nonce: str, verifier: str) -> str:
        """Where to send a browser.

        Raises:
            DriverError: as ``metadata``.
        """
        url: str = prepare_grant_uri(
            self.metadata().endpoints["authorization_endpoint"],
            client_id=self._settings.client_id,
            response_type="code",
            redirect_uri=self._redirect_url,
            scope=self.scope,
            state=state,
            nonce=nonce,
            code_challenge=create_s256_code_challenge(verifier),
            code_challenge_method="S256",
        )
        return url

    @property
    def scope(self) -> str:
        """What is asked for."""
        return " ".join(dict.fromkeys(("openid", *self._settings.scopes)))

    def redeem(self, code: str, verifier: str) -> Mapping[str, Any]:
        """What it gives for a code: tokens, or ``error``.

        Raises:
            DriverError: as ``metadata``.
        """
        return self._post(
            "token_endpoint",
            {
                "grant_type": "authorization_code",
                "code": code,
                "redirect_uri": self._redirect_url,
                "code_verifier": verifier,
            },
        )

    def begin_device(self) -> Mapping[str, Any]:
        """A device code and what a person needs for it (RFC 8628, 3.2), or ``error``.

        Raises:
            DriverPermanentError: it offers no device login.
            DriverRetryableError: it does not answer.
        """
        if "device_authorization_endpoint" not in self.metadata().endpoints:
            raise DriverPermanentError(
                "the login provider offers no device login",
                device=self.issuer,
                next_step="Log in with a browser at /gw/v1/login, and make an API key there.",
            )
        return self._post("device_authorization_endpoint", {"scope": self.scope})

    def redeem_device(self, device_code: str) -> Mapping[str, Any]:
        """What it gives for a device code: tokens, or ``error`` (RFC 8628, 3.5).

        Raises:
            DriverError: as ``metadata``.
        """
        sent = {"grant_type": DEVICE_GRANT, "device_code": device_code}
        return self._post("token_endpoint", sent)

    def userinfo(self, access_token: str) -> Mapping[str, Any]:
        """Claims that are not in the ID token; none when it has no such endpoint.

        Raises:
            DriverError: as ``metadata``.
        """
        url = self.metadata().endpoints.get("userinfo_endpoint")
        if url is None:
            return {}
        headers = {"Authorization": f"Bearer {access_token}"}
        return self._json("GET", url, headers=headers)

    def _post(self, endpoint: str, sent: dict[str, str]) -> Mapping[str, Any]:
        found = self.metadata()
        names = (self._settings.client_id, self._secret)
        if found.auth_method == "client_secret_basic":
            # Source: RFC 6749, 2.3.1: both are encoded as in a form before they are joined.
            names = (quote_plus(names[0]), quote_plus(names[1]))
        showing = ClientAuth(*names, found.auth_method)
        url, body = found.endpoints[endpoint], urlencode(sent)
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        url, headers, body = showing.prepare("POST", url, headers, body)
        return self._json("POST", url, headers=dict(headers), content=body)

    def _json(
        self, method: str, url: str, *, headers: dict[str, str] | None = None, content: str = ""
    ) -> Mapping[str, Any]:
        """A JSON object; an answer with an error of OAuth is one too."""
        sent = {"Accept": "application/json", **(headers or {})}
        is_paused = 0 <= self._now_s() - self._absent_s < PAUSE_S
        if is_paused or not self._talks.acquire(blocking=False):
            raise self._absent()
        try:
            status, body = self._exchange(httpx.Request(method, url, headers=sent, content=content))
        finally:
            self._talks.release()
        return self._object_in(status, body)

    def _exchange(self, request: httpx.Request) -> tuple[int, bytes]:
        body = bytearray()
        try:
            with (
                httpx.Client(timeout=ANSWER_S_MAX, follow_redirects=False) as http,
                closing(http.send(request, stream=True)) as response,
            ):
                for chunk in response.iter_bytes():
                    body += chunk
                    if len(body) > ANSWER_BYTES_MAX:
                        raise self._nonsense("its answer is too long")
        except httpx.HTTPError as error:
            self._absent_s = self._now_s()
            raise self._absent() from error
        return response.status_code, bytes(body)

    def _object_in(self, status: int, body: bytes) -> Mapping[str, Any]:
        if status >= 500:
            raise self._absent()
        try:
            found = json.loads(body)
        except ValueError:
            found = None
        if not isinstance(found, dict) or (status >= 300 and "error" not in found):
            raise self._nonsense(f"it answered {status}, and not with what was asked for")
        return found

    def _absent(self) -> DriverRetryableError:
        return DriverRetryableError(
            f"the login provider {self.issuer} does not answer",
            device=self.issuer,
            next_step="Try again in a minute; API keys and sessions go on working meanwhile.",
        )

    def _nonsense(self, why: str) -> DriverPermanentError:
        return DriverPermanentError(
            f"the login provider {self.issuer} cannot be used: {why}",
            device=self.issuer,
            next_step="The operator compares 'issuer' in login.yaml with the provider's own.",
        )
