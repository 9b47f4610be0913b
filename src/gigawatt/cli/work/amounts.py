"""Amounts as people write and read them."""

from decimal import Decimal, InvalidOperation

from gigawatt.errors import InputError
from gigawatt.money import MICRO_USD_PER_USD

_PPM_PER_PERCENT = 10_000


def micro_usd_of(text: str) -> int:
    """Micro-dollars of an amount in dollars, exact.

    Raises:
        InputError: it is no amount, or finer than a micro-dollar.

    Example:
        >>> micro_usd_of("$1,250.50")
        1250500000
    """
    return _scaled(text.replace("$", "").replace(",", ""), MICRO_USD_PER_USD, "an amount in USD")


def ppm_of(text: str) -> int:
    """Parts per million of a share in percent.

    Raises:
        InputError: it is no share.
    """
    return _scaled(text.replace("%", ""), _PPM_PER_PERCENT, "a share in percent")


def _scaled(text: str, factor: int, what: str) -> int:
    try:
        value = Decimal(text.strip()) * factor
    except InvalidOperation as error:
        raise InputError(f"{text[:40]!r} is not {what}, wanted e.g. 19.50") from error
    if not value.is_finite() or value != value.to_integral_value() or abs(value) > 10**18:
        raise InputError(f"{text[:40]!r} is not {what}, wanted e.g. 19.50")
    return int(value)
