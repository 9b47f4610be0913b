"""Takes secrets out of text before it leaves the process as a line of the log or a span."""

import re

REPLACEMENT = "[redacted]"

_SECRETS = (
    # Our own keys keep their id, so that a line still says which one it was.
    re.compile(r"(?P<kept>\bgw_[0-9a-f]{16}_)[A-Za-z0-9_-]{20,}"),
    re.compile(r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*?(?:-----END [A-Z0-9 ]*-----|\Z)", re.S),
    re.compile(r"(?P<kept>(?i:\bbearer|\bbasic)\s+)[A-Za-z0-9._~+/=-]+"),
    re.compile(
        r"""(?P<kept>(?i:\b(?:proxy-)?authorization|\bcookie|\bset-cookie)["']?\s*[:=]\s*["']?)"""
        r"""[^"'\r\n]+"""
    ),
    re.compile(
        r"""(?P<kept>(?i:\b[a-z0-9_-]*(?:password|passwd|pgpassword|secret|api[_-]?key|auth[_-]?token"""
        r"""|access[_-]?token|refresh[_-]?token|id[_-]?token|client[_-]?assertion))["']?\s*[:=]\s*["']?)"""
        r"""[^\s"'&,;}\]]+"""
    ),
    re.compile(r"(?P<kept>[a-z][a-z0-9+.-]*://[^\s/:@]*:)[^\s/@]+(?=@)", re.I),
    re.compile(r"\b(?P<kept>(?:sk|rk|whsec)_(?:live_|test_)?)[A-Za-z0-9]{16,}"),
    re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"),
)
"""Keys of ours, private keys in PEM, credentials in headers, assignments, URLs, keys of Stripe, and
signed JWTs."""


_SECRET_NAME = re.compile(
    r"authorization|cookie|passw(or)?d|secret|private[_-]?key|api[_-]?key$|token$|assertion$", re.I
)


def is_secret_name(name: str) -> bool:
    """Whether what stands under a name is not to be told, whatever it looks like."""
    return _SECRET_NAME.search(name) is not None


def redact(text: str) -> str:
    """The text with every secret replaced.

    Example:
        >>> redact("connect to postgresql://gw:hunter2@db/gw failed")
        'connect to postgresql://gw:[redacted]@db/gw failed'
    """
    for pattern in _SECRETS:
        text = pattern.sub(_replaced, text)
    return text


def _replaced(match: re.Match[str]) -> str:
    return match.groupdict().get("kept", "") + REPLACEMENT
