"""Forged ID tokens.

Goal: whatever a provider's token endpoint, or somebody in its place, gives for a code, only a token
that the provider signed for us, now and for this login lets anybody in. Method: a provider of our
own on loopback that says whatever a test wants; every forgery goes the whole way through the
callback. The same forgeries without their fault are let in, so it is the fault that is refused.
"""

import hashlib
import hmac
import json
import threading
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from gigawatt.app.login.id_token import read_id_token
from gigawatt.app.service import make_login
from gigawatt.errors import UnauthenticatedError
from gigawatt.identity.claims import check_claims
from gigawatt.identity.provider import parse_settings

Claims = dict[str, Any]
Forge = Callable[["Liar", Claims], str]
RULE = "admit: [{claim: groups, value: staff, organisation: acme, role: member}]\n"


def rsa(key_id: str) -> RSAKey:
    return RSAKey.generate_key(2048, {"kid": key_id, "use": "sig"}, private=True)


RIGHT, STRANGER = rsa("one"), rsa("one")
CURVE = ECKey.generate_key("P-256", {"kid": "curve"}, private=True)


@dataclass
class Liar:
    """A provider whose token endpoint says what a test wants.

    Fields: published keys; token made for the claims that would be right; paths that were asked.
    """

    published: list[dict[str, Any]]
    forge: Forge
    right: Claims = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    metadata: dict[str, Any] = field(default_factory=dict)
    issuer: str = ""

    def answer(self, path: str) -> Any:
        self.asked.append(path)
        if path == "/token":
            return {"id_token": self.forge(self, dict(self.right)), "token_type": "Bearer"}
        if path == "/jwks":
            return {"keys": self.published}
        return {
            "issuer": self.issuer,
            "authorization_endpoint": self.issuer + "/auth",
            "token_endpoint": self.issuer + "/token",
            "jwks_uri": self.issuer + "/jwks",
            **self.metadata,
        }


def signed(key: Any, algorithm: str = "RS256", **header: Any) -> Forge:
    """Forges by signing the right claims with a key."""

    def forge(_liar: Liar, claims: Claims) -> str:
        said = {"alg": algorithm, "kid": "one", **header}
        said = {name: value for name, value in said.items() if value is not None}
        return jwt.encode(said, claims, key, algorithms=[algorithm])

    return forge


def saying(**changes: Any) -> Forge:
    """Forges by signing other claims with the right key; None leaves one out."""

    def forge(liar: Liar, claims: Claims) -> str:
        said = {**claims, **changes}
        return signed(RIGHT)(liar, {k: v for k, v in said.items() if v is not None})

    return forge


def dated(**by_s: float) -> Forge:
    """Forges with claims that are so many seconds from the moment at which the token is made."""

    def forge(liar: Liar, claims: Claims) -> str:
        return saying(**{name: claims["iat"] + more for name, more in by_s.items()})(liar, claims)

    return forge


def part_of(content: bytes) -> str:
    return urlsafe_b64encode(content).decode().rstrip("=")


def unsigned(_liar: Liar, claims: Claims, header: Claims | None = None) -> str:
    head = header or {"alg": "none", "kid": "one"}
    return ".".join(part_of(json.dumps(each).encode()) for each in (head, claims)) + "."


def with_public_key_as_secret(liar: Liar, claims: Claims) -> str:
    """The classic confusion: HMAC with what everybody can read. Made by hand: libraries refuse."""
    head = unsigned(liar, claims, {"alg": "HS256", "kid": "one"}).rstrip(".")
    made = hmac.new(RIGHT.as_pem(private=False), head.encode(), hashlib.sha256).digest()
    return f"{head}.{part_of(made)}"


def with_body_changed(liar: Liar, claims: Claims) -> str:
    head, _, tail = signed(RIGHT)(liar, claims).split(".")
    return f"{head}.{unsigned(liar, {**claims, 'sub': 'root'}).split('.')[1]}.{tail}"


def with_key_inside(liar: Liar, claims: Claims) -> str:
    return signed(STRANGER, jwk=STRANGER.as_dict(private=False))(liar, claims)


@pytest.fixture
def liar(quiet_world: Any, settings_of: Any) -> Iterator[Liar]:
    made = Liar([RIGHT.as_dict(private=False)], signed(RIGHT))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(made.answer(self.path)).encode()
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815 - the base class names it

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    made.issuer = f"http://127.0.0.1:{server.server_address[1]}"
    text = settings_of(quiet_world, made.issuer, RULE)
    settings_found = parse_settings(text, "login.yaml")
    quiet_world.service.login = make_login(quiet_world.service, settings_found, "secret")
    yield made
    server.shutdown()
    thread.join()
    server.server_close()


def come_back(world: Any, liar: Liar) -> httpx.Response:
    """One login from beginning to end."""
    with httpx.Client(base_url=world.url, timeout=30.0) as browser:
        gone = browser.get("/gw/v1/login").headers["Location"]
        query = {name: values[0] for name, values in parse_qs(urlsplit(gone).query).items()}
        now_s = int(time.time())  # noqa: TID251 - the server's clock is the wall clock too
        liar.right = {
            "iss": liar.issuer,
            "aud": "gigawatt",
            "sub": "ada",
            "iat": now_s,
            "exp": now_s + 300,
            "nonce": query["nonce"],
            "groups": ["staff"],
        }
        answer = browser.get(
            "/gw/v1/login/callback", params={"state": query["state"], "code": "any"}
        )
        assert ("gw_session" in answer.headers.get("Set-Cookie", "")) == (answer.status_code == 303)
        return answer


FORGERIES: dict[str, tuple[Forge, str]] = {
    "none": (unsigned, "of a kind that is not taken"),
    "hmac with the public key": (with_public_key_as_secret, "of a kind that is not taken"),
    "another key under the right name": (signed(STRANGER), "signature is wrong"),
    "a key inside the token": (with_key_inside, "signature is wrong"),
    "a key that is not published": (signed(STRANGER, kid="two"), "publishes no such key"),
    "another kind of key": (signed(CURVE, "ES256"), "publishes no such key"),
    "changed claims": (with_body_changed, "signature is wrong"),
    "another issuer": (saying(iss="https://evil.example"), "iss"),
    "no issuer": (saying(iss=None), "iss"),
    "another audience": (saying(aud="another"), "aud"),
    "other audiences": (saying(aud=["another", "third"]), "aud"),
    "several audiences, given to none": (saying(aud=["gigawatt", "another"]), "azp"),
    "given to another": (saying(azp="another"), "azp"),
    "expired": (dated(exp=-61), "exp"),
    "without an end": (saying(exp=None), "exp"),
    "an end that is no number": (saying(exp="tomorrow"), "exp"),
    "an end without end": (saying(exp=1e300), "exp"),
    "from the future": (dated(iat=600), "iat"),
    "made long ago": (dated(iat=-3_600), "iat"),
    "not in force yet": (dated(nbf=600), "nbf"),
    "of another login": (saying(nonce="x" * 43), "nonce"),
    "of no login": (saying(nonce=None), "nonce"),
    "of nobody": (saying(sub=None), "sub"),
    "of an empty name": (saying(sub=""), "sub"),
    "no token": (lambda _liar, _claims: "x.y.z", "does not read"),
    "a token of lists": (lambda _liar, _claims: "W10.W10.W10", "does not read"),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forged_token_lets_nobody_in(quiet_world: Any, liar: Liar, name: str):
    liar.forge, why = FORGERIES[name]
    answer = come_back(quiet_world, liar)
    assert answer.status_code == 401, answer.text
    assert why in answer.json()["detail"]
    liar.forge = signed(RIGHT)
    assert come_back(quiet_world, liar).status_code == 303


def test_the_right_token_lets_in_however_it_is_signed(quiet_world: Any, liar: Liar):
    liar.published.append(CURVE.as_dict(private=False))
    for forge in (
        signed(RIGHT),
        signed(RIGHT, kid=None),
        signed(RIGHT, "PS256"),
        signed(CURVE, "ES256", kid="curve"),
        saying(aud=["gigawatt", "another"], azp="gigawatt"),
        dated(exp=-30),  # clocks may differ by a minute
    ):
        liar.forge = forge
        assert come_back(quiet_world, liar).status_code == 303


def test_new_keys_are_looked_for_once_and_not_by_everybody_who_makes_up_a_name(
    quiet_world: Any, liar: Liar
):
    assert come_back(quiet_world, liar).status_code == 303
    second = rsa("two")
    liar.published = [second.as_dict(private=False)]
    liar.forge = signed(second, kid="two")
    assert come_back(quiet_world, liar).status_code == 303
    assert liar.asked.count("/jwks") == 2
    for number in range(5):
        liar.forge = signed(STRANGER, kid=f"made-up-{number}")
        assert come_back(quiet_world, liar).status_code == 401
    assert liar.asked.count("/jwks") == 2


def test_a_key_for_encryption_or_another_algorithm_does_not_count(quiet_world: Any, liar: Liar):
    for field_name, value in (("use", "enc"), ("alg", "PS512")):
        liar.published = [{**RIGHT.as_dict(private=False), field_name: value}]
        quiet_world.service.login._provider._keys = None
        assert come_back(quiet_world, liar).status_code == 401


@pytest.mark.parametrize(
    "said",
    [
        {"issuer": "https://evil.example"},
        {"token_endpoint": "http://evil.example/token"},
        {"jwks_uri": "file:///etc/passwd"},
        {"token_endpoint": None},
        {"token_endpoint_auth_methods_supported": ["private_key_jwt"]},
    ],
)
def test_a_provider_that_leads_astray_is_refused(quiet_world: Any, liar: Liar, said: Any):
    liar.metadata = said
    answer = httpx.get(quiet_world.url + "/gw/v1/login", timeout=30.0)
    assert answer.status_code == 502
    assert "cannot be used" in answer.json()["detail"]


class OneKey:
    """What publishes the right key."""

    def keys(self, *, again: bool = False) -> list[Any]:
        return [] if again else [RIGHT.as_dict(private=False)]


@given(st.text(max_size=60) | st.from_regex(r"[A-Za-z0-9_-]{0,30}(\.[A-Za-z0-9_-]{0,30}){2}"))
@settings(max_examples=200)
def test_any_text_is_refused_as_a_token(text: str):
    with pytest.raises(UnauthenticatedError):
        read_id_token(text, OneKey())


VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.text())


@given(st.dictionaries(st.sampled_from(["iss", "aud", "azp", "exp", "iat", "nbf", "sub"]), VALUES))
@settings(max_examples=200)
def test_any_claims_without_the_nonce_are_refused(claims: Claims):
    with pytest.raises(UnauthenticatedError):
        check_claims(claims, issuer="i", client_id="c", nonce="n", now_s=0.0)
