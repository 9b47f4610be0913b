"""ID tokens: whether a provider really signed one.

Only signatures that need the provider's private key are taken. So ``none``, and HS256 with what is
public as its secret, are refused by the list alone, before any key is looked for.
"""

import json
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from typing import Any, Protocol

from joserfc import jwk, jwt
from joserfc.errors import JoseError

from gigawatt.errors import UnauthenticatedError

ALGORITHMS = (
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "Ed25519",
    "EdDSA",
)  # fmt: skip
"""Signatures that are taken. Source: RFC 7518, 3.1, less HMAC and none; RFC 8037; RFC 9864."""

_KEY_KINDS = {"RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP"}

TOKEN_LENGTH_MAX = 65_536
"""Letters of an ID token that are read. Ours."""


class KeySource(Protocol):
    """Who has the public keys of a provider."""

    def keys(self, *, again: bool = False) -> list[Mapping[str, Any]]:
        """The keys as JWK; ``again``: look for new ones."""
        ...


def read_id_token(text: str, source: KeySource) -> dict[str, Any]:
    """The claims of an ID token whose signature is the provider's; the claims are not judged.

    Raises:
        UnauthenticatedError: not a token, of an algorithm that is not taken, or not signed by a
            key that the provider publishes.
    """
    header = _header_of(text)
    algorithm = header.get("alg")
    if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
        raise _refused("its signature is of a kind that is not taken")
    key = _key_for(source.keys(), header) or _key_for(source.keys(again=True), header)
    if key is None:
        raise _refused("the provider publishes no such key")
    try:
        return dict(jwt.decode(text, jwk.import_key(dict(key)), algorithms=[algorithm]).claims)
    except (JoseError, ValueError, TypeError) as error:
        raise _refused("its signature is wrong") from error


def _header_of(text: str) -> Mapping[str, Any]:
    first = text.partition(".")[0]
    if len(text) > TOKEN_LENGTH_MAX or not text.isascii():
        raise _refused("it does not read")
    try:
        found = json.loads(urlsafe_b64decode(first + "=" * (-len(first) % 4)))
    except ValueError as error:
        raise _refused("it does not read") from error
    if not isinstance(found, dict):
        raise _refused("it does not read")
    return found


def _key_for(keys: list[Mapping[str, Any]], header: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The key that a token names; without a name, the only one that could have signed it."""
    wanted = _KEY_KINDS[str(header["alg"])[:2]]
    fitting = [
        key
        for key in keys
        if key.get("kty") == wanted
        and key.get("use", "sig") == "sig"
        and key.get("alg", header["alg"]) == header["alg"]
    ]
    if "kid" in header:
        return next((key for key in fitting if key.get("kid") == header["kid"]), None)
    return fitting[0] if len(fitting) == 1 else None


def _refused(why: str) -> UnauthenticatedError:
    return UnauthenticatedError(
        f"the login was refused: the ID token is not to be trusted: {why}",
        next_step="Log in again; if it persists, tell the operator, with the request id.",
    )
