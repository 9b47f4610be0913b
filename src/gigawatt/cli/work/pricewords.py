"""Prices and terms in words."""

from gigawatt.money import format_usd

BASIS_WORDS = {
    "list": "list price",
    "card": "rate card",
    "negotiated": "your own rate",
    "reservation": "covered by the reservation",
    "round": "price of the round",
}
"""Where a price is from, in words."""

TERM_WORDS = {"on_demand": "on demand", "reserved": "reserved", "spot": "spot"}


def price_words(price_micro_usd: int) -> str:
    """A price of a GPU-hour: cents, or as many decimals as it has, e.g. ``$2.49``, ``$0.0085``."""
    digits = 2
    while digits < 6 and price_micro_usd % 10 ** (6 - digits):
        digits += 1
    return format_usd(price_micro_usd, digits=digits)
