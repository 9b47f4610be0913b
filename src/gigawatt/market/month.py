"""Months of the books, ``YYYY-MM`` in UTC: texts of them sort as they follow each other."""

import re
from datetime import UTC, date, datetime, timedelta

from gigawatt.errors import InputError

YEAR_MIN, YEAR_MAX = 2000, 2099
"""Months outside are mistakes. Ours."""

_MONTH = re.compile(r"(\d{4})-(0[1-9]|1[0-2])")


def check_month(month: str) -> str:
    """The month, if it is one.

    Raises:
        InputError: it is not.
    """
    found = _MONTH.fullmatch(month)
    if found is None or not YEAR_MIN <= int(found[1]) <= YEAR_MAX:
        raise InputError(f"{month[:20]!r} is no month, wanted e.g. 2026-11")
    return month


def next_month(month: str) -> str:
    """The month after one.

    Example:
        >>> next_month("2026-12")
        '2027-01'
    """
    year, number = int(month[:4]), int(month[5:])
    return f"{year + number // 12:04}-{number % 12 + 1:02}"


def month_before(month: str) -> str:
    """The month before one."""
    return month_at(start_ms(month) - 1)


def month_at(at_ms: int) -> str:
    """The month of a moment in Unix milliseconds."""
    return f"{datetime.fromtimestamp(at_ms // 1000, UTC):%Y-%m}"


def start_ms(month: str) -> int:
    """Where a month begins, in Unix milliseconds; it ends where the next begins."""
    first = datetime(int(month[:4]), int(month[5:]), 1, tzinfo=UTC)
    return int(first.timestamp()) * 1000


def last_day(month: str) -> str:
    """Last day of a month, ``YYYY-MM-DD``.

    Example:
        >>> last_day("2028-02")
        '2028-02-29'
    """
    following = next_month(month)
    first = date(int(following[:4]), int(following[5:]), 1)
    return (first - timedelta(days=1)).isoformat()


def day_at(at_ms: int) -> str:
    """The day of a moment in Unix milliseconds, ``YYYY-MM-DD``."""
    return f"{datetime.fromtimestamp(at_ms // 1000, UTC):%Y-%m-%d}"
