"""API keys: ``gw_<id>_<secret>``. Only a hash of the secret is kept, so it is shown once.

The secret has 256 random bits, so a plain SHA-256 is enough: there is nothing to guess that a slow
hash would protect.
"""

import re
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from hashlib import sha256
from hmac import compare_digest

from gigawatt.errors import UnauthenticatedError
from gigawatt.identity.accounts import AccountId, ApiKeyId
from gigawatt.ids import TenantId

SECRET_BYTE_COUNT = 32
"""256 bits."""

GRACE_S_MAX = 86_400
"""Longest time for which the secret before a rotation is still taken: a day. Ours."""

_KEY = re.compile(r"gw_([0-9a-f]{16})_([A-Za-z0-9_-]{43})")


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What is kept of a key.

    Fields:
        account_id: who acts when it is used.
        project_id: the only project it reaches, or None for all that the account reaches.
        digest: SHA-256 of the secret, in hex.
        expires_s, revoked_s: Unix seconds, None for never.
        last_used_s: when it was last used, to the minute.
        previous_digest: SHA-256 of the secret before the last rotation, None if there was none.
        previous_until_s: until when that one is still taken, Unix seconds.
    """

    key_id: ApiKeyId
    account_id: AccountId
    project_id: TenantId | None
    name: str
    digest: str
    created_s: float
    expires_s: float | None
    last_used_s: float | None
    revoked_s: float | None
    previous_digest: str | None = None
    previous_until_s: float | None = None


def secret_text(random_bytes: bytes) -> str:
    """A secret of 43 letters from 32 random bytes."""
    assert len(random_bytes) == SECRET_BYTE_COUNT, "a secret has 256 bits"
    return urlsafe_b64encode(random_bytes).decode().rstrip("=")


def digest_of(secret: str) -> str:
    """What is kept of a secret: its SHA-256 in hex."""
    return sha256(secret.encode()).hexdigest()


def key_text(key_id: ApiKeyId, secret: str) -> str:
    """The key as its holder gets it, e.g. ``gw_0123456789abcdef_...``."""
    return f"gw_{key_id.removeprefix('key_')}_{secret}"


def parse_key(text: str) -> tuple[ApiKeyId, str]:
    """Id and secret of a key.

    Raises:
        UnauthenticatedError: not a key.
    """
    match = _KEY.fullmatch(text)
    if match is None:
        raise UnauthenticatedError("the API key is not of the form gw_<id>_<secret>")
    return ApiKeyId(f"key_{match[1]}"), match[2]


def digests_in_force(key: ApiKey, now_s: float) -> tuple[str, ...]:
    """Digests of the secrets that are taken for a key at ``now_s``; none when it is over."""
    if key.revoked_s is not None or (key.expires_s is not None and key.expires_s <= now_s):
        return ()
    is_grace = key.previous_until_s is not None and now_s < key.previous_until_s
    before = key.previous_digest if is_grace else None
    return (key.digest,) if before is None else (key.digest, before)


def check_key(key: ApiKey | None, secret: str, now_s: float) -> ApiKey:
    """The key, if the secret is its own and it is in force at ``now_s``.

    Every refusal says the same, and the comparison takes the same time, so that an outsider
    learns nothing.

    Raises:
        UnauthenticatedError: unknown, wrong secret, expired or revoked.
    """
    shown = digest_of(secret).encode()
    kept = key.digest if key is not None else digest_of("")
    is_right = compare_digest(kept.encode(), shown)
    # Compared always, so that the time taken does not tell whether a key was rotated.
    before = key.previous_digest if key is not None else None
    is_before = compare_digest((before or digest_of("")).encode(), shown) and before is not None
    if key is not None and key.previous_until_s is not None and now_s < key.previous_until_s:
        is_right |= is_before
    is_over = key is not None and (
        key.revoked_s is not None or (key.expires_s is not None and key.expires_s <= now_s)
    )
    if key is None or not is_right or is_over:
        raise UnauthenticatedError("the API key is unknown, expired or revoked")
    return key
