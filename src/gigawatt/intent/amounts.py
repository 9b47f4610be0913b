"""Amounts as people write them: dollars and durations, exactly."""

import re
from datetime import UTC, datetime

from gigawatt.errors import InputError
from gigawatt.money import MICRO_USD_PER_USD
from gigawatt.units import DAY_S, HOUR_S, MINUTE_S

_DOLLARS = re.compile(r"\$?([0-9]{1,12})(?:\.([0-9]{1,6}))?", re.ASCII)
_DURATION = re.compile(r"([0-9]{1,7})(min|h|d|w)", re.ASCII)
_UNITS_S = {"min": MINUTE_S, "h": HOUR_S, "d": DAY_S, "w": 7 * DAY_S}


def micro_usd_of(text: str) -> int:
    """Micro-dollars of an amount in dollars: at most six decimals, and no sign.

    Raises:
        InputError: it is none.

    Example:
        >>> micro_usd_of("2.49")
        2490000
    """
    found = _DOLLARS.fullmatch(text.strip())
    if found is None:
        raise InputError(
            f"{text[:40]!r} is no amount of dollars", next_step="Write e.g. 2.49, without a sign."
        )
    return int(found[1]) * MICRO_USD_PER_USD + int((found[2] or "").ljust(6, "0"))


def duration_s_of(text: str) -> int:
    """Seconds of a duration in minutes, hours, days or weeks.

    Raises:
        InputError: it is none.

    Example:
        >>> duration_s_of("72h")
        259200
    """
    found = _DURATION.fullmatch(text.strip())
    if found is None or int(found[1]) == 0:
        raise InputError(
            f"{text[:40]!r} is no duration", next_step="Write e.g. 90min, 72h, 14d or 4w."
        )
    return int(found[1]) * _UNITS_S[found[2]]


def minute_words(at_s: float) -> str:
    """A moment (Unix seconds) to the minute, not too early, for people.

    Example:
        >>> minute_words(1.0)
        '1970-01-01 00:01 UTC'
    """
    full_s = -(-at_s // MINUTE_S) * MINUTE_S
    return f"{datetime.fromtimestamp(full_s, UTC):%Y-%m-%d %H:%M} UTC"
