"""What a call changed, as documents before and after it: bounded, and without secrets."""

import json
from collections.abc import Mapping
from hashlib import sha256

CHANGE_BYTES_MAX = 4096
"""Longest JSON of one document in the audit; of a longer one only its hash is kept. Ours."""

SECRET_FIELDS = frozenset({"key", "secret", "password", "digest", "authorization", "private_key"})
"""Fields that never go into the audit, whatever they hold."""


def change_text(document: Mapping[str, object] | None) -> str | None:
    """A document as bounded JSON without secret fields; None for none.

    Example:
        >>> change_text({"role": "owner", "key": "gw_..."})
        '{"role":"owner"}'
    """
    if document is None:
        return None
    kept = _without_secrets(document)
    text = json.dumps(kept, sort_keys=True, separators=(",", ":"), default=str)
    if len(text) <= CHANGE_BYTES_MAX:
        return text
    summary = {"too_long": len(text), "sha256": sha256(text.encode()).hexdigest()}
    return json.dumps(summary, sort_keys=True, separators=(",", ":"))


def _without_secrets(value: object) -> object:
    if isinstance(value, Mapping):
        return {
            str(name): _without_secrets(inner)
            for name, inner in value.items()
            if str(name).lower() not in SECRET_FIELDS
        }
    if isinstance(value, list | tuple):
        return [_without_secrets(inner) for inner in value]
    return value
