"""An illustrative rate card for a fleet: its list prices, and rows made from them by round parts.

Nobody sells at these prices. The parts are ours; they lie in the range of published discounts (a
year for 0.60 to 0.63 and three years for 0.40 to 0.45 of the price on demand, spot at about half).
"""

from collections.abc import Mapping

from gigawatt.intent.term import Term
from gigawatt.market.product import EGRESS, SANDBOX_CPU, STORAGE
from gigawatt.market.rates import Rate

NOTE = "illustrative: made from the fleet's list price, nobody sells at it"

PERCENTS: tuple[tuple[Term, int, int, int], ...] = (
    (Term.ON_DEMAND, 1, 0, 100),
    (Term.ON_DEMAND, 256, 0, 95),
    (Term.ON_DEMAND, 1_024, 0, 90),
    (Term.RESERVED, 1, 1, 90),
    (Term.RESERVED, 1, 12, 65),
    (Term.RESERVED, 1, 36, 45),
    (Term.SPOT, 1, 0, 40),
)
"""Term, GPUs from which on, months from which on, percent of the list price."""


def demo_rates(listed: Mapping[str, int], now_s: float) -> tuple[Rate, ...]:
    """Rows made from list prices, micro-USD per GPU-hour by GPU type; in force from now on."""
    return tuple(
        Rate(
            gpu_type=gpu_type,
            term=term,
            price_micro_usd_per_gpu_hour=price * percent // 100,
            valid_from_s=now_s,
            gpu_count_min=gpu_count_min,
            month_count_min=month_count_min,
        )
        for gpu_type, price in sorted(listed.items())
        for term, gpu_count_min, month_count_min, percent in PERCENTS
    )


PRODUCT_PRICES: Mapping[str, int] = {STORAGE: 30_000, SANDBOX_CPU: 40_000, EGRESS: 20_000}
"""Micro-USD for a unit of each known product: a TiB-hour, a CPU-hour, a GiB. Ours, made up."""
