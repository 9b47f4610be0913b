"""Checks of numbers at the door: a wrong one is refused with the name of its field.

A quantity is a plain float whose field name ends in its unit. These checks hold the range that
the unit implies, so a percent written into a share, or a negative life, stops here.
"""

import re
from math import isfinite

from gigawatt.errors import InputError

LEAST, MOST = 1e-12, 1e30
"""What counts as above zero, and the largest quantity in any unit that we use. Ours: products and
ratios of a dozen quantities between them stay finite and above zero."""


def check_range(field: str, value: object, low: float, high: float = float("inf")) -> None:
    """Nothing, where ``low <= value <= high`` and the value is at most ``MOST``.

    Raises:
        InputError: the value is no finite number or outside the range; the field is named.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise InputError(f"{field} is {value!r}, wanted a number in the unit its name ends in")
    if not isfinite(value) or not low <= value <= high or abs(value) > MOST:
        wanted = f"from {low:g} to {high:g}" if isfinite(high) else f"{low:g} to {MOST:g}"
        raise InputError(f"{field} is {value!r}, wanted {wanted}")


def check_positive(field: str, value: object) -> None:
    """Nothing, where the value is above zero.

    Raises:
        InputError: the value is no finite number above zero; the field is named.
    """
    check_range(field, value, 0.0)
    if isinstance(value, (int, float)) and value < LEAST:
        raise InputError(f"{field} is {value!r}, wanted more than 0: {LEAST:g} or more")


def check_share(field: str, value: object, *, is_zero_allowed: bool = True) -> None:
    """Nothing, where the value is a share, 0 to 1.

    Raises:
        InputError: the value is not a share; the field is named.
    """
    if isinstance(value, (int, float)) and 1 < value <= 100:
        raise InputError(
            f"{field} is {value!r}, wanted a share from 0 to 1",
            next_step=f"If this is a percentage, write {value / 100:g}.",
        )
    check_range(field, value, 0.0, 1.0)
    if not is_zero_allowed and isinstance(value, (int, float)) and value < LEAST:
        raise InputError(f"{field} is {value!r}, wanted more than 0 and at most 1")


def check_count(field: str, value: object, low: int = 1) -> None:
    """Nothing, where the value is a whole number of at least ``low``.

    Raises:
        InputError: it is not; the field is named.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < low:
        raise InputError(f"{field} is {value!r}, wanted a whole number of {low} or more")


def check_currency(fields: dict[str, object]) -> str:
    """The one currency of all fields.

    Args:
        fields: ISO 4217 code by field name; at least one.

    Raises:
        InputError: a code is not three capital letters, or two fields differ; both are named.

    Example:
        >>> check_currency({"rack_currency": "USD", "power_currency": "USD"})
        'USD'
    """
    for field, code in fields.items():
        if not (isinstance(code, str) and re.fullmatch(r"[A-Z]{3}", code)):
            raise InputError(f"{field} is {code!r}, wanted a currency such as USD")
    first, *others = fields.items()
    for field, code in others:
        if code != first[1]:
            raise InputError(
                f"{field} is {code!r} but {first[0]} is {first[1]!r}: mixed currency",
                next_step="Convert all amounts to one currency on one date, then ask again.",
            )
    return str(first[1])
