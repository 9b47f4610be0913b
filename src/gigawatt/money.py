"""Money is an integer count of micro-dollars (1 USD = 1,000,000), never a float."""

MICRO_USD_PER_USD = 1_000_000


def format_usd(amount_micro_usd: int, *, digits: int = 2) -> str:
    """An amount as text, rounded half up to ``digits`` decimals, e.g. ``$1,234.50``.

    Args:
        amount_micro_usd: micro-dollars, may be negative.
        digits: decimals shown, 0 to 6.

    Example:
        >>> format_usd(2_490_000)
        '$2.49'
        >>> format_usd(-1_500_000, digits=1)
        '-$1.5'
    """
    unit = 10 ** (6 - digits)
    scaled = (abs(amount_micro_usd) + unit // 2) // unit
    whole, part = divmod(scaled, 10**digits)
    sign = "-" if amount_micro_usd < 0 and scaled else ""
    return f"{sign}${whole:,}" + (f".{part:0{digits}d}" if digits else "")
